//! A counter's windows as the amounts of an answer's steps.

use tally_counter::{Keep, Key, Minute, Step};
use tally_engine::{Engine, Error, Extent, HistoryView};

use super::calendar::{Calendar, Length};
use super::reads::Reads;
use crate::refusal::{ErrorKind, Refusal};

/// The starts of an answer's steps, and where the last one ends.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    pub(crate) calendar: Calendar,
    pub(crate) starts: Vec<u64>,
    pub(crate) to: u64,
}

/// The amounts of one counter.
#[derive(Clone, Debug)]
pub(crate) struct Amounts {
    /// By step; `None` where no window holds anything.
    pub(crate) by_step: Vec<Option<i128>>,
    /// Steps that begin before this time have left the retention, in part or whole.
    pub(crate) kept_from: u64,
    /// Which kept step they were made from.
    pub(crate) base: Step,
}

impl Steps {
    /// `from` and `to` rounded outwards; more than `most` steps are refused.
    pub(crate) fn new(calendar: Calendar, from: u64, to: u64, most: usize) -> Result<Self, Refusal> {
        let mut starts = Vec::new();
        let mut at = calendar.floor(from);
        while at < to {
            if starts.len() >= most {
                let detail = format!(
                    "more than {most} points: take a longer step than {} or a shorter range (setting history_limit)",
                    calendar.length
                );
                return Err(Refusal::new(ErrorKind::Unprocessable, detail));
            }
            starts.push(at);
            at = calendar.next(at);
        }
        Ok(Self {
            calendar,
            starts,
            to: at,
        })
    }

    /// Where the first step begins.
    pub(crate) fn from(&self) -> u64 {
        self.starts.first().copied().unwrap_or(self.to)
    }

    /// The steps with their ends.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let ends = self.starts.iter().skip(1).chain(std::iter::once(&self.to));
        self.starts.iter().copied().zip(ends.copied())
    }

    /// What was counted in each step.
    pub(crate) fn amounts(&self, reads: &Reads<'_>, key: Key<'_>) -> Result<Amounts, Error> {
        let (from, to) = (self.from(), self.to);
        let (base, view) = covering(reads, key, &self.calendar, from, to)?;
        let mut by_step: Vec<Option<i128>> = vec![None; self.starts.len()];
        let mut place: usize = 0;
        for (start, amount) in view.windows {
            let start_ms = start.start_ms().max(from);
            while self
                .starts
                .get(place.saturating_add(1))
                .is_some_and(|next| *next <= start_ms)
            {
                place = place.saturating_add(1);
            }
            if let Some(sum) = by_step.get_mut(place) {
                *sum = Some(sum.unwrap_or(0).saturating_add(amount));
            }
        }
        Ok(Amounts {
            by_step,
            kept_from: view.kept_from.start_ms(),
            base,
        })
    }
}

/// The windows of the best kept step that goes back far enough; of the best one, where none does.
fn covering(
    reads: &Reads<'_>,
    key: Key<'_>,
    calendar: &Calendar,
    from: u64,
    to: u64,
) -> Result<(Step, HistoryView), Error> {
    let (first, end) = (minute(from), ceil_minute(to));
    let bases = kept(reads.engine, key, calendar.bases(from, to));
    let reaches = |base: &Step| reads.engine.kept_from(key, *base) <= first;
    let base = bases.iter().copied().find(reaches).or(bases.first().copied());
    let base = base.ok_or_else(|| {
        Error::Invalid(format!(
            "no history is kept of {:?} in steps of {}",
            key.as_str(),
            calendar.length
        ))
    })?;
    Ok((base, reads.windows(key, base, first, end)?))
}

/// Those steps that the counter's namespace keeps.
fn kept(engine: &Engine, key: Key<'_>, bases: &[Step]) -> Vec<Step> {
    let namespaces = engine.namespaces();
    let named = |name: &str| namespaces.iter().find(|namespace| namespace.name == name);
    let policy = key.prefix().and_then(named).or_else(|| named("default"));
    let keeps = |step: Step| policy.is_none_or(|namespace| namespace.policy.history.keep(step) != Keep::Off);
    bases.iter().copied().filter(|step| keeps(*step)).collect()
}

/// Where the counters have data, in the finest kept step that all of it is in: from, to.
pub(crate) fn extent(reads: &Reads<'_>, keys: &[Key<'_>]) -> Result<Option<(u64, u64)>, Error> {
    let mut whole: Option<(u64, u64)> = None;
    for key in keys {
        for base in kept(reads.engine, *key, &[Step::Hour, Step::Day, Step::Minute]) {
            let Some(Extent { first, last }) = reads.extent(*key, base)? else {
                continue;
            };
            let end = Minute(last.0.saturating_add(base.minutes()));
            let (from, to) = whole.unwrap_or((u64::MAX, 0));
            whole = Some((from.min(first.start_ms()), to.max(end.start_ms())));
            break;
        }
    }
    Ok(whole)
}

/// The step that cuts the range into at most `most` points and is still kept for all of it.
pub(crate) fn choose(
    engine: &Engine,
    keys: &[Key<'_>],
    calendar: &Calendar,
    (from, to): (u64, u64),
    most: u64,
) -> Length {
    let mut chosen = calendar.length;
    for length in Length::fitting(to.saturating_sub(from), most) {
        chosen = length;
        if !length.is_of_minutes() || minutes_are_kept(engine, keys, from) {
            break;
        }
    }
    chosen
}

fn minutes_are_kept(engine: &Engine, keys: &[Key<'_>], from: u64) -> bool {
    for key in keys {
        let keeps = !kept(engine, *key, &[Step::Minute]).is_empty();
        if !keeps || engine.kept_from(*key, Step::Minute) > minute(from) {
            return false;
        }
    }
    true
}

/// The minute of a time.
fn minute(ms: u64) -> Minute {
    Minute::of_ms(ms).unwrap_or(Minute(u32::MAX))
}

fn ceil_minute(ms: u64) -> Minute {
    minute(ms.saturating_add(59_999))
}
