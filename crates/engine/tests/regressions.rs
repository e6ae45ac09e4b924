//! Bugs that the simulation found, each with the interleaving that shows it. The store breaks down, fails or is late as told.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tally_counter::{Key, Minute, Outcome, Policy, Position, Step};
use tally_engine::{
    Clock, Engine, Error, Expiry, Explained, Fold, KeyIndex, Need, Plan, Random, Settings, SourceWriter, SystemDisk,
    TokenState, Turn, World,
};
use tally_store::{
    Addresses, Batch, Faults, Model, NameCursor, Order, Range, Store, StoreError, Swap, Swapped, Table, Visit,
};

const NOON_MS: u64 = 1_700_000_000_000;
const DAY_MS: u64 = 86_400_000;

struct FakeClock(AtomicU64);

impl Clock for FakeClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn monotonic_us(&self) -> u64 {
        0
    }
}

struct FakeRandom(AtomicU64);

impl Random for FakeRandom {
    fn next(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)) * 0x9E37_79B9_7F4A_7C15
    }
}

/// A world that outlives its engines.
struct Bench {
    dir: tempfile::TempDir,
    store: Arc<Model>,
    clock: Arc<FakeClock>,
    random: Arc<FakeRandom>,
}

impl Bench {
    fn new(seed: u64) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            store: Arc::new(Model::new(Faults::none(), seed)),
            clock: Arc::new(FakeClock(AtomicU64::new(NOON_MS))),
            random: Arc::new(FakeRandom(AtomicU64::new(7))),
        }
    }

    fn open(&self) -> Engine {
        self.open_on(self.store.clone())
    }

    fn open_on(&self, store: Arc<dyn Store>) -> Engine {
        let world = World {
            clock: self.clock.clone(),
            random: self.random.clone(),
            disk: Arc::new(SystemDisk::open(self.dir.path()).unwrap()),
            store,
        };
        let settings = Settings {
            dir: self.dir.path().to_owned(),
            journal_segment_bytes: 1 << 16,
            journal_interval_ms: 100,
            journal_limit_bytes: 1 << 20,
            round_interval_ms: 5_000,
            hot_budget_bytes: 1 << 20,
            token_window_ms: DAY_MS,
            token_limit: 1_000,
        };
        for _ in 0..100 {
            match Engine::open(settings.clone(), world.clone()) {
                Ok(engine) => return engine,
                Err(Error::Unavailable(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        panic!("it never opens")
    }

    /// The store breaks down at its `more`-th write or sync from now.
    fn breaks_after(&self, more: u64) {
        self.store.fail_from(Some(self.store.operations() + more));
    }

    fn breaks_no_more(&self) {
        self.store.fail_from(None);
        self.store.set_faults(Faults::none());
    }

    fn writes_fail(&self) {
        self.store.set_faults(Faults {
            writes_fail: 1_000,
            ..Faults::none()
        });
    }
}

fn turn<R>(engine: &Engine, key: &str, need: Need, mut work: impl FnMut(&mut Turn<'_>, KeyIndex) -> R) -> R {
    let mut plan = Plan::new();
    let index = plan.key(Key::new(key.as_bytes()).unwrap(), need);
    engine.blocking_turn(&mut plan, &mut |turn| work(turn, index)).unwrap()
}

fn add(engine: &Engine, key: &str, amount: i64) {
    turn(engine, key, Need::Value, |turn, key| turn.add(key, amount, None)).unwrap();
}

fn blind(engine: &Engine, key: &str, amount: i64, time_ms: Option<u64>) {
    turn(engine, key, Need::Blind, |turn, key| {
        turn.add_blind(key, amount, time_ms)
    })
    .unwrap();
}

fn set(engine: &Engine, key: &str, value: i64) {
    turn(engine, key, Need::Reset, |turn, key| {
        turn.set(key, value, Expiry::Never);
    });
}

fn delete(engine: &Engine, key: &str) {
    turn(engine, key, Need::Reset, |turn, key| {
        turn.delete(key);
    });
}

fn value(engine: &Engine, key: &str) -> Option<i128> {
    engine.values(&[key.to_owned()]).unwrap()[0]
}

fn explain(engine: &Engine, key: &str) -> Explained {
    engine.explain(Key::new(key.as_bytes()).unwrap()).unwrap()
}

/// What history says was counted; every step says the same.
fn counted(engine: &Engine, key: &str) -> i128 {
    let explained = explain(engine, key);
    let sums: Vec<i128> = explained
        .history
        .iter()
        .map(|(_, left, windows, _)| left + windows)
        .collect();
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{explained:?}");
    sums[0]
}

fn names(engine: &Engine) -> Vec<String> {
    engine
        .list("", "", 100)
        .unwrap()
        .into_iter()
        .map(|one| one.key)
        .collect()
}

/// A fold of one event that adds to these counters.
fn event(keys: &[&str], amount: i64, time_ms: u64) -> Fold {
    let mut fold = Fold::default();
    for key in keys {
        fold.add(Key::new(key.as_bytes()).unwrap(), amount, time_ms);
    }
    fold.event(Outcome::Counted);
    fold
}

fn put(engine: &Engine, writer: &mut SourceWriter, fold: &Fold, cut: u64) -> Result<(), Error> {
    engine.put_source(writer, fold, Position::new(cut).unwrap(), b"")
}

/// Of a source's round: pending, durable, names and heads, cells, gone names, ledger; then what makes them durable.
const ROWS_ARE_IN: u64 = 6;

/// A source whose second round, of `fold`, has all its rows in the store and is still open.
fn open_round(bench: &Bench, engine: &Engine, fold: &Fold) {
    let mut writer = engine.open_source("file").unwrap();
    put(engine, &mut writer, &event(&["first"], 1, NOON_MS), 1).unwrap();
    bench.breaks_after(ROWS_ARE_IN);
    assert!(put(engine, &mut writer, fold, 2).is_err());
    bench.breaks_no_more();
}

fn repeat_round(engine: &Engine, fold: &Fold) {
    let mut writer = engine.open_source("file").unwrap();
    assert_eq!(writer.repeat_to().map(Position::number), Some(2));
    put(engine, &mut writer, fold, 2).unwrap();
}

#[test]
fn a_repeated_round_that_empties_the_journal_is_no_lost_journal() {
    for operation in 0..12 {
        let bench = Bench::new(1);
        let engine = bench.open();
        add(&engine, "x", 1);
        engine.commit().unwrap();
        bench.breaks_after(operation);
        let _unless_it_came_through = engine.round();
        drop(engine);
        bench.breaks_no_more();
        drop(bench.open());
        let engine = bench.open();
        add(&engine, "x", 1);
        engine.round().unwrap();
        let explained = explain(&engine, "x");
        assert_eq!(explained.value, Some(2));
        assert!(explained.writers.iter().all(|writer| writer.writer.epoch == 1));
    }
}

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
fn names_are_counted_once_whatever_became_of_an_earlier_try() {
    for (operation, seed) in (3..7).flat_map(|operation| (0..8).map(move |seed| (operation, seed))) {
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
fn a_repeated_round_goes_by_the_boundaries_of_its_cut() {
    for (operation, seed) in (2..9).flat_map(|operation| (0..6).map(move |seed| (operation, seed))) {
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
fn a_name_is_put_again_though_its_cell_survived() {
    for (operation, seed) in (2..9).flat_map(|operation| (0..8).map(move |seed| (operation, seed))) {
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

#[test]
fn a_value_is_not_remembered_over_a_round_that_failed_late() {
    for (operation, seed) in (ROWS_ARE_IN..10).flat_map(|operation| (0..8).map(move |seed| (operation, seed))) {
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

/// A store at whose next scan something else happens, as another thread would do it.
struct Interrupted {
    store: Arc<Model>,
    at_scan: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Store for Interrupted {
    fn put(&self, rows: &Batch, order: Order) -> Result<(), StoreError> {
        self.store.put(rows, order)
    }
    fn remove(&self, rows: &Batch) -> Result<(), StoreError> {
        self.store.remove(rows)
    }
    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.get(addresses, visit)
    }
    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let interrupts = self.at_scan.lock().unwrap().take();
        if let Some(interrupts) = interrupts {
            interrupts();
        }
        self.store.scan(ranges, visit)
    }
    fn names(&self, prefix: &[u8], after: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.names(prefix, after, limit, visit)
    }
    fn names_by_slot(
        &self,
        cursor: NameCursor,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<NameCursor>, StoreError> {
        self.store.names_by_slot(cursor, limit, visit)
    }
    fn walk(
        &self,
        table: Table,
        cursor: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.walk(table, cursor, limit, visit)
    }
    fn swap(&self, swap: Swap<'_>) -> Result<Swapped, StoreError> {
        self.store.swap(swap)
    }
    fn durable(&self) -> Result<(), StoreError> {
        self.store.durable()
    }
}

/// Of the node's round: pending, durable, tokens, names and heads, cells, gone names, ledger; then what makes them durable.
const OWN_ROWS_ARE_IN: u64 = 7;

#[test]
fn history_that_is_read_while_a_round_is_put_counts_nothing_twice() {
    for operation in 0..=OWN_ROWS_ARE_IN {
        let bench = Bench::new(1);
        let store = Arc::new(Interrupted {
            store: bench.store.clone(),
            at_scan: Mutex::new(None),
        });
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
