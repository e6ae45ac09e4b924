//! A histogram without a lock: fixed buckets, relaxed atomics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds in microseconds: 1, 2.5, 5 times the powers of ten from 10 µs to 10 s.
const BOUNDS_US: [u64; 18] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// How long requests took.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    buckets: [AtomicU64; BOUNDS_US.len()],
    beyond: AtomicU64,
    sum_us: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The sum, in seconds.
    pub(crate) sum_s: f64,
    /// How many there were.
    pub(crate) count: u64,
    /// Upper bound in seconds, and how many were within it and above the one before.
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl Latency {
    /// `count` requests took this long each.
    pub(crate) fn note(&self, count: u64, took_us: u64) {
        let place = BOUNDS_US.partition_point(|bound| *bound < took_us);
        self.buckets
            .get(place)
            .unwrap_or(&self.beyond)
            .fetch_add(count, Ordering::Relaxed);
        self.sum_us.fetch_add(took_us.saturating_mul(count), Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut buckets: Vec<(f64, u64)> = BOUNDS_US
            .iter()
            .zip(&self.buckets)
            .map(|(bound, count)| (*bound as f64 / 1e6, read(count)))
            .collect();
        buckets.push((f64::INFINITY, read(&self.beyond)));
        let count = buckets.iter().map(|(_, count)| count).sum();
        Snapshot {
            sum_s: read(&self.sum_us) as f64 / 1e6,
            count,
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_one_bucket() {
        let latency = Latency::default();
        latency.note(3, 25);
        latency.note(1, 26);
        latency.note(1, u64::MAX / 2);
        let snapshot = latency.snapshot();
        assert_eq!(snapshot.count, 5);
        assert_eq!(snapshot.buckets.first(), Some(&(0.000_025, 3)));
        assert_eq!(snapshot.buckets.get(1), Some(&(0.000_05, 1)));
        assert_eq!(snapshot.buckets.last(), Some(&(f64::INFINITY, 1)));
    }
}
