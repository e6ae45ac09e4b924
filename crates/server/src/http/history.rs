//! `GET /v1/history`: what was counted when.

use jiff::tz::TimeZone;
use serde::Serialize;
use tally_engine::{Engine, Error};
use utoipa::ToSchema;

use super::answer::{self, Answer};
use super::calendar::{Calendar, Length};
use super::number::{Exact, Form};
use super::request::{Asked, Parameters};
use super::series::{self, Amounts, Steps};
use super::{Http, read, when};
use crate::metrics::Face;
use crate::refusal::Refusal;
use crate::world;

/// How many counters one request may ask for.
const MAX_KEYS: usize = 64;
/// The points of a step that was chosen for the caller.
const POINTS_CHOSEN: u64 = 400;

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

/// A range of time in steps, as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) from: Option<u64>,
    pub(super) to: Option<u64>,
    pub(super) step: Option<Length>,
    pub(super) zone: TimeZone,
    pub(super) zone_name: String,
}

impl Ask {
    pub(super) fn of(parameters: &Parameters) -> Result<Self, Refusal> {
        let time = |name| parameters.one(name)?.map(|text| when::parse(name, text)).transpose();
        let (from, to) = (time("from")?, time("to")?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(Refusal::invalid("from must be before to"));
        }
        let step = parameters.one("step")?.map(Length::parse).transpose()?;
        let zone_name = parameters.one("tz")?.unwrap_or("UTC").to_owned();
        let zone = if zone_name == "UTC" {
            Ok(TimeZone::UTC)
        } else {
            TimeZone::get(&zone_name)
        };
        let zone = zone.map_err(|_| {
            Refusal::invalid(format!(
                "there is no time zone {zone_name:?}; give one such as Europe/Berlin"
            ))
        })?;
        Ok(Self {
            from,
            to,
            step,
            zone,
            zone_name,
        })
    }

    /// The calendar of a step.
    pub(super) fn calendar(&self, length: Length) -> Calendar {
        Calendar {
            length,
            zone: self.zone.clone(),
        }
    }
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
    let ask = Ask::of(&parameters)?;
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
        .blocking(move |engine| gather(engine, &ask, &keys, most, form, zeros))
        .await??;
    answer::json(&found)
}

fn gather(
    engine: &Engine,
    ask: &Ask,
    names: &[String],
    most: usize,
    form: Form,
    zeros: bool,
) -> Result<Result<History, Refusal>, Error> {
    let keys: Vec<_> = names.iter().filter_map(|name| read::key(name).ok()).collect();
    let data = series::extent(engine, &keys)?;
    let steps = match steps(engine, ask, &keys, data, most)? {
        Ok(steps) => steps,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let now_ms = world::now_ms();
    let mut series = Vec::with_capacity(keys.len());
    for ((key, name), total) in keys.iter().zip(names).zip(engine.values(names)?) {
        let amounts = steps.amounts(engine, *key)?;
        let extent = engine.extent(*key, amounts.base)?;
        let start = |minute: tally_counter::Minute| when::zoned(steps.calendar.floor(minute.start_ms()), &ask.zone);
        series.push(Series {
            key: name.clone(),
            total: total.map(|total| form.of(total)),
            first: extent.map(|extent| start(extent.first)),
            last: extent.map(|extent| start(extent.last)),
            points: points(&steps, &amounts, now_ms, form, zeros),
        });
    }
    Ok(Ok(History {
        from: when::zoned(steps.from(), &ask.zone),
        to: when::zoned(steps.to, &ask.zone),
        step: steps.calendar.length.to_string(),
        tz: ask.zone_name.clone(),
        series,
    }))
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

/// The steps to answer: what was asked for, completed by where there is data.
pub(super) fn steps(
    engine: &Engine,
    ask: &Ask,
    keys: &[tally_counter::Key<'_>],
    data: Option<(u64, u64)>,
    most: usize,
) -> Result<Result<Steps, Refusal>, Error> {
    const HOUR_MS: u64 = 3_600_000;
    let now_ms = world::now_ms();
    // Without any data: the hour that runs.
    let (first, end) = data.unwrap_or((now_ms / HOUR_MS * HOUR_MS, now_ms.saturating_add(1)));
    let from = ask
        .from
        .unwrap_or_else(|| ask.to.map_or(first, |to| first.min(to.saturating_sub(1))));
    let to = ask.to.unwrap_or(end).max(from.saturating_add(1));
    let hour = match Length::parse("1h") {
        Ok(hour) => ask.calendar(hour),
        Err(refusal) => return Ok(Err(refusal)),
    };
    let length = match ask.step {
        Some(length) => length,
        None => series::choose(engine, keys, &hour, (from, to), POINTS_CHOSEN)?,
    };
    let calendar = ask.calendar(length);
    let (mut from, mut to) = (from, to);
    if length.is_of_minutes() && ask.from.is_none() && ask.to.is_none() {
        // The range was found in hours; the first and last minutes with data are closer.
        let mut minutes: Option<(u64, u64)> = None;
        for key in keys {
            if let Some(extent) = engine.extent(*key, tally_counter::Step::Minute)? {
                let (low, high) = minutes.unwrap_or((u64::MAX, 0));
                minutes = Some((
                    low.min(extent.first.start_ms()),
                    high.max(extent.last.start_ms().saturating_add(1)),
                ));
            }
        }
        (from, to) = minutes.unwrap_or((from, to));
    }
    Ok(Steps::new(calendar, from, to, most))
}
