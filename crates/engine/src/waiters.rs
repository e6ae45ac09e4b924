//! Who waits for a sync, for a limit to be lifted, or for the engine's failure. Plain wakers: it knows no async runtime.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use tally_counter::Position;

use crate::Error;

/// All who wait.
#[derive(Default)]
pub(crate) struct Waiters {
    state: Mutex<State>,
    failed: AtomicBool,
}

#[derive(Default)]
struct State {
    synced: Vec<(u64, Waker)>,
    applied: Vec<(u64, Waker)>,
    /// The list that is being woken, kept for its memory.
    woken: Vec<(u64, Waker)>,
    relieved: Vec<Waker>,
    /// Who would make a commit and found somebody else at it.
    free: Vec<Waker>,
    failed: Vec<Waker>,
    /// Counts the reliefs.
    mark: u64,
    failure: Option<String>,
    /// Counts the rounds that the store refused.
    refused: u64,
    /// Why it refused the last one; `None` after one that it took.
    refusal: Option<String>,
    /// Why it last refused one.
    why: String,
}

impl Waiters {
    /// Everything up to `position` is synced.
    pub(crate) fn synced(&self, position: Position) {
        let mut state = self.state.lock();
        let mut ready = std::mem::take(&mut state.woken);
        let mut index = 0;
        while let Some((wanted, _)) = state.synced.get(index) {
            if *wanted <= position.number() {
                ready.push(state.synced.swap_remove(index));
            } else {
                index = index.saturating_add(1);
            }
        }
        let waiting = !state.relieved.is_empty();
        drop(state);
        for (_, waker) in ready.drain(..) {
            waker.wake();
        }
        if waiting {
            self.relieve();
        }
        self.state.lock().woken = ready;
    }

    /// Waits for `position`; looks at `synced` once more under the lock, so that no wake-up is lost.
    pub(crate) fn poll(&self, position: Position, waker: &Waker, synced: &AtomicU64) -> Poll<Result<(), Error>> {
        let mut state = self.state.lock();
        if synced.load(Ordering::Acquire) >= position.number() {
            return Poll::Ready(Ok(()));
        }
        if let Some(why) = &state.failure {
            return Poll::Ready(Err(Error::Failed(why.clone())));
        }
        state.synced.push((position.number(), waker.clone()));
        Poll::Pending
    }

    /// Waits for the journal to be free.
    pub(crate) fn wait_free(&self, waker: &Waker) {
        let mut state = self.state.lock();
        if !state.free.iter().any(|waiting| waiting.will_wake(waker)) {
            state.free.push(waker.clone());
        }
    }

    /// The journal is free.
    pub(crate) fn free(&self) {
        let mut state = self.state.lock();
        if state.free.is_empty() {
            return;
        }
        let ready = std::mem::take(&mut state.free);
        drop(state);
        ready.into_iter().for_each(Waker::wake);
    }

    /// The store has everything up to `position`.
    pub(crate) fn applied(&self, position: Position) {
        let mut state = self.state.lock();
        state.refusal = None;
        let waiting = std::mem::take(&mut state.applied);
        let (ready, rest) = waiting
            .into_iter()
            .partition(|(wanted, _)| *wanted <= position.number());
        state.applied = rest;
        drop(state);
        let ready: Vec<(u64, Waker)> = ready;
        for (_, waker) in ready {
            waker.wake();
        }
    }

    /// The store refused a round, which is tried again.
    pub(crate) fn refused(&self, why: &str) {
        let mut state = self.state.lock();
        state.refused = state.refused.saturating_add(1);
        state.refusal = Some(why.to_owned());
        why.clone_into(&mut state.why);
        let ready = std::mem::take(&mut state.applied);
        drop(state);
        for (_, waker) in ready {
            waker.wake();
        }
    }

    pub(crate) fn refused_rounds(&self) -> u64 {
        self.state.lock().refused
    }

    pub(crate) fn store_failure(&self) -> Option<String> {
        self.state.lock().refusal.clone()
    }

    /// Waits for `position` to be applied, or for a refusal after the first `refused`.
    pub(crate) fn poll_applied(
        &self,
        position: Position,
        refused: u64,
        waker: &Waker,
        applied: &AtomicU64,
    ) -> Poll<Result<(), Error>> {
        let mut state = self.state.lock();
        if applied.load(Ordering::Acquire) >= position.number() {
            return Poll::Ready(Ok(()));
        }
        if let Some(why) = &state.failure {
            return Poll::Ready(Err(Error::Failed(why.clone())));
        }
        if state.refused > refused {
            return Poll::Ready(Err(Error::Unavailable(state.why.clone())));
        }
        state.applied.push((position.number(), waker.clone()));
        Poll::Pending
    }

    /// A limit was lifted.
    pub(crate) fn relieve(&self) {
        let mut state = self.state.lock();
        state.mark = state.mark.saturating_add(1);
        let ready = std::mem::take(&mut state.relieved);
        drop(state);
        ready.into_iter().for_each(Waker::wake);
    }

    /// Waits for a relief after the one `seen`. A `seen` of 0 is answered at once.
    pub(crate) fn poll_relieved(&self, seen: u64, waker: &Waker) -> Poll<u64> {
        let mut state = self.state.lock();
        let mark = state.mark.saturating_add(1);
        if mark > seen {
            return Poll::Ready(mark);
        }
        state.relieved.push(waker.clone());
        Poll::Pending
    }

    /// The engine failed.
    pub(crate) fn fail(&self, why: &str) {
        let mut state = self.state.lock();
        state.failure.get_or_insert_with(|| why.to_owned());
        self.failed.store(true, Ordering::Release);
        let mut ready: Vec<Waker> = state.synced.drain(..).map(|(_, waker)| waker).collect();
        ready.extend(state.applied.drain(..).map(|(_, waker)| waker));
        ready.append(&mut state.relieved);
        ready.append(&mut state.free);
        ready.append(&mut state.failed);
        drop(state);
        ready.into_iter().for_each(Waker::wake);
    }

    /// Whether it has.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Why it failed.
    pub(crate) fn poll_failed(&self, waker: &Waker) -> Poll<Error> {
        let mut state = self.state.lock();
        if let Some(why) = &state.failure {
            return Poll::Ready(Error::Failed(why.clone()));
        }
        state.failed.push(waker.clone());
        Poll::Pending
    }
}
