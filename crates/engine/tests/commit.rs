//! Who syncs the journal, and who waits for it: on the spot, by the journal's thread, and when the disk is slow or fails.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests that wait for threads"
)]

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tally_counter::{Key, Position};
use tally_engine::{Clock, Disk, Engine, File, Need, OnTheSpot, Plan, Settings, SystemDisk, SystemRandom, World};
use tally_store::{Faults, Model};

/// No wait in these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A real directory whose syncs can be held, slow or fail.
struct HeldDisk {
    real: SystemDisk,
    syncs: Arc<Syncs>,
}

#[derive(Default)]
struct Syncs {
    /// Whoever has this holds up every sync.
    gate: Mutex<()>,
    fail: AtomicBool,
    /// What each sync takes by the clock.
    takes_us: AtomicU64,
    clock_us: AtomicU64,
    begun: AtomicUsize,
}

impl Clock for Syncs {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }
    fn monotonic_us(&self) -> u64 {
        self.clock_us.load(Ordering::SeqCst)
    }
}

struct HeldFile {
    real: Arc<dyn File>,
    syncs: Arc<Syncs>,
}

impl Disk for HeldDisk {
    fn allocate(&self, name: &str, size: u64) -> io::Result<Arc<dyn File>> {
        let real = self.real.allocate(name, size)?;
        let syncs = self.syncs.clone();
        Ok(Arc::new(HeldFile { real, syncs }))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.real.open(name)
    }
    fn names(&self) -> io::Result<Vec<String>> {
        self.real.names()
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.real.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        self.real.sync_names()
    }
}

impl File for HeldFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.real.write_at(bytes, offset)
    }
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.real.read_at(into, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.syncs.begun.fetch_add(1, Ordering::SeqCst);
        drop(self.syncs.gate.lock().unwrap());
        let takes_us = self.syncs.takes_us.load(Ordering::SeqCst);
        self.syncs.clock_us.fetch_add(takes_us, Ordering::SeqCst);
        if self.syncs.fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("planned"));
        }
        self.real.sync()
    }
    fn size(&self) -> io::Result<u64> {
        self.real.size()
    }
}

struct Bench {
    dir: tempfile::TempDir,
    syncs: Arc<Syncs>,
    store: Arc<Model>,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            syncs: Arc::default(),
            store: Arc::new(Model::new(Faults::none(), 1)),
        }
    }

    /// Its journal's thread wakes by itself only after ten minutes, so that a wake-up that is lost is seen.
    fn open(&self) -> Arc<Engine> {
        let settings = Settings {
            dir: self.dir.path().to_owned(),
            node: "local".to_owned(),
            token_walk_pause_ms: 0,
            heartbeat_interval_ms: 0,
            read_age_ms: 0,
            journal_segment_bytes: 1 << 20,
            cut_damage: false,
            journal_interval_ms: 600_000,
            journal_limit_bytes: 64 << 20,
            round_interval_ms: 600_000,
            hot_budget_bytes: 64 << 20,
            token_window_ms: 86_400_000,
            token_limit: 1_000,
        };
        let world = World {
            clock: self.syncs.clone(),
            random: Arc::new(SystemRandom),
            disk: Arc::new(HeldDisk {
                real: SystemDisk::open(self.dir.path()).unwrap(),
                syncs: self.syncs.clone(),
            }),
            store: self.store.clone(),
        };
        let engine = Arc::new(Engine::open(settings, world).unwrap());
        // A first commit, so that there is a spare segment.
        add(&engine, 1);
        engine.commit().unwrap();
        engine
    }
}

/// Adds to so many counters in one entry.
fn add(engine: &Engine, counters: usize) -> Position {
    add_to(engine, 0..counters)
}

fn add_to(engine: &Engine, numbers: std::ops::Range<usize>) -> Position {
    let mut plan = Plan::new();
    let keys: Vec<_> = numbers
        .map(|number| {
            let key = format!("a-counter-with-a-name:{number}");
            plan.key(Key::new(key.as_bytes()).unwrap(), Need::Blind)
        })
        .collect();
    let turned = engine.turn(&mut plan, &mut |turn| {
        for key in &keys {
            turn.add_blind(*key, 1, None).unwrap();
        }
    });
    turned.unwrap().position.unwrap()
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn hold(syncs: &Syncs) -> MutexGuard<'_, ()> {
    syncs.gate.lock().unwrap()
}

#[test]
fn a_short_commit_is_made_on_the_spot() {
    let bench = Bench::new();
    let engine = bench.open();
    let position = add(&engine, 1);
    assert!(!engine.is_synced(position));
    assert_eq!(engine.commit_on_the_spot(Waker::noop()).unwrap(), OnTheSpot::Done);
    assert!(engine.is_synced(position));
    assert_eq!(bench.syncs.begun.load(Ordering::SeqCst), 2);
}

#[test]
fn who_finds_the_journal_taken_is_woken_when_it_is_free() {
    let bench = Bench::new();
    let engine = bench.open();
    add(&engine, 1);
    let held = hold(&bench.syncs);
    let other = {
        let engine = engine.clone();
        std::thread::spawn(move || engine.commit())
    };
    until("the other's sync begins", || {
        bench.syncs.begun.load(Ordering::SeqCst) == 2
    });
    // This one is not in the commit that is under way.
    let position = add(&engine, 1);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    for _ in 0..3 {
        assert_eq!(engine.commit_on_the_spot(&waker).unwrap(), OnTheSpot::Busy);
    }
    assert_eq!(woken.0.load(Ordering::SeqCst), 0);
    drop(held);
    other.join().unwrap().unwrap();
    until("it is woken", || woken.0.load(Ordering::SeqCst) == 1);
    assert!(!engine.is_synced(position));
    assert_eq!(engine.commit_on_the_spot(&waker).unwrap(), OnTheSpot::Done);
    assert!(engine.is_synced(position));
}

