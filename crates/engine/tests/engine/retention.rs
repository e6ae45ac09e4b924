//! What leaves: windows past their retention, ended lives, heads and names of counters that are gone; and what stays exact meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tally_counter::{CounterRow, Key, Minute, Position, Step};
use tally_engine::{Engine, Error, Fold};
use tally_store::{Batch, Faults, Model, Store, Table};

use super::{Bench, counted, del, get, incr, set};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A bench whose store may break down, and whether it forgets what is removed.
fn bench(forgets: bool) -> (Bench, Arc<Model>) {
    let model = Model::new(Faults::none(), 1);
    let model = Arc::new(if forgets { model.forgetful() } else { model });
    let bench = Bench {
        store: model.clone(),
        ..Bench::new()
    };
    (bench, model)
}

fn later(bench: &Bench, ms: u64) {
    bench.clock.0.fetch_add(ms, Ordering::Relaxed);
}

/// Slices for a whole walk over a few counters.
fn sweep(engine: &Engine) -> Result<(), Error> {
    (0..12).try_for_each(|_| engine.tidy())
}

fn rows(store: &dyn Store, table: Table) -> Vec<CounterRow> {
    let mut rows = Vec::new();
    store
        .walk(table, &[], usize::MAX, &mut |_, row| {
            rows.push(CounterRow::decode(row.address.key)?.1);
            Ok(())
        })
        .unwrap();
    rows
}

fn minutes(store: &dyn Store) -> usize {
    let minute = |row: &CounterRow| matches!(row, CounterRow::Window { step: Step::Minute, .. });
    rows(store, Table::Windows).iter().filter(|row| minute(row)).count()
}

fn put(engine: &Engine, writer: &mut tally_engine::SourceWriter, key: &str, times_ms: &[u64], cut: u64) {
    let mut fold = Fold::default();
    for time_ms in times_ms {
        fold.add(Key::new(key.as_bytes()).unwrap(), 1, *time_ms);
    }
    engine
        .put_source(writer, &fold, Position::new(cut).unwrap(), &[])
        .unwrap();
}

#[test]
fn a_month_of_minutes_takes_no_more_rows_than_two_days_of_them() {
    let (bench, model) = bench(true);
    let engine = bench.open();
    let (mut added, mut most) = (0, 0);
    for hour in 0..30 * 24 {
        for key in ["a", "b", "c"] {
            incr(&engine, key, 1 + hour % 7);
        }
        added += 1 + i128::from(hour % 7);
        engine.round().unwrap();
        (0..4).for_each(|_| engine.tidy().unwrap());
        most = most.max(minutes(model.as_ref()));
        later(&bench, HOUR_MS);
    }
    // Two days, the hour under way, and one that the walk has not met yet; of three counters.
    assert!(most <= 3 * (48 + 2), "{most} rows");
    for key in ["a", "b", "c"] {
        assert_eq!(counted(&engine, key), added);
    }
    assert!(engine.status().folded_windows > 2_000);
    drop(engine);
    assert_eq!(counted(&bench.open(), "a"), added);
}

#[test]
fn a_crash_at_any_write_of_a_sweep_loses_and_doubles_nothing() {
    for last in 0.. {
        let (bench, model) = bench(last % 2 == 0);
        let engine = bench.open();
        incr(&engine, "a", 5);
        incr(&engine, "gone", 7);
        engine.round().unwrap();
        del(&engine, "gone");
        later(&bench, 5 * DAY_MS);
        incr(&engine, "a", 3);
        engine.round().unwrap();
        model.fail_from(Some(model.operations() + last));
        let swept = sweep(&engine);
        drop(engine);
        model.crash(last);
        model.fail_from(None);
        let engine = bench.open();
        assert_eq!(counted(&engine, "a"), 8, "after write {last}");
        assert_eq!((get(&engine, "a"), get(&engine, "gone")), (Some(8), None));
        sweep(&engine).unwrap();
        assert_eq!(counted(&engine, "a"), 8, "after write {last}, swept");
        assert_eq!(minutes(model.as_ref()), 1, "after write {last}");
        if swept.is_ok() {
            assert!(last > 4, "a sweep of {last} writes");
            break;
        }
    }
}

