//! Rounds that fail, are repeated, or are followed by others.

use std::sync::{Arc, Mutex};

use tally_counter::Key;
use tally_engine::{Blocked, Engine, Error, Need, Plan};
use tally_store::Faults;

use crate::kit::{Bench, Interrupted, NOON_MS, ROWS_ARE_IN, add, event, put, set, value};

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

/// Adds to new counters in requests of so many, until one is refused. Answers how many were taken.
fn flood(engine: &Engine, name: &str, counters_each: usize, most: usize) -> usize {
    let taken = |request: &usize| {
        let mut plan = Plan::new();
        let keys: Vec<_> = (0..counters_each)
            .map(|key| {
                let name = format!("{name}:{request}:{key}");
                plan.key(Key::new(name.as_bytes()).unwrap(), Need::Blind)
            })
            .collect();
        let turned = engine.turn(&mut plan, &mut |turn| {
            for key in &keys {
                turn.add_blind(*key, 1, None).unwrap();
            }
        });
        engine.commit().unwrap();
        match turned {
            Ok(_) => true,
            Err(Blocked::Full(_)) => false,
            Err(blocked) => panic!("{blocked}"),
        }
    };
    (0..most).take_while(taken).count()
}

/// What a flood in bulk wrote takes more memory once its round is cut and brought into order: so much that whoever counts a few was
/// refused until it was put.
#[test]
fn a_round_that_a_flood_filled_leaves_room_for_who_counts_a_few() {
    let bench = Bench::new(1);
    let store = Interrupted::new(&bench);
    let engine = Arc::new(bench.open_on(store.clone()));
    let first = flood(&engine, "first", 100, 1_000);
    let taken = Arc::new(Mutex::new((0, 0)));
    let (flooded, note) = (Arc::clone(&engine), Arc::clone(&taken));
    *store.at_put.lock().unwrap() = Some(Box::new(move || {
        let bulk = flood(&flooded, "second", 100, 1_000);
        *note.lock().unwrap() = (bulk, flood(&flooded, "few", 1, 500));
    }));
    engine.round().unwrap();
    let (second, few) = *taken.lock().unwrap();
    assert_eq!(
        few, 500,
        "{first} requests in bulk before the cut, {second} while it is put"
    );
    assert!(
        second > 0 && second < first,
        "{first} before the cut, {second} while nothing is put"
    );
}

/// Looks at each put of a round how many requests in bulk are taken.
fn flood_at_each_put(store: &Arc<Interrupted>, engine: &Arc<Engine>, taken: &Arc<Mutex<Vec<usize>>>) {
    let (again, flooded, note) = (Arc::clone(store), Arc::clone(engine), Arc::clone(taken));
    *store.at_put.lock().unwrap() = Some(Box::new(move || {
        let put = note.lock().unwrap().len();
        let bulk = flood(&flooded, &format!("put-{put}"), 20, 1_000);
        note.lock().unwrap().push(bulk);
        flood_at_each_put(&again, &flooded, &note);
    }));
}

#[test]
fn a_flood_goes_on_as_fast_as_the_round_before_is_put() {
    let bench = Bench::new(1);
    let store = Interrupted::new(&bench);
    let engine = Arc::new(bench.open_on(store.clone()));
    flood(&engine, "first", 100, 1_000);
    let taken = Arc::new(Mutex::new(Vec::new()));
    flood_at_each_put(&store, &engine, &taken);
    engine.round().unwrap();
    *store.at_put.lock().unwrap() = None;
    let taken = taken.lock().unwrap().clone();
    let steps = taken.iter().filter(|taken| **taken > 0).count();
    assert!(steps >= 2 && taken[0] > 0, "{taken:?}");
    assert!(taken[1] == 0, "nothing more was put since: {taken:?}");
}
