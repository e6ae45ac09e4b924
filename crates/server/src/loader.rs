//! Reads cold counters for all front ends: loads that wait together become one read of the store. It costs a connection one hand-over
//! instead of a thread of its own, and bounds the threads that wait for the store for turns.

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tally_engine::{Engine, Plan};
use tokio::sync::oneshot;

use crate::refusal::Refusal;

/// Threads that read. More than one, so that a read from a cold disk does not hold up those from memory behind it.
const THREADS: usize = 4;
/// Plans that are read at once.
const MOST_AT_ONCE: usize = 64;

/// The queue of plans that wait for a read. Holds at most one a connection or request, which the limits of those bound.
pub(crate) struct Loader {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    closed: bool,
}

struct Waiting {
    plan: Plan,
    done: oneshot::Sender<(Plan, Result<(), Refusal>)>,
}

impl Loader {
    /// Starts the threads.
    pub(crate) fn start(engine: &Arc<Engine>) -> std::io::Result<Self> {
        let queue = Arc::new(Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
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
    pub(crate) async fn load(&self, plan: &mut Plan) -> Result<(), Refusal> {
        let (done, loaded) = oneshot::channel();
        let waiting = Waiting {
            plan: std::mem::take(plan),
            done,
        };
        self.queue.state.lock().waiting.push(waiting);
        self.queue.changed.notify_one();
        let (taken, result) = loaded.await.map_err(|_| {
            tracing::error!("a read of counters ended by a bug");
            Refusal::internal("an internal error; nothing was applied; the log says more")
        })?;
        *plan = taken;
        result
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
            let (mut plans, done): (Vec<Plan>, Vec<_>) = batch.into_iter().map(|one| (one.plan, one.done)).unzip();
            // A row that cannot be read concerns only those that asked for it.
            let together = plans.len() > 1 && engine.load(&mut plans).is_ok();
            for (mut plan, done) in plans.into_iter().zip(done) {
                let loaded = if together {
                    Ok(())
                } else {
                    engine.load(std::slice::from_mut(&mut plan)).map_err(Refusal::from)
                };
                // Whoever gave up waiting has no use for it.
                drop(done.send((plan, loaded)));
            }
        }
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
