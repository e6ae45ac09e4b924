//! The engine on the reference store and a real directory: adds, resets, rounds, restarts, sources.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "engine/retention.rs"]
mod retention;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tally_counter::{Key, Minute, Outcome, Position, Step};
use tally_engine::{
    Clock, Engine, Expiry, Fold, Need, Plan, Random, Settings, SystemDisk, TokenState, Turn, World, payload_hash,
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
            journal_interval_ms: 100,
            journal_limit_bytes: 64 << 20,
            round_interval_ms: 5_000,
            hot_budget_bytes: 64 << 20,
            token_window_ms: 86_400_000,
            token_limit: 1_000,
        }
    }

    fn open(&self) -> Engine {
        let disk = SystemDisk::open(self.dir.path()).unwrap();
        let world = World {
            clock: self.clock.clone(),
            random: self.random.clone(),
            disk: Arc::new(disk),
            store: self.store.clone(),
        };
        Engine::open(self.settings(), world).unwrap()
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
    let settings = Settings {
        hot_budget_bytes: 200_000,
        ..bench.settings()
    };
    let disk = SystemDisk::open(bench.dir.path()).unwrap();
    let world = World {
        clock: bench.clock.clone(),
        random: bench.random.clone(),
        disk: Arc::new(disk),
        store: bench.store.clone(),
    };
    let engine = Engine::open(settings, world).unwrap();
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

impl Bench {
    /// A node of several on the store.
    fn node(&self, name: &str, dir: &std::path::Path) -> Engine {
        let world = World {
            clock: self.clock.clone(),
            random: self.random.clone(),
            disk: Arc::new(SystemDisk::open(dir).unwrap()),
            store: self.store.clone(),
        };
        let settings = Settings {
            dir: dir.to_owned(),
            node: name.to_owned(),
            heartbeat_interval_ms: 1_000,
            ..self.settings()
        };
        let engine = Engine::open(settings, world).unwrap();
        engine.beat().unwrap();
        engine
    }

    fn pass(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }
}

/// What a request that only reads is answered.
fn read(engine: &Engine, key: &str) -> Option<i128> {
    let mut plan = Plan::new();
    plan.only_reads();
    let index = plan.key(Key::new(key.as_bytes()).unwrap(), Need::Value);
    engine.blocking_turn(&mut plan, &mut |turn| turn.value(index)).unwrap()
}

/// Each node reads what all have counted, also behind resets of others; the windows of all add up.
#[test]
fn nodes_sum_what_others_have_counted() {
    let bench = Bench::new();
    let other = tempfile::tempdir().unwrap();
    let one = bench.node("one", bench.dir.path());
    incr(&one, "k", 5);
    one.round().unwrap();
    let two = bench.node("two", other.path());
    one.beat().unwrap();
    assert_eq!(incr(&two, "k", 7), 12, "what was there at the first sight");
    two.round().unwrap();
    let both = |expected: Option<i128>| {
        bench.pass(1);
        assert_eq!((read(&one, "k"), read(&two, "k")), (expected, expected));
    };
    both(Some(12));
    assert_eq!(counted(&one, "k"), 12);
    set(&two, "k", 100);
    two.round().unwrap();
    both(Some(100));
    incr(&one, "k", 1);
    incr(&two, "k", 2);
    one.round().unwrap();
    two.round().unwrap();
    both(Some(103));
    del(&one, "k");
    one.round().unwrap();
    both(None);
    blind(&two, "k", 4);
    two.round().unwrap();
    both(Some(4));
}

/// An add of a node that had not seen another's SET yet counts from that SET on, or belongs to what it ended; never twice.
#[test]
fn a_round_behind_anothers_reset_counts_once() {
    let bench = Bench::new();
    let other = tempfile::tempdir().unwrap();
    let one = bench.node("one", bench.dir.path());
    let two = bench.node("two", other.path());
    one.beat().unwrap();
    incr(&one, "k", 5);
    one.round().unwrap();
    incr(&one, "k", 1);
    set(&two, "k", 100);
    two.round().unwrap();
    one.round().unwrap();
    bench.pass(1);
    assert_eq!((read(&one, "k"), read(&two, "k")), (Some(101), Some(101)));
}

/// Nodes hear each other, and one that is silent is said to be.
#[test]
fn nodes_hear_each_other() {
    let bench = Bench::new();
    let other = tempfile::tempdir().unwrap();
    let one = bench.node("one", bench.dir.path());
    let two = bench.node("two", other.path());
    one.beat().unwrap();
    let alive = |engine: &Engine| -> Vec<(String, bool, bool)> {
        let nodes = engine.nodes().into_iter();
        nodes.map(|node| (node.id, node.alive, node.is_self)).collect()
    };
    let expected = |two: bool| vec![("node:one".to_owned(), true, true), ("node:two".to_owned(), two, false)];
    assert_eq!(alive(&one), expected(true));
    bench.pass(20_000);
    one.beat().unwrap();
    assert_eq!(alive(&one), expected(false));
    two.beat().unwrap();
    one.beat().unwrap();
    assert_eq!(alive(&one), expected(true));
}

/// Of two starts of one identity the first stops at its next heartbeat, and nothing is lost or doubled.
#[test]
fn a_twin_ends_its_predecessor() {
    let bench = Bench::new();
    let copy = tempfile::tempdir().unwrap();
    let one = bench.node("one", bench.dir.path());
    incr(&one, "k", 5);
    one.round().unwrap();
    incr(&one, "k", 3);
    one.commit().unwrap();
    for entry in std::fs::read_dir(bench.dir.path()).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let twin = bench.node("one", copy.path());
    assert!(one.beat().is_err());
    let mut plan = Plan::new();
    let index = plan.key(Key::new(b"k").unwrap(), Need::Blind);
    assert!(one.turn(&mut plan, &mut |turn| turn.add_blind(index, 1, None)).is_err());
    twin.round().unwrap();
    assert_eq!(read(&twin, "k"), Some(8));
}

/// A copy is a merge: twice changes nothing, back home neither; what is counted afterwards comes along with the next one.
#[test]
fn copies_are_merges() {
    let (home, away) = (Bench::new(), Bench::new());
    let engine = home.open();
    incr(&engine, "a:1", 5);
    set(&engine, "a:2", 7);
    incr(&engine, "a:2", 1);
    incr(&engine, "a:3", 1);
    del(&engine, "a:3");
    engine.stop().unwrap();
    drop(engine);
    let end = |bench: &'_ Bench, id: &'static str| (bench.store.clone(), id);
    let ends = (end(&home, "home"), end(&away, "away"));
    let copy = |from: &(Arc<dyn Store>, &'static str), to: &(Arc<dyn Store>, &'static str)| {
        let (from, to) = (
            tally_engine::CopyEnd {
                store: &from.0,
                id: from.1,
            },
            tally_engine::CopyEnd { store: &to.0, id: to.1 },
        );
        let rows = tally_engine::copy(from, to, tally_engine::CopyPlace::default(), &mut |_| Ok(())).unwrap();
        assert_eq!(tally_engine::verify_copy(from, to, &mut |_| Ok(())).unwrap(), rows);
    };
    let values = |engine: &Engine| ["a:1", "a:2", "a:3"].map(|key| read(engine, key));
    copy(&ends.0, &ends.1);
    copy(&ends.0, &ends.1);
    let engine = away.open();
    assert_eq!(values(&engine), [Some(5), Some(8), None]);
    assert_eq!(counted(&engine, "a:1"), 5);
    incr(&engine, "a:1", 10);
    engine.stop().unwrap();
    drop(engine);
    copy(&ends.1, &ends.0);
    copy(&ends.1, &ends.0);
    let engine = home.open();
    assert_eq!(values(&engine), [Some(15), Some(8), None]);
    incr(&engine, "a:1", 100);
    engine.stop().unwrap();
    drop(engine);
    copy(&ends.0, &ends.1);
    let engine = away.open();
    assert_eq!(values(&engine), [Some(115), Some(8), None]);
}
