//! Adds: blind ones, ones that answer the value, with times of their own, several in one turn.

use std::collections::BTreeMap;

use tally_counter::{Key, Outcome};
use tally_engine::{AddError, KeyIndex, Need, Plan};

use crate::keys;
use crate::model::Effect;
use crate::random::Rng;
use crate::run::Run;
use crate::violation::{Violation, violated};

/// The year 10000.
const TOO_LATE_MS: u64 = 253_402_300_800_000;

/// Plans a key that is known to be one.
pub(super) fn planned(plan: &mut Plan, key: &str, need: Need) -> Result<KeyIndex, Violation> {
    match Key::new(key.as_bytes()) {
        Ok(key) => Ok(plan.key(key, need)),
        Err(error) => violated(error.to_string()),
    }
}

impl Run {
    /// A time of an add's own: mostly lately, now and then long ago or ahead, or none.
    fn own_time(&self, rng: &mut Rng) -> Option<u64> {
        let now_ms = self.world.now_ms();
        match rng.below(10) {
            0..=4 => None,
            5 | 6 => Some(now_ms.saturating_sub(rng.below(7_200_000))),
            7 => Some(now_ms.saturating_sub(rng.below(40 * 86_400_000))),
            8 => Some(now_ms + rng.below(3 * 86_400_000)),
            _ => Some(if rng.percent(20) {
                TOO_LATE_MS
            } else {
                rng.below(86_400_000)
            }),
        }
    }

    fn is_late(&self, key: &str, time_ms: Option<u64>, now_ms: u64) -> bool {
        let now = self.expected.now();
        let lateness_ms = now.policy(now.namespace(key)).lateness_ms;
        time_ms
            .zip(lateness_ms)
            .is_some_and(|(time_ms, lateness_ms)| time_ms.saturating_add(lateness_ms) < now_ms)
    }

    /// What an add does, refused for its time included.
    fn add_effect(&self, key: &str, amount: i64, time_ms: Option<u64>, now_ms: u64) -> Result<Effect, AddError> {
        if time_ms.is_some_and(|time_ms| time_ms >= TOO_LATE_MS) {
            return Err(AddError::Time);
        }
        if self.is_late(key, time_ms, now_ms) {
            return Ok(Effect::Noted {
                namespace: self.expected.now().namespace(key).to_owned(),
                outcome: Outcome::Late,
                count: 1,
            });
        }
        Ok(Effect::Add {
            key: key.to_owned(),
            amount,
            time_ms: time_ms.unwrap_or(now_ms),
        })
    }

    pub(super) fn blind(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let (key, amount, now_ms) = (keys::one(rng), rng.amount(), self.world.now_ms());
        let time_ms = self.own_time(rng);
        let mut plan = Plan::new();
        let index = planned(&mut plan, key, Need::Blind)?;
        let Some(turned) = self.turn(&mut plan, &mut |turn| turn.add_blind(index, amount, time_ms))? else {
            return Ok("refused".to_owned());
        };
        let effect = self.add_effect(key, amount, time_ms, now_ms);
        let expected = effect
            .as_ref()
            .map_err(|error| *error)
            .map(|effect| matches!(effect, Effect::Add { .. }));
        if turned.answer != expected {
            return violated(format!(
                "a blind add to {key} answers {:?}, not {expected:?}",
                turned.answer
            ));
        }
        self.wrote(&turned, &[key], now_ms, effect.into_iter().collect())?;
        Ok(format!("{key} {amount} {time_ms:?} {:?}", turned.answer))
    }

    pub(super) fn valued(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let (key, amount, now_ms) = (keys::one(rng), rng.amount(), self.world.now_ms());
        let time_ms = self.own_time(rng);
        if !self.is_certain(key) {
            return Ok(format!("{key} is not certain"));
        }
        let mut plan = Plan::new();
        let index = planned(&mut plan, key, Need::Value)?;
        let Some(turned) = self.turn(&mut plan, &mut |turn| turn.add(index, amount, time_ms))? else {
            return Ok("refused".to_owned());
        };
        let value = self.expected.now().value(key, now_ms).unwrap_or(0) + i128::from(amount);
        let effect = match i64::try_from(value) {
            Ok(_) => self.add_effect(key, amount, time_ms, now_ms),
            Err(_) => Err(AddError::Overflow),
        };
        let expected = effect
            .clone()
            .map(|effect| matches!(effect, Effect::Add { .. }).then(|| i64::try_from(value).unwrap_or(0)));
        if turned.answer != expected {
            return violated(format!("an add to {key} answers {:?}, not {expected:?}", turned.answer));
        }
        self.wrote(&turned, &[key], now_ms, effect.into_iter().collect())?;
        Ok(format!("{key} {amount} {time_ms:?} {:?}", turned.answer))
    }

    /// Several adds, all or none.
    pub(super) fn several(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let now_ms = self.world.now_ms();
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
            turn.fits(&indexes)?;
            for (index, amount) in &indexes {
                if turn.add(*index, *amount, None).is_err() {
                    return Err(usize::MAX);
                }
            }
            Ok(())
        })?;
        let Some(turned) = turned else {
            return Ok("refused".to_owned());
        };
        let expected = self.fits(&adds, now_ms);
        if turned.answer != expected {
            return violated(format!("{adds:?} answer {:?}, not {expected:?}", turned.answer));
        }
        let mut effects = Vec::new();
        for (key, amount) in adds.iter().filter(|_| expected.is_ok()) {
            effects.extend(self.add_effect(key, *amount, None, now_ms));
        }
        let keys: Vec<&str> = adds.iter().map(|(key, _)| *key).collect();
        self.wrote(&turned, &keys, now_ms, effects)?;
        Ok(format!("{adds:?} {:?}", turned.answer))
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
