//! A short run of the simulation: some seeds, small scenarios crashed at every write and sync, and that a seed repeats itself.

use tally_sim::{SCENARIOS, STEPS, exhaust, exhaust_loss, run};

#[test]
fn seeds_keep_every_promise() {
    for seed in 0..40 {
        let outcome = run(seed, STEPS, false);
        if let Some((step, violation)) = outcome.failure {
            panic!("seed {seed}, step {step}: {violation}\nrepeat: cargo xtask sim --seed {seed}");
        }
    }
}

#[test]
fn small_scenarios_survive_a_crash_at_every_write_and_sync() {
    for scenario in 0..SCENARIOS {
        match exhaust(scenario, 0) {
            Ok(operations) => assert!(operations > 3, "scenario {scenario} does next to nothing"),
            Err(broken) => panic!(
                "scenario {scenario}, the last operation {:?}: {}",
                broken.last, broken.violation
            ),
        }
    }
}

#[test]
fn a_journal_that_is_lost_at_any_write_is_a_new_epoch() {
    for seed in 0..4 {
        match exhaust_loss(seed) {
            Ok(operations) => assert!(operations > 20, "seed {seed} does next to nothing"),
            Err(broken) => panic!(
                "seed {seed}, the last operation {:?}: {}\n{:#?}",
                broken.last, broken.violation, broken.lines
            ),
        }
    }
}

#[test]
fn a_seed_repeats_itself() {
    for seed in [3, 7, 9, 18] {
        let (one, other) = (run(seed, 300, false), run(seed, 300, false));
        assert_eq!(one.hash, other.hash, "seed {seed}");
        assert_eq!((one.crashes, one.operations), (other.crashes, other.operations));
    }
    assert_ne!(run(3, 300, false).hash, run(4, 300, false).hash);
}
