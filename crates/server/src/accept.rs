//! The accept loop of every face: new connections until the service drains, then the time that running ones are given to end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::service::Service;

/// How long the next connection is waited for where one could not be accepted, since files ran out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Hands each new connection to `accept`, which spawns it. Returns when all have ended, or after the setting `drain_timeout`.
pub(crate) async fn until_drained(
    listener: TcpListener,
    service: &Service,
    mut accept: impl FnMut(TcpStream, SocketAddr, &mut JoinSet<()>),
) {
    let mut draining = service.draining();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => accept(stream, peer, &mut connections),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = async { drop(draining.wait_for(|draining| *draining).await) } => break,
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let patience = Duration::from_millis(service.limits().drain_timeout_ms);
    if tokio::time::timeout(patience, all).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "connections were cut off: they did not end in time (setting drain_timeout)"
        );
    }
}
