//! `GET /v1/query`: sums and top lists over many counters.

use std::collections::HashMap;

use serde::Serialize;
use tally_counter::{Key, Template};
use tally_engine::{Engine, Error};
use utoipa::ToSchema;

use super::answer::{self, Answer};
use super::history::{self, Ask, Point};
use super::number::{Exact, Form};
use super::request::Asked;
use super::series::{Amounts, Steps};
use super::{Http, read, when};
use crate::metrics::Face;
use crate::refusal::{ErrorKind, Refusal};
use crate::world;

/// Names that are read at once.
const PAGE: usize = 1_000;
const USUAL_ROWS: usize = 10;
const MAX_ROWS: usize = 10_000;

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

struct Query {
    pattern: String,
    by: Option<String>,
    top: bool,
    rows: usize,
    ask: Ask,
    form: Form,
    most_counters: usize,
    history_limit: usize,
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
    let pattern = parameters.must("match")?.to_owned();
    let stars = pattern.matches('*').count();
    if stars > 1 || (stars == 1 && !pattern.ends_with('*')) {
        return Err(Refusal::invalid("match must be a key, or a prefix followed by one *"));
    }
    if stars == 0 {
        read::key(&pattern)?;
    }
    let limits = http.service.limits();
    let query = Query {
        pattern,
        by: parameters.one("by")?.map(str::to_owned),
        top: parameters.word("agg", &["sum", "top"])? == "top",
        rows: parameters.limit("limit", USUAL_ROWS, MAX_ROWS)?,
        ask: Ask::of(&parameters)?,
        form: parameters.form()?,
        most_counters: limits.query_limit,
        history_limit: limits.history_limit,
    };
    let found = http.service.blocking(move |engine| run(engine, &query)).await??;
    http.service.metrics().face(Face::Http).read(found.matched as u64);
    answer::json(&found)
}

/// A group while it grows.
#[derive(Default)]
struct Group {
    value: i128,
    amounts: Option<Amounts>,
}