#[test]
fn windows_of_finished_sources_leave_too() {
    let (bench, model) = bench(true);
    let then_ms = bench.clock.0.load(Ordering::Relaxed);
    let engine = bench.open();
    let mut writer = engine.open_source("file").unwrap();
    put(&engine, &mut writer, "k", &[then_ms, then_ms + HOUR_MS], 2);
    drop((writer, engine));
    later(&bench, 10 * DAY_MS);
    let engine = bench.open();
    incr(&engine, "k", 10);
    engine.round().unwrap();
    sweep(&engine).unwrap();
    assert_eq!(minutes(model.as_ref()), 1);
    assert_eq!(counted(&engine, "k"), 12);
    // The file has grown, by an old event and a new one.
    let mut writer = engine.open_source("file").unwrap();
    assert_eq!(writer.applied().number(), 2);
    put(&engine, &mut writer, "k", &[then_ms, then_ms + 10 * DAY_MS], 4);
    assert_eq!(counted(&engine, "k"), 14);
    sweep(&engine).unwrap();
    // It goes on with what it claimed: the sweep has not taken its writer away.
    put(&engine, &mut writer, "k", &[then_ms + 10 * DAY_MS], 5);
    assert_eq!((counted(&engine, "k"), get(&engine, "k")), (15, Some(15)));
    drop((writer, engine));
    assert_eq!(counted(&bench.open(), "k"), 15);
}

#[test]
fn windows_leave_where_only_sources_count() {
    let (bench, model) = bench(true);
    let then_ms = bench.clock.0.load(Ordering::Relaxed);
    let engine = bench.open();
    let mut writer = engine.open_source("file").unwrap();
    for day in 0..20 {
        put(&engine, &mut writer, "k", &[then_ms + day * DAY_MS], day + 1);
        sweep(&engine).unwrap();
    }
    assert!(minutes(model.as_ref()) <= 3);
    assert_eq!(counted(&engine, "k"), 20);
}

