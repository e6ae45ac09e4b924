//! Keeps an event loop awake for a moment after it has answered, since the next request is often on its way: to put a processor to sleep
//! and to wake it costs both sides more than a request does. Guards that no request waits for it: whatever is ready goes first. Costs a
//! loop up to 30 µs after its last answer; one that has nothing to do sleeps.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use tokio::task::yield_now;

use crate::world;

/// How long a loop looks for more after its last answer.
const LINGER_US: u64 = 30;

thread_local! {
    /// The loop of this thread has answered of late.
    static ANSWERED: Cell<bool> = const { Cell::new(false) };
    /// The task that keeps it awake, while that rests.
    static KEEPER: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// The loop of this thread has answered.
pub(super) fn answered() {
    if !ANSWERED.replace(true)
        && let Some(keeper) = KEEPER.take()
    {
        keeper.wake();
    }
}

/// To be run on the loop for as long as it lives.
pub(super) async fn linger() {
    loop {
        poll_fn(poll_answered).await;
        let mut since_us = world::monotonic_us();
        while world::monotonic_us().saturating_sub(since_us) < LINGER_US {
            // It goes on when all else has had its turn and the sockets were asked.
            yield_now().await;
            if ANSWERED.take() {
                since_us = world::monotonic_us();
            }
        }
    }
}

fn poll_answered(context: &mut Context<'_>) -> Poll<()> {
    if ANSWERED.take() {
        return Poll::Ready(());
    }
    KEEPER.set(Some(context.waker().clone()));
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It rests until an answer, lingers at least its time, and rests again.
    #[tokio::test]
    async fn it_sleeps_when_no_more_comes() {
        let keeper = tokio::spawn(linger());
        yield_now().await;
        assert!(KEEPER.with_borrow(Option::is_some), "it does not rest at first");
        answered();
        assert!(KEEPER.with_borrow(Option::is_none), "an answer does not wake it");
        let begun_us = world::monotonic_us();
        while KEEPER.with_borrow(Option::is_none) {
            assert!(
                world::monotonic_us().saturating_sub(begun_us) < 10_000_000,
                "it never rests"
            );
            yield_now().await;
        }
        assert!(world::monotonic_us().saturating_sub(begun_us) >= LINGER_US);
        keeper.abort();
    }
}
