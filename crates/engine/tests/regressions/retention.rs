//! Boundaries and namespaces, as of a cut.

use tally_counter::{Key, Minute, Outcome, Policy, Step};
use tally_engine::Engine;

use crate::kit::{Bench, DAY_MS, NOON_MS, OWN_ROWS_ARE_IN, blind, counted, event, open_round, put, repeat_round};

#[test]
fn a_repeated_round_goes_by_the_boundaries_of_its_cut() {
    for (operation, seed) in (2..OWN_ROWS_ARE_IN + 2).flat_map(|operation| (0..6).map(move |seed| (operation, seed))) {
        // Sources move the boundary before the round is cut, or after it was.
        for before in [true, false] {
            let bench = Bench::new(seed);
            let engine = bench.open();
            let mut writer = engine.open_source("file").unwrap();
            if before {
                put(&engine, &mut writer, &event(&["y"], 1, NOON_MS + 20 * DAY_MS), 1).unwrap();
            }
            blind(&engine, "x", 5, Some(NOON_MS));
            bench.breaks_after(operation);
            let _unless_it_came_through = engine.round();
            bench.breaks_no_more();
            if !before {
                put(&engine, &mut writer, &event(&["y"], 1, NOON_MS + 20 * DAY_MS), 1).unwrap();
            }
            drop(engine);
            assert_eq!(
                counted(&bench.open(), "x"),
                5,
                "operation {operation}, seed {seed}, {before}"
            );
        }
    }
}

#[test]
fn what_a_source_moved_stays_moved_after_a_start() {
    let bench = Bench::new(1);
    let engine = bench.open();
    let mut writer = engine.open_source("file").unwrap();
    // Of this namespace only the journal knows.
    bench.writes_fail();
    assert!(engine.declare("a", Policy::default()).is_err());
    bench.breaks_no_more();
    let fold = event(&["x", "a:x"], 1, NOON_MS + 20 * DAY_MS);
    put(&engine, &mut writer, &fold, 1).unwrap();
    let kept_from = |engine: &Engine| {
        ["x", "a:x"].map(|key| {
            let key = Key::new(key.as_bytes()).unwrap();
            let history = engine.history(key, Step::Minute, Minute(0), Minute(u32::MAX));
            history.unwrap().kept_from
        })
    };
    let before = kept_from(&engine);
    assert!(before.iter().all(|minute| *minute > Minute(0)));
    drop(engine);
    assert_eq!(kept_from(&bench.open()), before);
}

#[test]
fn a_repeat_goes_by_the_namespaces_of_its_cut() {
    let bench = Bench::new(1);
    let engine = bench.open();
    // Its minute is out of the retention of `default` already; a new namespace has no boundary yet.
    let mut fold = event(&["a:x"], 100, NOON_MS);
    fold.add(Key::new(b"y").unwrap(), 1, NOON_MS + 20 * DAY_MS);
    open_round(&bench, &engine, &fold);
    engine.declare("a", Policy::default()).unwrap();
    repeat_round(&engine, &fold);
    assert_eq!(counted(&engine, "a:x"), 100);
    let ledger = engine.ledger().unwrap();
    let figures: Vec<(&str, u64)> = ledger
        .namespaces
        .iter()
        .map(|one| (one.name.as_str(), one.figures.of(Outcome::Counted)))
        .collect();
    assert_eq!(figures, [("default", 3)]);
}
