//! The world around the engine: clock, randomness, disk and store, all of them following a seed and all of them losing power at
//! the same moment. Guards nothing itself: it only does what real ones may do.

mod disk;
mod meanwhile;
mod power;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tally_engine::{Clock, Random, Settings, World};
use tally_store::{Faults, Model};

pub(crate) use disk::{Image, SimDisk};
pub(crate) use meanwhile::{Meanwhile, Place};
pub(crate) use power::Power;
use store::SimStore;

use crate::random::Rng;

/// A clock that the simulation sets; it may go back.
#[derive(Debug)]
pub(crate) struct SimClock {
    now_ms: AtomicU64,
    ticks: AtomicU64,
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    fn monotonic_us(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::Relaxed)
    }
}

/// Numbers that nobody can guess, to the engine.
#[derive(Debug)]
struct SimRandom(AtomicU64);

impl Random for SimRandom {
    fn next(&self) -> u128 {
        let part = self.0.fetch_add(1, Ordering::Relaxed);
        let mut rng = Rng::of_part(0x7A11_7A11, part);
        u128::from(rng.number()) << 64 | u128::from(rng.number())
    }
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// `kill -9`: what was written stays, synced or not.
    Kill,
    /// What was not synced is lost or torn.
    Power,
}

/// Everything outside the engine.
pub(crate) struct SimWorld {
    pub(crate) clock: Arc<SimClock>,
    pub(crate) disk: Arc<SimDisk>,
    pub(crate) model: Arc<Model>,
    pub(crate) power: Arc<Power>,
    pub(crate) meanwhile: Arc<Meanwhile>,
    random: Arc<SimRandom>,
    store: Arc<SimStore>,
}

/// 1 May 2023, noon: where every run begins.
const START_MS: u64 = 1_682_942_400_000;

impl SimWorld {
    /// An empty world.
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let power = Arc::new(Power::default());
        let model = Model::new(faults, seed);
        // Some worlds are of one disk: then heads of what was deleted go, too.
        let forgets = Rng::of_part(seed, 0xF063_0475).percent(50);
        let model = Arc::new(if forgets { model.forgetful() } else { model });
        let meanwhile = Arc::new(Meanwhile::default());
        let clock = Arc::new(SimClock {
            now_ms: AtomicU64::new(START_MS),
            ticks: AtomicU64::new(0),
        });
        let disk = SimDisk::new(Arc::clone(&power), Arc::clone(&clock), Arc::clone(&meanwhile), seed);
        Self {
            clock,
            disk: Arc::new(disk),
            store: Arc::new(SimStore::new(
                Arc::clone(&model),
                Arc::clone(&power),
                Arc::clone(&meanwhile),
            )),
            random: Arc::new(SimRandom(AtomicU64::new(seed))),
            model,
            power,
            meanwhile,
        }
    }

    /// As the engine sees it.
    pub(crate) fn outside(&self) -> World {
        World {
            clock: Arc::clone(&self.clock) as _,
            random: Arc::clone(&self.random) as _,
            disk: Arc::clone(&self.disk) as _,
            store: Arc::clone(&self.store) as _,
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    pub(crate) fn set_now_ms(&self, now_ms: u64) {
        self.clock.now_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The process has ended; what follows is what the next one finds.
    pub(crate) fn restart(&self, crash: Crash, seed: u64) {
        self.meanwhile.end();
        self.disk.restart(crash, seed);
        if crash == Crash::Power {
            self.model.crash(seed);
        }
        self.model.fail_from(None);
        self.power.restore();
    }
}

/// Small limits, so that segments rotate and counters are evicted in a short run.
pub(crate) fn settings(segment_bytes: u64, hot_budget_bytes: u64, token_limit: u64) -> Settings {
    Settings {
        dir: PathBuf::from("simulated"),
        node: "local".to_owned(),
        token_walk_pause_ms: 0,
        heartbeat_interval_ms: 0,
        read_age_ms: 0,
        journal_segment_bytes: segment_bytes,
        cut_damage: false,
        journal_interval_ms: 100,
        journal_limit_bytes: segment_bytes * 6,
        round_interval_ms: 5_000,
        hot_budget_bytes,
        token_window_ms: 24 * 3_600_000,
        token_limit,
    }
}
