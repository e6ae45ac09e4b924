//! A source: a log whose every event follows from the seed and its place, as a file's lines do from the file. Positions are counts
//! of events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tally_counter::{Key, Outcome};
use tally_engine::Fold;

use crate::file::{Limits, Lines};
use crate::keys;
use crate::model::{Effect, namespace};
use crate::random::Rng;

/// A log that can be read from anywhere, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// Which of the run's sources.
    pub(crate) index: usize,
    pub(crate) name: String,
    seed: u64,
    /// The file's, where it is one.
    lines: Option<Arc<Lines>>,
}

/// One event.
struct Event {
    outcome: Outcome,
    adds: Vec<(&'static str, i64, u64)>,
}

/// Events lie between 26 April and 3 May 2023, about: before and after a run's clock.
const FIRST_MS: u64 = 1_682_467_200_000;

impl Log {
    pub(crate) fn new(seed: u64, index: usize) -> Self {
        Self {
            index,
            name: format!("s{index}"),
            seed: seed ^ u64::try_from(index + 1).unwrap_or(0),
            lines: None,
        }
    }

    pub(crate) fn of_file(index: usize, lines: Arc<Lines>) -> Self {
        Self {
            index,
            name: "file".to_owned(),
            seed: 0,
            lines: Some(lines),
        }
    }

    /// The position behind so many events or lines.
    pub(crate) fn position(&self, place: u64) -> u64 {
        let offset = self.lines.as_ref().map(|lines| lines.offset(place));
        offset.map_or(place, |offset| u64::try_from(offset).unwrap_or(u64::MAX))
    }

    fn event(&self, place: u64) -> Event {
        let mut rng = Rng::of_part(self.seed, place);
        let time_ms = FIRST_MS + place * 600_000 + rng.below(86_400_000);
        let outcome = match rng.below(12) {
            0 => Outcome::Ignored,
            1 => Outcome::Rejected,
            2 => Outcome::Late,
            3 => Outcome::Duplicate,
            _ => Outcome::Counted,
        };
        let count = match outcome {
            Outcome::Counted => rng.between(1, 4),
            Outcome::Late | Outcome::Duplicate => 1,
            Outcome::Rejected | Outcome::Ignored => 0,
        };
        let adds = (0..count)
            .map(|_| (keys::one(&mut rng), rng.amount(), time_ms))
            .collect();
        Event { outcome, adds }
    }

    /// The fold of the events after `from` up to `to`.
    pub(crate) fn fold(&self, from: u64, to: u64) -> Fold {
        let mut fold = Fold::default();
        for place in from..to {
            let event = self.event(place);
            for (key, amount, time_ms) in &event.adds {
                let Ok(key) = Key::new(key.as_bytes()) else { continue };
                if event.outcome == Outcome::Counted {
                    fold.add(key, *amount, *time_ms);
                } else {
                    fold.not_counted(key, event.outcome);
                }
            }
            if event.outcome == Outcome::Rejected {
                fold.reject("broken", &place.to_string());
            } else {
                fold.event(event.outcome);
            }
        }
        fold
    }

    /// What that does to the map.
    pub(crate) fn effects(&self, from: u64, to: u64, declared: &BTreeSet<String>, limits: &Limits) -> Vec<Effect> {
        if let Some(lines) = &self.lines {
            return lines.effects((self.index, &self.name), (from, to), declared, limits);
        }
        let mut effects = Vec::new();
        for place in from..to {
            let event = self.event(place);
            for (key, amount, time_ms) in event.adds {
                effects.push(if event.outcome == Outcome::Counted {
                    Effect::SourceAdd {
                        source: self.index,
                        namespace: namespace(key, declared).to_owned(),
                        key: key.to_owned(),
                        amount,
                        time_ms,
                    }
                } else {
                    Effect::Noted {
                        namespace: namespace(key, declared).to_owned(),
                        outcome: event.outcome,
                        count: 1,
                    }
                });
            }
            effects.push(Effect::Event {
                source: self.name.clone(),
                outcome: event.outcome,
            });
        }
        effects.push(Effect::SourceEnd { source: self.index });
        effects
    }

    /// What a stretch adds to each counter.
    pub(crate) fn totals(&self, from: u64, to: u64, limits: &Limits) -> BTreeMap<&'static str, i128> {
        if let Some(lines) = &self.lines {
            return lines.totals(from, to, limits);
        }
        let mut totals = BTreeMap::new();
        for event in (from..to).map(|place| self.event(place)) {
            for (key, amount, _) in event.adds.iter().filter(|_| event.outcome == Outcome::Counted) {
                *totals.entry(*key).or_default() += i128::from(*amount);
            }
        }
        totals
    }
}
