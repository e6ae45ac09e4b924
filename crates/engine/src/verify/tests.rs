//! Deliberate damage of each kind is found, named and mended, also when the mending is cut off anywhere; nothing is found where nothing
//! is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tally_counter::{
    Cell, Chunk, CounterRow, Figures, Key, Left, Minute, Outcome, Policy, Position, Step, Window, WriterNumber, row_key,
};
use tally_store::{
    Address, Addresses, Batch, Condition, Faults, Model, NameCursor, Order, Range, Row, Store, StoreError, Swap,
    Swapped, Table, Visit,
};

use super::drift::{Log, Terms, find};
use super::mend::{changes, mended};
use super::rows::{CounterRows, WriterRows};
use super::{Check, PassView};
use crate::{Engine, Expiry, Fold, Need, Plan, Settings, SystemClock, SystemDisk, SystemRandom, Turn, World};

/// 2023-11-14 22:13:20 UTC, in a month, day and hour with room around it.
const BEGIN_MS: u64 = 1_700_000_000_000;
const HOUR_MS: u64 = 3_600_000;

struct Bench {
    dir: tempfile::TempDir,
    store: Arc<Model>,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            store: Arc::new(Model::new(Faults::none(), 1)),
        }
    }

    /// Another one that holds the same.
    fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.dir.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
        let store = Arc::new(self.store.snapshot());
        Self { dir, store }
    }

    fn open_on(&self, store: Arc<dyn Store>) -> Engine {
        let settings = Settings {
            dir: self.dir.path().to_owned(),
            node: "local".to_owned(),
            token_walk_pause_ms: 0,
            heartbeat_interval_ms: 0,
            read_age_ms: 0,
            journal_segment_bytes: 1 << 20,
            cut_damage: false,
            journal_interval_ms: 10,
            journal_limit_bytes: 64 << 20,
            round_interval_ms: 20,
            hot_budget_bytes: 64 << 20,
            token_window_ms: 86_400_000,
            token_limit: 1_000,
        };
        let world = World {
            clock: Arc::new(SystemClock::default()),
            random: Arc::new(SystemRandom),
            disk: Arc::new(SystemDisk::open(self.dir.path()).unwrap()),
            store,
        };
        Engine::open(settings, world).unwrap()
    }

    fn open(&self) -> Engine {
        self.open_on(self.store.clone())
    }
}

