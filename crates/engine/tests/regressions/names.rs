//! Names of counters, and how many there are.

use std::sync::Arc;

use tally_counter::Slot;
use tally_engine::Check;
use tally_store::{Addresses, Faults, Store, Table};

use crate::kit::{Bench, Interrupted, NOON_MS, OWN_ROWS_ARE_IN, ROWS_ARE_IN, add, delete, event, names, put, set};

#[test]
fn names_are_counted_once_whatever_became_of_an_earlier_try() {
    for (operation, seed) in (3..9).flat_map(|operation| (0..8).map(move |seed| (operation, seed))) {
        let bench = Bench::new(seed);
        let engine = bench.open();
        assert_eq!(engine.count().unwrap(), 0);
        for key in ["x", "y", "z"] {
            add(&engine, key, 1);
        }
        bench.breaks_after(operation);
        assert!(engine.round().is_err());
        bench.breaks_no_more();
        engine.tidy().unwrap();
        bench.store.settle();
        assert_eq!(engine.count().unwrap(), 3, "operation {operation}, seed {seed}");
    }
}

#[test]
fn a_name_of_a_later_life_is_not_counted_as_gone() {
    let bench = Bench::new(1);
    let engine = bench.open();
    assert_eq!(engine.count().unwrap(), 0);
    let mut writer = engine.open_source("file").unwrap();
    put(&engine, &mut writer, &event(&["x"], 1, NOON_MS), 1).unwrap();
    delete(&engine, "x");
    put(&engine, &mut writer, &event(&["x"], 1, NOON_MS), 2).unwrap();
    assert_eq!(engine.count().unwrap(), 1);
    assert_eq!(names(&engine), ["x"]);
}

#[test]
fn a_name_is_put_again_though_its_cell_survived() {
    for (operation, seed) in (2..OWN_ROWS_ARE_IN + 2).flat_map(|operation| (0..8).map(move |seed| (operation, seed))) {
        let bench = Bench::new(seed);
        let engine = bench.open();
        for key in ["x", "y", "z"] {
            add(&engine, key, 1);
        }
        engine.commit().unwrap();
        bench.breaks_after(operation);
        let _unless_it_came_through = engine.round();
        drop(engine);
        bench.store.crash(seed);
        bench.breaks_no_more();
        assert_eq!(
            names(&bench.open()),
            ["x", "y", "z"],
            "operation {operation}, seed {seed}"
        );
    }
}

/// What stands of a round that is cut off anywhere in it has names, though the journal is lost then and the round never repeated.
fn named_after_a_loss(crash: bool) {
    let mut unheard = 0;
    for (operation, seed) in (2..OWN_ROWS_ARE_IN).flat_map(|operation| (0..8).map(move |seed| (operation, seed))) {
        let mut bench = Bench::new(seed);
        let engine = bench.open();
        add(&engine, "before", 1);
        engine.round().unwrap();
        for key in ["a", "b", "c", "d"] {
            set(&engine, key, 5);
            add(&engine, &format!("{key}{key}"), 1);
        }
        bench.breaks_after(operation);
        assert!(engine.round().is_err());
        drop(engine);
        if crash {
            bench.store.crash(seed);
        }
        bench.breaks_no_more();
        bench.store.settle();
        bench.dir = tempfile::tempdir().unwrap();
        let engine = bench.open();
        let keys = ["a", "aa", "b", "bb", "before", "c", "cc", "d", "dd"].map(str::to_owned);
        let values = engine.values(&keys).unwrap();
        let there = keys.into_iter().zip(values);
        let there: Vec<String> = there.filter(|(_, value)| value.is_some()).map(|(key, _)| key).collect();
        let listed: Vec<String> = names(&engine);
        assert_eq!(listed, there, "operation {operation}, seed {seed}");
        unheard += usize::from(there.len() < 9);
    }
    assert!(unheard > 0);
}

#[test]
fn what_a_lost_journal_leaves_of_a_round_has_names() {
    named_after_a_loss(false);
}

#[test]
fn what_a_lost_journal_and_a_loss_of_power_leave_of_a_round_has_names() {
    named_after_a_loss(true);
}

#[test]
fn a_sources_round_that_is_cut_off_leaves_no_counter_without_a_name() {
    for (operation, seed) in (2..ROWS_ARE_IN).flat_map(|operation| (0..8).map(move |seed| (operation, seed))) {
        let bench = Bench::new(seed);
        let engine = bench.open();
        let mut writer = engine.open_source("file").unwrap();
        // The heads of these are in memory only: the source's round puts them.
        for key in ["a", "b", "c"] {
            set(&engine, key, 5);
        }
        engine.commit().unwrap();
        let fold = event(&["a", "b", "c", "x", "y", "z"], 1, NOON_MS);
        bench.breaks_after(operation);
        assert!(put(&engine, &mut writer, &fold, 1).is_err());
        drop(engine);
        bench.breaks_no_more();
        let drifts = bench.open().verify(false).unwrap().drifts;
        assert!(drifts.is_empty(), "operation {operation}, seed {seed}: {drifts:?}");
    }
}

