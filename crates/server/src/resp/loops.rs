//! The threads that serve RESP connections: each an event loop of its own, which stays with its connections. A command is then read,
//! carried out and answered on one thread, and no other is woken for it; for the journal's sync the loop waits as one ([`Gate`]).

use std::sync::{Arc, mpsc};

use tally_engine::Engine;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::linger::linger;
use crate::gate::Gate;

/// The loops. Dropping it ends their threads.
#[derive(Debug)]
pub(super) struct Loops {
    loops: Vec<Loop>,
    next: usize,
}

#[derive(Debug)]
struct Loop {
    handle: Handle,
    /// The loop ends when this is dropped.
    _end: oneshot::Sender<()>,
}

impl Loops {
    /// Starts so many threads; 0: one for every two cores. The other half is for the kernel's side of the connections, rounds, syncs and
    /// the store.
    pub(super) fn start(threads: usize, engine: &Arc<Engine>) -> std::io::Result<Self> {
        let threads = if threads == 0 {
            std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
        } else {
            threads
        };
        let loops: Result<Vec<Loop>, _> = (0..threads).map(|number| Loop::start(number, engine)).collect();
        Ok(Self { loops: loops?, next: 0 })
    }

    /// The loop for the next connection, in turn.
    pub(super) fn next(&mut self) -> Option<&Handle> {
        self.next = self.next.wrapping_add(1);
        let place = self.next.checked_rem(self.loops.len())?;
        self.loops.get(place).map(|one| &one.handle)
    }
}

impl Loop {
    fn start(number: usize, engine: &Arc<Engine>) -> std::io::Result<Self> {
        let engine = Arc::downgrade(engine);
        let (end, ended) = oneshot::channel::<()>();
        let (started, handle) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name(format!("resp-{number}"))
            .spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build();
                let handle = runtime.as_ref().map(|runtime| runtime.handle().clone());
                let told = started.send(handle.map_err(|error| std::io::Error::new(error.kind(), error.to_string())));
                if let (Ok(runtime), Ok(())) = (runtime, told) {
                    runtime.spawn(Gate::open(engine));
                    runtime.spawn(linger());
                    // An error is the end that was waited for: the sender is gone.
                    runtime.block_on(async { drop(ended.await) });
                }
            })?;
        let handle = handle
            .recv()
            .map_err(|_| std::io::Error::other("a thread ended before it began"))??;
        Ok(Self { handle, _end: end })
    }
}
