//! `GET /v1/history`: what was counted when.

use serde::Serialize;
use tally_counter::Minute;
use tally_engine::Engine;
use utoipa::ToSchema;

use super::answer::{self, Answer};
use super::number::{Exact, Form};
use super::request::{Asked, Parameters};
use super::{Http, read};
use crate::metrics::Face;
use crate::query::{Amounts, Length, Range, Reads, Steps};
use crate::refusal::Refusal;
use crate::{when, world};

/// How many counters one request may ask for.
const MAX_KEYS: usize = 64;

/// What was counted when.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct History {
    /// The start of the first step.
    from: String,
    /// The end of the last step.
    to: String,
    step: String,
    tz: String,
    series: Vec<Series>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Series {
    key: String,
    /// The counter's value now; `null` if it does not exist.
    total: Option<Exact>,
    /// The start of the oldest step that holds data.
    first: Option<String>,
    /// The start of the newest step that holds data.
    last: Option<String>,
    points: Vec<Point>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Point {
    pub(super) start: String,
    pub(super) value: Exact,
    /// Whether the step is over and nothing of it has left the retention.
    pub(super) complete: bool,
}

/// The range of time that parameters ask for.
pub(super) fn range(parameters: &Parameters) -> Result<Range, Refusal> {
    let time = |name| parameters.one(name)?.map(|text| when::parse(name, text)).transpose();
    let step = parameters.one("step")?.map(Length::parse).transpose()?;
    Range::new(time("from")?, time("to")?, step, parameters.one("tz")?)
}

/// What was counted when, for one or more counters.
#[utoipa::path(
    get, path = "/v1/history", tag = "history",
    params(
        ("key" = Vec<String>, Query),
        ("from" = Option<String>, Query, description = "Inclusive; RFC 3339 or Unix ms; where data begins, if it is not given"),
        ("to" = Option<String>, Query, description = "Exclusive; where data ends, if it is not given"),
        ("step" = Option<String>, Query, description = "`1m`, `5m`, `1h`, `1d`, `1w`, `1M` and multiples"),
        ("tz" = Option<String>, Query, description = "A time zone such as `Europe/Berlin`; UTC"),
        ("fill" = Option<String>, Query, description = "`zero` or `none`: whether steps without data are there"),
        ("int64" = Option<String>, Query, description = "`string`: values as strings"),
    ),
    responses((status = 200, body = History), (status = "4XX", body = super::problem::Problem)),
)]
pub(super) async fn history(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    let parameters = asked.parameters(&["key", "from", "to", "step", "tz", "fill"])?;
    let form = parameters.form()?;
    let zeros = parameters.word("fill", &["zero", "none"])? == "zero";
    let range = range(&parameters)?;
    let keys: Vec<String> = parameters.all("key").map(str::to_owned).collect();
    if keys.is_empty() || keys.len() > MAX_KEYS {
        return Err(Refusal::invalid(format!(
            "1 to {MAX_KEYS} keys can be asked for, not {}",
            keys.len()
        )));
    }
    for key in &keys {
        read::key(key)?;
    }
    http.service.metrics().face(Face::Http).read(keys.len() as u64);
    let most = http.service.limits().history_limit / keys.len().max(1);
    let found = http
        .service
        .blocking(move |engine| gather(engine, &range, &keys, most, form, zeros))
        .await?;
    answer::json(&found)
}

fn gather(
    engine: &Engine,
    range: &Range,
    names: &[String],
    most: usize,
    form: Form,
    zeros: bool,
) -> Result<History, Refusal> {
    let keys = names
        .iter()
        .map(|name| read::key(name))
        .collect::<Result<Vec<_>, _>>()?;
    let reads = Reads::with_extents(engine);
    let steps = range.steps(&reads, &keys, most)?;
    let now_ms = world::now_ms();
    let mut series = Vec::with_capacity(keys.len());
    for ((key, name), total) in keys.iter().zip(names).zip(engine.values(names)?) {
        let amounts = steps.amounts(&reads, *key)?;
        let extent = reads.extent(*key, amounts.base)?;
        let start = |minute: Minute| when::zoned(steps.calendar.floor(minute.start_ms()), range.zone());
        series.push(Series {
            key: name.clone(),
            total: total.map(|total| form.of(total)),
            first: extent.map(|extent| start(extent.first)),
            last: extent.map(|extent| start(extent.last)),
            points: points(&steps, &amounts, now_ms, form, zeros),
        });
    }
    Ok(History {
        from: when::zoned(steps.from(), range.zone()),
        to: when::zoned(steps.to, range.zone()),
        step: steps.calendar.length.to_string(),
        tz: range.zone_name().to_owned(),
        series,
    })
}

/// The points of a counter.
pub(super) fn points(steps: &Steps, amounts: &Amounts, now_ms: u64, form: Form, zeros: bool) -> Vec<Point> {
    let point = |((start, end), amount): ((u64, u64), &Option<i128>)| {
        let value = form.of(amount.or(zeros.then_some(0))?);
        let complete = end <= now_ms && start >= amounts.kept_from;
        Some(Point {
            start: when::zoned(start, &steps.calendar.zone),
            value,
            complete,
        })
    };
    steps.spans().zip(&amounts.by_step).filter_map(point).collect()
}
