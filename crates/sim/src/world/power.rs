//! When the world ends: at the write or sync with a number. Disk and store count together, so that one number names one moment.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The power, and how many writes and syncs it lasts.
#[derive(Debug)]
pub(crate) struct Power {
    operations: AtomicU64,
    /// The number of the operation that is the last one.
    last: AtomicU64,
    off: AtomicBool,
}

/// How an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goes {
    Well,
    /// It may be done in part; the process does not hear of it.
    Last,
    /// Nothing is done any more.
    Never,
}

impl Default for Power {
    fn default() -> Self {
        Self {
            operations: AtomicU64::new(0),
            last: AtomicU64::new(u64::MAX),
            off: AtomicBool::new(false),
        }
    }
}

impl Power {
    /// A write or sync begins.
    pub(crate) fn operation(&self) -> Goes {
        if self.is_off() {
            return Goes::Never;
        }
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        if number >= self.last.load(Ordering::Relaxed) {
            self.cut();
            return Goes::Last;
        }
        Goes::Well
    }

    /// The operation after so many more is the last one.
    pub(crate) fn lasts(&self, more: u64) {
        self.last
            .store(self.operations().saturating_add(more), Ordering::Relaxed);
    }

    /// It ends now.
    pub(crate) fn cut(&self) {
        self.off.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    /// It is back, for good until something else is said.
    pub(crate) fn restore(&self) {
        self.off.store(false, Ordering::Relaxed);
        self.last.store(u64::MAX, Ordering::Relaxed);
    }

    /// How many writes and syncs there were.
    pub(crate) fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }
}