#[test]
fn windows_of_a_lost_journal_leave_too() {
    let (bench, model) = bench(true);
    let engine = bench.open();
    incr(&engine, "k", 4);
    engine.round().unwrap();
    drop(engine);
    for entry in std::fs::read_dir(bench.dir.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    later(&bench, 10 * DAY_MS);
    let engine = bench.open();
    incr(&engine, "k", 1);
    engine.round().unwrap();
    sweep(&engine).unwrap();
    assert_eq!(minutes(model.as_ref()), 1);
    assert_eq!((counted(&engine, "k"), get(&engine, "k")), (5, Some(5)));
}

#[test]
fn nothing_is_left_of_a_deleted_counter_and_its_name_begins_anew() {
    let (bench, model) = bench(true);
    let engine = bench.open();
    let mut writer = engine.open_source("file").unwrap();
    put(&engine, &mut writer, "k", &[bench.clock.0.load(Ordering::Relaxed)], 1);
    for _ in 0..3 {
        incr(&engine, "k", 9);
        set(&engine, "k", 4);
        engine.round().unwrap();
        assert!(del(&engine, "k"));
        engine.round().unwrap();
        sweep(&engine).unwrap();
        assert_eq!(rows(model.as_ref(), Table::Counters), []);
        assert_eq!(rows(model.as_ref(), Table::Windows), []);
        assert_eq!((get(&engine, "k"), engine.count().unwrap()), (None, 0));
    }
    // The log goes on behind what was deleted.
    put(&engine, &mut writer, "k", &[bench.clock.0.load(Ordering::Relaxed)], 2);
    assert_eq!((get(&engine, "k"), counted(&engine, "k")), (Some(1), 1));
    assert_eq!(incr(&engine, "k", 1), 2);
    engine.commit().unwrap();
    drop((writer, engine));
    let engine = bench.open();
    assert_eq!((get(&engine, "k"), counted(&engine, "k")), (Some(2), 2));
    assert!(del(&engine, "k"));
    assert_eq!(get(&engine, "k"), None);
}

#[test]
fn a_head_stays_while_a_source_has_an_open_round() {
    let (bench, model) = bench(true);
    let now_ms = bench.clock.0.load(Ordering::Relaxed);
    let engine = bench.open();
    let mut writer = engine.open_source("file").unwrap();
    let mut fold = Fold::default();
    fold.add(Key::new(b"k").unwrap(), 1, now_ms);
    // `pending`, its sync, name and head, cell and window: then the end.
    model.fail_from(Some(model.operations() + 4));
    engine
        .put_source(&mut writer, &fold, Position::new(1).unwrap(), &[])
        .unwrap_err();
    drop((writer, engine));
    model.fail_from(None);
    let engine = bench.open();
    incr(&engine, "k", 1);
    assert!(del(&engine, "k"));
    engine.round().unwrap();
    sweep(&engine).unwrap();
    assert_eq!(rows(model.as_ref(), Table::Counters), [CounterRow::Head]);
    let mut writer = engine.open_source("file").unwrap();
    assert_eq!(writer.repeat_to(), Some(Position::new(1).unwrap()));
    engine
        .put_source(&mut writer, &fold, Position::new(1).unwrap(), &[])
        .unwrap();
    let after = get(&engine, "k");
    sweep(&engine).unwrap();
    assert_eq!(get(&engine, "k"), after, "sweeping changes nothing");
}

#[test]
fn a_store_that_keeps_tombstones_keeps_heads() {
    let (bench, model) = bench(false);
    let engine = bench.open();
    incr(&engine, "k", 1);
    engine.round().unwrap();
    assert!(del(&engine, "k"));
    engine.round().unwrap();
    sweep(&engine).unwrap();
    assert_eq!(rows(model.as_ref(), Table::Counters), [CounterRow::Head]);
    assert_eq!(incr(&engine, "k", 2), 2);
    engine.round().unwrap();
    drop(engine);
    assert_eq!(get(&bench.open(), "k"), Some(2));
}

#[test]
fn rows_of_ended_lives_and_names_of_nothing_are_found_after_a_crash() {
    let (bench, model) = bench(true);
    let engine = bench.open();
    incr(&engine, "k", 1);
    engine.round().unwrap();
    let of_life_0 = model.snapshot();
    assert!(del(&engine, "k"));
    incr(&engine, "k", 3);
    engine.round().unwrap();
    sweep(&engine).unwrap();
    drop(engine);
    // What was removed is there again, and a name of nothing.
    let mut back = Batch::new();
    for table in [Table::Counters, Table::Windows] {
        of_life_0
            .walk(table, &[], usize::MAX, &mut |_, row| {
                back.push(row);
                Ok(())
            })
            .unwrap();
    }
    let name = Key::new(b"nothing").unwrap();
    let slot = name.slot().number();
    back.push_with(Table::Names, slot, 0, |out| out.extend_from_slice(b"nothing"), |_| {});
    model.put(&back, tally_store::Order::Any).unwrap();
    let engine = bench.open();
    assert_eq!((get(&engine, "k"), counted(&engine, "k")), (Some(3), 3));
    sweep(&engine).unwrap();
    let lives: Vec<CounterRow> = rows(model.as_ref(), Table::Counters);
    assert!(
        lives.iter().all(|row| !matches!(row, CounterRow::Cell { life: 0, .. })),
        "{lives:?}"
    );
    assert_eq!(rows(model.as_ref(), Table::Windows).len(), 3);
    assert_eq!(engine.count().unwrap(), 1);
    assert_eq!((get(&engine, "k"), counted(&engine, "k")), (Some(3), 3));
}

#[test]
fn a_window_that_comes_back_is_not_counted_again() {
    let (bench, model) = bench(false);
    let engine = bench.open();
    incr(&engine, "k", 1);
    engine.round().unwrap();
    let before = model.snapshot();
    later(&bench, 5 * DAY_MS);
    incr(&engine, "k", 3);
    engine.round().unwrap();
    sweep(&engine).unwrap();
    let mut back = Batch::new();
    before
        .walk(Table::Windows, &[], usize::MAX, &mut |_, row| {
            back.push(row);
            Ok(())
        })
        .unwrap();
    // The removal was remembered; as a store that has forgotten it.
    let store = Arc::new(Model::new(Faults::none(), 2).forgetful());
    for table in Table::ALL.into_iter().filter(|table| *table != Table::Writers) {
        let mut rows = Batch::new();
        model
            .walk(table, &[], usize::MAX, &mut |_, row| {
                rows.push(row);
                Ok(())
            })
            .unwrap();
        store.put(&rows, tally_store::Order::Any).unwrap();
    }
    let mut writers = Batch::new();
    model
        .walk(Table::Writers, &[], usize::MAX, &mut |_, row| {
            writers.push(row);
            Ok(())
        })
        .unwrap();
    let swap = tally_store::Swap {
        conditions: &[],
        rows: &writers,
        gone: &tally_store::Addresses::new(),
    };
    assert_eq!(store.swap(swap).unwrap(), tally_store::Swapped::Applied);
    store.put(&back, tally_store::Order::Any).unwrap();
    drop(engine);
    let bench = Bench {
        store: store.clone(),
        ..bench
    };
    let engine = bench.open();
    assert_eq!(counted(&engine, "k"), 4);
    sweep(&engine).unwrap();
    assert_eq!((counted(&engine, "k"), minutes(store.as_ref())), (4, 1));
}

#[test]
fn history_says_from_when_it_is_kept() {
    let (bench, _) = bench(true);
    let engine = bench.open();
    incr(&engine, "k", 1);
    engine.round().unwrap();
    later(&bench, 5 * DAY_MS);
    incr(&engine, "k", 3);
    engine.round().unwrap();
    let key = Key::new(b"k").unwrap();
    let read = || engine.history(key, Step::Minute, Minute(0), Minute(u32::MAX)).unwrap();
    let before = read();
    sweep(&engine).unwrap();
    assert_eq!(read(), before);
    assert_eq!(before.windows.len(), 1);
}
