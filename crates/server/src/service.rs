//! What all front ends call: the engine's turns and waiting calls, made async, bounded and acknowledged at the asked level.
//!
//! Guards: an answer is given only when its level is reached (promise 2), and a refusal says whether it may have been applied.
//! Costs nothing a command beyond the engine's own turn: no task, no allocation, no lock while everything is in memory.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tally_counter::{Acknowledgement, Position};
use tally_engine::{Blocked, Engine, Plan, StrongPart, Turn};
use tokio::sync::{Semaphore, watch};

use crate::access::Access;
use crate::buffers::Buffers;
use crate::gate::Gate;
use crate::levels::Levels;
use crate::limits::Limits;
use crate::loader::Loader;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::strong_loader::StrongLoader;

/// A turn whose counters keep falling out of memory between load and turn is given up after this many loads: the hot table is
/// too small for what is asked of it at once.
const MAX_LOADS: u32 = 32;

/// What the front ends share.
pub(crate) struct Service {
    engine: Arc<Engine>,
    loader: Loader,
    strong_loader: Arc<StrongLoader>,
    access: Access,
    levels: Levels,
    limits: Limits,
    metrics: Metrics,
    /// Bounds the threads that wait for the engine (setting `max_blocking`).
    blocking: Semaphore,
    /// Bounds the connections of all faces together (setting `max_connections`).
    connections: Arc<Semaphore>,
    buffers: Arc<Buffers>,
    draining: watch::Sender<bool>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Service")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Over an open engine. `levels`: when an add is acknowledged that asks for nothing else.
    pub(crate) fn new(engine: Arc<Engine>, access: Access, levels: Levels, limits: Limits) -> std::io::Result<Self> {
        Ok(Self {
            levels,
            loader: Loader::start(&engine)?,
            strong_loader: Arc::default(),
            access,
            metrics: Metrics::new(),
            blocking: Semaphore::new(limits.max_blocking),
            connections: Arc::new(Semaphore::new(limits.max_connections)),
            buffers: Buffers::new(limits.max_buffers_bytes),
            draining: watch::Sender::new(false),
            limits,
            engine,
        })
    }

    /// The engine, for calls that never wait (`status`, `namespaces`). Everything else goes through [`Service::turn`] or
    /// [`Service::blocking`].
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine, for those that outlive a call.
    pub(crate) fn shared_engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    /// Who may call.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// At which level an add is acknowledged that asks for none.
    pub(crate) fn levels(&self) -> &Levels {
        &self.levels
    }

    /// The limits of requests and connections.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is counted for `/metrics`.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// One permit a connection, of any face; none left: close the new one after an error in its own form.
    pub(crate) fn connections(&self) -> &Arc<Semaphore> {
        &self.connections
    }

    /// What connections hold together.
    pub(crate) fn buffers(&self) -> &Arc<Buffers> {
        &self.buffers
    }

