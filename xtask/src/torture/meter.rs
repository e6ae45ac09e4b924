//! What one client has asked for and what was acknowledged, with the times: from these follows what must be there after a
//! fault, and what may be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// One client's adds of one cycle. They are numbered in the order in which they were sent, and applied in that order.
#[derive(Debug, Default)]
pub(super) struct Meter {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    /// When so many had been acknowledged.
    times: Mutex<Vec<(Instant, u64)>>,
}

impl Meter {
    /// So many adds are about to be sent; answers the number of the first one, from 0.
    pub(super) fn sending(&self, adds: u64) -> u64 {
        self.sent.fetch_add(adds, Ordering::SeqCst)
    }

    /// So many were acknowledged.
    pub(super) fn answered(&self, adds: u64) {
        let acknowledged = self.acknowledged.fetch_add(adds, Ordering::SeqCst) + adds;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.push((Instant::now(), acknowledged));
    }

    /// How many were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// How many were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// How many had been acknowledged at that time.
    pub(super) fn acknowledged_at(&self, moment: Instant) -> u64 {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let until = times.partition_point(|(time, _)| *time <= moment);
        until
            .checked_sub(1)
            .and_then(|last| times.get(last))
            .map_or(0, |(_, acknowledged)| *acknowledged)
    }

    /// When the add after the first `adds` was acknowledged; none if it never was.
    pub(super) fn time_after(&self, adds: u64) -> Option<Instant> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let at = times.partition_point(|(_, acknowledged)| *acknowledged <= adds);
        times.get(at).map(|(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_of_acknowledgements() {
        let meter = Meter::default();
        let before = Instant::now();
        assert_eq!((meter.sending(3), meter.sending(1)), (0, 3));
        meter.answered(3);
        let after = Instant::now() + Duration::from_millis(1);
        assert_eq!((meter.sent(), meter.acknowledged()), (4, 3));
        assert_eq!((meter.acknowledged_at(before), meter.acknowledged_at(after)), (0, 3));
        assert!(meter.time_after(2).is_some() && meter.time_after(3).is_none());
    }
}
