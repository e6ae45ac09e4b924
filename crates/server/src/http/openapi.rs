//! `GET /openapi.json`: the exact description of every call, made from the code that answers it.

use utoipa::OpenApi;

use super::answer::{self, Answer};
use super::{
    add, events, explain, history, ingest, ledger, namespaces, nodes, query, read, rules, status, verify, watch,
};
use crate::refusal::Refusal;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tally",
        description = "An exact counter service. docs/protocol.md says what a schema cannot.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        add::add, read::counter, read::get, read::counters, watch::watch, history::history, query::query, events::events,
        rules::get, rules::put, namespaces::list, namespaces::get, namespaces::put, explain::explain, ledger::ledger, verify::get, verify::post,
        ingest::open, ingest::chunk, ingest::finish,
        nodes::list, status::status, status::health, status::ready, status::metrics,
    ),
    tags(
        (name = "counters", description = "Adding and reading"),
        (name = "history", description = "What was counted when, sums and top lists"),
        (name = "events", description = "CloudEvents and the rules that count them"),
        (name = "files", description = "Files of events as replayable sources"),
        (name = "namespaces", description = "Declared prefixes and their policies"),
        (name = "proof", description = "What is behind a number"),
        (name = "operation", description = "Health and metrics"),
    ),
)]
struct Description;

/// The description as JSON.
pub(crate) fn document() -> Result<String, serde_json::Error> {
    Description::openapi().to_pretty_json()
}

/// The description.
pub(super) fn serve() -> Result<Answer, Refusal> {
    let text = document().map_err(|error| Refusal::internal(format!("the description: {error}")))?;
    Ok(answer::text("application/json", text))
}