    /// Turns true once, when the server stops accepting: finish the request that runs, then close the connection.
    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Stops accepting.
    pub(crate) fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Takes a turn and answers once it is acknowledged at `level`; `None`: at the level that the policies of the namespaces and
    /// the setting `ack` ask for. A turn that wrote nothing is answered at once.
    ///
    /// `work` runs once (on strong counters again where another node was first: only its last answer counts), on an engine that holds still
    /// for it, and never waits; what it wrote is one journal entry. On a refusal
    /// nothing was applied, unless it says `maybe_applied`. Dropping the future gives up waiting, not what was written.
    pub(crate) async fn turn<R: Send>(
        &self,
        plan: &mut Plan,
        level: Option<Acknowledgement>,
        mut work: impl FnMut(&mut Turn<'_>) -> R + Send,
    ) -> Result<R, Refusal> {
        let level = self.levels.resolve(level)?;
        let refused = if level == Acknowledgement::Replicated {
            self.engine.refused_rounds()
        } else {
            0
        };
        let mut relieved = 0;
        let mut loads = 0;
        loop {
            // In a block of its own, so that nothing of it lives across an await.
            let blocked = match self.engine.turn(plan, &mut work) {
                Ok(turned) => match turned.position {
                    Some(position) => {
                        self.acknowledged(position, level, refused).await?;
                        return Ok(turned.answer);
                    }
                    None => return Ok(turned.answer),
                },
                Err(blocked) => blocked,
            };
            match blocked {
                Blocked::Load if loads < MAX_LOADS => {
                    loads += 1;
                    self.loader.load(&self.engine, plan).await?;
                }
                Blocked::Load => {
                    return Err(Refusal::unavailable(
                        "the hot table is too small for what is asked at once (setting memory)",
                    ));
                }
                Blocked::Full(why) => relieved = self.relief(relieved, why).await?,
                Blocked::Strong(part) => return self.strong_turn(part, plan, work).await,
                Blocked::Mixed(_) | Blocked::TooLarge { .. } | Blocked::DiskFull | Blocked::Stopped(_) => {
                    return Err(blocked.into());
                }
            }
        }
    }

    /// Waits until what was written at `position` is acknowledged at `level`. `refused`: the rounds refused before it was written.
    async fn acknowledged(&self, position: Position, level: Acknowledgement, refused: u64) -> Result<(), Refusal> {
        match level {
            Acknowledgement::Memory => Ok(()),
            Acknowledgement::Disk => self.synced(position).await,
            Acknowledgement::Replicated => self.replicated(position, refused).await,
        }
    }

    /// Waits until the store has everything up to `position`, at most for the setting `request_timeout`.
    async fn replicated(&self, position: Position, refused: u64) -> Result<(), Refusal> {
        let applied = poll_fn(|context| self.engine.poll_applied(position, refused, context.waker()));
        let patience = Duration::from_millis(self.limits.request_timeout_ms);
        let answer = tokio::time::timeout(patience, applied).await;
        let why = match answer {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the store did not take it in time".to_owned(),
        };
        Err(Refusal::unknown(format!(
            "{why}; it may be applied when the store is back: repeat it only with its token"
        )))
    }

    /// Waits until the journal is synced up to `position`.
    async fn synced(&self, position: Position) -> Result<(), Refusal> {
        poll_fn(|context| Gate::poll_synced(&self.engine, position, context.waker()))
            .await
            .map_err(|error| {
                Refusal::unknown(format!(
                    "{error}; whether it was applied will be known after the restart"
                ))
            })
    }

    /// Runs a call of the engine that waits on a thread that may; at most `max_blocking` at once, further ones queue.
    pub(crate) async fn blocking<R: Send + 'static, E: Into<Refusal> + Send + 'static>(
        &self,
        call: impl FnOnce(&Engine) -> Result<R, E> + Send + 'static,
    ) -> Result<R, Refusal> {
        let engine = Arc::clone(&self.engine);
        self.waiting(move || call(&engine)).await?.map_err(E::into)
    }

    async fn waiting<R: Send + 'static>(&self, call: impl FnOnce() -> R + Send + 'static) -> Result<R, Refusal> {
        let _permit = self
            .blocking
            .acquire()
            .await
            .map_err(|_| Refusal::unavailable("the server is stopping"))?;
        tokio::task::spawn_blocking(call).await.map_err(|error| {
            tracing::error!(%error, "a call of the engine panicked");
            Refusal::internal("an internal error; the log says more")
        })
    }

    /// Reads what the plan needs of a partition of strong counters.
    pub(crate) async fn load_strong(&self, part: StrongPart, plan: &mut Plan) -> Result<(), Refusal> {
        self.strong_loader.load(&self.engine, part, plan).await
    }

    /// Waits for the next round or sync that lifts a limit, bounded by the setting `full_timeout`.
    pub(crate) async fn relief(&self, seen: u64, why: &'static str) -> Result<u64, Refusal> {
        let relieved = poll_fn(|context| self.engine.poll_relieved(seen, context.waker()));
        let patience = Duration::from_millis(self.limits.full_timeout_ms);
        tokio::time::timeout(patience, relieved)
            .await
            .map_err(|_| Refusal::unavailable(format!("{why}; nothing was applied, try again")))
    }
}
