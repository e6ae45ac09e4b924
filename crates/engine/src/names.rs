//! Which counters there are: names from the store and those that a round has yet to bring there, with their values.

use std::collections::BTreeSet;

use tally_counter::{Key, Slot, slot_hash};
use tally_store::NameCursor;

use crate::core::Core;
use crate::engine::Engine;
use crate::plan::{Need, Plan};
use crate::view::{Listed, ScanCursor};
use crate::{Blocked, Error};

/// How many counters one turn of a listing reads.
const VALUES_AT_ONCE: usize = 1_000;
/// How often a read is tried again because what was loaded had become old or was evicted.
const LOAD_ATTEMPTS: usize = 100;

impl Engine {
    /// Counters by prefix in name order after `after`. Blocks.
    pub fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Listed>, Error> {
        let mut listed = Vec::new();
        let mut after = after.to_owned();
        while listed.len() < limit {
            let wanted = limit.saturating_sub(listed.len()).clamp(1, VALUES_AT_ONCE);
            let names = self.names(prefix, &after, wanted)?;
            let Some(last) = names.last().cloned() else { break };
            let ended = names.len() < wanted;
            listed.extend(
                self.values(&names)?
                    .into_iter()
                    .zip(names)
                    .filter_map(|(value, key)| Some(Listed { key, value: value? })),
            );
            if ended {
                break;
            }
            after = last;
        }
        Ok(listed)
    }

