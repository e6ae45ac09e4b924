//! `GET /v1/nodes`: the nodes that share the store, as they were last heard.

use serde::Serialize;
use tally_engine::NodeView;
use utoipa::ToSchema;

use super::Http;
use super::answer::{self, Answer};
use super::request::Asked;
use crate::refusal::Refusal;
use crate::when;

/// A node.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Node {
    id: String,
    /// Whether it answered this request.
    this: bool,
    /// Whether it was heard within the last ten seconds.
    alive: bool,
    /// How long ago it was heard.
    silent_ms: u64,
    /// By how much its clock was ahead of that of the node that answers.
    clock_ahead_ms: i64,
    /// Where it serves HTTP.
    http: String,
    /// Where it serves RESP.
    resp: String,
    version: String,
    /// The number of its writer.
    writer: u32,
    /// When it started, by its own clock.
    started: String,
    /// Counters in its memory.
    hot_counters: u64,
    /// What its journal holds, in bytes.
    journal_bytes: u64,
}

/// The nodes that share the store; none where it is this node's alone.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
}

fn shape(view: NodeView) -> Node {
    Node {
        id: view.id,
        this: view.is_self,
        alive: view.alive,
        silent_ms: view.silent_ms,
        clock_ahead_ms: view.clock_ahead_ms,
        http: view.face.http,
        resp: view.face.resp,
        version: view.face.version,
        writer: view.writer,
        started: when::utc(view.started_ms),
        hot_counters: view.hot_counters,
        journal_bytes: view.journal_bytes,
    }
}

/// The nodes that share the store, as they were last heard.
#[utoipa::path(get, path = "/v1/nodes", tag = "operation", responses((status = 200, body = Nodes)))]
pub(super) fn list(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    answer::json(&Nodes {
        nodes: http.service.engine().nodes().into_iter().map(shape).collect(),
    })
}
