//! Which call a request is for, who may make it, and how long it may take.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request};

use super::answer::Answer;
use super::request::Asked;
use super::{
    Http, add, events, explain, history, ingest, ledger, namespaces, nodes, openapi, problem, query, read, rules,
    status, ui, verify, watch,
};
use crate::metrics::Face;
use crate::refusal::{ErrorKind, Refusal};
use crate::world;

const NAMESPACES: &str = "/v1/namespaces/";
const INGEST: &str = "/v1/ingest/";

/// The methods of a path; empty where there is no such path.
fn methods(path: &str) -> &'static [&'static str] {
    match path {
        "/v1/add" | "/v1/get" | "/v1/events" => &["POST"],
        "/v1/rules" => &["GET", "HEAD", "PUT"],
        "/v1/verify" => &["GET", "HEAD", "POST"],
        "/v1/counter" | "/v1/counters" | "/v1/history" | "/v1/query" | "/v1/watch" | "/v1/explain" | "/v1/ledger"
        | "/v1/namespaces" | "/v1/nodes" | "/v1/status" | "/healthz" | "/readyz" | "/metrics" | "/openapi.json" => {
            &["GET", "HEAD"]
        }
        path if path.starts_with(NAMESPACES) => &["GET", "HEAD", "PUT"],
        path if path.starts_with(INGEST) => &["POST"],
        path if path == "/v1" || path.starts_with("/v1/") => &[],
        _ => &["GET", "HEAD"],
    }
}

/// Whether a path is open to everybody: health, and the files of the UI, which hold no data.
fn is_open(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
        || !(path == "/v1" || path.starts_with("/v1/") || path == "/metrics" || path == "/openapi.json")
}

/// Answers a request.
pub(super) async fn answer(http: &Arc<Http>, request: Request<Incoming>) -> Answer {
    let begun_us = world::monotonic_us();
    let metrics = http.service.metrics().face(Face::Http);
    let allowed = methods(request.uri().path());
    if !allowed.is_empty() && !allowed.contains(&request.method().as_str()) {
        metrics.refused(ErrorKind::Method);
        return problem::wrong_method(allowed);
    }
    match call(http, request).await {
        Ok(answer) => {
            metrics.done(1, world::monotonic_us().saturating_sub(begun_us));
            answer
        }
        Err(refusal) => {
            metrics.refused(refusal.kind);
            if matches!(refusal.kind, ErrorKind::Internal | ErrorKind::Corrupt) {
                tracing::error!(kind = refusal.kind.word(), detail = refusal.detail, "a request failed");
            }
            problem::answer(&refusal)
        }
    }
}

async fn call(http: &Arc<Http>, request: Request<Incoming>) -> Result<Answer, Refusal> {
    if !is_open(request.uri().path()) {
        authorise(http, &request)?;
    }
    let asked = Asked::read(request, http.service.limits(), http.service.buffers().share()).await?;
    let patience = Duration::from_millis(http.service.limits().request_timeout_ms);
    let writes = !matches!(asked.method, Method::GET | Method::HEAD);
    tokio::time::timeout(patience, dispatch(http, &asked))
        .await
        .unwrap_or_else(|_| {
            let detail = "the answer took too long (setting request_timeout)";
            Err(if writes {
                Refusal::unknown(detail)
            } else {
                Refusal::unavailable(detail)
            })
        })
}

fn authorise(http: &Http, request: &Request<Incoming>) -> Result<(), Refusal> {
    let access = http.service.access();
    if !access.is_required() {
        return Ok(());
    }
    let shown = request
        .headers()
        .get(AUTHORIZATION)
        .map(hyper::header::HeaderValue::as_bytes);
    let bearer = shown.and_then(|value| {
        let (scheme, secret) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(secret)
    });
    match bearer {
        Some(secret) if access.allows(secret.trim_ascii()) => Ok(()),
        Some(_) => Err(Refusal::new(ErrorKind::Unauthorized, "the token is wrong")),
        None => Err(Refusal::new(
            ErrorKind::Unauthorized,
            "give the server's auth_token as Authorization: Bearer TOKEN",
        )),
    }
}

async fn dispatch(http: &Arc<Http>, asked: &Asked) -> Result<Answer, Refusal> {
    let put = asked.method == Method::PUT;
    match asked.uri.path() {
        "/v1/add" => add::add(http, asked).await,
        "/v1/counter" => read::counter(http, asked).await,
        "/v1/get" => read::get(http, asked).await,
        "/v1/counters" => read::counters(http, asked).await,
        "/v1/history" => history::history(http, asked).await,
        "/v1/query" => query::query(http, asked).await,
        "/v1/watch" => watch::watch(http, asked),
        "/v1/events" => events::events(http, asked).await,
        "/v1/explain" => explain::explain(http, asked).await,
        "/v1/ledger" => ledger::ledger(http, asked).await,
        "/v1/verify" if asked.method == Method::POST => verify::post(http, asked),
        "/v1/verify" => verify::get(http, asked),
        "/v1/namespaces" => namespaces::list(http, asked),
        "/v1/nodes" => nodes::list(http, asked),
        "/v1/rules" if put => rules::put(http, asked).await,
        "/v1/rules" => rules::get(http, asked),
        "/v1/status" => status::status(http, asked).await,
        "/healthz" => status::health(asked),
        "/readyz" => status::ready(http, asked),
        "/metrics" => status::metrics(http, asked).await,
        "/openapi.json" => openapi::serve(),
        path => match (path.strip_prefix(NAMESPACES), path.strip_prefix(INGEST)) {
            (Some(name), _) if put => namespaces::put(http, asked, name).await,
            (Some(name), _) => namespaces::get(http, asked, name),
            (None, Some(call)) => ingest::dispatch(http, asked, call).await,
            (None, None) if methods(path).is_empty() => {
                Err(Refusal::not_found(format!("there is no {path}; see /openapi.json")))
            }
            (None, None) => ui::file(asked),
        },
    }
}
