//! Values: `GET /v1/counter`, `POST /v1/get`, `GET /v1/counters`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tally_counter::Key;
use tally_engine::{KeyIndex, Need, Plan, StrongPart};
use utoipa::ToSchema;

use super::Http;
use super::answer::{self, Answer};
use super::number::Exact;
use super::request::Asked;
use crate::metrics::Face;
use crate::refusal::Refusal;

/// The most counters of one page.
const MAX_PAGE: usize = 1_000;
const USUAL_PAGE: usize = 100;

/// A counter and its value.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Counter {
    pub(super) key: String,
    /// `null` if it does not exist.
    pub(super) value: Option<Exact>,
}

/// Counters in the order asked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Counters {
    pub(super) counters: Vec<Counter>,
}

/// Counters in name order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page {
    counters: Vec<Counter>,
    /// What to give as `after` for the page that follows; `null` at the end.
    next: Option<String>,
}

/// Which counters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    keys: Vec<String>,
    /// Other nodes' counts as the store has them now, not as last seen.
    #[serde(default)]
    fresh: bool,
}

/// The values of counters: of strong ones in a turn for each partition, of all others in one turn. `fresh`: others' counts as the store
/// has them now.
pub(super) async fn values(http: &Http, keys: &[String], fresh: bool) -> Result<Vec<Option<i128>>, Refusal> {
    http.service.metrics().face(Face::Http).read(keys.len() as u64);
    if !http.service.levels().any_strong() {
        let all: Vec<&String> = keys.iter().collect();
        return together(http, &all, fresh).await;
    }
    let mut parts: BTreeMap<Option<StrongPart>, Vec<usize>> = BTreeMap::new();
    for (place, key) in keys.iter().enumerate() {
        let part = http.service.levels().strong_part(self::key(key)?);
        parts.entry(part).or_default().push(place);
    }
    let mut values = vec![None; keys.len()];
    for places in parts.into_values() {
        let some: Vec<&String> = places.iter().filter_map(|place| keys.get(*place)).collect();
        for (place, value) in places.iter().zip(together(http, &some, fresh).await?) {
            if let Some(into) = values.get_mut(*place) {
                *into = value;
            }
        }
    }
    Ok(values)
}

async fn together(http: &Http, keys: &[&String], fresh: bool) -> Result<Vec<Option<i128>>, Refusal> {
    let mut plan = Plan::new();
    plan.only_reads();
    if fresh {
        plan.fresh();
    }
    let mut indexes: Vec<KeyIndex> = Vec::with_capacity(keys.len());
    for key in keys {
        indexes.push(plan.key(self::key(key)?, Need::Value));
    }
    let read = |turn: &mut tally_engine::Turn<'_>| indexes.iter().map(|index| turn.value(*index)).collect();
    http.service.turn(&mut plan, None, read).await
}

/// A key, or why it is none.
pub(super) fn key(text: &str) -> Result<Key<'_>, Refusal> {
    Ok(Key::new(text.as_bytes())?)
}

/// A counter's value.
#[utoipa::path(
    get, path = "/v1/counter", tag = "counters",
    params(
        ("key" = String, Query),
        ("fresh" = Option<bool>, Query, description = "`true`: other nodes' counts as the store has them now, not as last seen"),
        ("int64" = Option<String>, Query, description = "`string`: values as strings"),
    ),
    responses((status = 200, body = Counter), (status = 404, body = super::problem::Problem)),
)]
pub(super) async fn counter(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    let parameters = asked.parameters(&["key", "fresh"])?;
    let (form, key) = (parameters.form()?, parameters.must("key")?.to_owned());
    let fresh = parameters.word("fresh", &["false", "true"])? == "true";
    let value = values(http, std::slice::from_ref(&key), fresh)
        .await?
        .first()
        .copied()
        .flatten();
    let value = value.ok_or_else(|| Refusal::not_found(format!("there is no counter {key:?}")))?;
    answer::json(&Counter {
        key,
        value: Some(form.of(value)),
    })
}

/// The values of several counters, all at one moment.
#[utoipa::path(
    post, path = "/v1/get", tag = "counters",
    params(("int64" = Option<String>, Query, description = "`string`: values as strings")),
    request_body = Keys,
    responses((status = 200, body = Counters), (status = "4XX", body = super::problem::Problem)),
)]
pub(super) async fn get(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    let form = asked.parameters(&[])?.form()?;
    let Keys { keys, fresh } = asked.json()?;
    let most = http.service.limits().max_batch;
    if keys.len() > most {
        return Err(Refusal::invalid(format!(
            "keys must be at most {most}, not {} (setting max_batch)",
            keys.len()
        )));
    }
    let values = values(http, &keys, fresh).await?;
    let counter = |(key, value): (String, Option<i128>)| Counter {
        key,
        value: value.map(|value| form.of(value)),
    };
    answer::json(&Counters {
        counters: keys.into_iter().zip(values).map(counter).collect(),
    })
}

/// Counters by prefix, in name order.
#[utoipa::path(
    get, path = "/v1/counters", tag = "counters",
    params(
        ("prefix" = Option<String>, Query), ("after" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<usize>, Query, description = "1 to 1,000; 100 if it is not given"),
        ("int64" = Option<String>, Query, description = "`string`: values as strings"),
    ),
    responses((status = 200, body = Page), (status = "4XX", body = super::problem::Problem)),
)]
pub(super) async fn counters(http: &Http, asked: &Asked) -> Result<Answer, Refusal> {
    let parameters = asked.parameters(&["prefix", "after", "limit"])?;
    let form = parameters.form()?;
    let limit = parameters.limit("limit", USUAL_PAGE, MAX_PAGE)?;
    let prefix = parameters.one("prefix")?.unwrap_or("").to_owned();
    let after = parameters.one("after")?.unwrap_or("").to_owned();
    // One more than asked for tells whether another page follows.
    let mut listed = http
        .service
        .blocking(move |engine| engine.list(&prefix, &after, limit.saturating_add(1)))
        .await?;
    let more = listed.len() > limit;
    listed.truncate(limit);
    http.service.metrics().face(Face::Http).read(listed.len() as u64);
    let next = listed.last().filter(|_| more).map(|last| last.key.clone());
    let counters = listed
        .into_iter()
        .map(|listed| Counter {
            key: listed.key,
            value: Some(form.of(listed.value)),
        })
        .collect();
    answer::json(&Page { counters, next })
}
