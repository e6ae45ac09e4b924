//! Whether what several clients saw of one counter is linearizable: some order of their calls, in which none comes before one that
//! had returned when it began, explains every answer. Guards what is promised of strong counters and of the adds of one node. It
//! knows one counter at a time (histories of several are linearizable when each is), and makes no calls itself.
//!
//! The search is Wing and Gong's, with the states it has been in remembered (Lowe, "Testing for linearizability", 2017).

use std::collections::HashSet;
use std::ops::RangeInclusive;

/// How many states a search may meet. A history needs more only with many unknown outcomes at once.
const MOST_STATES: usize = 2_000_000;

/// What a call did, and what it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Added; the value it was told, if it was told one.
    Add {
        /// What was added.
        amount: i64,
        /// The value after it.
        told: Option<i128>,
    },
    /// An add that was refused because it would leave the bounds.
    Refused {
        /// What would have been added.
        amount: i64,
    },
    /// Put a value in place of the one there was.
    Set(i128),
    /// Was told the value. A read without an answer belongs in no history.
    Read(i128),
}

/// A call by a client. Instants are of one clock that all clients share, and no two are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it began.
    pub began: u64,
    /// When its answer was there; `None`: its outcome is unknown, it may be applied at any later time or never.
    pub returned: Option<u64>,
    /// What it did.
    pub action: Action,
}

/// What the counter was before the first call, and what it may be.
#[derive(Clone, Debug)]
pub struct Register {
    /// Its value.
    pub start: i128,
    /// From its `min` to its `max`: no add leaves them.
    pub bounds: RangeInclusive<i128>,
}

/// What was found about a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An order explains every answer.
    Linearizable,
    /// No order does.
    Broken {
        /// How many calls could be explained together at most.
        explained: usize,
    },
    /// The search met more states than it may.
    Undecided,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    /// A bit for each call that has had its effect.
    done: Vec<u64>,
    value: i128,
}

impl Register {
    /// A counter that starts at zero and has no bounds.
    pub fn unbounded() -> Self {
        Self {
            start: 0,
            bounds: i128::MIN..=i128::MAX,
        }
    }

    /// Looks for an order of all calls of `history`, which may come in any order itself.
    pub fn check(&self, history: &[Call]) -> Verdict {
        self.search(history, MOST_STATES)
    }

    fn search(&self, history: &[Call], most_states: usize) -> Verdict {
        let mut calls = history.to_vec();
        calls.sort_by_key(|call| call.began);
        let answered = calls.iter().filter(|call| call.returned.is_some()).count();
        let first = State {
            done: vec![0; calls.len().div_ceil(64)],
            value: self.start,
        };
        let mut met = HashSet::from([first.clone()]);
        let mut open = vec![first];
        let mut explained = 0;
        while let Some(state) = open.pop() {
            let done = state.explained(&calls);
            explained = explained.max(done);
            if done == answered {
                return Verdict::Linearizable;
            }
            for (index, call) in state.next(&calls).into_iter().rev() {
                let Some(value) = self.after(state.value, call.action) else {
                    continue;
                };
                let next = state.with(index, value);
                if !met.contains(&next) {
                    if met.len() >= most_states {
                        return Verdict::Undecided;
                    }
                    met.insert(next.clone());
                    open.push(next);
                }
            }
        }
        Verdict::Broken { explained }
    }

    /// The value after a call whose effect comes now; `None`: its answer would have been another.
    fn after(&self, value: i128, action: Action) -> Option<i128> {
        let added = |amount: i64| {
            value
                .checked_add(i128::from(amount))
                .filter(|sum| self.bounds.contains(sum))
        };
        match action {
            Action::Add { amount, told } => added(amount).filter(|sum| told.is_none_or(|told| told == *sum)),
            Action::Refused { amount } => added(amount).is_none().then_some(value),
            Action::Set(to) => self.bounds.contains(&to).then_some(to),
            Action::Read(told) => (told == value).then_some(value),
        }
    }
}

impl State {
    fn has(&self, index: usize) -> bool {
        self.done
            .get(index / 64)
            .is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    fn with(&self, index: usize, value: i128) -> Self {
        let mut next = Self {
            done: self.done.clone(),
            value,
        };
        if let Some(word) = next.done.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
        next
    }

    /// How many of the calls that have an answer have had their effect.
    fn explained(&self, calls: &[Call]) -> usize {
        let has = |(index, call): &(usize, &Call)| call.returned.is_some() && self.has(*index);
        calls.iter().enumerate().filter(has).count()
    }

    /// Which calls may come next: those that began before any that is still to come had returned.
    fn next<'a>(&self, calls: &'a [Call]) -> Vec<(usize, &'a Call)> {
        let mut first_return = u64::MAX;
        let mut next = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            if call.began > first_return {
                break;
            }
            if !self.has(index) {
                first_return = first_return.min(call.returned.unwrap_or(u64::MAX));
                next.push((index, call));
            }
        }
        next
    }
}

#[cfg(test)]
mod tests;
