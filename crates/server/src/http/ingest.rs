//! `POST /v1/ingest/open|chunk|finish`: files as replayable sources, counted by writers of their own (`tally_ingest`). Each chunk says
//! where it begins and what all bytes before it hash to, so that one that comes twice, from two clients at once or from another
//! file changes nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tally_engine::SubjectFigures;
use tally_ingest::{Digest, FileError, Files, Progress};
use utoipa::ToSchema;

use super::Http;
use super::answer::{self, Answer};
use super::ledger::{self, Entry};
use super::request::{Asked, Parameters};
use crate::refusal::{ErrorKind, Refusal};

/// A file that is about to be sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Open {
    /// The file's source: its name in the ledger. One source is one file.
    source: String,
    /// What to count, in TOML. Other rules than before hold from here on.
    rules: String,
    /// Whether events count however late they are.
    #[serde(default)]
    backfill: bool,
}

/// How far a file has come.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Standing {
    source: String,
    /// The next chunk begins at this byte.
    position: u64,
    /// What the bytes before `position` hash to, as the client stated it; empty at the start.
    digest: String,
    /// Durable up to this byte.
    applied: u64,
    /// The source's figures, in `finish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<Entry>,
}

/// Answers the call with this name.
pub(super) async fn dispatch(http: &Arc<Http>, asked: &Asked, call: &str) -> Result<Answer, Refusal> {
    match call {
        "open" => open(http, asked).await,
        "chunk" => chunk(http, asked).await,
        "finish" => finish(http, asked).await,
        _ => Err(Refusal::not_found(format!(
            "there is no /v1/ingest/{call}; see /openapi.json"
        ))),
    }
}

/// Opens a source: says from which byte to send.
#[utoipa::path(
    post, path = "/v1/ingest/open", tag = "files",
    request_body = Open,
    responses((status = 200, body = Standing), (status = "4XX", body = super::problem::Problem)),
)]
pub(super) async fn open(http: &Arc<Http>, asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    let Open {
        source,
        rules,
        backfill,
    } = asked.json()?;
    let now_ms = crate::world::now_ms();
    let name = source.clone();
    let progress = with_files(http, move |files| files.open(&name, &rules, backfill, now_ms)).await?;
    answer::json(&standing(source, progress, None))
}

/// Counts a chunk of whole lines.
#[utoipa::path(
    post, path = "/v1/ingest/chunk", tag = "files",
    params(
        ("source" = String, Query, description = "The source that was opened"),
        ("from" = u64, Query, description = "The byte the chunk begins at"),
        ("before" = Option<String>, Query, description = "What all bytes before `from` hash to"),
        ("after" = String, Query, description = "What all bytes up to the chunk's end hash to"),
        ("last" = Option<bool>, Query, description = "Nothing follows: a last line without newline counts if it is whole"),
    ),
    request_body(content = Vec<u8>, content_type = "application/x-ndjson"),
    responses((status = 200, body = Standing), (status = "4XX", body = super::problem::Problem)),
)]
pub(super) async fn chunk(http: &Arc<Http>, asked: &Asked) -> Result<Answer, Refusal> {
    let parameters = asked.parameters(&["source", "from", "before", "after", "last"])?;
    let source = source_of(&parameters)?;
    let from = parameters.one("from")?.and_then(|from| from.parse::<u64>().ok());
    let from = from.ok_or_else(|| Refusal::invalid("`from` is the byte at which the chunk begins"))?;
    let before = Digest(parameters.one("before")?.unwrap_or("").to_owned());
    let after = parameters
        .one("after")?
        .filter(|after| !after.is_empty() && after.len() <= MAX_DIGEST_BYTES);
    let after = Digest(
        after
            .ok_or_else(|| Refusal::invalid("`after` is what all bytes up to the chunk's end hash to"))?
            .to_owned(),
    );
    let last = match parameters.one("last")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Refusal::invalid("`last` is true or false")),
    };
    let (name, bytes) = (source.clone(), asked.body.clone());
    let progress = with_files(http, move |files| {
        files.chunk(&name, from, &before, after, last, &bytes)
    })
    .await?;
    answer::json(&standing(source, progress, None))
}

/// Makes all that was sent durable.
#[utoipa::path(
    post, path = "/v1/ingest/finish", tag = "files",
    params(("source" = String, Query, description = "The source that was opened")),
    responses((status = 200, body = Standing), (status = "4XX", body = super::problem::Problem)),
)]
pub(super) async fn finish(http: &Arc<Http>, asked: &Asked) -> Result<Answer, Refusal> {
    let parameters = asked.parameters(&["source"])?;
    let source = source_of(&parameters)?;
    let name = source.clone();
    let (progress, figures) = with_files(http, move |files| files.finish(&name)).await?;
    let entry = ledger::entry(
        SubjectFigures {
            name: source.clone(),
            figures,
        },
        parameters.form()?,
    );
    answer::json(&standing(source, progress, Some(entry)))
}

/// The longest hash, in bytes of its text.
const MAX_DIGEST_BYTES: usize = 128;

fn source_of(parameters: &Parameters) -> Result<String, Refusal> {
    Ok(parameters
        .one("source")?
        .ok_or_else(|| Refusal::invalid("`source` is missing"))?
        .to_owned())
}

fn standing(source: String, progress: Progress, ledger: Option<Entry>) -> Standing {
    Standing {
        source,
        position: progress.position,
        digest: progress.digest.0,
        applied: progress.applied,
        ledger,
    }
}

async fn with_files<R: Send + 'static>(
    http: &Arc<Http>,
    call: impl FnOnce(&Files) -> Result<R, FileError> + Send + 'static,
) -> Result<R, Refusal> {
    let files = Arc::clone(&http.files);
    http.service
        .blocking(move |_| Ok::<_, Refusal>(call(&files)))
        .await?
        .map_err(refusal)
}

fn refusal(error: FileError) -> Refusal {
    match error {
        FileError::Engine(error) => Refusal::from(error),
        FileError::Rules(_) | FileError::Invalid(_) => Refusal::invalid(error.to_string()),
        FileError::Changed { .. } => Refusal::new(ErrorKind::Conflict, error.to_string()),
        FileError::NotOpen(_) => Refusal::not_found(error.to_string()),
        FileError::TooMany { .. } => Refusal::new(ErrorKind::Exhausted, error.to_string()),
        FileError::Corrupt(_) => Refusal::new(ErrorKind::Corrupt, error.to_string()),
    }
}

/// Brings what broken-off runs have folded to the store, now and then, until the service drains; then a last time.
pub(super) async fn settle(http: Arc<Http>) {
    let mut draining = http.service.draining();
    loop {
        let stopping = tokio::time::timeout(SETTLE_INTERVAL, draining.wait_for(|draining| *draining))
            .await
            .is_ok();
        if let Err(refusal) = with_files(&http, Files::settle).await {
            tracing::warn!(%refusal, "files that were broken off could not be brought to the store");
        }
        if stopping {
            return;
        }
    }
}

/// How often.
const SETTLE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);
