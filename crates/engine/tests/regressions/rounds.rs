//! Rounds that fail, are repeated, or are followed by others.

use tally_engine::Error;
use tally_store::Faults;

use crate::kit::{Bench, NOON_MS, ROWS_ARE_IN, add, event, put, set, value};

#[test]
fn a_claim_takes_what_an_earlier_start_wrote_late() {
    for seed in 0..60 {
        let bench = Bench::new(seed);
        let engine = bench.open();
        bench.store.set_faults(Faults {
            swaps_unknown: 700,
            ..Faults::none()
        });
        bench.breaks_after(seed % 3);
        assert!(engine.open_source("file").is_err() || seed % 3 > 0);
        drop(engine);
        bench.store.fail_from(None);
        let engine = bench.open();
        let mut writer = engine.open_source("file").unwrap();
        put(&engine, &mut writer, &event(&["x"], 3, NOON_MS), 1).unwrap();
        assert_eq!(value(&engine, "x"), Some(3), "seed {seed}");
    }
}

#[test]
fn a_round_goes_on_to_what_came_after_one_that_failed() {
    let bench = Bench::new(1);
    let engine = bench.open();
    add(&engine, "x", 1);
    bench.writes_fail();
    assert!(engine.round().is_err());
    bench.breaks_no_more();
    add(&engine, "y", 1);
    engine.round().unwrap();
    assert_eq!(engine.status().journal_applied, 2);
}

#[test]
fn a_value_is_not_remembered_over_a_round_that_failed_late() {
    for (operation, seed) in
        (ROWS_ARE_IN..ROWS_ARE_IN + 4).flat_map(|operation| (0..8).map(move |seed| (operation, seed)))
    {
        let bench = Bench::new(seed);
        let engine = bench.open();
        let mut writer = engine.open_source("file").unwrap();
        set(&engine, "x", 1);
        bench.breaks_after(operation);
        let _unless_it_came_through = put(&engine, &mut writer, &event(&["x"], 100, NOON_MS), 1);
        bench.breaks_no_more();
        let applied = engine.open_source("file").unwrap().applied();
        if applied.number() == 1 {
            assert_eq!(value(&engine, "x"), Some(101), "operation {operation}, seed {seed}");
        }
    }
}

#[test]
fn no_row_is_put_before_the_pending_cut_is_durable() {
    for (operation, seed) in (0..6).flat_map(|operation| (0..6).map(move |seed| (operation, seed))) {
        let bench = Bench::new(seed);
        let engine = bench.open();
        add(&engine, "x", 1);
        engine.round().unwrap();
        add(&engine, "x", 10);
        bench.store.set_faults(Faults {
            syncs_fail: 1_000,
            ..Faults::none()
        });
        assert!(engine.round().is_err());
        bench.breaks_no_more();
        bench.breaks_after(operation);
        let _unless_it_came_through = engine.round();
        drop(engine);
        bench.store.crash(seed);
        bench.breaks_no_more();
        let engine = bench.open();
        assert_eq!(value(&engine, "x"), Some(11), "operation {operation}, seed {seed}");
        add(&engine, "x", 100);
        engine.round().unwrap();
        drop(engine);
        assert_eq!(
            value(&bench.open(), "x"),
            Some(111),
            "operation {operation}, seed {seed}"
        );
    }
}

#[test]
fn a_row_of_a_writer_never_goes_back_to_what_it_was() {
    for seed in 0..60 {
        let bench = Bench::new(seed);
        let engine = bench.open();
        bench.store.set_faults(Faults {
            swaps_unknown: 400,
            syncs_fail: 300,
            ..Faults::none()
        });
        for _ in 0..12 {
            add(&engine, "x", 1);
            match engine.round() {
                Ok(()) | Err(Error::Unavailable(_)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
    }
}

/// Of a source's round: after pending, durable, names, new names, heads.
const CELLS_ARE_PUT: u64 = 5;

#[test]
fn a_cell_of_an_open_round_that_comes_late_is_no_drift() {
    let mut late = 0;
    for seed in 0..80 {
        let bench = Bench::new(seed);
        let engine = bench.open();
        let mut writer = engine.open_source("file").unwrap();
        put(&engine, &mut writer, &event(&["x"], 1, NOON_MS), 1).unwrap();
        bench.breaks_after(CELLS_ARE_PUT);
        assert!(put(&engine, &mut writer, &event(&["x"], 100, NOON_MS), 2).is_err());
        bench.breaks_no_more();
        let before = value(&engine, "x");
        bench.store.settle();
        assert_eq!(engine.verify(false).unwrap().drifts, [], "seed {seed}");
        drop(engine);
        late += u32::from(value(&bench.open(), "x") != before);
    }
    assert!(late > 0);
}
