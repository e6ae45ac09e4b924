//! The engine on the reference store and a real directory: adds, resets, rounds, restarts, sources.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "engine/loads.rs"]
mod loads;
#[path = "engine/nodes.rs"]
mod nodes;
#[path = "engine/retention.rs"]
mod retention;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tally_counter::{Key, Minute, Outcome, Position, Step};
use tally_engine::{
    Blocked, Clock, Engine, Expiry, Fold, Need, Plan, Random, Settings, SystemDisk, TokenState, Turn, World,
    payload_hash,
};
use tally_store::{Faults, Model, Store};

struct FakeClock(AtomicU64);

impl Clock for FakeClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn monotonic_us(&self) -> u64 {
        self.0.load(Ordering::Relaxed) * 1_000
    }
}

struct FakeRandom(AtomicU64);

impl Random for FakeRandom {
    fn next(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)) * 0x9E37_79B9_7F4A_7C15
    }
}

struct Bench {
    dir: tempfile::TempDir,
    store: Arc<dyn Store>,
    clock: Arc<FakeClock>,
    random: Arc<FakeRandom>,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            store: Arc::new(Model::new(Faults::none(), 1)),
            clock: Arc::new(FakeClock(AtomicU64::new(1_700_000_000_000))),
            random: Arc::new(FakeRandom(AtomicU64::new(7))),
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            dir: self.dir.path().to_owned(),
            node: "local".to_owned(),
            token_walk_pause_ms: 0,
            heartbeat_interval_ms: 0,
            read_age_ms: 0,
            journal_segment_bytes: 1 << 20,
            cut_damage: false,
            journal_interval_ms: 100,
            journal_limit_bytes: 64 << 20,
            round_interval_ms: 5_000,
            hot_budget_bytes: 64 << 20,
            token_window_ms: 86_400_000,
            token_limit: 1_000,
        }
    }

    fn open(&self) -> Engine {
        self.open_with(self.settings())
    }

    fn open_with(&self, settings: Settings) -> Engine {
        let disk = SystemDisk::open(self.dir.path()).unwrap();
        let world = World {
            clock: self.clock.clone(),
            random: self.random.clone(),
            disk: Arc::new(disk),
            store: self.store.clone(),
        };
        Engine::open(settings, world).unwrap()
    }

    /// With so much memory for the hot table.
    fn open_within(&self, hot_budget_bytes: u64) -> Engine {
        self.open_with(Settings {
            hot_budget_bytes,
            ..self.settings()
        })
    }
}

