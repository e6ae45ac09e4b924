//! The engine alone, without wires, beside a sharded hash map of the same names that keeps nothing: what durability, history
//! and rounds cost. Batches of adds from two threads, names by Zipf's law; each batch of the engine waits until it is synced.
//! `cargo xtask bench engine` runs it and reads its last line of each round.
//!
//!     throughput DIR COUNTERS ADDS ROUNDS MEMORY_MIB

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark prints, takes the time, and may fail"
)]

use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tally_counter::Key;
use tally_engine::{Blocked, Engine, Need, Plan, Settings, SystemClock, SystemDisk, SystemRandom, World};
use tally_store::{Embedded, EmbeddedSettings};

const THREADS: u64 = 2;
const BATCH: usize = 1_000;
/// A thread goes on with its next batch while so many of its own wait for their sync.
const IN_FLIGHT: usize = 8;
const SHARDS: usize = 64;
const SKEW: f64 = 0.99;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments[index].parse::<u64>().unwrap();
    let (counters, adds, rounds, memory_mib) = (number(1), number(2), number(3), number(4));
    let zipf = Zipf::new(counters);
    let plans: Vec<Vec<u32>> = (0..THREADS).map(|thread| zipf.ranks(thread, adds / THREADS)).collect();
    let engine = open(Path::new(&arguments[0]), memory_mib << 20);
    let map = Map::default();
    fill(counters, &mut |names| count_in_engine(&engine, names));
    engine.round().unwrap();
    fill(counters, &mut |names| map.add(names));
    println!("filled: {} bytes in the hot table", engine.status().hot_bytes);
    for round in 0..rounds {
        let turns: [&dyn Fn() -> (f64, f64); 2] =
            [&|| at_once(&plans, &|names| count_in_engine(&engine, names)), &|| {
                at_once(&plans, &|names| map.add(names))
            }];
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        let (mut took, mut own, mut cpu) = ([0.0; 2], [0.0; 2], [0.0; 2]);
        for which in order {
            let before = cpu_seconds();
            (took[which], own[which]) = turns[which]();
            if which == 0 {
                let began = Instant::now();
                engine.round().unwrap();
                println!("what was left of the round: {:.2} s", began.elapsed().as_secs_f64());
            }
            cpu[which] = (cpu_seconds() - before) / adds as f64 * 1e6;
        }
        let [of_engine, of_map] = took.map(|seconds| adds as f64 / seconds);
        let [engine_cpu, map_cpu] = cpu;
        let [engine_own, map_own] = own.map(|seconds| seconds / adds as f64 * 1e6);
        println!(
            "engine {of_engine:.0} map {of_map:.0} engine-cpu {engine_cpu:.3} map-cpu {map_cpu:.3} engine-own {engine_own:.3} map-own {map_own:.3}"
        );
    }
    engine.stop().unwrap();
}

/// Processor time of this process, all threads, seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    // Linux counts in hundredths.
    ticks / 100.0
}

fn open(dir: &Path, memory_bytes: u64) -> Arc<Engine> {
    let store = Embedded::open(&dir.join("store"), &EmbeddedSettings::default()).unwrap();
    let world = World {
        clock: Arc::new(SystemClock::default()),
        random: Arc::new(SystemRandom),
        disk: Arc::new(SystemDisk::open(dir).unwrap()),
        store: Arc::new(store),
    };
    let settings = Settings {
        cut_damage: false,
        dir: dir.to_owned(),
        node: "local".to_owned(),
        token_walk_pause_ms: 0,
        heartbeat_interval_ms: 0,
        read_age_ms: 0,
        journal_segment_bytes: 64 << 20,
        journal_interval_ms: 100,
        journal_limit_bytes: 1 << 30,
        round_interval_ms: 5_000,
        hot_budget_bytes: memory_bytes,
        token_window_ms: 24 * 3_600_000,
        token_limit: 1_000_000,
    };
    let engine = Arc::new(Engine::open(settings, world).unwrap());
    engine.start().unwrap();
    engine
}

/// Adds 1 to each of the counters once.
fn fill(counters: u64, add: &mut dyn FnMut(&mut Names)) {
    let mut names = Names::default();
    for first in (0..counters).step_by(BATCH) {
        names.clear();
        for number in first..(first + BATCH as u64).min(counters) {
            names.push(number);
        }
        add(&mut names);
    }
}

