//! `GET /v1/verify`: what is known of drift. `POST /v1/verify`: asks for a pass now, which may mend what it finds.

use serde::{Deserialize, Serialize};
use tally_engine::{Check, PassView, VerifyView};
use utoipa::ToSchema;

use super::Http;
use super::answer::{self, Answer};
use super::request::Asked;
use crate::refusal::Refusal;
use crate::when;

/// What is known of drift.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Verified {
    /// How often a pass begins by itself (setting `verify_interval`); 0: never.
    every_ms: u64,
    /// Passes that ended since the start.
    passes: u64,
    /// What is compared, and what came of it.
    checks: Vec<CheckShape>,
    /// The pass under way.
    running: Option<PassShape>,
    /// The last pass that ended.
    last: Option<PassShape>,
}

/// One comparison.
#[derive(Debug, Serialize, ToSchema)]
struct CheckShape {
    check: &'static str,
    /// What holds where it finds nothing.
    meaning: &'static str,
    /// Drifts that are known now.
    drift: u64,
    /// Found since the start.
    found: u64,
    /// Mended since the start.
    mended: u64,
}

/// A walk over everything.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PassShape {
    number: u64,
    /// Whether it mends what it finds.
    repairs: bool,
    started: String,
    ended: Option<String>,
    took_ms: Option<u64>,
    /// Counters of the store.
    counters: u64,
    /// Counters of the hot table.
    hot: u64,
    names: u64,
    /// Rows that were read.
    rows: u64,
    found: u64,
    mended: u64,
    /// The first 100 that were found.
    drifts: Vec<DriftShape>,
    /// Why it ended before its end.
    error: Option<String>,
}

/// Two things that should be equal and are not.
#[derive(Debug, Serialize, ToSchema)]
struct DriftShape {
    check: &'static str,
    /// Which counter; for the ledger, which source or namespace.
    subject: String,
    detail: String,
    /// What was done about it.
    mended: Option<String>,
}

/// A pass that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Whether it is to mend what is derived.
    #[serde(default)]
    repair: bool,
}

/// The pass that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Begun {
    /// It has ended when `last.number` is at least this.
    number: u64,
}

impl PassShape {
    /// The shape of a pass.
    pub(crate) fn of(pass: PassView) -> Self {
        let (found, mended) = (pass.found(), pass.mended());
        let drift = |drift: tally_engine::Drift| DriftShape {
            check: drift.check.word(),
            subject: drift.subject,
            detail: drift.detail,
            mended: drift.mended,
        };
        Self {
            number: pass.number,
            repairs: pass.repairs,
            started: when::utc(pass.started_ms),
            ended: pass.ended_ms.map(when::utc),
            took_ms: pass.ended_ms.map(|ended_ms| ended_ms.saturating_sub(pass.started_ms)),
            counters: pass.counters,
            hot: pass.hot,
            names: pass.names,
            rows: pass.rows,
            found,
            mended,
            drifts: pass.drifts.into_iter().map(drift).collect(),
            error: pass.error,
        }
    }
}

fn shape(view: VerifyView) -> Verified {
    let of = |figures: &tally_engine::PerCheck, index: usize| figures.get(index).copied().unwrap_or(0);
    let drift = view.drift();
    let checks = Check::ALL.into_iter().enumerate().map(|(index, check)| CheckShape {
        check: check.word(),
        meaning: check.meaning(),
        drift: of(&drift, index),
        found: of(&view.found, index),
        mended: of(&view.mended, index),
    });
    Verified {
        every_ms: view.every_ms,
        passes: view.passes,
        checks: checks.collect(),
        running: view.running.map(PassShape::of),
        last: view.last.map(PassShape::of),
    }
}

/// What is known of drift.
#[utoipa::path(get, path = "/v1/verify", tag = "proof", responses((status = 200, body = Verified)))]
pub(super) fn get(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    answer::json(&shape(http.service.engine().verified()))
}

/// Asks for a pass over all sums, now. It is answered at once; `GET` shows when the pass has ended.
#[utoipa::path(
    post, path = "/v1/verify", tag = "proof", request_body = Wanted,
    responses((status = 200, body = Begun), (status = "4XX", body = super::problem::Problem)),
)]
pub(super) fn post(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    asked.parameters(&[])?;
    let wanted: Wanted = asked.json()?;
    answer::json(&Begun {
        number: http.service.engine().want_verify(wanted.repair),
    })
}