fn turn<R>(
    engine: &Engine,
    keys: &[(&str, Need)],
    mut work: impl FnMut(&mut Turn<'_>, &[tally_engine::KeyIndex]) -> R,
) -> R {
    let mut plan = Plan::new();
    let indexes: Vec<_> = keys
        .iter()
        .map(|(key, need)| plan.key(Key::new(key.as_bytes()).unwrap(), *need))
        .collect();
    engine
        .blocking_turn(&mut plan, &mut |turn| work(turn, &indexes))
        .unwrap()
}

fn incr(engine: &Engine, key: &str, amount: i64) -> i64 {
    turn(engine, &[(key, Need::Value)], |turn, keys| {
        turn.add(keys[0], amount, None)
    })
    .unwrap()
    .unwrap()
}

fn blind(engine: &Engine, key: &str, amount: i64) {
    assert!(
        turn(engine, &[(key, Need::Blind)], |turn, keys| turn
            .add_blind(keys[0], amount, None))
        .unwrap()
    );
}

fn get(engine: &Engine, key: &str) -> Option<i128> {
    turn(engine, &[(key, Need::Value)], |turn, keys| turn.value(keys[0]))
}

fn set(engine: &Engine, key: &str, value: i64) {
    turn(engine, &[(key, Need::Reset)], |turn, keys| {
        turn.set(keys[0], value, Expiry::Never);
    });
}

fn del(engine: &Engine, key: &str) -> bool {
    turn(engine, &[(key, Need::Reset)], |turn, keys| turn.delete(keys[0]))
}

/// What history says was counted, by every step: they agree.
fn counted(engine: &Engine, key: &str) -> i128 {
    let explained = engine.explain(Key::new(key.as_bytes()).unwrap()).unwrap();
    let sums: Vec<i128> = explained
        .history
        .iter()
        .map(|(_, left, windows, _)| left + windows)
        .collect();
    assert_eq!(sums[0], sums[1], "{explained:?}");
    assert_eq!(sums[1], sums[2], "{explained:?}");
    sums[0]
}

#[test]
fn adds_survive_rounds_and_restarts() {
    let bench = Bench::new();
    let engine = bench.open();
    assert_eq!(incr(&engine, "a", 5), 5);
    blind(&engine, "b", 7);
    engine.commit().unwrap();
    drop(engine);
    let engine = bench.open();
    assert_eq!(
        (get(&engine, "a"), get(&engine, "b"), get(&engine, "c")),
        (Some(5), Some(7), None)
    );
    engine.round().unwrap();
    assert_eq!(incr(&engine, "a", 1), 6);
    blind(&engine, "b", -8);
    assert_eq!(get(&engine, "b"), Some(-1));
    engine.round().unwrap();
    engine.round().unwrap();
    drop(engine);
    let engine = bench.open();
    assert_eq!((get(&engine, "a"), get(&engine, "b")), (Some(6), Some(-1)));
    assert_eq!((counted(&engine, "a"), counted(&engine, "b")), (6, -1));
    assert_eq!(engine.count().unwrap(), 2);
    let names: Vec<String> = engine
        .list("", "", 10)
        .unwrap()
        .into_iter()
        .map(|listed| listed.key)
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn what_was_not_synced_is_gone_after_a_crash() {
    let bench = Bench::new();
    let engine = bench.open();
    incr(&engine, "a", 5);
    engine.commit().unwrap();
    incr(&engine, "a", 1);
    drop(engine);
    assert_eq!(get(&bench.open(), "a"), Some(5));
}

#[test]
fn set_and_delete_begin_anew_wherever_a_round_is_cut() {
    for rounds in 0..32_u32 {
        let bench = Bench::new();
        let mut engine = bench.open();
        let between = |step: u32, engine: Engine| {
            if rounds & 1 << step != 0 {
                engine.round().unwrap();
                engine
            } else {
                engine.commit().unwrap();
                drop(engine);
                bench.open()
            }
        };
        incr(&engine, "k", 10);
        engine = between(0, engine);
        set(&engine, "k", 100);
        blind(&engine, "k", 1);
        assert_eq!(get(&engine, "k"), Some(101));
        engine = between(1, engine);
        assert_eq!(get(&engine, "k"), Some(101));
        assert_eq!(counted(&engine, "k"), 11, "a SET does not touch history");
        blind(&engine, "k", 1);
        engine = between(2, engine);
        assert!(del(&engine, "k"));
        assert_eq!(get(&engine, "k"), None);
        assert!(!del(&engine, "k"));
        engine = between(3, engine);
        assert_eq!(get(&engine, "k"), None);
        assert_eq!(counted(&engine, "k"), 0, "a DEL ends history");
        incr(&engine, "k", 3);
        engine = between(4, engine);
        assert_eq!(get(&engine, "k"), Some(3));
        assert_eq!(counted(&engine, "k"), 3);
        engine.round().unwrap();
        engine.tidy().unwrap();
        assert_eq!(engine.count().unwrap(), 1);
    }
}

#[test]
fn counters_end_when_their_time_comes() {
    let bench = Bench::new();
    let engine = bench.open();
    let now = bench.clock.now_ms();
    incr(&engine, "k", 10);
    assert!(turn(&engine, &[("k", Need::Reset)], |turn, keys| turn
        .expire(keys[0], Some(now + 1_000))));
    engine.round().unwrap();
    bench.clock.0.store(now + 999, Ordering::Relaxed);
    assert_eq!(get(&engine, "k"), Some(10));
    engine.commit().unwrap();
    drop(engine);
    bench.clock.0.store(now + 1_000, Ordering::Relaxed);
    let engine = bench.open();
    blind(&engine, "k", 1);
    assert_eq!(get(&engine, "k"), Some(1));
    assert_eq!(counted(&engine, "k"), 1);
}

#[test]
fn a_source_is_read_again_and_counts_once() {
    let bench = Bench::new();
    let engine = bench.open();
    let key = Key::new(b"page:x").unwrap();
    let put = |engine: &Engine, from: u64, to: u64| {
        let mut writer = engine.open_source("file").unwrap();
        assert_eq!(writer.applied().number(), from);
        let mut fold = Fold::default();
        for at in from..to {
            fold.add(key, 2, at * 60_000);
            fold.event(Outcome::Counted);
        }
        engine
            .put_source(&mut writer, &fold, Position::new(to).unwrap(), b"resume")
            .unwrap();
    };
    put(&engine, 0, 100);
    assert_eq!(get(&engine, "page:x"), Some(200));
    incr(&engine, "page:x", 1);
    put(&engine, 100, 5_000);
    assert_eq!(get(&engine, "page:x"), Some(10_001));
    set(&engine, "page:x", 7);
    put(&engine, 5_000, 5_010);
    assert_eq!(get(&engine, "page:x"), Some(27));
    drop(engine);
    let engine = bench.open();
    assert_eq!(engine.open_source("file").unwrap().resume(), b"resume");
    // The SET was not synced before the source's round, so that round synced it.
    assert_eq!(get(&engine, "page:x"), Some(27));
    assert_eq!(counted(&engine, "page:x"), 10_021);
    let ledger = engine.ledger().unwrap();
    assert_eq!(ledger.sources[0].figures.of(Outcome::Counted), 5_010);
    assert_eq!(ledger.namespaces[0].figures.of(Outcome::Counted), 5_011);
    let history = engine.history(key, Step::Hour, Minute(0), Minute(600)).unwrap();
    assert_eq!(history.windows.iter().map(|(_, amount)| amount).sum::<i128>(), 1_200);
}

#[test]
fn minutes_leave_the_retention_and_stay_in_the_sum() {
    let bench = Bench::new();
    let engine = bench.open();
    let day = 86_400_000_u64;
    let start = bench.clock.now_ms();
    for days in 0..6 {
        bench.clock.0.store(start + days * day, Ordering::Relaxed);
        incr(&engine, "k", 1);
        engine.round().unwrap();
    }
    turn(&engine, &[("k", Need::Blind)], |turn, keys| {
        turn.add_blind(keys[0], 10, Some(start))
    })
    .unwrap();
    assert_eq!(counted(&engine, "k"), 16);
    engine.round().unwrap();
    assert_eq!(counted(&engine, "k"), 16);
    for _ in 0..10 {
        engine.tidy().unwrap();
        engine.round().unwrap();
    }
    assert_eq!(counted(&engine, "k"), 16);
    let key = Key::new(b"k").unwrap();
    let minutes = engine.history(key, Step::Minute, Minute(0), Minute(u32::MAX)).unwrap();
    assert_eq!(
        minutes.windows.iter().map(|(_, amount)| amount).sum::<i128>(),
        3,
        "today and two days before"
    );
    let hours = engine.history(key, Step::Hour, Minute(0), Minute(u32::MAX)).unwrap();
    assert_eq!(hours.windows.iter().map(|(_, amount)| amount).sum::<i128>(), 16);
}

#[test]
fn a_repeated_token_changes_nothing() {
    let bench = Bench::new();
    let mut engine = bench.open();
    let send = |engine: &Engine, amount: i64| {
        let mut plan = Plan::new();
        let key = plan.key(Key::new(b"k").unwrap(), Need::Value);
        let token = plan.token("me", b"t1");
        let payload = payload_hash(&amount.to_le_bytes());
        let work = &mut |turn: &mut Turn<'_>| match turn.token(token, payload) {
            TokenState::New => {
                let value = turn.add(key, amount, None).unwrap().unwrap();
                turn.remember(token, payload, &value.to_le_bytes());
                format!("new {value}")
            }
            TokenState::Duplicate(answer) => {
                turn.duplicate_adds(key, 1);
                format!("again {}", i64::from_le_bytes(answer.try_into().unwrap()))
            }
            state => format!("{state:?}"),
        };
        engine.blocking_turn(&mut plan, work).unwrap()
    };
    assert_eq!(send(&engine, 4), "new 4");
    assert_eq!(send(&engine, 4), "again 4");
    assert_eq!(send(&engine, 5), "OtherPayload");
    for round in [false, true, true] {
        if round {
            engine.round().unwrap();
        } else {
            engine.commit().unwrap();
        }
        drop(engine);
        engine = bench.open();
        assert_eq!(send(&engine, 4), "again 4");
    }
    assert_eq!(get(&engine, "k"), Some(4));
    let figures = &engine.ledger().unwrap().namespaces[0].figures;
    assert_eq!((figures.of(Outcome::Counted), figures.of(Outcome::Duplicate)), (1, 4));
}

#[test]
fn a_lost_journal_is_a_new_epoch() {
    let bench = Bench::new();
    let engine = bench.open();
    incr(&engine, "k", 5);
    engine.round().unwrap();
    incr(&engine, "k", 1);
    drop(engine);
    for entry in std::fs::read_dir(bench.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let engine = bench.open();
    assert_eq!(get(&engine, "k"), Some(5));
    incr(&engine, "k", 1);
    engine.round().unwrap();
    drop(engine);
    let engine = bench.open();
    assert_eq!(get(&engine, "k"), Some(6));
    let explained = engine.explain(Key::new(b"k").unwrap()).unwrap();
    assert_eq!(explained.cells.len(), 2);
}

#[test]
fn many_counters_under_a_small_budget() {
    let bench = Bench::new();
    let engine = bench.open_within(200_000);
    for pass in 1..=3 {
        for number in 0..5_000 {
            let key = format!("counter:{number}");
            if number % 2 == 0 {
                blind(&engine, &key, 1);
            } else {
                assert_eq!(incr(&engine, &key, 1), pass);
            }
        }
    }
    assert!(engine.status().hot_bytes <= 200_000);
    for number in 0..5_000 {
        assert_eq!(get(&engine, &format!("counter:{number}")), Some(3));
    }
    assert_eq!(engine.count().unwrap(), 5_000);
    let (mut cursor, mut seen) = (tally_engine::ScanCursor(0), std::collections::BTreeSet::new());
    loop {
        let (next, names) = engine.scan(cursor, 100).unwrap();
        seen.extend(names);
        if next.0 == 0 {
            break;
        }
        cursor = next;
    }
    assert_eq!(seen.len(), 5_000);
}

/// Blind adds know no value; the round that writes them does, and from then on neither reads nor rounds ask the store for it.
#[test]
fn a_round_learns_what_blind_adds_left_unknown() {
    let bench = Bench::new();
    let engine = bench.open();
    let key = |number: i64| format!("counter:{number}");
    for number in 0..500 {
        blind(&engine, &key(number), number - 100);
    }
    engine.round().unwrap();
    // A new start knows nothing; its first round reads what is stored.
    drop(engine);
    let engine = bench.open();
    for number in 0..500 {
        blind(&engine, &key(number), 1_000);
        if number % 5 == 0 {
            set(&engine, &key(number), 7);
        }
    }
    engine.round().unwrap();
    let before = engine.status().store_reads;
    for number in 0..500 {
        let value = if number % 5 == 0 { 7 } else { number + 900 };
        assert_eq!(get(&engine, &key(number)), Some(value.into()));
        assert_eq!(incr(&engine, &key(number), 1), value + 1);
        assert_eq!(counted(&engine, &key(number)), i128::from(number) + 901);
    }
    engine.round().unwrap();
    let loaded = engine.status().store_reads - before;
    drop(engine);
    let engine = bench.open();
    for number in 0..500 {
        let value = if number % 5 == 0 { 8 } else { number + 901 };
        assert_eq!(get(&engine, &key(number)), Some(value.into()));
    }
    // `counted` explains each counter, which reads it once; the others cost nothing.
    assert_eq!(loaded, 0);
}

/// Names as long as they may be fill the table with counters of open rounds: the budget holds all the same.
#[test]
fn long_names_under_a_small_budget() {
    let bench = Bench::new();
    let budget_bytes = 1 << 20;
    let engine = bench.open_within(budget_bytes);
    let key = |number: usize| format!("{number:0width$}", width = 1_024 - number % 50);
    for number in 0..5_000 {
        blind(&engine, &key(number), 1);
        assert!(
            engine.status().hot_bytes <= budget_bytes,
            "{} bytes",
            engine.status().hot_bytes
        );
    }
    for number in 0..5_000 {
        assert_eq!(get(&engine, &key(number)), Some(1));
    }
}

/// New counters in bulk fill the memory until a round has taken them: what counts a few goes on until then, and so do reads.
#[test]
fn a_flood_in_bulk_holds_up_neither_reads_nor_who_counts_a_few() {
    let bench = Bench::new();
    let engine = bench.open_within(4 << 20);
    blind(&engine, "cold", 7);
    engine.round().unwrap();
    let add = |names: &[String]| {
        let mut plan = Plan::new();
        let indexes: Vec<_> = names
            .iter()
            .map(|name| plan.key(Key::new(name.as_bytes()).unwrap(), Need::Blind))
            .collect();
        let turned = engine.turn(&mut plan, &mut |turn| {
            for index in &indexes {
                turn.add_blind(*index, 1, None).unwrap();
            }
        });
        engine.commit().unwrap();
        turned.map(drop)
    };
    let bulk = |request: usize| -> Vec<String> { (0..100).map(|key| format!("flood:{request}:{key}")).collect() };
    let refused = (0..10_000).find(|request| matches!(add(&bulk(*request)), Err(Blocked::Full(_))));
    assert!(refused.is_some(), "the memory is never full");
    for _ in 0..1_000 {
        add(&["good".to_owned()]).unwrap();
    }
    // And where even those have no room any more, whoever reads.
    let full = (0..1_000_000).find(|number| matches!(add(&[format!("few:{number}")]), Err(Blocked::Full(_))));
    assert!(full.is_some(), "the memory is never full");
    let mut plan = Plan::new();
    plan.only_reads();
    let index = plan.key(Key::new(b"good").unwrap(), Need::Value);
    let first = engine.turn(&mut plan, &mut |turn| turn.value(index));
    assert!(matches!(first, Err(Blocked::Load)), "{first:?}");
    engine.load(std::slice::from_mut(&mut plan)).unwrap();
    let read = engine.turn(&mut plan, &mut |turn| turn.value(index)).unwrap();
    assert_eq!(read.answer, Some(1_000));
    engine.round().unwrap();
    add(&bulk(refused.unwrap())).unwrap();
    assert_eq!((get(&engine, "good"), get(&engine, "cold")), (Some(1_000), Some(7)));
}
