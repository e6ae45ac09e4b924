//! `GET /v1/query`: sums and top lists over many counters.

use serde::Serialize;
use utoipa::ToSchema;

use super::Http;
use super::answer::{self, Answer};
use super::history::{self, Point};
use super::number::{Exact, Form};
use super::request::Asked;
use crate::metrics::Face;
use crate::query::{self, Aggregate, MAX_ROWS, Many, USUAL_ROWS};
use crate::refusal::Refusal;
use crate::{when, world};

/// Sums or the largest of many counters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Found {
    #[serde(rename = "match")]
    pattern: String,
    agg: &'static str,
    /// The template field that rows are grouped by.
    by: Option<String>,
    /// The range, where one was asked for.
    from: Option<String>,
    to: Option<String>,
    /// How many counters matched.
    matched: usize,
    /// The sum over all of them.
    total: Exact,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Row {
    /// The counter, in a top list without `by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The field's value, with `by`; the pattern itself, for one sum over all.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    value: Exact,
    /// With `step`.
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Vec<Point>>,
}

/// Sums and top lists over the counters that match.
#[utoipa::path(
    get, path = "/v1/query", tag = "history",
    params(
        ("match" = String, Query, description = "A key, or a prefix followed by `*`"),
        ("by" = Option<String>, Query, description = "A field of the namespace's template"),
        ("agg" = Option<String>, Query, description = "`sum` or `top`"),
        ("limit" = Option<usize>, Query, description = "Rows; 10 if it is not given"),
        ("from" = Option<String>, Query, description = "With a range, only what was counted in it"), ("to" = Option<String>, Query),
        ("step" = Option<String>, Query, description = "Rows with their points"), ("tz" = Option<String>, Query),
        ("int64" = Option<String>, Query, description = "`string`: values as strings"),
    ),
    responses((status = 200, body = Found), (status = "4XX", body = super::problem::Problem)),
)]
pub(super) async fn query(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    let parameters = asked.parameters(&["match", "by", "agg", "limit", "from", "to", "step", "tz"])?;
    let limits = http.service.limits();
    let (form, range) = (parameters.form()?, history::range(&parameters)?);
    let mut many = Many::new(
        parameters.must("match")?,
        range,
        (limits.query_limit, limits.history_limit),
    )?;
    many.by = parameters.one("by")?.map(str::to_owned);
    many.rows = parameters.limit("limit", USUAL_ROWS, MAX_ROWS)?;
    if parameters.word("agg", &["sum", "top"])? == "top" {
        many.aggregate = Aggregate::Top;
    }
    let answered = http
        .service
        .blocking(move |engine| Ok::<_, Refusal>(written(&many, many.run(engine)?, form)))
        .await?;
    http.service.metrics().face(Face::Http).read(answered.matched as u64);
    answer::json(&answered)
}

fn written(many: &Many, found: query::Found, form: Form) -> Found {
    let now_ms = world::now_ms();
    let (steps, zone) = (found.steps.as_ref(), many.range.zone());
    let row = |row: query::Row| {
        let points = steps
            .zip(row.amounts)
            .map(|(steps, amounts)| history::points(steps, &amounts, now_ms, form, true));
        let (key, group) = if many.rows_are_counters() {
            (Some(row.name), None)
        } else {
            (None, Some(row.name))
        };
        Row {
            key,
            group,
            value: form.of(row.value),
            points,
        }
    };
    Found {
        pattern: many.pattern().to_owned(),
        agg: match many.aggregate {
            Aggregate::Sum => "sum",
            Aggregate::Top => "top",
        },
        by: many.by.clone(),
        from: steps.map(|steps| when::zoned(steps.from(), zone)),
        to: steps.map(|steps| when::zoned(steps.to, zone)),
        matched: found.matched,
        total: form.of(found.total),
        rows: found.rows.into_iter().map(row).collect(),
    }
}
