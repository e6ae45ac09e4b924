//! Several nodes on one store: what each reads, what each adopts, and which of two twins stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tally_counter::{Key, Policy};
use tally_engine::{Engine, Need, Plan, Settings, SystemDisk, World};
use tally_store::{Batch, Faults, Model, Store, Table};

use super::{Bench, FakeClock, blind, counted, del, incr, set};

impl Bench {
    /// A node of several on the store.
    fn node(&self, name: &str, dir: &std::path::Path) -> Engine {
        self.node_with(name, dir, |settings| settings)
    }

    fn node_with(&self, name: &str, dir: &std::path::Path, change: impl Fn(Settings) -> Settings) -> Engine {
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
        let engine = Engine::open(change(settings), world).unwrap();
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

/// The same, as the store has it now.
fn read_fresh(engine: &Engine, key: &str) -> Option<i128> {
    let mut plan = Plan::new();
    plan.only_reads();
    plan.fresh();
    let index = plan.key(Key::new(key.as_bytes()).unwrap(), Need::Value);
    engine.blocking_turn(&mut plan, &mut |turn| turn.value(index)).unwrap()
}

/// Random adds, rounds and reads on three nodes: a fresh read is exactly the node's own adds and those that the others' rounds have brought,
/// whatever was read, in the background or not, and whichever round ended before.
#[test]
fn a_fresh_read_is_exact_at_any_moment() {
    let bench = Bench::new();
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let nodes: Vec<Engine> = dirs
        .iter()
        .zip(["one", "two", "three"])
        .map(|(dir, name)| bench.node(name, dir.path()))
        .collect();
    for node in &nodes {
        node.beat().unwrap();
    }
    let keys = ["k:0", "k:1", "k:2"];
    let (mut all, mut stored) = ([[0_i128; 3]; 3], [[0_i128; 3]; 3]);
    let mut state = 12_345_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    for step in 0..5_000 {
        let (node, key) = (random(3), random(3));
        bench.pass(1);
        match random(6) {
            0 => {
                blind(&nodes[node], keys[key], 1);
                all[node][key] += 1;
            }
            1 => {
                incr(&nodes[node], keys[key], 10);
                all[node][key] += 10;
            }
            2 => {
                nodes[node].round().unwrap();
                stored[node] = all[node];
            }
            3 => nodes[node].see_others().unwrap(),
            4 => {
                read(&nodes[node], keys[key]);
            }
            _ => {
                let others: i128 = (0..3)
                    .filter(|other| *other != node)
                    .map(|other| stored[other][key])
                    .sum();
                let expected = all[node][key] + others;
                let found = read_fresh(&nodes[node], keys[key]).unwrap_or(0);
                assert_eq!(found, expected, "step {step}, node {node}, {}", keys[key]);
            }
        }
    }
}

/// What was read is answered again without a read for as long as it may be so old, and read in the background before it is.
#[test]
fn answers_are_no_older_than_they_may_be() {
    let bench = Bench::new();
    let other = tempfile::tempdir().unwrap();
    let aged = |name: &str, dir: &std::path::Path| {
        bench.node_with(name, dir, |settings| Settings {
            read_age_ms: 1_000,
            ..settings
        })
    };
    let (one, two) = (aged("one", bench.dir.path()), aged("two", other.path()));
    one.beat().unwrap();
    let add = |amount: i64| {
        incr(&two, "k", amount);
        two.round().unwrap();
    };
    add(1);
    assert_eq!(read(&one, "k"), Some(1));
    add(1);
    bench.pass(900);
    assert_eq!(read(&one, "k"), Some(1), "as last seen");
    assert_eq!(read_fresh(&one, "k"), Some(2));
    add(1);
    bench.pass(300);
    one.see_others().unwrap();
    assert_eq!(read(&one, "k"), Some(3), "read in the background");
    add(1);
    bench.pass(20_000);
    one.see_others().unwrap();
    let reads = one.status().store_reads;
    assert_eq!(read(&one, "k"), Some(4));
    assert!(
        one.status().store_reads > reads,
        "nobody had asked for long: read when it was"
    );
}

fn names_of(engine: &Engine) -> Vec<(String, Option<u64>)> {
    let namespaces = engine.namespaces().into_iter().filter(|namespace| namespace.declared);
    namespaces
        .map(|namespace| (namespace.name, namespace.policy.lateness_ms))
        .collect()
}

fn late(lateness_ms: u64) -> Policy {
    Policy {
        lateness_ms: Some(lateness_ms),
        ..Policy::default()
    }
}

/// What one node declares the others go by, after a crash too, and a new one before it serves; nobody declares it again.
#[test]
fn nodes_adopt_what_others_declare() {
    let bench = Bench::new();
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let one = bench.node("one", dirs[0].path());
    let two = bench.node("two", dirs[1].path());
    one.declare("votes", late(5)).unwrap();
    one.put_document("rules", "a rule").unwrap();
    two.beat().unwrap();
    assert_eq!(names_of(&two), [("votes".to_owned(), Some(5))]);
    assert_eq!(two.document("rules").unwrap().as_deref(), Some("a rule"));
    assert_eq!(two.adopted(), 2);
    drop(two);
    let two = bench.node("two", dirs[1].path());
    assert_eq!(names_of(&two), [("votes".to_owned(), Some(5))]);
    two.round().unwrap();
    let three = bench.node("three", dirs[2].path());
    assert_eq!(names_of(&three), [("votes".to_owned(), Some(5))]);
    three.declare("votes", late(6)).unwrap();
    for _ in 0..3 {
        for node in [&one, &two, &three] {
            node.beat().unwrap();
            node.round().unwrap();
        }
    }
    for node in [&one, &two, &three] {
        assert_eq!(names_of(node), [("votes".to_owned(), Some(6))]);
    }
    let adopted = [one.adopted(), two.adopted()];
    for _ in 0..40 {
        one.beat().unwrap();
        two.beat().unwrap();
    }
    assert_eq!(
        [one.adopted(), two.adopted()],
        adopted,
        "what is gone by already is not adopted again"
    );
}

/// Two declare one name at the same moment: all end at the same one, and so they do after starting again.
#[test]
fn of_two_declarations_one_holds_everywhere() {
    let bench = Bench::new();
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let open = |index: usize| bench.node(["one", "two"][index], dirs[index].path());
    let nodes = [open(0), open(1)];
    nodes[0].declare("votes", late(1)).unwrap();
    nodes[1].declare("votes", late(2)).unwrap();
    for _ in 0..3 {
        for node in &nodes {
            node.beat().unwrap();
            node.round().unwrap();
        }
    }
    let held = names_of(&nodes[0]);
    assert_eq!(names_of(&nodes[1]), held);
    drop(nodes);
    for index in 0..2 {
        assert_eq!(names_of(&open(index)), held);
    }
}

/// Names that others have put are counted within a minute; own ones at once.
#[test]
fn others_names_are_counted_soon() {
    let bench = Bench::new();
    let other = tempfile::tempdir().unwrap();
    let one = bench.node("one", bench.dir.path());
    let two = bench.node("two", other.path());
    one.beat().unwrap();
    let count = |engine: &Engine| {
        engine.tidy().unwrap();
        engine.tidy().unwrap();
        engine.counted()
    };
    assert_eq!((count(&one), count(&two)), (Some(0), Some(0)));
    for number in 0..10 {
        incr(&two, &format!("k:{number}"), 1);
    }
    incr(&one, "k:0", 1);
    incr(&one, "own", 1);
    two.round().unwrap();
    one.round().unwrap();
    bench.pass(61_000);
    assert_eq!((count(&one), count(&two)), (Some(11), Some(11)));
    incr(&one, "k:10", 1);
    one.round().unwrap();
    assert_eq!(count(&one), Some(12));
}

/// A clock that is not ours is said by how much; a heartbeat's own time is no difference.
#[test]
fn clocks_that_differ_are_seen() {
    let bench = Bench::new();
    let other = tempfile::tempdir().unwrap();
    let one = bench.node("one", bench.dir.path());
    let ahead = Bench {
        clock: Arc::new(FakeClock(AtomicU64::new(bench.clock.0.load(Ordering::Relaxed) + 9_000))),
        random: Arc::clone(&bench.random),
        store: Arc::clone(&bench.store),
        dir: tempfile::tempdir().unwrap(),
    };
    let two = ahead.node("two", other.path());
    one.beat().unwrap();
    two.beat().unwrap();
    one.beat().unwrap();
    let off: Vec<i64> = one.nodes().iter().map(|node| node.clock_ahead_ms).collect();
    assert_eq!(off, [0, 9_000]);
}

/// A pass on one node while another writes, and while a round of that one is stuck in the midst of its rows: nothing is taken for drift
/// that only is on its way; and what does not agree all the same is found.
#[test]
fn what_others_are_writing_is_no_drift() {
    let model = Arc::new(Model::new(Faults::none(), 1));
    let bench = Bench {
        store: model.clone(),
        ..Bench::new()
    };
    let other = tempfile::tempdir().unwrap();
    let one = bench.node("one", bench.dir.path());
    let two = bench.node("two", other.path());
    one.beat().unwrap();
    let mut stuck = 0;
    for step in 1..60 {
        incr(&one, "k", 1);
        incr(&two, "k", 10);
        incr(&two, &format!("new:{step}"), 1);
        if step % 7 == 0 {
            set(&two, "k", 5);
        }
        read(&one, "k");
        one.round().unwrap();
        model.fail_from(Some(model.operations() + step % 12));
        stuck += usize::from(two.round().is_err());
        model.fail_from(None);
        let pass = one.verify(false).unwrap();
        assert_eq!(pass.found(), 0, "step {step}: {:?}", pass.drifts);
        one.beat().unwrap();
        let pass = one.verify(false).unwrap();
        assert_eq!(pass.found(), 0, "step {step}, heard: {:?}", pass.drifts);
        two.round().unwrap();
        bench.pass(1);
    }
    assert!(stuck > 20, "{stuck} rounds were stuck");
    // A window of what the other node has counted is gone: no round is on its way to it.
    one.beat().unwrap();
    let mut windows = Batch::new();
    model
        .walk(Table::Windows, &[], usize::MAX, &mut |_, row| {
            if windows.is_empty() {
                windows.push(row);
            }
            Ok(())
        })
        .unwrap();
    model.remove(&windows).unwrap();
    assert!(one.verify(false).unwrap().found() > 0);
}