fn turn<R>(engine: &Engine, key: &str, need: Need, work: impl Fn(&mut Turn<'_>, crate::KeyIndex) -> R) -> R {
    let mut plan = Plan::new();
    let index = plan.key(Key::new(key.as_bytes()).unwrap(), need);
    engine.blocking_turn(&mut plan, &mut |turn| work(turn, index)).unwrap()
}

fn add(engine: &Engine, key: &str, amount: i64, time_ms: u64) {
    turn(engine, key, Need::Blind, |turn, index| {
        turn.add_blind(index, amount, Some(time_ms))
    })
    .unwrap();
}

fn get(engine: &Engine, key: &str) -> Option<i128> {
    turn(engine, key, Need::Value, |turn, index| turn.value(index))
}

/// Counters with adds in several hours and days, one by a source, one SET, one deleted and begun anew.
fn fill(engine: &Engine) {
    let policy = Policy {
        lateness_ms: None,
        ..Policy::default()
    };
    engine.declare("default", policy).unwrap();
    for round in 0..3_u64 {
        for hour in 0..30 {
            add(engine, "plain", 10, BEGIN_MS + (hour * 3 + round) * HOUR_MS / 3);
            add(engine, "reset", 1, BEGIN_MS + hour * HOUR_MS);
            add(engine, "again", 2, BEGIN_MS + hour * HOUR_MS);
        }
        if round == 0 {
            turn(engine, "reset", Need::Reset, |turn, index| {
                turn.set(index, 100, Expiry::Never);
            });
            turn(engine, "again", Need::Reset, |turn, index| turn.delete(index));
        }
        engine.round().unwrap();
    }
    turn(engine, "empty", Need::Reset, |turn, index| {
        turn.set(index, 5, Expiry::Never);
    });
    turn(engine, "x", Need::Blind, |turn, _| {
        turn.reject_event("api", "broken", "1");
    });
    let mut writer = engine.open_source("file").unwrap();
    for round in 1..=3_u64 {
        let mut fold = Fold::default();
        for hour in 0..30 {
            fold.add(
                Key::new(b"of:file").unwrap(),
                4,
                BEGIN_MS + (hour * 3 + round) * HOUR_MS / 3,
            );
            fold.event(Outcome::Counted);
        }
        fold.reject("broken", "line 7");
        engine
            .put_source(&mut writer, &fold, Position::new(round * 1_000).unwrap(), b"")
            .unwrap();
    }
    engine.round().unwrap();
}

/// The values that `fill` leaves.
const VALUES: [(&str, i128); 5] = [
    ("plain", 900),
    ("reset", 160),
    ("again", 120),
    ("empty", 5),
    ("of:file", 360),
];

fn stands(store: &dyn Store, address: Address<'_>) -> Option<(u64, Vec<u8>)> {
    let mut addresses = Addresses::new();
    addresses.push_with(address.table, address.slot, |out| out.extend_from_slice(address.key));
    let mut found = None;
    store
        .get(&addresses, &mut |_, row| {
            found = Some((row.position, row.value.to_vec()));
            Ok(())
        })
        .unwrap();
    found
}

/// Makes a row something else where it stands, or takes it away.
fn damage(store: &dyn Store, address: Address<'_>, work: impl FnOnce(u64, &[u8]) -> Option<(u64, Vec<u8>)>) {
    let (position, old) = stands(store, address).unwrap();
    let mut rows = Batch::new();
    let Some((position, value)) = work(position, &old) else {
        rows.push(Row {
            address,
            position,
            value: &[],
        });
        return store.remove(&rows).unwrap();
    };
    rows.push(Row {
        address,
        position,
        value: &value,
    });
    let conditions = [Condition {
        address,
        value: Some(&old),
    }];
    let swap = Swap {
        conditions: &conditions,
        rows: &rows,
    };
    assert_eq!(store.swap(swap).unwrap(), Swapped::Applied);
}

fn counter_row(name: &str, row: CounterRow) -> (Table, u16, Vec<u8>) {
    let key = Key::new(name.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    row_key(key, row, &mut bytes);
    let table = if matches!(row, CounterRow::Window { .. }) {
        Table::Windows
    } else {
        Table::Counters
    };
    (table, key.slot().number(), bytes)
}

fn damage_row(store: &dyn Store, name: &str, row: CounterRow, work: impl FnOnce(u64, &[u8]) -> Option<(u64, Vec<u8>)>) {
    let (table, slot, key) = counter_row(name, row);
    damage(store, Address { table, slot, key: &key }, work);
}

fn change_cell(store: &dyn Store, name: &str, (life, writer): (u64, u32), change: impl Fn(&mut Cell)) {
    let row = CounterRow::Cell {
        life,
        writer: WriterNumber(writer),
    };
    damage_row(store, name, row, |position, old| {
        let mut cell = Cell::decode(position, old).unwrap();
        change(&mut cell);
        let mut value = Vec::new();
        cell.encode(&mut value);
        Some((cell.position.number(), value))
    });
}

fn window_row((life, writer): (u64, u32), step: Step, hours: u64) -> CounterRow {
    let minute = Minute::of_ms(BEGIN_MS + hours * HOUR_MS).unwrap();
    CounterRow::Window {
        life,
        step,
        chunk: step.place(minute).0,
        writer: WriterNumber(writer),
    }
}

/// Adds these amounts to the first windows of a chunk.
fn change_window(store: &dyn Store, name: &str, row: CounterRow, amounts: &[i128]) {
    let CounterRow::Window { step, .. } = row else {
        unreachable!()
    };
    damage_row(store, name, row, |position, old| {
        let mut window = Window::decode(position, old, step).unwrap();
        let places: Vec<u8> = window.amounts().map(|(place, _)| place).collect();
        for (place, amount) in places.into_iter().zip(amounts) {
            window.add(place, *amount).unwrap();
        }
        Some((position, window.encoded(step)))
    });
}

fn put_left(store: &dyn Store, name: &str, (life, writer): (u64, u32), step: Step, amount: i128) {
    let (table, slot, key) = counter_row(
        name,
        CounterRow::Left {
            life,
            step,
            writer: WriterNumber(writer),
        },
    );
    let left = Left {
        position: Position::new(1).unwrap(),
        boundary: Minute(0),
        amount,
    };
    let mut rows = Batch::new();
    rows.push_with(
        table,
        slot,
        1,
        |out| out.extend_from_slice(&key),
        |out| left.encode(out),
    );
    store.put(&rows, Order::Any).unwrap();
}

fn name_address(name: &str) -> Address<'_> {
    let slot = Key::new(name.as_bytes()).unwrap().slot().number();
    Address {
        table: Table::Names,
        slot,
        key: name.as_bytes(),
    }
}

fn remove_all(store: &dyn Store, name: &str, tables: &[Table]) {
    let key = Key::new(name.as_bytes()).unwrap();
    let prefix = super::rows::prefix(key);
    let ranges: Vec<_> = tables
        .iter()
        .map(|table| super::rows::range(key, *table, &prefix, usize::MAX))
        .collect();
    let mut gone = Batch::new();
    store
        .scan(&ranges, &mut |_, row| {
            gone.push(Row { value: &[], ..row });
            Ok(())
        })
        .unwrap();
    store.remove(&gone).unwrap();
}

const SOURCE: (u64, u32) = (0, 2);
const OWN: (u64, u32) = (0, 1);

/// A kind of damage to a store that nobody serves: what it is called, what it does, which check must see it in which counter.
type Damage = (&'static str, fn(&dyn Store), Check, &'static str);

const DAMAGES: [Damage; 14] = [
    (
        "a total",
        |store| change_cell(store, "plain", OWN, |cell| cell.total += 5),
        Check::Totals,
        "plain",
    ),
    (
        "what was counted",
        |store| change_cell(store, "plain", OWN, |cell| cell.counted += 5),
        Check::Totals,
        "plain",
    ),
    (
        "a total of a source",
        |store| change_cell(store, "of:file", SOURCE, |cell| cell.total -= 9),
        Check::Totals,
        "of:file",
    ),
    (
        "a chunk of minutes is gone",
        |store| damage_row(store, "plain", window_row(OWN, Step::Minute, 4), |_, _| None),
        Check::History,
        "plain",
    ),
    (
        "hours are gone",
        |store| damage_row(store, "of:file", window_row(SOURCE, Step::Hour, 4), |_, _| None),
        Check::History,
        "of:file",
    ),
    (
        "a day has too much",
        |store| change_window(store, "again", window_row((1, 1), Step::Day, 4), &[3]),
        Check::History,
        "again",
    ),
    (
        "hours are interchanged",
        |store| change_window(store, "plain", window_row(OWN, Step::Hour, 10), &[7, -7]),
        Check::Steps,
        "plain",
    ),
    (
        "something has left that was never there",
        |store| put_left(store, "plain", OWN, Step::Hour, 6),
        Check::History,
        "plain",
    ),
    (
        "a cell is gone",
        |store| {
            let row = CounterRow::Cell {
                life: 0,
                writer: WriterNumber(1),
            };
            damage_row(store, "plain", row, |_, _| None);
        },
        Check::History,
        "plain",
    ),
    (
        "all but windows is gone",
        |store| remove_all(store, "plain", &[Table::Counters, Table::Names]),
        Check::History,
        "plain",
    ),
    (
        "a name is gone",
        |store| damage(store, name_address("plain"), |_, _| None),
        Check::Names,
        "plain",
    ),
    (
        "a name of nothing",
        |store| {
            let mut rows = Batch::new();
            rows.push(Row {
                address: name_address("nothing"),
                position: 0,
                value: &[],
            });
            store.put(&rows, Order::Any).unwrap();
        },
        Check::Names,
        "nothing",
    ),
    (
        "a cell beyond every round",
        |store| {
            change_cell(store, "plain", OWN, |cell| {
                cell.position = cell.position.after(1 << 40).unwrap();
            });
        },
        Check::Positions,
        "plain",
    ),
    (
        "reasons of nothing",
        |store| {
            let mut key = Vec::new();
            crate::ledger::Subject::Source("file".to_owned()).put_key(&mut key, WriterNumber(2));
            damage(
                store,
                Address {
                    table: Table::Ledger,
                    slot: 0,
                    key: &key,
                },
                |position, old| {
                    let (at, mut figures) = Figures::decode(old).unwrap();
                    figures.reasons.get_mut("broken").unwrap().count += 40;
                    Some((position, figures.encoded(at)))
                },
            );
        },
        Check::Ledger,
        "source file (writer 2)",
    ),
];

fn assert_clean(engine: &Engine, what: &str) {
    let pass = engine.verify(false).unwrap();
    assert_eq!(pass.drifts, [], "{what}");
    assert!(pass.counters >= 4 && pass.rows > 50, "{what}: {pass:?}");
    for (name, value) in VALUES {
        assert_eq!(get(engine, name), Some(value), "{what}: {name}");
    }
}

fn assert_found(pass: &PassView, what: &str, check: Check, subject: &str) {
    let found = pass
        .drifts
        .iter()
        .any(|drift| drift.check == check && drift.subject == subject);
    assert!(found, "{what}: {pass:?}");
}

#[test]
fn each_kind_of_damage_is_found_and_mended() {
    let whole = Bench::new();
    let engine = whole.open();
    fill(&engine);
    assert_clean(&engine, "nothing");
    drop(engine);
    for (what, work, check, subject) in DAMAGES {
        let bench = whole.copy();
        work(bench.store.as_ref());
        let engine = bench.open();
        let pass = engine.verify(false).unwrap();
        assert_found(&pass, what, check, subject);
        assert_eq!(pass.mended(), 0, "{what}");
        let pass = engine.verify(true).unwrap();
        assert_found(&pass, what, check, subject);
        assert_eq!(pass.mended(), pass.found(), "{what}: {pass:?}");
        assert_clean(&engine, what);
        drop(engine);
        let engine = bench.open();
        assert_clean(&engine, what);
        add(&engine, "plain", 1, BEGIN_MS + 5 * HOUR_MS);
        engine.round().unwrap();
        assert_eq!(
            (engine.verify(false).unwrap().found(), get(&engine, "plain")),
            (0, Some(901)),
            "{what}"
        );
    }
}

#[test]
fn what_nothing_else_says_goes_by_the_cell_and_is_noted_as_left() {
    let bench = Bench::new();
    let engine = bench.open();
    fill(&engine);
    drop(engine);
    change_cell(bench.store.as_ref(), "plain", OWN, |cell| {
        cell.total += 50;
        cell.counted += 50;
    });
    let engine = bench.open();
    let pass = engine.verify(true).unwrap();
    assert_found(&pass, "a cell", Check::History, "plain");
    assert_eq!(pass.mended(), 1);
    assert_eq!(
        (engine.verify(false).unwrap().found(), get(&engine, "plain")),
        (0, Some(950))
    );
    let explained = engine.explain(Key::new(b"plain").unwrap()).unwrap();
    for (step, left, windows, _) in explained.history {
        assert_eq!((left, windows), (50, 900), "{step:?}");
    }
}

#[test]
fn what_cannot_be_known_is_said_and_left_alone() {
    let bench = Bench::new();
    let engine = bench.open();
    fill(&engine);
    drop(engine);
    let row = CounterRow::Cell {
        life: 0,
        writer: WriterNumber(1),
    };
    damage_row(bench.store.as_ref(), "reset", row, |_, _| None);
    let engine = bench.open();
    let pass = engine.verify(true).unwrap();
    assert_found(&pass, "a cell behind a SET", Check::History, "reset");
    assert_eq!(pass.mended(), 0);
    assert!(pass.drifts[0].detail.contains("cannot be mended"), "{pass:?}");
}

#[test]
fn memory_that_differs_from_the_store_is_found_and_forgotten() {
    let bench = Bench::new();
    let engine = bench.open();
    fill(&engine);
    assert_eq!(get(&engine, "plain"), Some(900));
    change_cell(bench.store.as_ref(), "plain", OWN, |cell| cell.total += 50);
    let pass = engine.verify(false).unwrap();
    assert_found(&pass, "memory", Check::Hot, "plain");
    assert_eq!(get(&engine, "plain"), Some(900));
    change_cell(bench.store.as_ref(), "plain", OWN, |cell| cell.total -= 50);
    {
        let mut core = engine.core.lock();
        let id = core.find("plain").unwrap();
        core.table.set_value(id, 901);
    }
    let pass = engine.verify(true).unwrap();
    assert_found(&pass, "memory", Check::Hot, "plain");
    assert_eq!((pass.found(), pass.mended()), (1, 1));
    assert_clean(&engine, "memory");
}

#[test]
fn ledger_rows_that_are_lost_under_a_running_node_are_put_back() {
    let bench = Bench::new();
    let engine = bench.open();
    fill(&engine);
    let before = engine.ledger().unwrap();
    let mut key = Vec::new();
    crate::ledger::Subject::Namespace("default".to_owned()).put_key(&mut key, WriterNumber(1));
    damage(
        bench.store.as_ref(),
        Address {
            table: Table::Ledger,
            slot: 0,
            key: &key,
        },
        |_, _| None,
    );
    let pass = engine.verify(true).unwrap();
    assert_found(&pass, "the ledger", Check::Ledger, "namespace default (writer 1)");
    assert_eq!(pass.mended(), 1);
    assert_clean(&engine, "the ledger");
    assert_eq!(engine.ledger().unwrap(), before);
}

/// A store of which nothing arrives any more after so many writes.
struct Breaking {
    store: Arc<Model>,
    writes: AtomicI64,
}

impl Breaking {
    fn write(&self) -> Result<(), StoreError> {
        if self.writes.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        Err(StoreError::Unavailable("cut off".to_owned()))
    }
}

impl Store for Breaking {
    fn put(&self, rows: &Batch, order: Order) -> Result<(), StoreError> {
        // A batch may be applied in part.
        for row in rows.rows() {
            self.write()?;
            let mut one = Batch::new();
            one.push(row);
            self.store.put(&one, order)?;
        }
        Ok(())
    }

    fn remove(&self, rows: &Batch) -> Result<(), StoreError> {
        self.write()?;
        self.store.remove(rows)
    }

    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.get(addresses, visit)
    }

    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
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
        self.write()?;
        self.store.swap(swap)
    }

    fn durable(&self) -> Result<(), StoreError> {
        self.store.durable()
    }
}

