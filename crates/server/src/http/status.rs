//! How the server is: `GET /v1/status`, `/healthz`, `/readyz`, `/metrics`.

use std::task::{Poll, Waker};

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{self, Answer};
use super::request::Asked;
use super::{Http, figures};
use crate::levels;
use crate::metrics;
use crate::refusal::Refusal;
use crate::when;
use crate::world;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    version: &'static str,
    node: String,
    started: String,
    ready: bool,
    store: String,
    /// When a write is acknowledged that asks for nothing else.
    ack: &'static str,
    counters: u64,
    hot: Hot,
    journal: Journal,
    uptime_s: u64,
}

/// The counters in memory.
#[derive(Debug, Serialize, ToSchema)]
struct Hot {
    counters: u64,
    bytes: u64,
    budget_bytes: u64,
}

/// The journal.
#[derive(Debug, Serialize, ToSchema)]
struct Journal {
    position: u64,
    synced: u64,
    applied: u64,
    bytes: u64,
}

/// How the server is.
#[utoipa::path(get, path = "/v1/status", tag = "operation", responses((status = 200, body = Status)))]
pub(super) async fn status(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    let (status, counters) = http
        .service
        .blocking(|engine| Ok::<_, tally_engine::Error>((engine.status(), engine.count()?)))
        .await?;
    answer::json(&Status {
        version: env!("CARGO_PKG_VERSION"),
        node: status.node,
        started: when::utc(http.started_ms),
        ready: not_ready(http).is_none(),
        store: http.store.clone(),
        ack: levels::word(http.service.levels().setting()),
        counters,
        hot: Hot {
            counters: status.hot_counters,
            bytes: status.hot_bytes,
            budget_bytes: status.hot_budget_bytes,
        },
        journal: Journal {
            position: status.journal_position,
            synced: status.journal_synced,
            applied: status.journal_applied,
            bytes: status.journal_bytes,
        },
        uptime_s: world::monotonic_us().saturating_sub(http.started_us) / 1_000_000,
    })
}

/// 200 while the process can serve.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) fn health(asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    Ok(answer::text("text/plain; charset=utf-8", "ok\n"))
}

/// 200 while it takes adds.
#[utoipa::path(
    get, path = "/readyz", tag = "operation",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = super::problem::Problem)),
)]
pub(super) fn ready(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    match not_ready(http) {
        None => Ok(answer::text("text/plain; charset=utf-8", "ready\n")),
        Some(why) => Err(Refusal::unavailable(why)),
    }
}

fn not_ready(http: &Http) -> Option<String> {
    if *http.service.draining().borrow() {
        return Some("the server is stopping".to_owned());
    }
    match http.service.engine().poll_failed(Waker::noop()) {
        Poll::Ready(error) => Some(error.to_string()),
        Poll::Pending => http.service.engine().store_failure(),
    }
}

/// The Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "operation", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    let (status, ledger, counters) = http
        .service
        .blocking(|engine| Ok::<_, tally_engine::Error>((engine.status(), engine.ledger()?, engine.count()?)))
        .await?;
    let verified = http.service.engine().verified();
    let families = figures::families(&status, &ledger, &verified, counters, http.started_ms);
    let text = metrics::text(http.service.metrics(), families)
        .map_err(|error| Refusal::internal(format!("the metrics cannot be written: {error}")))?;
    Ok(answer::text(
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        text,
    ))
}