/// All threads' batches; how many seconds they took, and how many of a processor's the threads themselves used.
fn at_once(plans: &[Vec<u32>], add: &(dyn Fn(&mut Names) + Sync)) -> (f64, f64) {
    let began = Instant::now();
    let own = Mutex::new(0.0);
    let used = &own;
    std::thread::scope(|scope| {
        for ranks in plans {
            scope.spawn(move || {
                let mut names = Names::default();
                for batch in ranks.chunks(BATCH) {
                    names.clear();
                    for rank in batch {
                        names.push(u64::from(*rank));
                    }
                    add(&mut names);
                }
                *used.lock() += thread_cpu_seconds();
            });
        }
    });
    (began.elapsed().as_secs_f64(), own.into_inner())
}

/// Processor time of this thread, seconds.
fn thread_cpu_seconds() -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    schedstat.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// A batch of names of 24 bytes, and what adding it needs and keeps from batch to batch.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    plan: Plan,
    keys: Vec<tally_engine::KeyIndex>,
    waiting: std::collections::VecDeque<tally_counter::Position>,
}

impl Names {
    fn clear(&mut self) {
        self.bytes.clear();
    }

    fn push(&mut self, number: u64) {
        let mut name = *b"counter:0000000000000000";
        let mut rest = number;
        for digit in name.iter_mut().rev().take(10) {
            *digit = b'0' + u8::try_from(rest % 10).unwrap();
            rest /= 10;
        }
        self.bytes.extend_from_slice(&name);
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(24)
    }
}

fn count_in_engine(engine: &Engine, names: &mut Names) {
    let Names {
        bytes,
        plan,
        keys,
        waiting,
    } = names;
    plan.clear();
    keys.clear();
    for name in bytes.chunks_exact(24) {
        keys.push(plan.key(Key::new(name).unwrap(), Need::Blind));
    }
    let position = loop {
        let turned = engine.turn(plan, &mut |turn| {
            for key in &*keys {
                turn.add_blind(*key, 1, None).unwrap();
            }
        });
        match turned {
            Ok(turned) => break turned.position.unwrap(),
            Err(Blocked::Load) => engine.load(std::slice::from_mut(plan)).unwrap(),
            Err(Blocked::Full(_)) => {
                engine.commit().unwrap();
                std::thread::yield_now();
            }
            Err(blocked) => unreachable!("{blocked}"),
        }
    };
    waiting.push_back(position);
    if waiting.len() > IN_FLIGHT {
        let oldest = waiting.pop_front().unwrap();
        engine.wait_synced(oldest).unwrap();
    }
}

/// What anybody would write first: shards of a fast hash map under a lock each, a batch put into them shard by shard.
struct Map {
    hasher: FixedState,
    shards: Vec<Shard>,
}

type Shard = Mutex<HashMap<Box<[u8]>, i64, FixedState>>;

impl Default for Map {
    fn default() -> Self {
        let hasher = FixedState::with_seed(7);
        let shard = || Mutex::new(HashMap::with_hasher(hasher.clone()));
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher,
        }
    }
}

impl Map {
    fn add(&self, names: &mut Names) {
        for name in names.iter() {
            let hash = self.hasher.hash_one(name);
            let mut shard = self.shards[usize::try_from(hash >> 58).unwrap()].lock();
            match shard.get_mut(name) {
                Some(value) => *value += 1,
                None => {
                    shard.insert(name.into(), 1);
                }
            }
        }
    }
}

/// Ranks by Zipf's law: the n-th is met in proportion to n^-0.99. By inverting the distribution's integral, whose error is a few
/// hundredths at the first ranks and nothing further on.
struct Zipf {
    counters: f64,
    whole: f64,
}

impl Zipf {
    fn new(counters: u64) -> Self {
        let counters = counters as f64;
        let whole = ((counters + 1.0).powf(1.0 - SKEW) - 1.0) / (1.0 - SKEW);
        Self { counters, whole }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "below 2^32, not negative"
    )]
    fn ranks(&self, thread: u64, count: u64) -> Vec<u32> {
        let mut state = thread.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let rank = |_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            let share = ((mixed ^ mixed >> 31) >> 11) as f64 / (1_u64 << 53) as f64;
            let rank = (share * self.whole * (1.0 - SKEW) + 1.0).powf(1.0 / (1.0 - SKEW)) - 1.0;
            // Neighbouring ranks are no neighbours in the store.
            let rank = rank.min(self.counters - 1.0) as u64;
            (rank.wrapping_mul(2_654_435_761) % self.counters as u64) as u32
        };
        (0..count).map(rank).collect()
    }
}