#[test]
fn much_to_write_or_a_slow_disk_is_left_to_the_thread_of_the_journal() {
    let bench = Bench::new();
    let engine = bench.open();
    add(&engine, 1_000);
    assert_eq!(engine.commit_on_the_spot(Waker::noop()).unwrap(), OnTheSpot::HandOver);
    bench.syncs.takes_us.store(50_000, Ordering::SeqCst);
    engine.commit().unwrap();
    let position = add(&engine, 1);
    assert_eq!(engine.commit_on_the_spot(Waker::noop()).unwrap(), OnTheSpot::HandOver);
    engine.start().unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert!(matches!(
        engine.poll_synced(position, &waker),
        Poll::Pending | Poll::Ready(Ok(()))
    ));
    until("the thread has synced it", || engine.is_synced(position));
    // The disk is quick again: after some commits that is known.
    bench.syncs.takes_us.store(100, Ordering::SeqCst);
    let on_the_spot = (0..64).find(|_| {
        add(&engine, 1);
        engine.commit().unwrap();
        add(&engine, 1);
        engine.commit_on_the_spot(Waker::noop()).unwrap() == OnTheSpot::Done
    });
    assert!(on_the_spot.is_some());
    engine.stop().unwrap();
}

#[test]
fn a_sync_that_fails_on_the_spot_acknowledges_nothing_ever_again() {
    let bench = Bench::new();
    let engine = bench.open();
    let position = add(&engine, 1);
    bench.syncs.fail.store(true, Ordering::SeqCst);
    let error = engine.commit_on_the_spot(Waker::noop()).unwrap_err();
    assert!(error.to_string().contains("planned"), "{error}");
    bench.syncs.fail.store(false, Ordering::SeqCst);
    assert!(engine.has_failed());
    assert!(engine.commit_on_the_spot(Waker::noop()).is_err());
    assert!(engine.commit().is_err());
    assert!(!engine.is_synced(position));
    assert!(matches!(
        engine.poll_synced(position, Waker::noop()),
        Poll::Ready(Err(_))
    ));
    let mut plan = Plan::new();
    plan.key(Key::new(b"a").unwrap(), Need::Blind);
    assert!(engine.turn(&mut plan, &mut |_| ()).is_err());
}

#[test]
fn no_wish_for_a_sync_is_lost() {
    let bench = Bench::new();
    let engine = bench.open();
    engine.start().unwrap();
    let wait = |engine: &Engine, number: usize| {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let position = add(engine, 1);
        // Some make it on the spot, some ask the thread: all mixed.
        if number.is_multiple_of(3) {
            while !engine.is_synced(position) {
                let seen = woken.0.load(Ordering::SeqCst);
                if engine.commit_on_the_spot(&waker).unwrap() == OnTheSpot::Busy {
                    until("the journal is free", || woken.0.load(Ordering::SeqCst) > seen);
                }
            }
        } else if engine.poll_synced(position, &waker).is_pending() {
            until("the sync is made", || woken.0.load(Ordering::SeqCst) > 0);
        }
        assert!(engine.is_synced(position));
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..300).for_each(|number| wait(&engine, number)));
        }
    });
    engine.stop().unwrap();
}

/// Rounds come every ten minutes here: one that much waits for comes as soon as nothing more comes.
#[test]
fn what_takes_memory_is_written_in_a_lull() {
    let bench = Bench::new();
    let engine = bench.open();
    let few = add(&engine, 1_000);
    engine.start().unwrap();
    let past = |milliseconds: u64| bench.syncs.clock_us.fetch_add(milliseconds * 1_000, Ordering::SeqCst);
    let applied = || engine.status().journal_applied;
    // It looks at least every 50 ms.
    let looks = || std::thread::sleep(Duration::from_millis(200));
    looks();
    past(5_000);
    looks();
    assert!(applied() < few.number(), "a thousand counters may wait");
    let mut many = few;
    for thousands in 0..12 {
        many = add_to(&engine, thousands * 1_000..(thousands + 1) * 1_000);
        engine.commit().unwrap();
    }
    looks();
    past(500);
    looks();
    assert!(applied() < many.number(), "more may come");
    past(600);
    until("the round is written", || applied() >= many.number());
    engine.stop().unwrap();
}

/// Under a steady load the store keeps its rows together until they are many.
#[test]
fn the_store_is_let_rest_only_where_little_comes_after_a_round() {
    let bench = Bench::new();
    let engine = bench.open();
    let rested_after = |counters: usize| {
        let before = bench.store.rests();
        engine.round().unwrap();
        for from in (0..counters).step_by(1_000) {
            add_to(&engine, from..counters.min(from + 1_000));
            engine.commit().unwrap();
        }
        bench.syncs.clock_us.fetch_add(2_000_000, Ordering::SeqCst);
        engine.tidy().unwrap();
        bench.store.rests() - before
    };
    assert_eq!((rested_after(12_000), rested_after(10)), (0, 1));
    engine.tidy().unwrap();
    assert_eq!(bench.store.rests(), 1, "once is enough");
}