fn run(engine: &Engine, query: &Query) -> Result<Result<Found, Refusal>, Error> {
    let listed = match matching(engine, query)? {
        Ok(listed) => listed,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let names = match listed
        .iter()
        .map(|(name, _)| read::key(name))
        .collect::<Result<Vec<_>, _>>()
    {
        Ok(names) => names,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let ask = &query.ask;
    let steps = if ask.from.is_none() && ask.to.is_none() && ask.step.is_none() {
        None
    } else {
        match range(engine, query, &names)? {
            Ok(steps) => Some(steps),
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
    let group_of = match grouping(engine, query) {
        Ok(group_of) => group_of,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut groups: HashMap<String, Group> = HashMap::new();
    let mut total = 0_i128;
    for (key, (name, value)) in names.iter().zip(&listed) {
        let amounts = steps.as_ref().map(|steps| steps.amounts(engine, *key)).transpose()?;
        let value = amounts
            .as_ref()
            .map_or(*value, |amounts| amounts.by_step.iter().flatten().sum());
        total = total.saturating_add(value);
        let Some(group) = group_of(name) else { continue };
        let group = groups.entry(group).or_default();
        group.value = group.value.saturating_add(value);
        if ask.step.is_some() {
            absorb(&mut group.amounts, amounts);
        }
    }
    Ok(Ok(found(query, steps.as_ref(), groups, listed.len(), total)))
}

fn found(query: &Query, steps: Option<&Steps>, groups: HashMap<String, Group>, matched: usize, total: i128) -> Found {
    let (form, zone) = (query.form, &query.ask.zone);
    let mut groups: Vec<(String, Group)> = groups.into_iter().collect();
    if query.top {
        groups.sort_by(|(name, a), (other, b)| b.value.cmp(&a.value).then_with(|| name.cmp(other)));
    } else {
        groups.sort_by(|(name, _), (other, _)| name.cmp(other));
    }
    groups.truncate(query.rows);
    let now_ms = world::now_ms();
    let row = |(name, group): (String, Group)| {
        let points = steps
            .zip(group.amounts)
            .map(|(steps, amounts)| history::points(steps, &amounts, now_ms, form, true));
        let is_key = query.top && query.by.is_none();
        let (key, group_name) = if is_key { (Some(name), None) } else { (None, Some(name)) };
        Row {
            key,
            group: group_name,
            value: form.of(group.value),
            points,
        }
    };
    Found {
        pattern: query.pattern.clone(),
        agg: if query.top { "top" } else { "sum" },
        by: query.by.clone(),
        from: steps.map(|steps| when::zoned(steps.from(), zone)),
        to: steps.map(|steps| when::zoned(steps.to, zone)),
        matched,
        total: form.of(total),
        rows: groups.into_iter().map(row).collect(),
    }
}

fn absorb(sums: &mut Option<Amounts>, more: Option<Amounts>) {
    let Some(more) = more else { return };
    let Some(sums) = sums else {
        *sums = Some(more);
        return;
    };
    sums.kept_from = sums.kept_from.max(more.kept_from);
    for (sum, more) in sums.by_step.iter_mut().zip(more.by_step) {
        *sum = match (*sum, more) {
            (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
            (one, other) => one.or(other),
        };
    }
}

/// The counters that match, with their values.
fn matching(engine: &Engine, query: &Query) -> Result<Result<Vec<(String, i128)>, Refusal>, Error> {
    let Some(prefix) = query.pattern.strip_suffix('*') else {
        let name = query.pattern.clone();
        let value = engine.values(std::slice::from_ref(&name))?.first().copied().flatten();
        return Ok(Ok(value.map(|value| (name, value)).into_iter().collect()));
    };
    let mut listed: Vec<(String, i128)> = Vec::new();
    loop {
        let after = listed.last().map_or(String::new(), |(name, _)| name.clone());
        let page = engine.list(prefix, &after, PAGE)?;
        let more = page.len() == PAGE;
        listed.extend(page.into_iter().map(|listed| (listed.key, listed.value)));
        if listed.len() > query.most_counters {
            let detail = format!(
                "{:?} matches more than {} counters, which is what one query may touch (setting query_limit); take a longer prefix",
                query.pattern, query.most_counters
            );
            return Ok(Err(Refusal::new(ErrorKind::Unprocessable, detail)));
        }
        if !more {
            return Ok(Ok(listed));
        }
    }
}

/// The steps of the range. Without `step` it is one sum, made of hours where the range is long.
fn range(engine: &Engine, query: &Query, keys: &[Key<'_>]) -> Result<Result<Steps, Refusal>, Error> {
    let some = keys.get(..keys.len().min(64)).unwrap_or(keys);
    let data = if query.ask.from.is_some() && query.ask.to.is_some() {
        None
    } else {
        super::series::extent(engine, keys)?
    };
    history::steps(engine, &query.ask, some, data, query.history_limit)
}

/// Which group a counter belongs to; `None`: to no row.
type Grouping<'q> = Box<dyn Fn(&str) -> Option<String> + 'q>;

fn grouping<'q>(engine: &Engine, query: &'q Query) -> Result<Grouping<'q>, Refusal> {
    let Some(field) = &query.by else {
        let top = query.top;
        return Ok(Box::new(move |name| {
            Some(if top { name.to_owned() } else { query.pattern.clone() })
        }));
    };
    let has_field = |template: &Template| template.fields().contains(field);
    let templates: HashMap<String, Template> = engine
        .namespaces()
        .into_iter()
        .filter_map(|namespace| Some((namespace.name, namespace.policy.template?)))
        .filter(|(_, template)| has_field(template))
        .collect();
    let namespace = query.pattern.split_once(':').map(|(namespace, _)| namespace);
    if templates.is_empty() || namespace.is_some_and(|namespace| !templates.contains_key(namespace)) {
        let detail = format!(
            "by={field}: no template of the namespaces that match has this field; declare one with PUT /v1/namespaces/NAME"
        );
        return Err(Refusal::invalid(detail));
    }
    Ok(Box::new(move |name| {
        let template = templates.get(name.split_once(':')?.0)?;
        template.value(field, name).map(str::to_owned)
    }))
}
