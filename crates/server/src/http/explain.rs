//! `GET /v1/explain`: everything behind a number.

use serde::Serialize;
use tally_counter::{Head, Position};
use tally_engine::Explained;
use utoipa::ToSchema;

use super::answer::{self, Answer};
use super::number::{Exact, Form};
use super::request::Asked;
use super::{Http, read};
use crate::refusal::Refusal;
use crate::when;

/// Everything behind a number.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Explanation {
    key: String,
    namespace: String,
    slot: u16,
    value: Exact,
    exists: bool,
    /// What began the generation that is counted; `null`: the first one, from zero.
    head: Option<HeadShape>,
    cells: Vec<CellShape>,
    writers: Vec<WriterShape>,
    /// What this node has counted and the store does not have yet.
    unflushed: Option<Unflushed>,
    /// `sum = left + windows`, which is what was counted.
    history: Vec<StepSum>,
}

#[derive(Debug, Serialize, ToSchema)]
struct HeadShape {
    life: u64,
    n: u64,
    revision: u64,
    base: Exact,
    created: bool,
    expires: Option<String>,
    seen: Vec<Seen>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Seen {
    writer: u32,
    position: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct CellShape {
    writer: u32,
    life: u64,
    position: u64,
    n: u64,
    total: Exact,
    counted: Exact,
    summed: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct WriterShape {
    number: u32,
    id: String,
    epoch: u32,
    state: &'static str,
    applied: u64,
    pending: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Unflushed {
    total: Exact,
    counted: Exact,
    windows: Exact,
}

#[derive(Debug, Serialize, ToSchema)]
struct StepSum {
    step: &'static str,
    left: Exact,
    windows: Exact,
    chunks: usize,
    sum: Exact,
}

/// Everything behind a number: head, cells, writers, windows.
#[utoipa::path(
    get, path = "/v1/explain", tag = "proof",
    params(("key" = String, Query), ("int64" = Option<String>, Query, description = "`string`: values as strings")),
    responses((status = 200, body = Explanation), (status = "4XX", body = super::problem::Problem)),
)]
pub(super) async fn explain(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    let parameters = asked.parameters(&["key"])?;
    let (form, key) = (parameters.form()?, parameters.must("key")?.to_owned());
    read::key(&key)?;
    let explained = http
        .service
        .blocking(move |engine| {
            let key = tally_counter::Key::new(key.as_bytes())
                .map_err(|error| tally_engine::Error::Invalid(error.to_string()))?;
            engine.explain(key)
        })
        .await?;
    answer::json(&shape(explained, form))
}

fn shape(explained: Explained, form: Form) -> Explanation {
    let writers = explained.writers.into_iter().map(|view| WriterShape {
        number: view.number.0,
        id: view.writer.id,
        epoch: view.writer.epoch,
        state: view.state.word(),
        applied: view.applied.number(),
        pending: view.pending.map(Position::number),
    });
    let cells = explained.cells.into_iter().map(|view| CellShape {
        writer: view.writer.0,
        life: view.life,
        position: view.cell.position.number(),
        n: view.cell.n,
        total: form.of(view.cell.total),
        counted: form.of(view.cell.counted),
        summed: view.summed,
    });
    let history = explained
        .history
        .into_iter()
        .map(|(step, left, windows, chunks)| StepSum {
            step: step.word(),
            left: form.of(left),
            windows: form.of(windows),
            chunks,
            sum: form.of(left.saturating_add(windows)),
        });
    Explanation {
        key: explained.key,
        namespace: explained.namespace,
        slot: explained.slot,
        value: form.of(explained.value.unwrap_or(0)),
        exists: explained.value.is_some(),
        head: explained.head.map(|head| head_shape(&head, form)),
        cells: cells.collect(),
        writers: writers.collect(),
        unflushed: explained.unflushed.map(|(total, counted)| Unflushed {
            total: form.of(total),
            counted: form.of(counted),
            windows: form.of(counted),
        }),
        history: history.collect(),
    }
}

fn head_shape(head: &Head, form: Form) -> HeadShape {
    HeadShape {
        life: head.generation.life,
        n: head.generation.n,
        revision: head.generation.revision,
        base: form.of(head.base.into()),
        created: head.created,
        expires: head.expires_ms.map(when::utc),
        seen: head
            .seen
            .iter()
            .map(|(writer, position)| Seen {
                writer: writer.0,
                position: position.number(),
            })
            .collect(),
    }
}
