//! What a turn or a source's round does, as decided when it was done.

use tally_counter::{Outcome, Policy};

use super::State;

/// What a reset ended, of what it had seen of an open round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// The total; history goes on.
    Total,
    /// The life.
    Life,
}

/// One change of the map.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// An add that was counted, `time_ms` its own or its turn's.
    Add { key: String, amount: i64, time_ms: u64 },
    /// A new total.
    Set {
        key: String,
        value: i64,
        expires_ms: Option<u64>,
    },
    /// DEL, or a time that has come.
    End { key: String },
    /// Another end, or none.
    Expires { key: String, at_ms: Option<u64> },
    /// Adds to a namespace that were not counted.
    Noted {
        namespace: String,
        outcome: Outcome,
        count: u64,
    },
    /// An event's outcome.
    Event { source: String, outcome: Outcome },
    /// A token's answer.
    Token {
        token: String,
        time_ms: u64,
        payload: u64,
        answer: Vec<u8>,
    },
    /// A namespace's policy.
    Declare { name: String, policy: Policy },
    /// A reset had seen what a source's open round adds to this counter.
    Seen { source: usize, key: String, reset: Reset },
    /// An add of a source's round.
    SourceAdd {
        source: usize,
        namespace: String,
        key: String,
        amount: i64,
        time_ms: u64,
    },
    /// A source's round is over.
    SourceEnd { source: usize },
}

impl State {
    /// Applies one.
    pub(crate) fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Add { key, amount, time_ms } => {
                let namespace = self.namespace(key).to_owned();
                self.add(key, namespace, *amount, *time_ms, None);
            }
            Effect::Set { key, value, expires_ms } => {
                let counter = self.counters.entry(key.clone()).or_default();
                counter.alive = true;
                counter.value = (*value).into();
                counter.expires_ms = *expires_ms;
            }
            Effect::End { key } => {
                self.counters.remove(key);
            }
            Effect::Expires { key, at_ms } => {
                if let Some(counter) = self.counters.get_mut(key) {
                    counter.expires_ms = *at_ms;
                }
            }
            Effect::Noted {
                namespace,
                outcome,
                count,
            } => self.note(namespace.clone(), *outcome, *count),
            Effect::Event { source, outcome } => {
                self.sources.entry(source.clone()).or_default().note(*outcome, 1);
            }
            Effect::Token {
                token,
                time_ms,
                payload,
                answer,
            } => {
                let known = super::Token {
                    time_ms: *time_ms,
                    payload: *payload,
                    answer: answer.clone(),
                    may_be_gone: false,
                };
                self.tokens.insert(token.clone(), known);
            }
            Effect::Declare { name, policy } => self.declare(name, policy),
            Effect::Seen { source, key, reset } => {
                let seen = self.seen.entry((*source, key.clone())).or_insert(*reset);
                if *reset == Reset::Life {
                    *seen = Reset::Life;
                }
            }
            Effect::SourceAdd {
                source,
                namespace,
                key,
                amount,
                time_ms,
            } => {
                let seen = self.seen.get(&(*source, key.clone())).copied();
                self.add(key, namespace.clone(), *amount, *time_ms, seen);
            }
            Effect::SourceEnd { source } => self.seen.retain(|(of, _), _| of != source),
        }
    }
}
