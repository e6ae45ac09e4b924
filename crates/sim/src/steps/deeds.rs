//! Deeds held against the map: what each must be answered, and what it changes.

use tally_counter::Outcome;
use tally_engine::{AddError, Expiry, Plan, Turned};

use super::deed::{Answer, Deed, Said, TOO_LATE_MS, What};
use crate::model::{Counter, Effect};
use crate::run::Run;
use crate::violation::{Violation, violated};

impl Run {
    /// Takes a turn for one, if what it would answer is certain.
    pub(super) fn deed(&mut self, deed: &Deed) -> Result<String, Violation> {
        if deed.wants_certainty() && !self.is_certain(deed.key) {
            return Ok(format!("{} is not certain", deed.key));
        }
        let mut plan = Plan::new();
        let index = deed.plan(&mut plan)?;
        let Some(turned) = self.turn(&mut plan, &mut |turn| deed.take(index, turn))? else {
            return Ok("refused".to_owned());
        };
        self.judge_deed(deed, &turned)?;
        Ok(format!("{deed:?} {:?}", turned.answer.said))
    }

    /// Holds an answer against the map and notes what was done.
    pub(crate) fn judge_deed(&mut self, deed: &Deed, turned: &Turned<Answer>) -> Result<(), Violation> {
        let key = deed.key;
        let Answer { now_ms, said } = &turned.answer;
        let (expected, effect) = self.expect(deed, *now_ms);
        let is_sure = deed.wants_certainty() || self.is_certain(key);
        let existed = self.expected.now().there(key, *now_ms).is_some();
        let effect = match (said, effect) {
            // Of an open round it may or may not have found something.
            (Said::Delete { existed: found, .. }, _) if !is_sure => {
                if existed && !found {
                    return violated(format!("DEL does not find {key}"));
                }
                found.then(|| Effect::End { key: key.to_owned() })
            }
            (said, effect) if *said == expected => effect,
            _ => {
                return violated(format!(
                    "{deed:?} at {now_ms} answers {said:?}, not {expected:?}; {:?}",
                    self.expected.now().counters.get(key)
                ));
            }
        };
        let writes = !matches!(deed.what, What::Read);
        let keys: &[&str] = if writes { &[key] } else { &[] };
        self.wrote(turned, keys, *now_ms, effect.into_iter().collect())
    }

    fn expect(&self, deed: &Deed, now_ms: u64) -> (Said, Option<Effect>) {
        let (key, now) = (deed.key, self.expected.now());
        match deed.what {
            What::Blind { amount, time_ms } => {
                let effect = self.add_effect(key, amount, time_ms, now_ms);
                let counts = |effect: &Effect| matches!(effect, Effect::Add { .. });
                (
                    Said::Blind(effect.as_ref().map(counts).map_err(|error| *error)),
                    effect.ok(),
                )
            }
            What::Valued { amount, time_ms } => {
                let value = now.value(key, now_ms).unwrap_or(0) + i128::from(amount);
                let value = i64::try_from(value).map_err(|_| AddError::Overflow);
                let effect = value.and_then(|_| self.add_effect(key, amount, time_ms, now_ms));
                let said = effect.as_ref().map_err(|error| *error).map(|effect| {
                    let counts = matches!(effect, Effect::Add { .. });
                    value.ok().filter(|_| counts)
                });
                (Said::Valued(said), effect.ok())
            }
            What::Set { value, expiry } => {
                let kept = now.there(key, now_ms).and_then(|counter| counter.expires_ms);
                let effect = Effect::Set {
                    key: key.to_owned(),
                    value,
                    expires_ms: match expiry {
                        Expiry::Never => None,
                        Expiry::Keep => kept,
                        Expiry::AtMs(at_ms) => Some(at_ms),
                    },
                };
                (Said::Set, Some(effect))
            }
            What::Delete => {
                let value = now.value(key, now_ms);
                let existed = value.is_some();
                let effect = existed.then(|| Effect::End { key: key.to_owned() });
                (Said::Delete { value, existed }, effect)
            }
            What::Expire { at_ms } => {
                let counter = now.there(key, now_ms);
                let said = Said::Expire {
                    there: counter.is_some(),
                    before_ms: counter.and_then(|counter| counter.expires_ms),
                    existed: counter.is_some(),
                };
                (
                    said,
                    counter.and_then(|counter| expire_effect(key, counter, at_ms, now_ms)),
                )
            }
            What::Read => (Said::Read(now.value(key, now_ms)), None),
        }
    }

    /// What an add does, refused for its time included.
    pub(super) fn add_effect(
        &self,
        key: &str,
        amount: i64,
        time_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<Effect, AddError> {
        if time_ms.is_some_and(|time_ms| time_ms >= TOO_LATE_MS) {
            return Err(AddError::Time);
        }
        let now = self.expected.now();
        let lateness_ms = now.policy(now.namespace(key)).lateness_ms;
        let is_late = time_ms
            .zip(lateness_ms)
            .is_some_and(|(time_ms, lateness_ms)| time_ms.saturating_add(lateness_ms) < now_ms);
        if is_late {
            return Ok(Effect::Noted {
                namespace: now.namespace(key).to_owned(),
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
}

fn expire_effect(key: &str, counter: &Counter, at_ms: Option<u64>, now_ms: u64) -> Option<Effect> {
    if at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
        return Some(Effect::End { key: key.to_owned() });
    }
    (counter.expires_ms != at_ms).then(|| Effect::Expires {
        key: key.to_owned(),
        at_ms,
    })
}
