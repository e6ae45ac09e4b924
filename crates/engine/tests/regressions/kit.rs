//! A world for regressions: a store that breaks down, fails or is late as told, and short words for what is done to the engine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tally_counter::{Key, Outcome, Position};
use tally_engine::{
    Clock, Engine, Error, Expiry, Explained, Fold, KeyIndex, Need, Plan, Random, Settings, SourceWriter, SystemDisk,
    Turn, World,
};
use tally_store::{
    Addresses, Batch, Faults, Model, NameCursor, Order, Range, Store, StoreError, Swap, Swapped, Table, Visit,
};

pub(crate) const NOON_MS: u64 = 1_700_000_000_000;
pub(crate) const DAY_MS: u64 = 86_400_000;

pub(crate) struct FakeClock(pub(crate) AtomicU64);

impl Clock for FakeClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn monotonic_us(&self) -> u64 {
        0
    }
}

pub(crate) struct FakeRandom(AtomicU64);

impl Random for FakeRandom {
    fn next(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)) * 0x9E37_79B9_7F4A_7C15
    }
}

/// A world that outlives its engines.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Arc<Model>,
    pub(crate) clock: Arc<FakeClock>,
    random: Arc<FakeRandom>,
}

impl Bench {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            store: Arc::new(Model::new(Faults::none(), seed)),
            clock: Arc::new(FakeClock(AtomicU64::new(NOON_MS))),
            random: Arc::new(FakeRandom(AtomicU64::new(7))),
        }
    }

    pub(crate) fn open(&self) -> Engine {
        self.open_on(self.store.clone())
    }

    /// The same, on a store that stands before this one.
    pub(crate) fn open_on(&self, store: Arc<dyn Store>) -> Engine {
        let world = World {
            clock: self.clock.clone(),
            random: self.random.clone(),
            disk: Arc::new(SystemDisk::open(self.dir.path()).unwrap()),
            store,
        };
        let settings = Settings {
            dir: self.dir.path().to_owned(),
            node: "local".to_owned(),
            token_walk_pause_ms: 0,
            heartbeat_interval_ms: 0,
            read_age_ms: 0,
            journal_segment_bytes: 1 << 16,
            cut_damage: false,
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
    pub(crate) fn breaks_after(&self, more: u64) {
        self.store.fail_from(Some(self.store.operations() + more));
    }

    pub(crate) fn breaks_no_more(&self) {
        self.store.fail_from(None);
        self.store.set_faults(Faults::none());
    }

    pub(crate) fn writes_fail(&self) {
        self.store.set_faults(Faults {
            writes_fail: 1_000,
            ..Faults::none()
        });
    }
}

pub(crate) fn turn<R>(engine: &Engine, key: &str, need: Need, mut work: impl FnMut(&mut Turn<'_>, KeyIndex) -> R) -> R {
    let mut plan = Plan::new();
    let index = plan.key(Key::new(key.as_bytes()).unwrap(), need);
    engine.blocking_turn(&mut plan, &mut |turn| work(turn, index)).unwrap()
}

pub(crate) fn add(engine: &Engine, key: &str, amount: i64) {
    turn(engine, key, Need::Value, |turn, key| turn.add(key, amount, None)).unwrap();
}

pub(crate) fn blind(engine: &Engine, key: &str, amount: i64, time_ms: Option<u64>) {
    turn(engine, key, Need::Blind, |turn, key| {
        turn.add_blind(key, amount, time_ms)
    })
    .unwrap();
}

pub(crate) fn set(engine: &Engine, key: &str, value: i64) {
    turn(engine, key, Need::Reset, |turn, key| {
        turn.set(key, value, Expiry::Never);
    });
}

pub(crate) fn delete(engine: &Engine, key: &str) {
    turn(engine, key, Need::Reset, |turn, key| {
        turn.delete(key);
    });
}

pub(crate) fn value(engine: &Engine, key: &str) -> Option<i128> {
    engine.values(&[key.to_owned()]).unwrap()[0]
}

pub(crate) fn explain(engine: &Engine, key: &str) -> Explained {
    engine.explain(Key::new(key.as_bytes()).unwrap()).unwrap()
}

/// What history says was counted; every step says the same.
pub(crate) fn counted(engine: &Engine, key: &str) -> i128 {
    let explained = explain(engine, key);
    let sums: Vec<i128> = explained
        .history
        .iter()
        .map(|(_, left, windows, _)| left + windows)
        .collect();
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{explained:?}");
    sums[0]
}

pub(crate) fn names(engine: &Engine) -> Vec<String> {
    engine
        .list("", "", 100)
        .unwrap()
        .into_iter()
        .map(|one| one.key)
        .collect()
}

/// A fold of one event that adds to these counters.
pub(crate) fn event(keys: &[&str], amount: i64, time_ms: u64) -> Fold {
    let mut fold = Fold::default();
    for key in keys {
        fold.add(Key::new(key.as_bytes()).unwrap(), amount, time_ms);
    }
    fold.event(Outcome::Counted);
    fold
}

pub(crate) fn put(engine: &Engine, writer: &mut SourceWriter, fold: &Fold, cut: u64) -> Result<(), Error> {
    engine.put_source(writer, fold, Position::new(cut).unwrap(), b"")
}

/// Of a source's round: pending, durable, names, new names, heads, cells, gone names, ledger; then what makes them durable.
pub(crate) const ROWS_ARE_IN: u64 = 8;

/// Of the node's round: the same, and tokens.
pub(crate) const OWN_ROWS_ARE_IN: u64 = ROWS_ARE_IN + 1;

/// A source whose second round, of `fold`, has all its rows in the store and is still open.
pub(crate) fn open_round(bench: &Bench, engine: &Engine, fold: &Fold) {
    let mut writer = engine.open_source("file").unwrap();
    put(engine, &mut writer, &event(&["first"], 1, NOON_MS), 1).unwrap();
    bench.breaks_after(ROWS_ARE_IN);
    assert!(put(engine, &mut writer, fold, 2).is_err());
    bench.breaks_no_more();
}

pub(crate) fn repeat_round(engine: &Engine, fold: &Fold) {
    let mut writer = engine.open_source("file").unwrap();
    assert_eq!(writer.repeat_to().map(Position::number), Some(2));
    put(engine, &mut writer, fold, 2).unwrap();
}

/// What another thread does.
type Other = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// A store at whose next scan or put something else happens, as another thread would do it.
pub(crate) struct Interrupted {
    pub(crate) store: Arc<Model>,
    pub(crate) at_scan: Other,
    pub(crate) at_put: Other,
}

impl Interrupted {
    pub(crate) fn new(bench: &Bench) -> Arc<Self> {
        Arc::new(Self {
            store: bench.store.clone(),
            at_scan: Mutex::new(None),
            at_put: Mutex::new(None),
        })
    }
}

fn interrupt(other: &Other) {
    let interrupts = other.lock().unwrap().take();
    if let Some(interrupts) = interrupts {
        interrupts();
    }
}

impl Store for Interrupted {
    fn put(&self, rows: &Batch, order: Order) -> Result<(), StoreError> {
        interrupt(&self.at_put);
        self.store.put(rows, order)
    }
    fn remove(&self, rows: &Batch) -> Result<(), StoreError> {
        self.store.remove(rows)
    }
    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.get(addresses, visit)
    }
    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        interrupt(&self.at_scan);
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
