//! A node on the reference store with counters of every sort, and what its passes are asked to have found.

use std::sync::Arc;

use tally_counter::{Key, Outcome, Policy, Position};
use tally_store::{Faults, Model, Store};

use super::super::{Check, PassView};
use crate::{Engine, Expiry, Fold, KeyIndex, Need, Plan, Settings, SystemClock, SystemDisk, SystemRandom, Turn, World};

/// 2023-11-14 22:13:20 UTC, in a month, day and hour with room around it.
pub(super) const BEGIN_MS: u64 = 1_700_000_000_000;
pub(super) const HOUR_MS: u64 = 3_600_000;

pub(super) struct Bench {
    dir: tempfile::TempDir,
    pub(super) store: Arc<Model>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            store: Arc::new(Model::new(Faults::none(), 1)),
        }
    }

    /// Another one that holds the same.
    pub(super) fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.dir.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
        let store = Arc::new(self.store.snapshot());
        Self { dir, store }
    }

    pub(super) fn open_on(&self, store: Arc<dyn Store>) -> Engine {
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

    pub(super) fn open(&self) -> Engine {
        self.open_on(self.store.clone())
    }
}

pub(super) fn turn<R>(engine: &Engine, key: &str, need: Need, work: impl Fn(&mut Turn<'_>, KeyIndex) -> R) -> R {
    let mut plan = Plan::new();
    let index = plan.key(Key::new(key.as_bytes()).unwrap(), need);
    engine.blocking_turn(&mut plan, &mut |turn| work(turn, index)).unwrap()
}

pub(super) fn add(engine: &Engine, key: &str, amount: i64, time_ms: u64) {
    turn(engine, key, Need::Blind, |turn, index| {
        turn.add_blind(index, amount, Some(time_ms))
    })
    .unwrap();
}

pub(super) fn get(engine: &Engine, key: &str) -> Option<i128> {
    turn(engine, key, Need::Value, |turn, index| turn.value(index))
}

/// Counters with adds in several hours and days, one by a source, one SET, one deleted and begun anew.
pub(super) fn fill(engine: &Engine) {
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
pub(super) const VALUES: [(&str, i128); 5] = [
    ("plain", 900),
    ("reset", 160),
    ("again", 120),
    ("empty", 5),
    ("of:file", 360),
];

pub(super) fn assert_clean(engine: &Engine, what: &str) {
    let pass = engine.verify(false).unwrap();
    assert_eq!(pass.drifts, [], "{what}");
    assert!(pass.counters >= 4 && pass.rows > 50, "{what}: {pass:?}");
    for (name, value) in VALUES {
        assert_eq!(get(engine, name), Some(value), "{what}: {name}");
    }
}

pub(super) fn assert_found(pass: &PassView, what: &str, check: Check, subject: &str) {
    let found = pass
        .drifts
        .iter()
        .any(|drift| drift.check == check && drift.subject == subject);
    assert!(found, "{what}: {pass:?}");
}

/// Numbers below what is asked for, the same for the same seed (Knuth's linear congruence of 64 bits).
pub(super) fn numbers(mut seed: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    }
}
