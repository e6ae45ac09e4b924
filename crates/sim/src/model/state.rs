//! The plain map: counters, namespaces, ledger, tokens.

use std::collections::{BTreeMap, BTreeSet};

use tally_counter::{Figures, Keep, Outcome, Policy, Step};

use super::Reset;

/// A counter that was touched in its newest life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) alive: bool,
    pub(crate) value: i128,
    /// What its life counted.
    pub(crate) counted: i128,
    /// The same by minute.
    pub(crate) minutes: BTreeMap<u32, i128>,
    pub(crate) expires_ms: Option<u64>,
    /// Of each step, whether all of its life fell into windows.
    pub(crate) whole: [bool; 3],
}

impl Default for Counter {
    fn default() -> Self {
        Self {
            alive: false,
            value: 0,
            counted: 0,
            minutes: BTreeMap::new(),
            expires_ms: None,
            whole: [true; 3],
        }
    }
}

impl Counter {
    /// Whether its time has come.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.alive && self.expires_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }
}

/// A token that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) time_ms: u64,
    pub(crate) payload: u64,
    pub(crate) answer: Vec<u8>,
    /// It was swept at a time when its window had passed; only a clock that goes back asks for it again.
    pub(crate) may_be_gone: bool,
}

/// Everything that can be asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) counters: BTreeMap<String, Counter>,
    pub(crate) policies: BTreeMap<String, Policy>,
    /// In adds, by namespace.
    pub(crate) namespaces: BTreeMap<String, Figures>,
    /// In events, by source.
    pub(crate) sources: BTreeMap<String, Figures>,
    pub(crate) tokens: BTreeMap<String, Token>,
    /// Of counters that were reset while a source's round was open: what the reset had seen of that.
    pub(crate) seen: BTreeMap<(usize, String), Reset>,
}

/// The namespace of everything that has no declared one.
pub(crate) const DEFAULT: &str = "default";

/// The namespace of a key where these are declared.
pub(crate) fn namespace<'k>(key: &'k str, declared: &BTreeSet<String>) -> &'k str {
    of_declared(key, |prefix| declared.contains(prefix))
}

fn of_declared(key: &str, is_declared: impl Fn(&str) -> bool) -> &str {
    match key.split_once(':') {
        Some((prefix, _)) if is_declared(prefix) => prefix,
        _ => DEFAULT,
    }
}

impl State {
    /// The namespace of a key.
    pub(crate) fn namespace<'k>(&self, key: &'k str) -> &'k str {
        of_declared(key, |prefix| self.policies.contains_key(prefix))
    }

    /// The policy of a namespace.
    pub(crate) fn policy(&self, namespace: &str) -> Policy {
        self.policies.get(namespace).cloned().unwrap_or_default()
    }

    /// A counter that exists at this time.
    pub(crate) fn there(&self, key: &str, now_ms: u64) -> Option<&Counter> {
        self.counters
            .get(key)
            .filter(|counter| counter.alive && !counter.is_due(now_ms))
    }

    /// Its value, as it is asked for.
    pub(crate) fn value(&self, key: &str, now_ms: u64) -> Option<i128> {
        self.there(key, now_ms).map(|counter| counter.value)
    }

    /// The names and values of all that exist.
    pub(crate) fn live(&self, now_ms: u64) -> BTreeMap<String, i128> {
        let live = self.counters.keys();
        live.filter_map(|key| Some((key.clone(), self.value(key, now_ms)?)))
            .collect()
    }

    pub(super) fn add(&mut self, key: &str, namespace: String, amount: i64, time_ms: u64, seen: Option<Reset>) {
        let policy = self.policy(&namespace);
        self.note(namespace, Outcome::Counted, 1);
        if seen == Some(Reset::Life) {
            return;
        }
        let counter = self.counters.entry(key.to_owned()).or_default();
        counter.alive = true;
        if seen.is_none() {
            counter.value += i128::from(amount);
        }
        counter.counted += i128::from(amount);
        let minute = u32::try_from(time_ms / 60_000).unwrap_or(u32::MAX);
        *counter.minutes.entry(minute).or_default() += i128::from(amount);
        for (whole, step) in counter.whole.iter_mut().zip(Step::ALL) {
            *whole &= policy.history.keep(step) != Keep::Off;
        }
    }

    pub(super) fn note(&mut self, namespace: String, outcome: Outcome, count: u64) {
        self.namespaces.entry(namespace).or_default().note(outcome, count);
    }

    pub(super) fn declare(&mut self, name: &str, policy: &Policy) {
        self.policies.insert(name.to_owned(), policy.clone());
        let concerned: Vec<String> = self
            .counters
            .keys()
            .filter(|key| self.namespace(key) == name)
            .cloned()
            .collect();
        for key in concerned {
            let Some(counter) = self.counters.get_mut(&key) else {
                continue;
            };
            for (whole, step) in counter.whole.iter_mut().zip(Step::ALL) {
                *whole &= policy.history.keep(step) != Keep::Off;
            }
        }
    }
}
