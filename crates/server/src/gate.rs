//! Where the connections of one event loop wait for the journal's sync: the loop waits for all of them, so that a sync wakes it once,
//! and not once for each connection (which costs a system call each). It asks for a sync only after all that it had to do has been
//! done, so that one sync takes it all, and makes a short one by itself: everyone it serves would only wait for that.
//!
//! Guards: nobody is let through before the engine says so, and nobody is forgotten, a failed engine included.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tally_counter::Position;
use tally_engine::{Engine, Error, OnTheSpot};

thread_local! {
    /// The gate of the loop that runs on this thread, if one does.
    static HERE: RefCell<Option<Arc<Gate>>> = const { RefCell::new(None) };
}

/// The gate of one loop.
pub(crate) struct Gate {
    /// Whoever serves holds the engine, and lets it go at the end.
    engine: Weak<Engine>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Position, Waker)>,
    /// The task that waits for all.
    keeper: Option<Waker>,
    /// What the keeper has asked the engine for, and not been told yet.
    asked: Option<Position>,
    /// The engine has failed or is gone: who waits asks it for the reason.
    ended: bool,
}

impl Gate {
    /// Opens the gate of this thread's loop. What it answers is to be run on that loop for as long as it lives.
    pub(crate) fn open(engine: Weak<Engine>) -> impl Future<Output = ()> + Send {
        let gate = Arc::new(Self {
            engine,
            state: Mutex::default(),
        });
        HERE.set(Some(Arc::clone(&gate)));
        poll_fn(move |context| gate.keep(context))
    }

    /// Ready when everything up to `position` is synced, for a task on any thread.
    pub(crate) fn poll_synced(engine: &Engine, position: Position, waker: &Waker) -> Poll<Result<(), Error>> {
        if engine.is_synced(position) {
            return Poll::Ready(Ok(()));
        }
        let waits = HERE.with_borrow(|gate| gate.as_ref().is_some_and(|gate| gate.wait(position, waker)));
        if waits {
            return Poll::Pending;
        }
        engine.poll_synced(position, waker)
    }

    /// Waits here. `false`: the keeper no longer waits for anybody.
    fn wait(&self, position: Position, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        if state.ended {
            return false;
        }
        state.waiting.push((position, waker.clone()));
        // It is woken by this thread, and so runs after what is ready to run now.
        if let Some(keeper) = state.keeper.take() {
            keeper.wake();
        }
        true
    }

    fn keep(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        let State { waiting, asked, .. } = &mut *state;
        let engine = self.engine.upgrade();
        let Some(engine) = engine.filter(|engine| waits(engine, waiting, asked, context.waker())) else {
            state.ended = true;
            state.waiting.drain(..).for_each(|(_, waker)| waker.wake());
            return Poll::Ready(());
        };
        drop(engine);
        state.keeper.get_or_insert_with(|| context.waker().clone());
        Poll::Pending
    }
}

/// Lets through who may go, and sees to the sync of the first who may not: no other is synced before. `false`: the engine has failed.
fn waits(engine: &Engine, waiting: &mut Vec<(Position, Waker)>, asked: &mut Option<Position>, keeper: &Waker) -> bool {
    if asked.is_some_and(|asked| !engine.is_synced(asked)) {
        return !engine.has_failed();
    }
    *asked = None;
    loop {
        let ready = |(position, _): &mut (Position, Waker)| engine.is_synced(*position);
        waiting.extract_if(.., ready).for_each(|(_, waker)| waker.wake());
        let Some(first) = waiting.iter().map(|(position, _)| *position).min() else {
            return true;
        };
        match engine.commit_on_the_spot(keeper) {
            Ok(OnTheSpot::Done) => continue,
            Ok(OnTheSpot::Busy) => return true,
            Ok(OnTheSpot::HandOver) => {}
            Err(_) => return false,
        }
        match engine.poll_synced(first, keeper) {
            Poll::Pending => {
                *asked = Some(first);
                return true;
            }
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return false,
        }
    }
}
