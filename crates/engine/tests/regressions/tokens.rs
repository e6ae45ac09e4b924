//! Tokens and their sweep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use tally_engine::{Engine, Plan, TokenState};
use tally_store::Faults;

use crate::kit::{Bench, Interrupted, blind};

#[test]
fn a_sweep_that_failed_does_not_count_its_tokens_again() {
    let mut failed = 0;
    for seed in 0..40 {
        let bench = Bench::new(seed);
        let engine = bench.open();
        for token in 0..600_u32 {
            assert_eq!(token_state(&engine, token), TokenState::New);
        }
        engine.round().unwrap();
        bench.store.set_faults(Faults {
            reads_fail: 500,
            ..Faults::none()
        });
        while engine.tidy().is_err() {
            failed += 1;
        }
        bench.breaks_no_more();
        assert_eq!(token_state(&engine, 600), TokenState::New, "600 of 1,000, seed {seed}");
    }
    assert!(failed > 0);
}

fn token_state(engine: &Engine, token: u32) -> TokenState {
    let mut plan = Plan::new();
    let token = plan.token("scope", &token.to_be_bytes());
    let state = engine.blocking_turn(&mut plan, &mut |turn| {
        let state = turn.token(token, 1);
        turn.remember(token, 1, b"answer");
        state
    });
    state.unwrap()
}

/// On a store whose reads take longer than the time between two rounds, a round ended between each read of a token and its turn, which was given
/// up after many reads: adds with tokens were answered minutes later, or not at all.
#[test]
fn a_token_is_read_though_rounds_end_quicker_than_the_store_answers() {
    const MOST_READS: u32 = 30;
    /// What a round takes that is not held back, many times over.
    const ROUND: Duration = Duration::from_millis(500);

    /// A round ends in the midst of each read, if it is let to.
    fn arm(store: &Arc<Interrupted>, engine: &Arc<Engine>, reads: &Arc<AtomicU32>) {
        let (next, engine, reads) = (Arc::clone(store), Arc::clone(engine), Arc::clone(reads));
        *store.at_scan.lock().unwrap() = Some(Box::new(move || {
            if reads.fetch_add(1, Ordering::Relaxed) > MOST_READS {
                return;
            }
            let (done, ended) = channel();
            let rounds = Arc::clone(&engine);
            std::thread::spawn(move || {
                blind(&rounds, "y", 1, None);
                rounds.round().unwrap();
                done.send(()).ok();
            });
            ended.recv_timeout(ROUND).ok();
            arm(&next, &engine, &reads);
        }));
    }

    let bench = Bench::new(1);
    let store = Interrupted::new(&bench);
    let engine = Arc::new(bench.open_on(store.clone()));
    let reads = Arc::new(AtomicU32::new(0));
    arm(&store, &engine, &reads);
    assert_eq!(token_state(&engine, 1), TokenState::New);
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads < MOST_READS, "{reads} reads");
    assert_eq!(token_state(&engine, 1), TokenState::Duplicate(b"answer".to_vec()));
}
