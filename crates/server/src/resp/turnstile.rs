//! Where connections with much to send let others go first: of all that have sent a slice since they last came by, one a round of the
//! loop goes on. A thousand clients that ask for megabytes then hold up one that adds by one slice, and not by a thousand.
//!
//! Guards that a connection goes through in the order in which it came. Does not hold up a connection that sends little.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// What a connection sends before it lets others go first: about 100 µs of the loop.
const SLICE_BYTES: usize = 64 * 1_024;

thread_local! {
    /// The turnstile of this thread's loop.
    static HERE: Arc<Semaphore> = Arc::new(Semaphore::new(1));
}

/// What a connection has sent since it last let others go first.
#[derive(Debug, Default)]
pub(super) struct Slice {
    sent_bytes: usize,
}

impl Slice {
    /// So much more was sent. Waits at the turnstile where that fills the slice.
    pub(super) async fn sent(&mut self, bytes: usize) {
        self.sent_bytes = self.sent_bytes.saturating_add(bytes);
        if self.sent_bytes >= SLICE_BYTES {
            self.sent_bytes = 0;
            pass().await;
        }
    }
}

async fn pass() {
    // It is never closed; if it were, nobody would have to wait.
    if let Ok(_turn) = HERE.with(Arc::clone).acquire_owned().await {
        // Until all else has had its turn and the sockets were asked.
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// However many have much to send: between two turns of one that has not, a few slices are sent, and all get their turns.
    #[tokio::test]
    async fn a_thousand_that_send_much_hold_up_one_that_does_not_by_a_slice() {
        const CONNECTIONS: usize = 1_000;
        const SLICES: usize = 5;
        let sent: Arc<Vec<AtomicUsize>> = Arc::new((0..CONNECTIONS).map(|_| AtomicUsize::new(0)).collect());
        for number in 0..CONNECTIONS {
            let sent = Arc::clone(&sent);
            tokio::spawn(async move {
                let mut slice = Slice::default();
                while sent[number].fetch_add(1, Ordering::Relaxed) < SLICES {
                    slice.sent(SLICE_BYTES).await;
                }
            });
        }
        let all = || sent.iter().map(|one| one.load(Ordering::Relaxed)).sum::<usize>();
        // The first slice of each: that nobody waits for.
        while sent.iter().any(|one| one.load(Ordering::Relaxed) == 0) {
            yield_now().await;
        }
        let mut before = all();
        while before < CONNECTIONS * (SLICES + 1) {
            yield_now().await;
            let now = all();
            assert!(now - before <= 2, "{} slices at once", now - before);
            let counts = sent.iter().map(|one| one.load(Ordering::Relaxed));
            assert!(
                counts.clone().max() <= counts.min().map(|least| least + 1),
                "one waits too long"
            );
            before = now;
        }
    }
}
