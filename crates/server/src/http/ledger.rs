//! `GET /v1/ledger`: the conservation figures.

use serde::Serialize;
use tally_counter::Outcome;
use tally_engine::SubjectFigures;
use utoipa::ToSchema;

use super::Http;
use super::answer::{self, Answer};
use super::number::{Exact, Form};
use super::request::Asked;
use crate::refusal::Refusal;

/// The conservation figures: `received = counted + duplicate + late + rejected + ignored`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ledger {
    /// In events.
    sources: Vec<Entry>,
    /// In adds.
    namespaces: Vec<Entry>,
}

/// The figures of a source or a namespace.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Entry {
    name: String,
    received: Exact,
    counted: Exact,
    duplicate: Exact,
    late: Exact,
    rejected: Exact,
    ignored: Exact,
    /// Why some were rejected.
    reasons: Vec<ReasonShape>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ReasonShape {
    reason: String,
    count: Exact,
    /// Names the newest such event.
    last: Option<String>,
}

/// The conservation figures, by source and by namespace.
#[utoipa::path(
    get, path = "/v1/ledger", tag = "proof",
    params(("int64" = Option<String>, Query, description = "`string`: values as strings")),
    responses((status = 200, body = Ledger)),
)]
pub(super) async fn ledger(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    let form = asked.parameters(&[])?.form()?;
    let view = http.service.blocking(tally_engine::Engine::ledger).await?;
    let shapes = |subjects: Vec<SubjectFigures>| subjects.into_iter().map(|subject| entry(subject, form)).collect();
    answer::json(&Ledger {
        sources: shapes(view.sources),
        namespaces: shapes(view.namespaces),
    })
}

/// The figures of one subject.
pub(super) fn entry(subject: SubjectFigures, form: Form) -> Entry {
    let SubjectFigures { name, figures } = subject;
    let of = |outcome| form.of(figures.of(outcome).into());
    let reasons = figures.reasons.iter().map(|(reason, entry)| ReasonShape {
        reason: reason.clone(),
        count: form.of(entry.count.into()),
        last: Some(entry.last.clone()).filter(|last| !last.is_empty()),
    });
    Entry {
        received: form.of(figures.received().into()),
        counted: of(Outcome::Counted),
        duplicate: of(Outcome::Duplicate),
        late: of(Outcome::Late),
        rejected: of(Outcome::Rejected),
        ignored: of(Outcome::Ignored),
        reasons: reasons.collect(),
        name,
    }
}
