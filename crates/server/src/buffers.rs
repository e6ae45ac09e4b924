//! What all connections hold of requests that are not whole and answers that are not taken, bounded together by the setting
//! `max_buffers`: ten thousand clients that each stay within their own limits must not take the memory.
//!
//! Does not count what every connection has anyway (`FREE_BYTES`); that is bounded by `max_connections`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a connection may hold without being counted.
const FREE_BYTES: usize = 16 * 1_024;

/// The bytes held by all connections together.
#[derive(Debug)]
pub(crate) struct Buffers {
    held: AtomicUsize,
    limit: usize,
}

impl Buffers {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicUsize::new(0),
            limit,
        })
    }

    /// The share of a new connection or request: nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share {
            buffers: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// What one connection or request holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    buffers: Arc<Buffers>,
    bytes: usize,
}

impl Share {
    /// Says how much it holds now. `false`: it is counted and holds more than all may; it must give back soon, or end.
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        let bytes = bytes.saturating_sub(FREE_BYTES);
        if bytes == self.bytes {
            return bytes == 0 || self.buffers.held.load(Ordering::Relaxed) <= self.buffers.limit;
        }
        let held = &self.buffers.held;
        let before = if bytes > self.bytes {
            let more = bytes.saturating_sub(self.bytes);
            held.fetch_add(more, Ordering::Relaxed).saturating_add(more)
        } else {
            let less = self.bytes.saturating_sub(bytes);
            held.fetch_sub(less, Ordering::Relaxed).saturating_sub(less)
        };
        self.bytes = bytes;
        bytes == 0 || before <= self.buffers.limit
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.buffers.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_count_together_and_are_given_back() {
        let buffers = Buffers::new(100_000);
        let (mut one, mut other) = (buffers.share(), buffers.share());
        assert!(one.hold(90_000) && one.hold(FREE_BYTES + 60_000));
        assert!(!other.hold(FREE_BYTES + 60_000), "120,000 together");
        assert!(!one.hold(FREE_BYTES + 60_000), "still");
        assert!(other.hold(FREE_BYTES), "what everyone has anyway");
        assert!(one.hold(FREE_BYTES + 60_000));
        drop(one);
        assert_eq!(buffers.held.load(Ordering::Relaxed), 0);
    }
}
