//! TALLY.QUERY: sums and the largest of many counters, as they are now. Ranges of time are HTTP's.

use std::collections::HashMap;

use tally_counter::Key;
use tally_engine::{Engine, Error};

use super::Word;
use crate::resp::fault::{Fault, NOT_AN_INTEGER, SYNTAX};
use crate::resp::number;
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::shared::Shared;

/// Names that are read at once.
const PAGE: usize = 1_000;
const USUAL_ROWS: usize = 10;
const MAX_ROWS: usize = 10_000;

struct Query {
    pattern: String,
    field: Option<String>,
    top: bool,
    rows: usize,
    most: usize,
}

struct Found {
    matched: usize,
    total: i128,
    rows: Vec<(String, i128)>,
}

/// `TALLY.QUERY match [AGG sum|top] [BY field] [LIMIT rows]`: a map of how many counters matched, their sum, and rows of a name and
/// a value. `match` is a key, or a prefix and one `*`. The rows of `top` are the largest counters, those of BY the values of a field
/// of the namespace's template; without either there is one, the sum.
pub(in crate::resp) async fn query(shared: &Shared, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    let query = parse(args, shared.service.limits().query_limit)?;
    let found = shared.service.blocking(move |engine| run(engine, &query)).await?;
    shared.metrics().read(u64::try_from(found.matched).unwrap_or(u64::MAX));
    reply.map(3);
    reply.bulk(b"matched");
    reply.amount_of(found.matched);
    reply.bulk(b"total");
    reply.number(found.total);
    reply.bulk(b"rows");
    reply.array(found.rows.len());
    for (name, value) in found.rows {
        reply.array(2);
        reply.bulk(name.as_bytes());
        reply.number(value);
    }
    Ok(())
}

fn parse(args: Args<'_>, most: usize) -> Result<Query, Fault> {
    let text = |sent: &[u8]| String::from_utf8(sent.to_vec()).map_err(|_| Fault::Text("ERR match and field are UTF-8"));
    let pattern = text(args.at(1))?;
    let stars = pattern.matches('*').count();
    if stars > 1 || (stars == 1 && !pattern.ends_with('*')) || pattern.is_empty() {
        return Err(Fault::Text("ERR match is a key, or a prefix followed by one *"));
    }
    let mut query = Query {
        pattern,
        field: None,
        top: false,
        rows: USUAL_ROWS,
        most,
    };
    let mut options = args.from(2).iter();
    while let Some(option) = options.next() {
        let sent = options.next().ok_or(SYNTAX)?;
        match (Word::of(option).as_bytes(), Word::of(sent).as_bytes()) {
            (b"agg", b"sum") => query.top = false,
            (b"agg", b"top") => query.top = true,
            (b"by", _) => query.field = Some(text(sent)?),
            (b"limit", _) => {
                let rows = number::parse(sent).and_then(|rows| usize::try_from(rows).ok());
                query.rows = rows
                    .filter(|rows| (1..=MAX_ROWS).contains(rows))
                    .ok_or(NOT_AN_INTEGER)?;
            }
            _ => return Err(SYNTAX),
        }
    }
    Ok(query)
}

fn run(engine: &Engine, query: &Query) -> Result<Found, Error> {
    let namespaces = engine.namespaces();
    let field_of = |name: &str, field: &str| {
        let prefix = Key::new(name.as_bytes()).ok()?.prefix().map(str::to_owned)?;
        let namespace = namespaces.iter().find(|namespace| namespace.name == prefix)?;
        namespace
            .policy
            .template
            .as_ref()?
            .value(field, name)
            .map(str::to_owned)
    };
    let mut found = Found {
        matched: 0,
        total: 0,
        rows: Vec::new(),
    };
    let mut groups: HashMap<String, i128> = HashMap::new();
    for (name, value) in matching(engine, query)? {
        found.matched = found.matched.saturating_add(1);
        found.total = found.total.saturating_add(value);
        match &query.field {
            Some(field) => {
                if let Some(group) = field_of(&name, field) {
                    let sum = groups.entry(group).or_default();
                    *sum = sum.saturating_add(value);
                }
            }
            None if query.top => found.rows.push((name, value)),
            None => {}
        }
    }
    if query.field.is_none() && !query.top {
        found.rows.push((query.pattern.clone(), found.total));
    }
    found.rows.extend(groups);
    found.rows.sort_by(|(name, a), (other, b)| {
        let larger = if query.top { b.cmp(a) } else { std::cmp::Ordering::Equal };
        larger.then_with(|| name.cmp(other))
    });
    found.rows.truncate(query.rows);
    Ok(found)
}

fn matching(engine: &Engine, query: &Query) -> Result<Vec<(String, i128)>, Error> {
    let Some(prefix) = query.pattern.strip_suffix('*') else {
        let name = query.pattern.clone();
        let value = engine.values(std::slice::from_ref(&name))?.first().copied().flatten();
        return Ok(value.map(|value| (name, value)).into_iter().collect());
    };
    let mut listed: Vec<(String, i128)> = Vec::new();
    loop {
        let after = listed.last().map_or(String::new(), |(name, _)| name.clone());
        let page = engine.list(prefix, &after, PAGE)?;
        let more = page.len() == PAGE;
        listed.extend(page.into_iter().map(|listed| (listed.key, listed.value)));
        if listed.len() > query.most {
            let (pattern, most) = (&query.pattern, query.most);
            return Err(Error::Exhausted(format!(
                "{pattern:?} matches more than {most} counters (setting query_limit)"
            )));
        }
        if !more {
            return Ok(listed);
        }
    }
}
