//! The RESP front end (2 and 3): what redis-cli, redis-benchmark and the clients of every language speak.
//!
//! The life of a command: [`connection`] reads bytes, [`parser`] finds commands in them, [`executor`] looks each up in the
//! [`registry`], lets its family in [`command`] take it apart into a [`batch`], takes one turn of the engine for the batch, and sends
//! the replies when the turn is acknowledged. No allocation, task or lock a command. What it must not do: know how counting works.

mod admission;
mod batch;
mod command;
mod connection;
mod executor;
mod fault;
#[cfg(feature = "fuzz")]
mod fuzz;
mod inline;
mod linger;
mod loops;
mod number;
mod parser;
mod registry;
mod reply;
mod session;
mod shared;
mod strong;
mod transaction;
mod turnstile;
mod when;

#[cfg(feature = "fuzz")]
pub(crate) use fuzz::fuzz;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::accept;
use crate::refusal::ErrorKind;
use crate::service::Service;
use connection::Connection;
use loops::Loops;
use parser::Bounds;
use session::Session;
use shared::Shared;

/// The most arguments of a command, as in Redis.
const MAX_ARGUMENTS: usize = 1_024 * 1_024;
/// The longest command, in bytes: its adds are one journal entry.
const MAX_REQUEST_BYTES: usize = 8 * 1_024 * 1_024;
/// About how many bytes of commands become one turn.
const MAX_BATCH_BYTES: usize = 1_024 * 1_024;

/// Accepts connections until the service drains; returns when all have ended, or after the setting `drain_timeout`.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>) {
    let limits = service.limits();
    let bounds = Bounds {
        max_bulk_bytes: limits.max_bulk_bytes,
        max_arguments: MAX_ARGUMENTS,
        max_request_bytes: MAX_REQUEST_BYTES.max(limits.max_bulk_bytes.saturating_mul(2)),
        max_batch: limits.max_pipeline.max(1),
        max_batch_bytes: MAX_BATCH_BYTES,
    };
    let mut loops = match Loops::start(limits.resp_threads, &service.shared_engine()) {
        Ok(loops) => loops,
        Err(error) => {
            tracing::error!(%error, "RESP is not served: its threads could not be started");
            return;
        }
    };
    let shared = Arc::new(Shared::new(Arc::clone(&service)));
    accept::until_drained(listener, &service, |stream, peer, connections| {
        serve_one(stream, peer, &shared, bounds, (connections, &mut loops));
    })
    .await;
}

fn serve_one(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    bounds: Bounds,
    (connections, loops): (&mut JoinSet<()>, &mut Loops),
) {
    let Ok(permit) = Arc::clone(shared.service.connections()).try_acquire_owned() else {
        shared.rejected.fetch_add(1, Ordering::Relaxed);
        shared.metrics().refused(ErrorKind::Unavailable);
        // As much as the socket takes at once: it is to be gone.
        if let Err(error) = stream.try_write(b"-ERR max number of clients reached\r\n") {
            tracing::debug!(%error, %peer, "a refused client was not told");
        }
        return;
    };
    let shared = Arc::clone(shared);
    let Some(handle) = loops.next() else { return };
    let serve = async move {
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        shared.connected.fetch_add(1, Ordering::Relaxed);
        let open = shared.metrics().connected();
        if let Err(error) = converse(stream, peer, &shared, bounds).await {
            tracing::debug!(%error, %peer, "a connection broke");
        }
        drop(open);
        shared.connected.fetch_sub(1, Ordering::Relaxed);
        drop(permit);
    };
    connections.spawn_on(serve, handle);
}

/// Runs on the connection's loop, whose reactor the socket is moved to.
async fn converse(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>, bounds: Bounds) -> io::Result<()> {
    let stream = TcpStream::from_std(stream.into_std()?)?;
    stream.set_nodelay(true)?;
    let session = Session::new(Arc::clone(shared), peer, stream.local_addr()?);
    Connection::new(stream, session, bounds).serve().await
}
