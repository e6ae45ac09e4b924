//! What the engine counts about itself, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::load::Snapshot;
use crate::view::StrongBatches;

/// Figures since the start.
#[derive(Debug, Default)]
pub(crate) struct EngineFigures {
    pub(crate) syncs: AtomicU64,
    pub(crate) rounds: AtomicU64,
    pub(crate) last_round_ms: AtomicU64,
    /// Counters that it changed.
    pub(crate) last_round_counters: AtomicU64,
    pub(crate) round_rows: AtomicU64,
    pub(crate) counters_loaded: AtomicU64,
    pub(crate) cells_loaded: AtomicU64,
    pub(crate) swept_rows: AtomicU64,
    pub(crate) folded_windows: AtomicU64,
    pub(crate) strong: StrongFigures,
}

/// Batches of strong counters, by what became of them.
#[derive(Debug, Default)]
pub(crate) struct StrongFigures {
    pub(crate) applied: AtomicU64,
    pub(crate) outrun: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) unknown: AtomicU64,
    /// Turns that applied batches held.
    pub(crate) turns: AtomicU64,
    pub(crate) batch_us: AtomicU64,
}

impl StrongFigures {
    pub(crate) fn now(&self) -> StrongBatches {
        let load = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        StrongBatches {
            applied: load(&self.applied),
            outrun: load(&self.outrun),
            refused: load(&self.refused),
            unknown: load(&self.unknown),
            turns: load(&self.turns),
            took_us: load(&self.batch_us),
        }
    }
}

impl EngineFigures {
    /// A round of so many counters was done; `rows` were put since the start.
    pub(crate) fn round(&self, took_ms: u64, counters: usize, rows: u64) {
        let counters = u64::try_from(counters).unwrap_or(u64::MAX);
        self.last_round_counters.store(counters, Ordering::Relaxed);
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.last_round_ms.store(took_ms, Ordering::Relaxed);
        self.round_rows.store(rows, Ordering::Relaxed);
    }

    /// Counters were read from the store.
    pub(crate) fn loaded(&self, loaded: Loaded) {
        self.counters_loaded.fetch_add(loaded.counters, Ordering::Relaxed);
        self.cells_loaded.fetch_add(loaded.cells, Ordering::Relaxed);
    }
}

/// How much was read of the store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) counters: u64,
    pub(crate) cells: u64,
}

impl Loaded {
    pub(crate) fn of(snapshots: &[Snapshot]) -> Self {
        let cells: usize = snapshots.iter().map(|snapshot| snapshot.cells.len()).sum();
        Self {
            counters: u64::try_from(snapshots.len()).unwrap_or(0),
            cells: u64::try_from(cells).unwrap_or(0),
        }
    }
}