#[test]
fn mending_that_is_cut_off_anywhere_is_mended_by_the_next_try() {
    let mut cuts = 0;
    let whole = Bench::new();
    fill(&whole.open());
    for (what, work, ..) in DAMAGES {
        for writes in 0.. {
            let bench = whole.copy();
            work(bench.store.as_ref());
            let breaking = Arc::new(Breaking {
                store: Arc::clone(&bench.store),
                writes: AtomicI64::new(i64::MAX),
            });
            let engine = bench.open_on(breaking.clone());
            // To a cell that is gone the round that comes first would write another.
            let added = if what.ends_with("is gone") { "reset" } else { "plain" };
            add(&engine, added, 1, BEGIN_MS + 5 * HOUR_MS);
            breaking.writes.store(writes, Ordering::Relaxed);
            let whole = engine.verify(true).is_ok();
            engine.commit().unwrap();
            drop(engine);
            let engine = bench.open();
            let pass = engine.verify(true).unwrap();
            assert_eq!(
                pass.found(),
                pass.mended(),
                "{what}, cut off after {writes} writes: {pass:?}"
            );
            assert_eq!(
                engine.verify(false).unwrap().drifts,
                [],
                "{what}, cut off after {writes} writes"
            );
            for (name, value) in VALUES {
                let value = value + i128::from(name == added);
                assert_eq!(
                    get(&engine, name),
                    Some(value),
                    "{what}, cut off after {writes} writes: {name}"
                );
            }
            if whole {
                break;
            }
            cuts += 1;
        }
    }
    assert!(cuts > 100, "{cuts}");
}

