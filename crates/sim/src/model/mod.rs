//! What must be: a plain map of what was asked for, with a log of what is not acknowledged yet. After a crash the engine says where
//! its journal ends; the map is then what was acknowledged and the turns up to there, each whole.

mod effect;
mod state;

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
    /// Turns after it, with what they did.
    log: Vec<(u64, Vec<Effect>)>,
    now: State,
}

impl Expected {
    /// What holds now, everything that was not acknowledged included.
    pub(crate) fn now(&self) -> &State {
        &self.now
    }

    /// The last position.
    pub(crate) fn last(&self) -> u64 {
        self.log.last().map_or(self.kept, |(position, _)| *position)
    }

    /// A turn wrote the entry at a position.
    pub(crate) fn wrote(&mut self, position: u64, effects: Vec<Effect>) -> Result<(), Violation> {
        if position != self.last() + 1 {
            return violated(format!("the entry after {} got position {position}", self.last()));
        }
        for effect in &effects {
            self.now.apply(effect);
        }
        self.log.push((position, effects));
        Ok(())
    }

    /// Everything up to a position is acknowledged.
    pub(crate) fn acknowledged(&mut self, position: u64) -> Result<(), Violation> {
        if position > self.last() {
            return violated(format!(
                "position {position} is acknowledged, but the last one is {}",
                self.last()
            ));
        }
        let keep = self.log.partition_point(|(of, _)| *of <= position);
        for (of, effects) in self.log.drain(..keep) {
            for effect in &effects {
                self.base.apply(effect);
            }
            self.kept = of;
        }
        Ok(())
    }

    /// What is durable by itself, whatever becomes of the turns that are not acknowledged: there are none, then.
    pub(crate) fn settled(&mut self, effects: &[Effect]) -> Result<(), Violation> {
        self.acknowledged(self.last())?;
        for effect in effects {
            self.base.apply(effect);
            self.now.apply(effect);
        }
        Ok(())
    }

    /// What no log says, such as that the time for a token has come.
    pub(crate) fn both(&mut self, change: impl Fn(&mut State)) {
        change(&mut self.base);
        change(&mut self.now);
    }

    /// The engine started again, and its journal ends here.
    pub(crate) fn restarted(&mut self, end: u64) -> Result<(), Violation> {
        if end < self.kept {
            return violated(format!("acknowledged up to {}, kept up to {end}", self.kept));
        }
        self.acknowledged(end)?;
        if end != self.kept {
            return violated(format!("the journal ends at {end}, within no turn of ours"));
        }
        self.log.clear();
        self.now = self.base.clone();
        Ok(())
    }
}
