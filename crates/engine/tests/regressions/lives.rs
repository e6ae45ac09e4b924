//! Lives and generations that end while rounds are open.

use std::sync::atomic::Ordering;

use tally_engine::Need;
use tally_store::Faults;

use crate::kit::{
    Bench, NOON_MS, add, blind, counted, delete, event, explain, names, open_round, put, repeat_round, set, turn, value,
};

#[test]
fn an_end_that_a_blind_add_meets_has_seen_what_sources_counted() {
    let bench = Bench::new(1);
    let engine = bench.open();
    add(&engine, "x", 1);
    turn(&engine, "x", Need::Reset, |turn, key| {
        turn.expire(key, Some(NOON_MS + 1_000))
    });
    let fold = event(&["x"], 100, NOON_MS);
    open_round(&bench, &engine, &fold);
    assert_eq!(value(&engine, "x"), Some(101));
    bench.clock.0.store(NOON_MS + 2_000, Ordering::Relaxed);
    blind(&engine, "x", 7, None);
    repeat_round(&engine, &fold);
    assert_eq!(value(&engine, "x"), Some(7));
    assert_eq!(counted(&engine, "x"), 7);
}

#[test]
fn what_an_ended_life_had_seen_is_not_counted_in_the_next() {
    let bench = Bench::new(1);
    let engine = bench.open();
    let fold = event(&["x"], 100, NOON_MS);
    open_round(&bench, &engine, &fold);
    delete(&engine, "x");
    set(&engine, "x", 5);
    repeat_round(&engine, &fold);
    assert_eq!(value(&engine, "x"), Some(5));
    assert_eq!(counted(&engine, "x"), 0);
}

#[test]
fn a_cell_that_comes_late_counts_after_a_set_that_had_not_seen_it() {
    let mut late = 0;
    for seed in 0..80 {
        let bench = Bench::new(seed);
        let engine = bench.open();
        let mut writer = engine.open_source("file").unwrap();
        put(&engine, &mut writer, &event(&["x"], 1, NOON_MS), 1).unwrap();
        bench.store.set_faults(Faults {
            writes_fail: 500,
            ..Faults::none()
        });
        let fold = event(&["x"], 100, NOON_MS);
        if put(&engine, &mut writer, &fold, 2).is_ok() {
            continue;
        }
        bench.breaks_no_more();
        set(&engine, "x", 5);
        bench.store.settle();
        let seen = explain(&engine, "x").head.unwrap().seen;
        let has_seen = seen.iter().any(|(_, position)| position.number() == 2);
        late += u32::from(!has_seen);
        let mut writer = engine.open_source("file").unwrap();
        put(&engine, &mut writer, &fold, 2).unwrap();
        assert_eq!(value(&engine, "x"), Some(if has_seen { 5 } else { 105 }), "seed {seed}");
        assert_eq!(counted(&engine, "x"), 101, "seed {seed}");
    }
    assert!(late > 0);
}

#[test]
fn what_was_written_of_an_ended_life_is_not_remembered_for_the_next() {
    let bench = Bench::new(1);
    let engine = bench.open();
    let mut writer = engine.open_source("file").unwrap();
    add(&engine, "x", 1);
    delete(&engine, "x");
    add(&engine, "x", 20);
    bench.writes_fail();
    assert!(engine.round().is_err());
    bench.breaks_no_more();
    delete(&engine, "x");
    add(&engine, "x", 300);
    // This puts the newest head, before the round that failed is put again.
    put(&engine, &mut writer, &event(&["x"], 4_000, NOON_MS), 1).unwrap();
    engine.round().unwrap();
    engine.round().unwrap();
    assert_eq!(bench.store.broken_words(), 0, "what is put again does not only grow");
    drop(engine);
    let engine = bench.open();
    assert_eq!(value(&engine, "x"), Some(4_300));
    assert_eq!(counted(&engine, "x"), 4_300);
    assert_eq!(names(&engine), ["x"]);
}