#[test]
fn nothing_is_found_while_everything_moves() {
    let bench = Bench::new();
    let engine = Arc::new(bench.open());
    engine
        .declare(
            "default",
            Policy {
                lateness_ms: None,
                ..Policy::default()
            },
        )
        .unwrap();
    engine.start().unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut workers = Vec::new();
    for worker in 0..2_u64 {
        let (engine, stop) = (Arc::clone(&engine), Arc::clone(&stop));
        workers.push(std::thread::spawn(move || {
            let mut seed = worker + 1;
            let mut next = move |below: u64| {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) % below
            };
            while !stop.load(Ordering::Relaxed) {
                let key = format!("k{}", next(40));
                let now = u64::try_from(now_ms()).unwrap();
                match next(12) {
                    0 => turn(&engine, &key, Need::Reset, |turn, index| {
                        turn.set(index, 7, Expiry::Never);
                    }),
                    1 => drop(turn(&engine, &key, Need::Reset, |turn, index| turn.delete(index))),
                    2 => drop(turn(&engine, &key, Need::Reset, |turn, index| {
                        turn.expire(index, Some(now + 30))
                    })),
                    _ => add(&engine, &key, 3, now - next(60 * 24 * 60) * 60_000),
                }
            }
        }));
    }
    let mut source = engine.open_source("file").unwrap();
    let mut at = 0;
    let begun = std::time::Instant::now();
    let (mut passes, mut hot) = (0, 0);
    while begun.elapsed() < std::time::Duration::from_secs(4) {
        let mut fold = Fold::default();
        for key in 0..40 {
            fold.add(
                Key::new(format!("k{key}").as_bytes()).unwrap(),
                2,
                u64::try_from(now_ms()).unwrap(),
            );
            fold.event(Outcome::Counted);
        }
        at += 10;
        engine
            .put_source(&mut source, &fold, Position::new(at).unwrap(), b"")
            .unwrap();
        let pass = engine.verify(false).unwrap();
        assert_eq!(pass.drifts, []);
        assert!(pass.counters > 0, "{pass:?}");
        (passes, hot) = (passes + 1, hot + pass.hot);
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().unwrap();
    }
    engine.stop().unwrap();
    assert!(passes > 10 && hot > 100, "{passes} {hot}");
}

