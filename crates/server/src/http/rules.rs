//! The rules that `POST /v1/events` counts by: `GET` and `PUT /v1/rules`, and where they come from at a start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::StatusCode;
use parking_lot::RwLock;
use tally_engine::Engine;
use tally_ingest::{MAX_RULES_BYTES, Rules};

use super::Http;
use super::answer::{self, Answer, Content};
use super::request::Asked;
use crate::refusal::{ErrorKind, Refusal};

/// Under which name the engine keeps them.
const DOCUMENT: &str = "rules";

/// The rules in force.
#[derive(Debug)]
pub(crate) struct RulesInForce {
    /// The file that the setting `rules` names.
    file: Option<PathBuf>,
    current: RwLock<Arc<Written>>,
}

/// Rules and their text.
#[derive(Debug, Default)]
struct Written {
    text: String,
    rules: Rules,
}

impl RulesInForce {
    /// From the file of the setting, else those that were last put. Blocks. The error is one line for the operator.
    pub(crate) fn load(engine: &Engine, file: Option<&Path>) -> Result<Self, String> {
        let (text, origin) = if let Some(path) = file {
            let shown = path.display();
            let text = std::fs::read_to_string(path);
            (
                text.map_err(|error| format!("cannot read the rules in {shown}: {error}"))?,
                shown.to_string(),
            )
        } else {
            let stored = engine
                .document(DOCUMENT)
                .map_err(|error| format!("cannot read the stored rules: {error}"))?;
            (stored.unwrap_or_default(), "the stored rules".to_owned())
        };
        let rules = if text.is_empty() {
            Rules::default()
        } else {
            Rules::parse(&text).map_err(|error| format!("{origin}: {error}"))?
        };
        Ok(Self {
            file: file.map(Path::to_path_buf),
            current: RwLock::new(Arc::new(Written { text, rules })),
        })
    }

    /// Takes over the rules that another node has put; where they come from a file, that goes on.
    pub(super) fn follow(&self, engine: &Engine) {
        if self.file.is_some() {
            return;
        }
        match Self::load(engine, None) {
            Ok(loaded) => *self.current.write() = loaded.current.into_inner(),
            Err(why) => tracing::error!(%why, "another node's rules cannot be read here: the rules stay as they were"),
        }
    }

    /// Calls `judge` with the rules in force.
    pub(super) fn with<R>(&self, judge: impl FnOnce(&Rules) -> R) -> R {
        let current = Arc::clone(&self.current.read());
        judge(&current.rules)
    }
}

/// The rules in force, as TOML.
#[utoipa::path(get, path = "/v1/rules", tag = "events", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) fn get(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    let text = http.rules.current.read().text.clone();
    Ok(answer::text("text/plain; charset=utf-8", text))
}

/// Puts new rules in force; answered when they are durable. What is wrong with them is said with line and column.
#[utoipa::path(
    put, path = "/v1/rules", tag = "events",
    request_body(content = String, content_type = "text/plain", description = "Rules in TOML"),
    responses((status = 204), (status = "4XX", body = super::problem::Problem)),
)]
pub(super) async fn put(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    if !matches!(asked.media_type().as_str(), "text/plain" | "application/toml") {
        return Err(Refusal::new(
            ErrorKind::MediaType,
            "rules are sent as Content-Type: text/plain or application/toml",
        ));
    }
    if let Some(file) = &http.rules.file {
        let detail = format!(
            "the rules come from {} (setting rules); change that file and start again",
            file.display()
        );
        return Err(Refusal::new(ErrorKind::Forbidden, detail));
    }
    if asked.body.len() > MAX_RULES_BYTES {
        return Err(Refusal::new(
            ErrorKind::TooLarge,
            format!("rules have at most {MAX_RULES_BYTES} bytes"),
        ));
    }
    let text = std::str::from_utf8(&asked.body)
        .map_err(|error| Refusal::invalid(format!("the rules: {error}")))?
        .to_owned();
    let rules = Rules::parse(&text).map_err(|error| Refusal::invalid(format!("the rules: {error}")))?;
    let stored = text.clone();
    http.service
        .blocking(move |engine| engine.put_document(DOCUMENT, &stored))
        .await?;
    *http.rules.current.write() = Arc::new(Written { text, rules });
    Ok(answer::of(
        StatusCode::NO_CONTENT,
        "text/plain",
        Content::Whole(bytes::Bytes::new()),
    ))
}
