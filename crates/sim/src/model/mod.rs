//! What must be: a plain map of what was asked for, with a log of what is not acknowledged yet. After a crash the engine says where
//! its journal ends; the map is then what was acknowledged and the turns up to there, each whole.

mod effect;
mod state;

use std::collections::VecDeque;

pub(crate) use effect::{Effect, Reset};
pub(crate) use state::{Counter, State, Token, namespace};

use crate::violation::{Violation, violated};

/// What was acknowledged, what was done since, and what both give.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// As of `kept`.
    base: State,
    /// The position that is known to survive.
    kept: u64,
    /// What was done after it, in order.
    log: VecDeque<Done>,
    /// The last position.
    last: u64,
    now: State,
}

/// What was done at once.
#[derive(Debug)]
struct Done {
    /// The entry of the journal that says so; `None` for a source's round, which is durable by itself.
    position: Option<u64>,
    effects: Vec<Effect>,
}

impl Expected {
    /// What holds now, everything that was not acknowledged included.
    pub(crate) fn now(&self) -> &State {
        &self.now
    }

    /// The last position.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// A turn wrote the entry at a position.
    pub(crate) fn wrote(&mut self, position: u64, effects: Vec<Effect>) -> Result<(), Violation> {
        if position != self.last + 1 {
            return violated(format!("the entry after {} got position {position}", self.last));
        }
        self.last = position;
        self.done(Some(position), effects);
        Ok(())
    }

    /// A source's round is in the store.
    pub(crate) fn durable(&mut self, effects: Vec<Effect>) {
        self.done(None, effects);
    }

    fn done(&mut self, position: Option<u64>, effects: Vec<Effect>) {
        for effect in &effects {
            self.now.apply(effect);
        }
        self.log.push_back(Done { position, effects });
    }

    /// Everything up to a position is acknowledged.
    pub(crate) fn acknowledged(&mut self, position: u64) -> Result<(), Violation> {
        if position > self.last {
            return violated(format!(
                "position {position} is acknowledged, but the last one is {}",
                self.last
            ));
        }
        while let Some(done) = self
            .log
            .pop_front_if(|done| done.position.is_none_or(|of| of <= position))
        {
            for effect in &done.effects {
                self.base.apply(effect);
            }
            self.kept = done.position.unwrap_or(self.kept);
        }
        Ok(())
    }

    /// What no log says, such as that the time for a token has come.
    pub(crate) fn both(&mut self, change: impl Fn(&mut State)) {
        change(&mut self.base);
        change(&mut self.now);
    }

    /// Everything is in the store, and the journal begins anew.
    pub(crate) fn begins_anew(&mut self) {
        self.base = self.now.clone();
        self.log.clear();
        self.kept = 0;
        self.last = 0;
    }

    /// The engine started again, and its journal ends here.
    pub(crate) fn restarted(&mut self, end: u64) -> Result<(), Violation> {
        if end < self.kept || end > self.last {
            return violated(format!(
                "acknowledged up to {}, written up to {}, kept up to {end}",
                self.kept, self.last
            ));
        }
        self.log
            .retain(|done| done.position.is_none_or(|position| position <= end));
        self.last = end;
        self.acknowledged(end)?;
        self.now = self.base.clone();
        Ok(())
    }
}
