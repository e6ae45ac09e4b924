//! SET, DEL, GETDEL, EXPIRE, PERSIST.

use tally_engine::{Expiry, Need, Plan};

use super::adds::planned;
use crate::keys;
use crate::model::Effect;
use crate::random::Rng;
use crate::run::Run;
use crate::violation::{Violation, violated};

impl Run {
    /// A time for a counter to end: soon, later, or past.
    fn end_ms(&self, rng: &mut Rng) -> u64 {
        let now_ms = self.world.now_ms();
        match rng.below(5) {
            0 => now_ms.saturating_sub(rng.below(3_600_000)),
            1 | 2 => now_ms + rng.below(7_200_000),
            _ => now_ms + rng.below(4 * 86_400_000),
        }
    }

    pub(super) fn set(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let (key, value, now_ms) = (keys::one(rng), rng.amount(), self.world.now_ms());
        let expiry = match rng.below(4) {
            0 => Expiry::AtMs(self.end_ms(rng)),
            1 => Expiry::Keep,
            _ => Expiry::Never,
        };
        let mut plan = Plan::new();
        let index = planned(&mut plan, key, Need::Reset)?;
        let Some(turned) = self.turn(&mut plan, &mut |turn| turn.set(index, value, expiry))? else {
            return Ok("refused".to_owned());
        };
        let kept = self
            .expected
            .now()
            .there(key, now_ms)
            .and_then(|counter| counter.expires_ms);
        let effect = Effect::Set {
            key: key.to_owned(),
            value,
            expires_ms: match expiry {
                Expiry::Never => None,
                Expiry::Keep => kept,
                Expiry::AtMs(at_ms) => Some(at_ms),
            },
        };
        self.wrote(&turned, &[key], now_ms, vec![effect])?;
        Ok(format!("{key} {value} {expiry:?}"))
    }

    /// DEL, and half of the time what it was before.
    pub(super) fn delete(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let (key, now_ms) = (keys::one(rng), self.world.now_ms());
        let mut plan = Plan::new();
        let index = planned(&mut plan, key, Need::Reset)?;
        let Some(turned) = self.turn(&mut plan, &mut |turn| (turn.value(index), turn.delete(index)))? else {
            return Ok("refused".to_owned());
        };
        let (value, existed) = turned.answer;
        let expected = self.expected.now().value(key, now_ms);
        if self.is_certain(key) && (value != expected || existed != expected.is_some()) {
            return violated(format!("DEL of {key} answers {:?}, it was {expected:?}", turned.answer));
        }
        if expected.is_some() && !existed {
            return violated(format!("DEL does not find {key}, it was {expected:?}"));
        }
        let effects = existed.then(|| Effect::End { key: key.to_owned() });
        self.wrote(&turned, &[key], now_ms, effects.into_iter().collect())?;
        Ok(format!("{key} {:?}", turned.answer))
    }

    /// EXPIRE or PERSIST.
    pub(super) fn expire(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let (key, now_ms) = (keys::one(rng), self.world.now_ms());
        let at_ms = rng.percent(70).then(|| self.end_ms(rng));
        if !self.is_certain(key) {
            return Ok(format!("{key} is not certain"));
        }
        let mut plan = Plan::new();
        let index = planned(&mut plan, key, Need::Reset)?;
        let turned = self.turn(&mut plan, &mut |turn| {
            (turn.expires_ms(index), turn.expire(index, at_ms))
        })?;
        let Some(turned) = turned else {
            return Ok("refused".to_owned());
        };
        let before = self.expected.now().there(key, now_ms).map(|counter| counter.expires_ms);
        if turned.answer != (before, before.is_some()) {
            return violated(format!(
                "EXPIRE of {key} answers {:?}, it was {before:?}",
                turned.answer
            ));
        }
        let effect = match before {
            None => None,
            Some(_) if at_ms.is_some_and(|at_ms| at_ms <= now_ms) => Some(Effect::End { key: key.to_owned() }),
            Some(before) if before == at_ms => None,
            Some(_) => Some(Effect::Expires {
                key: key.to_owned(),
                at_ms,
            }),
        };
        self.wrote(&turned, &[key], now_ms, effect.into_iter().collect())?;
        Ok(format!("{key} {at_ms:?} {:?}", turned.answer))
    }
}
