//! Runs seeds of the simulation, and repeats one that failed.
#![allow(
    clippy::print_stdout,
    reason = "a program for the terminal: what it prints is what it is for"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use tally_sim::{SCENARIOS, STEPS, exhaust, reduce, run};

const HELP: &str = "\
tally-sim: the engine under seeded faults

  --seed N      runs this seed, reduces it if it fails, and prints what happened
  --seeds N     runs N seeds (default 1,000)
  --from N      the first of them (default 0)
  --steps N     steps a seed (default 1,000)
  --exhaust N   crashes N small scenarios of each kind at every write and sync instead
  --jobs N      so many seeds at once, each on one thread (default 1)
  --lines       with --seed: every step of the whole run
";

struct Options {
    seed: Option<u64>,
    seeds: u64,
    from: u64,
    steps: usize,
    exhaust: Option<u64>,
    jobs: u64,
    lines: bool,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        print!("{HELP}");
        return ExitCode::FAILURE;
    };
    // A panic is caught and told as a violation.
    std::panic::set_hook(Box::new(|_| {}));
    let good = if let Some(seed) = options.seed {
        one(seed, &options)
    } else {
        many(&options)
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options() -> Option<Options> {
    let mut options = Options {
        seed: None,
        seeds: 1_000,
        from: 0,
        steps: STEPS,
        exhaust: None,
        jobs: 1,
        lines: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--lines" {
            options.lines = true;
            continue;
        }
        let number: u64 = arguments.next()?.replace(['_', ','], "").parse().ok()?;
        match argument.as_str() {
            "--seed" => options.seed = Some(number),
            "--seeds" => options.seeds = number,
            "--from" => options.from = number,
            "--steps" => options.steps = usize::try_from(number).ok()?,
            "--exhaust" => options.exhaust = Some(number),
            "--jobs" => options.jobs = number.max(1),
            _ => return None,
        }
    }
    Some(options)
}

fn one(seed: u64, options: &Options) -> bool {
    if options.exhaust.is_some() {
        return exhaust_seed(seed, true);
    }
    let whole = run(seed, options.steps, options.lines);
    println!(
        "seed {seed}: hash {:016x}, {} crashes, {} writes and syncs",
        whole.hash, whole.crashes, whole.operations
    );
    if options.lines {
        whole.lines.iter().for_each(|line| println!("{line}"));
    }
    let Some((step, violation)) = whole.failure else {
        return true;
    };
    println!("step {step}: {violation}\n\nreduced:");
    let reduced = reduce(seed, options.steps);
    reduced.lines.iter().for_each(|line| println!("  {line}"));
    if let Some((_, violation)) = reduced.failure {
        println!("{violation}");
    }
    false
}

/// Runs seeds until there are no more; tells those that fail.
fn many(options: &Options) -> bool {
    let next = AtomicU64::new(options.from);
    let end = options.from.saturating_add(options.exhaust.unwrap_or(options.seeds));
    let (failed, crashes, operations) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    if options.exhaust.is_some() {
                        failed.fetch_add(u64::from(!exhaust_seed(seed, false)), Ordering::Relaxed);
                        continue;
                    }
                    let outcome = run(seed, options.steps, false);
                    crashes.fetch_add(outcome.crashes, Ordering::Relaxed);
                    operations.fetch_add(outcome.operations, Ordering::Relaxed);
                    if let Some((step, violation)) = outcome.failure {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!(
                            "seed {seed}, step {step}: {violation}\n  repeat: cargo run -p tally-sim --release -- --seed {seed}"
                        );
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!(
        "{} seeds, {} crashes, {} writes and syncs: {failed} failed",
        end.saturating_sub(options.from),
        crashes.into_inner(),
        operations.into_inner()
    );
    failed == 0
}

fn exhaust_seed(seed: u64, lines: bool) -> bool {
    let mut good = true;
    for scenario in 0..SCENARIOS {
        let Err(broken) = exhaust(scenario, seed) else { continue };
        good = false;
        println!(
            "scenario {scenario} of seed {seed}, the last operation {:?}: {}\n  repeat: cargo run -p tally-sim --release -- --exhaust 1 --seed {seed}",
            broken.last, broken.violation
        );
        broken
            .lines
            .iter()
            .filter(|_| lines)
            .for_each(|line| println!("  {line}"));
    }
    good
}
