//! Sums and top lists over many counters: as they are now, or over a range of time.

use std::collections::HashMap;

use tally_counter::{Key, Template};
use tally_engine::Engine;

use super::range::Range;
use super::reads::Reads;
use super::series::{Amounts, Steps};
use crate::refusal::{ErrorKind, Refusal};

/// Rows that are answered where no other number is asked for.
pub(crate) const USUAL_ROWS: usize = 10;
/// The most rows that can be asked for.
pub(crate) const MAX_ROWS: usize = 10_000;
/// Names that are read at once.
const PAGE: usize = 1_000;
/// So many counters are looked at to find where there is data.
const LOOKED_AT: usize = 64;

/// What is made of the counters that match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// Their sum.
    #[default]
    Sum,
    /// The largest ones.
    Top,
}

/// A question about many counters.
#[derive(Debug)]
pub(crate) struct Many {
    /// A key, or a prefix and one `*`.
    pattern: String,
    /// The field of the namespace's template whose values are the rows.
    pub(crate) by: Option<String>,
    /// What the rows are.
    pub(crate) aggregate: Aggregate,
    /// The most rows.
    pub(crate) rows: usize,
    /// Over which time; an open range: the values as they are now.
    pub(crate) range: Range,
    /// The most counters that may match (setting `query_limit`).
    most_counters: usize,
    /// The most points of a row (setting `history_limit`).
    most_points: usize,
}

/// The answer.
#[derive(Debug)]
pub(crate) struct Found {
    /// The steps, where a range was asked for.
    pub(crate) steps: Option<Steps>,
    /// How many counters matched.
    pub(crate) matched: usize,
    /// The sum over all of them.
    pub(crate) total: i128,
    /// The rows, sorted: the largest first in a top list, else by name.
    pub(crate) rows: Vec<Row>,
}

/// A row: a counter in a top list, the value of a field, or the pattern itself for one sum over all.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: i128,
    /// By step, where steps were asked for.
    pub(crate) amounts: Option<Amounts>,
}

/// A group while it grows.
#[derive(Default)]
struct Group {
    value: i128,
    amounts: Option<Amounts>,
}

/// Which row a counter belongs to; `None`: to no row.
type Grouping<'q> = Box<dyn Fn(&str) -> Option<String> + 'q>;

impl Many {
    /// About the counters that match `pattern`, in at most so many counters and points.
    pub(crate) fn new(
        pattern: &str,
        range: Range,
        (most_counters, most_points): (usize, usize),
    ) -> Result<Self, Refusal> {
        let stars = pattern.matches('*').count();
        if stars > 1 || (stars == 1 && !pattern.ends_with('*')) {
            return Err(Refusal::invalid("match must be a key, or a prefix followed by one *"));
        }
        if stars == 0 {
            key(pattern)?;
        }
        Ok(Self {
            pattern: pattern.to_owned(),
            by: None,
            aggregate: Aggregate::default(),
            rows: USUAL_ROWS,
            range,
            most_counters,
            most_points,
        })
    }

    /// The pattern.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether rows are counters, not groups of them.
    pub(crate) fn rows_are_counters(&self) -> bool {
        self.aggregate == Aggregate::Top && self.by.is_none()
    }

    /// Answers it. Blocks.
    pub(crate) fn run(&self, engine: &Engine) -> Result<Found, Refusal> {
        let listed = self.matching(engine)?;
        let names = listed
            .iter()
            .map(|(name, _)| key(name))
            .collect::<Result<Vec<_>, _>>()?;
        let reads = Reads::new(engine);
        let steps = if self.range.is_open() {
            None
        } else {
            let some = names.get(..LOOKED_AT).unwrap_or(&names);
            Some(self.range.steps(&reads, some, self.most_points)?)
        };
        let group_of = self.grouping(engine)?;
        let mut groups: HashMap<String, Group> = HashMap::new();
        let mut total = 0_i128;
        for (key, (name, value)) in names.iter().zip(&listed) {
            let amounts = steps.as_ref().map(|steps| steps.amounts(&reads, *key)).transpose()?;
            let value = amounts
                .as_ref()
                .map_or(*value, |amounts| amounts.by_step.iter().flatten().sum());
            total = total.saturating_add(value);
            let Some(group) = group_of(name) else { continue };
            let group = groups.entry(group).or_default();
            group.value = group.value.saturating_add(value);
            if self.range.has_step() {
                absorb(&mut group.amounts, amounts);
            }
        }
        Ok(Found {
            steps,
            matched: listed.len(),
            total,
            rows: self.sorted(groups),
        })
    }

    fn sorted(&self, groups: HashMap<String, Group>) -> Vec<Row> {
        let row = |(name, Group { value, amounts })| Row { name, value, amounts };
        let mut rows: Vec<Row> = groups.into_iter().map(row).collect();
        match self.aggregate {
            Aggregate::Top => rows.sort_by(|a, b| b.value.cmp(&a.value).then_with(|| a.name.cmp(&b.name))),
            Aggregate::Sum => rows.sort_by(|a, b| a.name.cmp(&b.name)),
        }
        rows.truncate(self.rows);
        rows
    }

    /// The counters that match, with their values.
    fn matching(&self, engine: &Engine) -> Result<Vec<(String, i128)>, Refusal> {
        let Some(prefix) = self.pattern.strip_suffix('*') else {
            let name = self.pattern.clone();
            let value = engine.values(std::slice::from_ref(&name))?.first().copied().flatten();
            return Ok(value.map(|value| (name, value)).into_iter().collect());
        };
        let mut listed: Vec<(String, i128)> = Vec::new();
        loop {
            let after = listed.last().map_or(String::new(), |(name, _)| name.clone());
            let page = engine.list(prefix, &after, PAGE)?;
            let more = page.len() == PAGE;
            listed.extend(page.into_iter().map(|listed| (listed.key, listed.value)));
            if listed.len() > self.most_counters {
                let detail = format!(
                    "{:?} matches more than {} counters, which is what one query may touch (setting query_limit); take a longer prefix",
                    self.pattern, self.most_counters
                );
                return Err(Refusal::new(ErrorKind::Unprocessable, detail));
            }
            if !more {
                return Ok(listed);
            }
        }
    }

    fn grouping(&self, engine: &Engine) -> Result<Grouping<'_>, Refusal> {
        let Some(field) = &self.by else {
            let counters = self.rows_are_counters();
            return Ok(Box::new(move |name| {
                Some(if counters {
                    name.to_owned()
                } else {
                    self.pattern.clone()
                })
            }));
        };
        let has_field = |template: &Template| template.fields().contains(field);
        let templates: HashMap<String, Template> = engine
            .namespaces()
            .into_iter()
            .filter_map(|namespace| Some((namespace.name, namespace.policy.template?)))
            .filter(|(_, template)| has_field(template))
            .collect();
        let namespace = self.pattern.split_once(':').map(|(namespace, _)| namespace);
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

fn key(text: &str) -> Result<Key<'_>, Refusal> {
    Ok(Key::new(text.as_bytes())?)
}
