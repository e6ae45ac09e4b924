//! Turns beside the map: taken until they are answered, their effects noted in the order of the journal. Knows what cannot be known:
//! which adds of a source's open round are in the store already, and what a reset had seen of them (rule 12).

use std::collections::{BTreeMap, BTreeSet};

use tally_engine::{Blocked, Error, Plan, Turn, Turned};
use tally_store::Faults;

use crate::model::{Effect, Reset};
use crate::run::{PATIENCE, Run, Trouble};
use crate::violation::{Violation, violated};

impl Run {
    /// Takes a turn, others at work while it reads; `None` where it was refused, with nothing applied, or the process has to end.
    pub(crate) fn turn<R>(
        &mut self,
        plan: &mut Plan,
        work: &mut dyn FnMut(&mut Turn<'_>) -> R,
    ) -> Result<Option<Turned<R>>, Violation> {
        let others = self.others_begin(true);
        let turned = self.turn_among_others(plan, work);
        self.others_end(others)?;
        if self.stuck && matches!(&turned, Ok(Some(turned)) if turned.position.is_some()) {
            self.taken_while_stuck += 1;
        }
        turned
    }

    fn turn_among_others<R>(
        &self,
        plan: &mut Plan,
        work: &mut dyn FnMut(&mut Turn<'_>) -> R,
    ) -> Result<Option<Turned<R>>, Violation> {
        let Some(engine) = &self.engine else { return Ok(None) };
        for _ in 0..PATIENCE {
            let tried = match engine.turn(plan, work) {
                Ok(turned) => return Ok(Some(turned)),
                Err(Blocked::Load) => engine.load(std::slice::from_mut(plan)),
                // What would lift the limit waits for the disk.
                Err(Blocked::Full(_)) if self.stuck => return Ok(None),
                Err(Blocked::Full(_)) => engine.round(),
                Err(Blocked::DiskFull) if self.world.disk.is_full() => return Ok(None),
                Err(Blocked::DiskFull) => engine.commit(),
                Err(Blocked::TooLarge { limit_bytes }) => {
                    return violated(format!("a small request is larger than {limit_bytes}"));
                }
                Err(Blocked::Stopped(why)) => Err(Error::Unavailable(why)),
                Err(blocked @ (Blocked::Strong(_) | Blocked::Mixed(_))) => {
                    return violated(format!("no namespace is strong here: {blocked}"));
                }
            };
            if let Err(error) = tried
                && self.judge(&error)? == Trouble::Dead
            {
                return Ok(None);
            }
        }
        if self.faults == Faults::none() && !self.world.disk.is_full() {
            return violated("a turn was refused for ever");
        }
        Ok(None)
    }

    /// A turn's work is done: ends of counters whose time had come, then `effects`.
    pub(crate) fn wrote<R>(
        &mut self,
        turned: &Turned<R>,
        keys: &[&str],
        now_ms: u64,
        effects: Vec<Effect>,
    ) -> Result<(), Violation> {
        let ends = self.due(keys, now_ms);
        let all: Vec<Effect> = ends.into_iter().chain(effects).collect();
        match turned.position {
            None if all.is_empty() => Ok(()),
            None => violated(format!("nothing was written, expected {all:?}")),
            Some(position) if all.is_empty() => violated(format!("position {position} for nothing")),
            Some(position) => {
                let all = self.with_seen(all)?;
                self.expected.wrote(position.number(), all)
            }
        }
    }

    /// What a turn over these keys ends by itself.
    pub(crate) fn due(&self, keys: &[&str], now_ms: u64) -> Vec<Effect> {
        let keys: BTreeSet<&str> = keys.iter().copied().collect();
        let now = self.expected.now();
        let due = keys
            .into_iter()
            .filter(|key| now.counters.get(*key).is_some_and(|counter| counter.is_due(now_ms)));
        due.map(|key| Effect::End { key: key.to_owned() }).collect()
    }

    /// Puts before each reset what it had seen of open rounds, as the head says that it wrote (rule 12).
    fn with_seen(&mut self, effects: Vec<Effect>) -> Result<Vec<Effect>, Violation> {
        if self.sources.iter().all(|source| source.attempt.is_none()) {
            return Ok(effects);
        }
        let mut all = Vec::new();
        for effect in effects {
            let reset = match &effect {
                Effect::End { key } => Some((key.clone(), Reset::Life)),
                Effect::Set { key, .. } => Some((key.clone(), Reset::Total)),
                _ => None,
            };
            let reset = reset.filter(|(key, _)| !self.is_certain(key));
            if let Some((key, reset)) = reset {
                all.extend(self.seen(&key, reset)?);
            }
            all.push(effect);
        }
        Ok(all)
    }

    fn seen(&mut self, key: &str, reset: Reset) -> Result<Vec<Effect>, Violation> {
        let Ok(name) = tally_counter::Key::new(key.as_bytes()) else {
            return violated("a key that is none");
        };
        let Some(explained) = self.ask_alone(|engine| engine.explain(name))? else {
            self.abandoned = true;
            return Ok(Vec::new());
        };
        let Some(head) = explained.head else {
            return violated(format!("{key} was reset and has no head"));
        };
        let rows = self.writers()?;
        let mut seen = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            let Some(cut) = source.attempt else { continue };
            let id = format!("source:{}", source.log.name);
            let number = rows.values().find(|row| row.writer.id == id).map(|row| row.number);
            if number.is_some_and(|number| head.seen_of(number).number() >= source.log.position(cut)) {
                let key = key.to_owned();
                seen.push(Effect::Seen {
                    source: index,
                    key,
                    reset,
                });
            }
        }
        Ok(seen)
    }

    /// What open rounds of sources may or may not have brought to each counter's value yet.
    pub(crate) fn uncertain(&self) -> BTreeMap<&'static str, Vec<i128>> {
        let mut uncertain: BTreeMap<&'static str, Vec<i128>> = BTreeMap::new();
        for (index, source) in self.sources.iter().enumerate() {
            let Some(cut) = source.attempt else { continue };
            for (key, total) in source.log.totals(source.applied, cut, &source.limits) {
                if self.expected.now().seen.contains_key(&(index, key.to_owned())) {
                    uncertain.entry(key).or_default();
                } else {
                    uncertain.entry(key).or_default().push(total);
                }
            }
        }
        uncertain
    }

    /// Whether a counter's value is certain.
    pub(crate) fn is_certain(&self, key: &str) -> bool {
        !self.uncertain().contains_key(key)
    }
}
