//! Several adds in one turn: all of them, or none; and deeds in a round each.

use std::collections::BTreeMap;

use tally_engine::{Need, Plan};

use super::deed::{Deed, planned};
use crate::keys;
use crate::random::Rng;
use crate::run::Run;
use crate::violation::{Violation, violated};

/// How many counters come at once at most: as many as two pages of the smallest table hold.
const CROWD: u64 = 250;
/// How many of them are asked for in one turn.
const AT_ONCE: usize = 8;
/// The largest budget that a crowd exhausts.
const MOST_FOR_A_CROWD: u64 = 20_000;

impl Run {
    pub(super) fn several(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let adds: Vec<(&str, i64)> = (0..rng.between(2, 5)).map(|_| (keys::one(rng), rng.amount())).collect();
        if adds.iter().any(|(key, _)| !self.is_certain(key)) {
            return Ok("not certain".to_owned());
        }
        let mut plan = Plan::new();
        let mut indexes = Vec::new();
        for (key, amount) in &adds {
            indexes.push((planned(&mut plan, key, Need::Value)?, *amount));
        }
        let turned = self.turn(&mut plan, &mut |turn| {
            let now_ms = turn.now_ms();
            if let Err((first, _)) = turn.fits(&indexes) {
                return (now_ms, Err(first));
            }
            for (index, amount) in &indexes {
                if turn.add(*index, *amount, None).is_err() {
                    return (now_ms, Err(usize::MAX));
                }
            }
            (now_ms, Ok(()))
        })?;
        let Some(turned) = turned else {
            return Ok("refused".to_owned());
        };
        let (now_ms, answer) = turned.answer;
        let expected = self.fits(&adds, now_ms);
        if answer != expected {
            return violated(format!("{adds:?} answer {answer:?}, not {expected:?}"));
        }
        let mut effects = Vec::new();
        for (key, amount) in adds.iter().filter(|_| expected.is_ok()) {
            effects.extend(self.add_effect(key, *amount, None, now_ms));
        }
        let keys: Vec<&str> = adds.iter().map(|(key, _)| *key).collect();
        self.wrote(&turned, &keys, now_ms, effects)?;
        Ok(format!("{adds:?} {answer:?}"))
    }

    /// Some deeds to one counter, each alone in its round: what a round knows of the one before is all that matters then.
    pub(super) fn lonely(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let key = keys::one(rng);
        for _ in 0..rng.between(2, 5) {
            let Some(deed) = Deed::any(rng, self.world.now_ms(), &[key]) else {
                break;
            };
            self.deed(&deed)?;
            if self.call(tally_engine::Engine::round)?.is_none() {
                break;
            }
        }
        Ok(key.to_owned())
    }

    /// Many counters are asked for that are not there: in a small table they drive out those that are.
    pub(super) fn crowd(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        // With a large table they would stay, and only slow the run down.
        if self.settings.hot_budget_bytes > MOST_FOR_A_CROWD || self.stuck {
            return Ok("no".to_owned());
        }
        let (first, count) = (rng.below(1_000), rng.between(20, CROWD));
        for from in (first..first + count).step_by(AT_ONCE) {
            let mut plan = Plan::new();
            plan.only_reads();
            let mut indexes = Vec::new();
            for number in (from..first + count).take(AT_ONCE) {
                indexes.push(planned(&mut plan, &format!("crowd:{number}"), Need::Value)?);
            }
            let turned = self.turn(&mut plan, &mut |turn| {
                indexes.iter().filter(|index| turn.value(**index).is_some()).count()
            })?;
            match turned {
                Some(turned) if turned.answer > 0 => return violated("a counter is there that nobody added to"),
                Some(_) => {}
                None => return Ok("refused".to_owned()),
            }
        }
        Ok(format!("{count} from {first}"))
    }

    fn fits(&self, adds: &[(&str, i64)], now_ms: u64) -> Result<(), usize> {
        let mut values: BTreeMap<&str, i128> = BTreeMap::new();
        for (index, (key, amount)) in adds.iter().enumerate() {
            let value = values
                .entry(*key)
                .or_insert_with(|| self.expected.now().value(key, now_ms).unwrap_or(0));
            *value += i128::from(*amount);
            if i64::try_from(*value).is_err() {
                return Err(index);
            }
        }
        Ok(())
    }
}
