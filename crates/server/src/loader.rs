//! Reads cold counters for all front ends. Where the store has answered in microseconds of late, as one whose blocks are in memory
//! does, whoever needs a few reads them on the spot: handing them over and back takes longer. Else they go to threads that wait for the
//! store for all: loads that wait together become one read, and no event loop is held up by a disk or a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tally_engine::{Engine, Plan};
use tokio::sync::oneshot;

use crate::refusal::Refusal;
use crate::world;

/// Threads that read. More than one, so that a read from a cold disk does not hold up those from memory behind it.
const THREADS: usize = 4;
/// Plans that are read at once.
pub(crate) const MOST_AT_ONCE: usize = 64;
/// A plan of more counters than this is never read on the spot.
const QUICK_COUNTERS: usize = 16;
/// Nor is any while a read takes longer than this of late, in microseconds: two threads are woken in less.
const QUICK_US: u64 = 50;
/// What is thought of a store that has not been read yet: the first reads are never made on the spot.
const UNKNOWN_US: u64 = 1_000;

/// The queue of plans that wait for a read. Holds at most one a connection or request, which the limits of those bound.
pub(crate) struct Loader {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    of_late: OfLate,
    /// Not from a cluster: its driver waits, which a thread that drives connections must not, and where nothing answers it fails in no time.
    on_the_spot: bool,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    closed: bool,
}

/// A plan with what became of its read.
type Loaded = (Plan, Result<(), Refusal>);

/// One that waits.
pub(crate) struct Waiting {
    plan: Plan,
    done: oneshot::Sender<Loaded>,
}

impl Waiting {
    pub(crate) fn new(plan: Plan, done: oneshot::Sender<Loaded>) -> Self {
        Self { plan, done }
    }
}

/// Waits for the plan to come back.
pub(crate) async fn loaded(loaded: oneshot::Receiver<Loaded>, plan: &mut Plan) -> Result<(), Refusal> {
    let (taken, result) = loaded.await.map_err(|_| {
        tracing::error!("a read of counters ended by a bug");
        Refusal::internal("an internal error; nothing was applied; the log says more")
    })?;
    *plan = taken;
    result
}

/// Reads for all of them together, and where that fails for each alone: a row that cannot be read concerns only those that asked for it.
pub(crate) fn serve(batch: Vec<Waiting>, load: impl Fn(&mut [Plan]) -> Result<(), Refusal>) {
    let (mut plans, done): (Vec<Plan>, Vec<_>) = batch.into_iter().map(|one| (one.plan, one.done)).unzip();
    let together = plans.len() > 1 && load(&mut plans).is_ok();
    for (mut plan, done) in plans.into_iter().zip(done) {
        let loaded = if together {
            Ok(())
        } else {
            load(std::slice::from_mut(&mut plan))
        };
        // Whoever gave up waiting has no use for it.
        drop(done.send((plan, loaded)));
    }
}

impl Loader {
    /// Starts the threads.
    pub(crate) fn start(engine: &Arc<Engine>) -> std::io::Result<Self> {
        let queue = Arc::new(Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
            of_late: OfLate::unknown(),
            on_the_spot: !engine.is_shared(),
        });
        let start = |number| {
            let (engine, queue) = (Arc::clone(engine), Arc::clone(&queue));
            std::thread::Builder::new()
                .name(format!("load-{number}"))
                .spawn(move || queue.serve(&engine))
        };
        let threads = (0..THREADS).map(start).collect::<std::io::Result<_>>()?;
        Ok(Self { queue, threads })
    }

    /// Reads what the plan needs and the memory lacks.
    pub(crate) async fn load(&self, engine: &Engine, plan: &mut Plan) -> Result<(), Refusal> {
        if plan.len() <= QUICK_COUNTERS && self.queue.is_quick() {
            return self.queue.load(engine, std::slice::from_mut(plan));
        }
        let (done, loaded) = oneshot::channel();
        let waiting = Waiting::new(std::mem::take(plan), done);
        self.queue.state.lock().waiting.push(waiting);
        self.queue.changed.notify_one();
        self::loaded(loaded, plan).await
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.changed.notify_all();
        // They hold the engine, which closes the store when the last lets go.
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that reads counters ended by a bug");
            }
        }
    }
}

impl Queue {
    fn serve(&self, engine: &Engine) {
        while let Some(batch) = self.next() {
            serve(batch, |plans| self.load(engine, plans));
        }
    }

    /// Whether few counters are read on the spot.
    fn is_quick(&self) -> bool {
        self.on_the_spot && self.of_late.is_quick()
    }

    /// Reads, and notes how long that takes of late. A read that failed says nothing of the next.
    fn load(&self, engine: &Engine, plans: &mut [Plan]) -> Result<(), Refusal> {
        let begun_us = world::monotonic_us();
        let loaded = engine.load(plans);
        let plans = u64::try_from(plans.len()).unwrap_or(u64::MAX).max(1);
        let took_us = world::monotonic_us().saturating_sub(begun_us) / plans;
        self.of_late.note(if loaded.is_ok() { took_us } else { UNKNOWN_US });
        loaded.map_err(Refusal::from)
    }

    /// What waits, up to a limit; waits for it. `None` when the loader is gone.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
        let count = state.waiting.len().min(MOST_AT_ONCE);
        let batch = state.waiting.drain(..count).collect();
        if !state.waiting.is_empty() {
            self.changed.notify_one();
        }
        Some(batch)
    }
}

/// How long the reading of one plan takes of late, in microseconds: eight times the mean, in which the last one has an eighth.
struct OfLate(AtomicU64);

impl OfLate {
    fn unknown() -> Self {
        Self(AtomicU64::new(8 * UNKNOWN_US))
    }

    fn is_quick(&self) -> bool {
        self.0.load(Ordering::Relaxed) <= 8 * QUICK_US
    }

    fn note(&self, took_us: u64) {
        let before = self.0.load(Ordering::Relaxed);
        let without_oldest = before.saturating_sub(before / 8);
        self.0.store(without_oldest.saturating_add(took_us), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cluster that is not there refuses in microseconds; reading it on the spot ended the connection.
    #[test]
    fn a_cluster_is_never_read_on_the_spot() {
        let queue = |on_the_spot| Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
            of_late: OfLate::unknown(),
            on_the_spot,
        };
        for (on_the_spot, queue) in [true, false].map(|on_the_spot| (on_the_spot, queue(on_the_spot))) {
            (0..100).for_each(|_| queue.of_late.note(3));
            assert_eq!(queue.is_quick(), on_the_spot);
        }
    }

    #[test]
    fn only_a_store_that_was_quick_of_late_is_read_on_the_spot() {
        let of_late = OfLate::unknown();
        assert!(!of_late.is_quick(), "nothing is known of it");
        (0..100).for_each(|_| of_late.note(3));
        assert!(of_late.is_quick());
        of_late.note(10_000);
        assert!(!of_late.is_quick(), "one slow read is enough");
        (0..100).for_each(|_| of_late.note(3));
        assert!(of_late.is_quick(), "it is quick again");
        (0..100).for_each(|_| of_late.note(QUICK_US + 10));
        assert!(!of_late.is_quick());
    }
}
