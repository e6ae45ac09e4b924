//! Several adds in one turn: all of them, or none.

use std::collections::BTreeMap;

use tally_engine::{Need, Plan};

use super::deed::planned;
use crate::keys;
use crate::random::Rng;
use crate::run::Run;
use crate::violation::{Violation, violated};

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
            if let Err(first) = turn.fits(&indexes) {
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