    /// Names by prefix in name order after `after`, some of which may have ended.
    fn names(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<String>, Error> {
        // Memory first: a name that a round brings to the store in between is then seen twice, not missed.
        let fresh = self.fresh(|key| key.starts_with(prefix) && key > after);
        let mut names: Vec<String> = Vec::new();
        self.world
            .store
            .names(prefix.as_bytes(), after.as_bytes(), limit, &mut |_, row| {
                if let Ok(name) = std::str::from_utf8(row.address.key) {
                    names.push(name.to_owned());
                }
                Ok(())
            })?;
        if fresh.is_empty() {
            return Ok(names);
        }
        names.extend(fresh);
        names.sort_unstable();
        names.dedup();
        names.truncate(limit);
        Ok(names)
    }

    /// Counters that a round has yet to bring to the store, as far as `wanted`.
    fn fresh(&self, wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let core = self.core.lock();
        let closing = core.closing.clone();
        let dirty = closing
            .iter()
            .flat_map(|closing| closing.open.fold.fresh())
            .chain(core.open.fold.fresh());
        let keys = dirty.filter_map(|id| core.table.get(id)).map(|counter| counter.key());
        keys.filter(|key| wanted(key)).map(str::to_owned).collect()
    }

    /// The values of some counters, `None` for one that does not exist. Blocks.
    pub fn values(&self, keys: &[String]) -> Result<Vec<Option<i128>>, Error> {
        if !self.any_strong() {
            return self.own_values(keys);
        }
        let mut values = vec![None; keys.len()];
        for (part, places) in self.by_part(keys) {
            let some: Vec<String> = places.iter().filter_map(|place| keys.get(*place).cloned()).collect();
            let found = match part {
                None => self.own_values(&some)?,
                Some(part) => self.strong_values(part, &valid(&some)?)?,
            };
            for (place, value) in places.into_iter().zip(found) {
                if let Some(into) = values.get_mut(place) {
                    *into = value;
                }
            }
        }
        Ok(values)
    }

    fn own_values(&self, keys: &[String]) -> Result<Vec<Option<i128>>, Error> {
        let mut values = Vec::with_capacity(keys.len());
        for some in keys.chunks(VALUES_AT_ONCE) {
            let mut plan = Plan::new();
            plan.only_reads();
            let mut indexes = Vec::with_capacity(some.len());
            for key in some {
                indexes.push(plan.key(one_valid(key)?, Need::Value));
            }
            values.extend(self.blocking_turn(&mut plan, &mut |turn| {
                indexes.iter().map(|key| turn.value(*key)).collect::<Vec<_>>()
            })?);
        }
        Ok(values)
    }

    /// A turn for callers that may wait.
    pub fn blocking_turn<R>(
        &self,
        plan: &mut Plan,
        work: &mut dyn FnMut(&mut crate::Turn<'_>) -> R,
    ) -> Result<R, Error> {
        for _ in 0..LOAD_ATTEMPTS {
            match self.turn(plan, work) {
                Ok(turned) => return Ok(turned.answer),
                Err(Blocked::Load) => self.load(std::slice::from_mut(plan))?,
                Err(Blocked::Full(_)) => self.round()?,
                Err(blocked @ Blocked::TooLarge { .. }) => return Err(Error::Exhausted(blocked.to_string())),
                Err(blocked @ (Blocked::Strong(_) | Blocked::Mixed(_))) => {
                    return Err(Error::Invalid(blocked.to_string()));
                }
                Err(blocked @ (Blocked::DiskFull | Blocked::Stopped(_))) => {
                    return Err(Error::Unavailable(blocked.to_string()));
                }
            }
        }
        Err(Error::Unavailable(
            "the hot table is too busy to hold what is asked for at once; nothing was applied, try again".to_owned(),
        ))
    }

    /// Names in slot order; at least `count` unless there are fewer. Redis's guarantee. Blocks.
    pub fn scan(&self, cursor: ScanCursor, count: usize) -> Result<(ScanCursor, Vec<String>), Error> {
        let from = name_cursor(cursor);
        let place = |key: &str| NameCursor {
            slot: Slot::of(key.as_bytes()).number(),
            hash: slot_hash(key.as_bytes()),
        };
        let fresh = self.fresh(|key| place(key) >= from);
        let mut names: BTreeSet<String> = BTreeSet::new();
        let next = self.world.store.names_by_slot(from, count.max(1), &mut |_, row| {
            if let Ok(name) = std::str::from_utf8(row.address.key) {
                names.insert(name.to_owned());
            }
            Ok(())
        })?;
        names.extend(
            fresh
                .into_iter()
                .filter(|key| next.is_none_or(|next| place(key) < next)),
        );
        let names: Vec<String> = names.into_iter().collect();
        let values = self.values(&names)?;
        let there = names
            .into_iter()
            .zip(values)
            .filter_map(|(name, value)| value.map(|_| name))
            .collect();
        Ok((next.map_or(ScanCursor(0), scan_cursor), there))
    }

    /// How many counters there are. Blocks, while a start still counts them.
    pub fn count(&self) -> Result<u64, Error> {
        self.round()?;
        if self.strong.names_moved() {
            self.own.lock().flusher.census.restart();
        }
        loop {
            let mut own = self.own.lock();
            if let Some(count) = own.flusher.census.count() {
                return Ok(count);
            }
            own.flusher.census.step(self.world.store.as_ref())?;
        }
    }

    /// How many counters the store has, if they are counted.
    pub fn counted(&self) -> Option<u64> {
        self.own.try_lock().and_then(|own| own.flusher.census.count())
    }
}

fn one_valid(key: &str) -> Result<Key<'_>, Error> {
    Key::new(key.as_bytes()).map_err(|error| Error::Invalid(error.to_string()))
}

fn valid(keys: &[String]) -> Result<Vec<Key<'_>>, Error> {
    keys.iter().map(|key| one_valid(key)).collect()
}

/// Slot and hash in 46 bits, plus one so that 0 stays the start.
fn scan_cursor(cursor: NameCursor) -> ScanCursor {
    ScanCursor((u64::from(cursor.slot) << 32 | u64::from(cursor.hash)).saturating_add(1))
}

fn name_cursor(cursor: ScanCursor) -> NameCursor {
    let number = cursor.0.saturating_sub(1);
    let slot = u16::try_from(number >> 32).unwrap_or(u16::MAX);
    NameCursor {
        slot,
        hash: u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0),
    }
}

/// A counter's closing fold with its cut, and its open one.
pub(crate) type Unflushed = (
    Option<(tally_counter::Position, tally_counter::Delta)>,
    Option<tally_counter::Delta>,
);

impl Core {
    /// What the rounds under way hold of a counter: its closing and its open fold.
    pub(crate) fn unflushed(&self, key: &str) -> Unflushed {
        let Some(id) = self.find(key) else { return (None, None) };
        let (open, closing) = self.deltas(id);
        let cut = self.closing.as_ref().map(|closing| closing.cut);
        (cut.zip(closing), open)
    }
}