fn now_ms() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()
}

/// Any damage to cell, windows and left of a writer is mended into rows that agree, and that are written whole.
#[test]
fn any_damage_to_history_is_mended_into_rows_that_agree() {
    let policy = Policy::default();
    let writer = WriterNumber(3);
    let log = Log {
        applied: Position::new(100).unwrap(),
        pending: None,
        unsealed: true,
        elsewhere: false,
    };
    let logs = BTreeMap::from([(writer, log)]);
    let mut seed = 7_u64;
    let mut next = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for case in 0..20_000 {
        let begin = Minute::of_ms(BEGIN_MS).unwrap().0;
        let boundaries = [Minute(0), Minute(0), Minute(0)].map(|_: Minute| {
            Minute(if next(2) == 0 {
                0
            } else {
                begin + u32::try_from(next(3) * 1_440).unwrap()
            })
        });
        let boundaries = [boundaries[0].0 / 60 * 60, boundaries[1].0 / 1_440 * 1_440, 0].map(Minute);
        let terms = Terms {
            policy: &policy,
            boundaries,
            logs: &logs,
            may_be_new: false,
        };
        let (rows, n) = random_rows(&mut next, begin, boundaries);
        let good = counter_of(writer, rows.clone(), n);
        assert_eq!(find(&good, &terms), [], "case {case}");
        let mut bad = rows.clone();
        for _ in 0..=next(3) {
            spoil(&mut bad, &mut next);
        }
        let after = mended(&bad, n, &terms);
        let again = terms.misplaced(writer, &bad);
        let mut written = bad.clone();
        for (row, value) in changes(&bad, &after, &again, (0, writer, log.applied)) {
            store_in(&mut written, row, log.applied.number(), &value.encoded());
        }
        assert_eq!(
            find(&counter_of(writer, written, n), &terms),
            [],
            "case {case}: {rows:?}\n{bad:?}"
        );
    }
}

