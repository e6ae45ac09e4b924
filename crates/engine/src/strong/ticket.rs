//! What somebody who took a turn on strong counters waits with. Plain wakers: it knows no async runtime.

use std::task::{Poll, Waker};

use parking_lot::Mutex;

/// What became of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is durable, or what it read is.
    Done,
    /// Another node was first: nothing was applied, take the turn again.
    Again,
    /// Nothing was applied, and nothing will be.
    Refused(String),
    /// It may be applied, or may be yet.
    Unknown(String),
}

/// A turn that waits for its batch.
#[derive(Debug, Default)]
pub struct Ticket {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    settled: Option<Settled>,
    waker: Option<Waker>,
}

impl Ticket {
    /// Ready when it is known what became of the turn.
    pub fn poll(&self, waker: &Waker) -> Poll<Settled> {
        let mut state = self.state.lock();
        if let Some(settled) = &state.settled {
            return Poll::Ready(settled.clone());
        }
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        Poll::Pending
    }

    /// What became of it, if that is known.
    pub fn settled(&self) -> Option<Settled> {
        self.state.lock().settled.clone()
    }

    pub(super) fn settle(&self, settled: Settled) {
        let waker = {
            let mut state = self.state.lock();
            state.settled.get_or_insert(settled);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
