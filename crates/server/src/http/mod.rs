//! The HTTP front end: REST, events, metrics and the web UI.
//!
//! The life of a request: [`router`] finds its call, checks the credential and reads the body; the call takes parameters and body
//! apart, asks the service, and answers. Every refusal becomes `application/problem+json` in [`problem`].

mod add;
mod answer;
mod events;
mod explain;
mod figures;
#[cfg(feature = "fuzz")]
mod fuzz;
mod history;
mod ingest;
mod ledger;
mod moment;
mod namespaces;
mod nodes;
mod number;
mod openapi;
mod policy;
mod problem;
mod query;
mod read;
mod request;
mod router;
mod rules;
mod status;
mod ui;
mod verify;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tally_ingest::{Files, FilesSettings, MAX_LINE_BYTES};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::accept;
use crate::metrics::Face;
use crate::refusal::{ErrorKind, Refusal};
use crate::service::Service;
#[cfg(feature = "fuzz")]
pub(crate) use fuzz::fuzz;
pub(crate) use openapi::document as openapi_document;
pub(crate) use rules::RulesInForce;
pub(crate) use verify::PassShape;

/// The longest request line and headers, in bytes. A query string holds up to 64 keys of 1,024 bytes, percent-encoded.
const MAX_HEAD_BYTES: usize = 256 * 1_024;

/// What all requests share.
pub(crate) struct Http {
    service: Arc<Service>,
    rules: RulesInForce,
    files: Arc<Files>,
    watchers: Arc<Semaphore>,
    started_ms: u64,
    started_us: u64,
    store: String,
}

impl Http {
    /// `store`: the setting, for people.
    pub(crate) fn new(service: Arc<Service>, rules: RulesInForce, store: &str) -> Arc<Self> {
        let watchers = Arc::new(Semaphore::new(service.limits().max_watchers));
        let settings = FilesSettings {
            max_sources: service.limits().max_sources,
            max_line_bytes: MAX_LINE_BYTES,
        };
        let files = Arc::new(Files::new(service.shared_engine(), settings));
        let (started_ms, started_us) = (crate::world::now_ms(), crate::world::monotonic_us());
        Arc::new(Self {
            service,
            rules,
            files,
            watchers,
            started_ms,
            started_us,
            store: store.to_owned(),
        })
    }
}

/// Accepts connections until the service drains; returns when all have ended, or after the setting `drain_timeout`.
pub(crate) async fn serve(listener: TcpListener, http: Arc<Http>) {
    let settling = tokio::spawn(ingest::settle(Arc::clone(&http)));
    let following = tokio::spawn(follow(Arc::clone(&http)));
    accept::until_drained(listener, &http.service, |stream, _, connections| {
        serve_one(stream, &http, connections);
    })
    .await;
    following.abort();
    if let Err(error) = settling.await {
        tracing::error!(%error, "bringing files to the store ended by a bug");
    }
}

/// Goes by the policies and rules that other nodes declare, soon after the engine does.
async fn follow(http: Arc<Http>) {
    const LOOK: Duration = Duration::from_millis(250);
    let mut adopted = 0;
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let engine = http.service.engine();
        if engine.adopted() != adopted {
            adopted = engine.adopted();
            http.service.levels().refresh(&engine.namespaces());
            http.rules.follow(engine);
        }
    }
}

fn serve_one(stream: TcpStream, http: &Arc<Http>, connections: &mut JoinSet<()>) {
    let Ok(permit) = Arc::clone(http.service.connections()).try_acquire_owned() else {
        http.service.metrics().face(Face::Http).refused(ErrorKind::Unavailable);
        // As much as the socket takes at once: it is to be gone.
        if let Err(error) = stream.try_write(too_many().as_bytes()) {
            tracing::debug!(%error, "a refused client was not told");
        }
        return;
    };
    connections.spawn(converse(stream, Arc::clone(http), permit));
}

fn too_many() -> String {
    let refusal = Refusal::unavailable("too many connections (setting max_connections)");
    let detail = refusal.detail;
    let body = format!(
        r#"{{"type":"about:blank","title":"Service Unavailable","status":503,"kind":"unavailable","detail":"{detail}","maybe_applied":false}}"#
    );
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn converse(stream: TcpStream, http: Arc<Http>, permit: OwnedSemaphorePermit) {
    let service = Arc::clone(&http.service);
    let open = service.metrics().face(Face::Http).connected();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection broke");
        return;
    }
    let mut draining = service.draining();
    let drained = async move { drop(draining.wait_for(|draining| *draining).await) };
    let answer = service_fn(move |request| {
        let http = Arc::clone(&http);
        async move { Ok::<_, std::convert::Infallible>(router::answer(&http, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(service.limits().request_timeout_ms))
        .max_buf_size(MAX_HEAD_BYTES)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drained => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
    drop((open, permit));
}