fn counter_of(writer: WriterNumber, rows: WriterRows, n: u64) -> CounterRows {
    let head = tally_counter::Head {
        generation: tally_counter::Generation {
            revision: n,
            life: 0,
            n,
        },
        ..tally_counter::Head::default()
    };
    CounterRows {
        head: Some(head),
        writers: BTreeMap::from([(writer, rows)]),
        unheard: Vec::new(),
        read: 0,
    }
}

fn random_rows(next: &mut impl FnMut(u64) -> u64, begin: u32, boundaries: [Minute; 3]) -> (WriterRows, u64) {
    let position = Position::new(50).unwrap();
    let n = next(2);
    let mut rows = WriterRows::default();
    let mut counted = 0;
    let mut windows: [BTreeMap<Chunk, Window>; 3] = Default::default();
    for _ in 0..=next(12) {
        let minute = Minute(begin + u32::try_from(next(4 * 1_440)).unwrap());
        let amount = i128::from(next(20)) - 4;
        counted += amount;
        for (at, step) in Step::ALL.into_iter().enumerate() {
            let (chunk, place) = step.place(minute);
            if step.chunk_start(chunk) < boundaries[at] {
                let left = rows.lefts[at].get_or_insert(Left {
                    position,
                    boundary: Minute(0),
                    amount: 0,
                });
                left.amount += amount;
            } else {
                windows[at]
                    .entry(chunk)
                    .or_insert_with(|| Window::new(position))
                    .add(place, amount)
                    .unwrap();
            }
        }
    }
    let total = if n == 0 { counted } else { i128::from(next(50)) };
    rows.cell = Some(Cell {
        position,
        n,
        total,
        counted,
    });
    rows.windows = windows;
    (rows, n)
}

