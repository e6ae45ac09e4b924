//! Tokens and their sweep.

use tally_engine::{Engine, Plan, TokenState};
use tally_store::Faults;

use crate::kit::Bench;

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