#[test]
fn a_name_that_the_open_round_takes_away_is_no_drift() {
    let bench = Bench::new(1);
    let engine = bench.open();
    let mut writer = engine.open_source("file").unwrap();
    put(&engine, &mut writer, &event(&["x"], 1, NOON_MS), 1).unwrap();
    let fold = event(&["x", "y"], 1, NOON_MS);
    bench.breaks_after(ROWS_ARE_IN);
    assert!(put(&engine, &mut writer, &fold, 2).is_err());
    bench.breaks_no_more();
    delete(&engine, "x");
    // This puts the head of the DEL, before the round that takes the name away.
    let mut writer = engine.open_source("file").unwrap();
    put(&engine, &mut writer, &fold, 2).unwrap();
    assert_eq!(engine.verify(false).unwrap().drifts, []);
    engine.round().unwrap();
    assert_eq!(engine.verify(false).unwrap().drifts, []);
}

#[test]
fn rows_of_an_open_round_whose_head_a_loss_of_power_took_are_no_drift() {
    for (operation, seed) in (4..ROWS_ARE_IN).flat_map(|operation| (0..8).map(move |seed| (operation, seed))) {
        let bench = Bench::new(seed);
        let engine = bench.open();
        let mut writer = engine.open_source("file").unwrap();
        add(&engine, "x", 1);
        engine.round().unwrap();
        delete(&engine, "x");
        engine.commit().unwrap();
        bench.breaks_after(operation);
        assert!(put(&engine, &mut writer, &event(&["x"], 1, NOON_MS), 1).is_err());
        drop(engine);
        bench.store.crash(seed);
        bench.breaks_no_more();
        let drifts = bench.open().verify(false).unwrap().drifts;
        let of_rows = drifts.iter().filter(|drift| drift.check != Check::Names);
        assert_eq!(of_rows.count(), 0, "operation {operation}, seed {seed}: {drifts:?}");
    }
}

#[test]
fn a_source_that_puts_a_head_of_the_memory_puts_its_name_too() {
    let bench = Bench::new(1);
    let engine = bench.open();
    let mut writer = engine.open_source("file").unwrap();
    let fold = event(&["x"], 1, NOON_MS);
    bench.breaks_after(ROWS_ARE_IN);
    assert!(put(&engine, &mut writer, &fold, 1).is_err());
    bench.breaks_no_more();
    delete(&engine, "x");
    engine.round().unwrap();
    set(&engine, "x", 5);
    let mut writer = engine.open_source("file").unwrap();
    put(&engine, &mut writer, &fold, 1).unwrap();
    assert_eq!(engine.verify(false).unwrap().drifts, []);
}

#[test]
fn a_name_that_the_open_round_takes_away_is_not_thought_to_be_stored() {
    let bench = Bench::new(1);
    let store = Interrupted::new(&bench);
    let engine = Arc::new(bench.open_on(store.clone()));
    add(&engine, "x", 1);
    // While the add is put, the counter is deleted; while that is put, it begins anew.
    for anew in [false, true] {
        let other = engine.clone();
        *store.at_put.lock().unwrap() = Some(Box::new(move || {
            if anew {
                add(&other, "x", 5);
            } else {
                delete(&other, "x");
            }
        }));
        engine.round().unwrap();
    }
    assert_eq!(names(&engine), ["x"]);
}

/// Whether the store has a row of this name.
fn is_named(bench: &Bench, name: &str) -> bool {
    let mut addresses = Addresses::new();
    addresses.push_with(Table::Names, Slot::of(name.as_bytes()).number(), |out| {
        out.extend_from_slice(name.as_bytes());
    });
    let mut found = false;
    let mut note = |_, _: tally_store::Row<'_>| {
        found = true;
        Ok(())
    };
    bench.store.get(&addresses, &mut note).unwrap();
    found
}

#[test]
fn a_name_of_an_ended_life_that_comes_back_late_is_no_drift_and_is_swept_again() {
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut came_back = 0;
    for seed in 0..20 {
        let bench = Bench::new(seed);
        let engine = bench.open();
        bench.store.set_faults(Faults {
            writes_repeat: 1_000,
            ..Faults::none()
        });
        for key in &keys {
            add(&engine, key, 1);
        }
        engine.round().unwrap();
        bench.store.set_faults(Faults {
            removals_forgotten: 1_000,
            ..Faults::none()
        });
        for key in &keys {
            delete(&engine, key);
        }
        engine.round().unwrap();
        bench.breaks_no_more();
        bench.store.settle();
        came_back += keys.iter().filter(|key| is_named(&bench, key)).count();
        assert_eq!(engine.verify(false).unwrap().drifts, [], "seed {seed}");
        assert!(names(&engine).is_empty(), "seed {seed}");
        // A start walks over all names.
        drop(engine);
        let engine = bench.open();
        for _ in 0..20 {
            engine.tidy().unwrap();
        }
        assert!(!keys.iter().any(|key| is_named(&bench, key)), "seed {seed}");
        assert_eq!(engine.count().unwrap(), 0, "seed {seed}");
    }
    assert!(came_back > 5, "{came_back}");
}