fn spoil(rows: &mut WriterRows, next: &mut impl FnMut(u64) -> u64) {
    let at = usize::try_from(next(3)).unwrap();
    let amount = i128::from(next(9)) + 1;
    match next(5) {
        0 => rows.cell.as_mut().unwrap().total += amount,
        1 => rows.cell.as_mut().unwrap().counted -= amount,
        2 => {
            let left = rows.lefts[at].get_or_insert(Left {
                position: Position::ZERO,
                boundary: Minute(0),
                amount: 0,
            });
            left.amount += amount;
        }
        3 => drop(rows.windows[at].pop_first()),
        _ => {
            let step = Step::ALL[at];
            if let Some(mut entry) = rows.windows[at].last_entry() {
                let place = u8::try_from(next(u64::from(step.chunk_windows().min(28)))).unwrap();
                entry.get_mut().add(place, amount).unwrap();
            }
        }
    }
}

fn store_in(rows: &mut WriterRows, row: CounterRow, position: u64, value: &[u8]) {
    match row {
        CounterRow::Head => unreachable!(),
        CounterRow::Cell { .. } => rows.cell = Some(Cell::decode(position, value).unwrap()),
        CounterRow::Left { step, .. } => {
            rows.lefts[usize::from(step.code())] = Some(Left::decode(position, value).unwrap());
        }
        CounterRow::Window { step, chunk, .. } => {
            rows.windows[usize::from(step.code())].insert(chunk, Window::decode(position, value, step).unwrap());
        }
    }
}
