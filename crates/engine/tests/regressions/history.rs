//! History that is read while other things happen.

use std::sync::Arc;

use tally_counter::{Key, Minute, Step};

use crate::kit::{Bench, DAY_MS, Interrupted, NOON_MS, OWN_ROWS_ARE_IN, blind};

#[test]
fn history_that_is_read_while_a_round_is_put_counts_nothing_twice() {
    for operation in 0..=OWN_ROWS_ARE_IN {
        let bench = Bench::new(1);
        let store = Interrupted::new(&bench);
        let engine = Arc::new(bench.open_on(store.clone()));
        blind(&engine, "x", 5, Some(NOON_MS));
        let (rounds, model) = (engine.clone(), bench.store.clone());
        *store.at_scan.lock().unwrap() = Some(Box::new(move || {
            model.fail_from(Some(model.operations() + operation));
            assert!(rounds.round().is_err());
            model.fail_from(None);
        }));
        let history = engine.history(Key::new(b"x").unwrap(), Step::Minute, Minute(0), Minute(u32::MAX));
        let sum: i128 = history.unwrap().windows.iter().map(|(_, amount)| amount).sum();
        assert_eq!(sum, 5, "operation {operation}");
    }
}

#[test]
fn history_says_from_where_on_it_is_whole_though_the_boundary_moves_while_it_is_read() {
    let bench = Bench::new(1);
    let store = Interrupted::new(&bench);
    let engine = Arc::new(bench.open_on(store.clone()));
    blind(&engine, "x", 5, Some(NOON_MS));
    engine.round().unwrap();
    // Its minute is out of the retention by then.
    blind(&engine, "x", 7, Some(NOON_MS + 20 * DAY_MS));
    let sweeps = engine.clone();
    *store.at_scan.lock().unwrap() = Some(Box::new(move || {
        sweeps.round().unwrap();
        for _ in 0..20 {
            sweeps.tidy().unwrap();
        }
    }));
    let history = engine.history(Key::new(b"x").unwrap(), Step::Minute, Minute(0), Minute(u32::MAX));
    let history = history.unwrap();
    let first = Minute::of_ms(NOON_MS).unwrap();
    let is_there = history.windows.iter().any(|(minute, _)| *minute == first);
    assert!(is_there || history.kept_from > first, "{history:?}");
}
