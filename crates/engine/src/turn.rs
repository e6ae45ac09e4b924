//! A turn: what one caller does while it holds the engine, all of it one journal entry. Nothing in it waits.

use std::collections::HashMap;

use tally_counter::{Bounds, Ends, Generation, Head, MAX_TIME_MS, Outcome, Position, planted};

use crate::core::{Core, Token};
use crate::entry::{self, Op};
use crate::load::Snapshot;
use crate::plan::{Plan, ReadToken};
use crate::registry::Registry;
use crate::table::{Counter, CounterId};
use crate::{AddError, KeyIndex, Settings, TokenIndex};

/// What a SET does with the time at which the counter ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It has none from now on.
    Never,
    /// It keeps the one it has.
    Keep,
    /// It ends at this Unix time in milliseconds.
    AtMs(u64),
}

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Never seen in its window: go on, and [`Turn::remember`] it in the same turn.
    New,
    /// Seen with the same payload: change nothing and give this answer again.
    Duplicate(Vec<u8>),
    /// Seen with another payload: an error.
    OtherPayload,
    /// The scope holds as many tokens as it may: refuse.
    Full,
}

/// The engine, held for one turn. Keys are those of the plan.
pub struct Turn<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) plan: &'a mut Plan,
    pub(crate) settings: &'a Settings,
    pub(crate) registry: &'a Registry,
    pub(crate) now_ms: u64,
}

impl Turn<'_> {
    /// The time of this turn, Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The counter's value; `None` if it does not exist. May lie outside 64 bits. Planned with [`crate::Need::Value`] or more.
    pub fn value(&mut self, key: KeyIndex) -> Option<i128> {
        let id = self.id(key)?;
        self.core.table.touch(id);
        let counter = self.core.table.get(id)?;
        let value = counter.value();
        let clipped = value.clamp(i64::MIN.into(), i64::MAX.into());
        (counter.is_there(self.now_ms)).then_some(if planted!(SumClipped) { clipped } else { value })
    }

    /// Adds, and answers the new value. Refused, with nothing applied, where that would leave 64 bits. `time_ms`: the add's own time.
    /// `Ok(None)`: its own time is older than the policy's lateness; it is in the ledger as late and not in the total.
    /// Planned with [`crate::Need::Value`] or more.
    pub fn add(&mut self, key: KeyIndex, amount: i64, time_ms: Option<u64>) -> Result<Option<i64>, AddError> {
        let id = self.id(key).ok_or(AddError::Overflow)?;
        let value = self.core.table.get(id).map_or(0, |counter| counter.value());
        let next = value
            .checked_add(amount.into())
            .and_then(|next| i64::try_from(next).ok())
            .ok_or(AddError::Overflow)?;
        self.within(key, next)?;
        Ok(self.add_at(key, id, amount, time_ms)?.then_some(next))
    }

    /// Adds without knowing the value; never refused for overflow, since totals have 128 bits. `false`: late, as above.
    pub fn add_blind(&mut self, key: KeyIndex, amount: i64, time_ms: Option<u64>) -> Result<bool, AddError> {
        let id = match self.id(key) {
            Some(id) => id,
            None => self.make(key).ok_or(AddError::Overflow)?,
        };
        if self.core.namespaces.any_strong() {
            let value = self.core.table.get(id).map_or(0, |counter| counter.value());
            let next = i64::try_from(value.saturating_add(amount.into()));
            self.within(key, next.unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX }))?;
        }
        self.add_at(key, id, amount, time_ms)
    }

    /// Whether it is a turn on strong counters.
    pub fn is_strong(&self) -> bool {
        self.registry.own() == crate::strong::WRITER
    }

    /// Whether the namespace's bounds allow this value; they have some only where it is strong.
    pub fn within(&self, key: KeyIndex, value: i64) -> Result<(), AddError> {
        if !self.core.namespaces.any_strong() {
            return Ok(());
        }
        let planned = self.plan.keys.get(key.0);
        let name = planned.map_or(&[][..], |planned| Plan::name(&self.plan.bytes, planned));
        let namespace = self.core.namespaces.get(self.core.namespaces.of_name(name));
        let bounds = namespace.map(|namespace| namespace.policy.bounds).unwrap_or_default();
        let passes = |limit, max| Err(AddError::Bound { value, limit, max });
        match bounds {
            Bounds { max: Some(max), .. } if value > max => passes(max, true),
            Bounds { min: Some(min), .. } if value < min => passes(min, false),
            _ => Ok(()),
        }
    }

    fn add_at(&mut self, key: KeyIndex, id: CounterId, amount: i64, time_ms: Option<u64>) -> Result<bool, AddError> {
        if time_ms.is_some_and(|time_ms| time_ms >= MAX_TIME_MS) {
            return Err(AddError::Time);
        }
        if time_ms.is_some_and(|time_ms| self.is_late(key, time_ms)) {
            self.note_adds(id, Outcome::Late, 1);
            return Ok(false);
        }
        let Some(planned) = self.plan.keys.get(key.0) else {
            return Ok(false);
        };
        let out = opened(&mut self.core.tail, self.now_ms);
        entry::put_add(out, Plan::name(&self.plan.bytes, planned), amount, time_ms);
        self.core.apply_add(id, amount, time_ms.unwrap_or(self.now_ms));
        Ok(true)
    }

    /// Whether an add with this time would be older than the policy of the key's namespace allows.
    pub fn is_late(&self, key: KeyIndex, time_ms: u64) -> bool {
        let name = self
            .plan
            .keys
            .get(key.0)
            .map_or(&[][..], |planned| Plan::name(&self.plan.bytes, planned));
        let namespace = self.core.namespaces.get(self.core.namespaces.of_name(name));
        let lateness_ms = namespace.and_then(|namespace| namespace.policy.lateness_ms);
        !planted!(LateCounted)
            && lateness_ms.is_some_and(|lateness_ms| time_ms.saturating_add(lateness_ms) < self.now_ms)
    }

    /// Whether all these adds, one after the other, keep each value within 64 bits and its namespace's bounds; `Err`: the first that does
    /// not, and why. For requests that are refused whole. Keys planned with [`crate::Need::Blind`] always fit.
    pub fn fits(&mut self, adds: &[(KeyIndex, i64)]) -> Result<(), (usize, AddError)> {
        let mut values: HashMap<CounterId, i128> = HashMap::with_capacity(adds.len());
        for (index, (key, amount)) in adds.iter().enumerate() {
            let Some(id) = self.id(*key) else { continue };
            let Some(counter) = self.core.table.get(id).filter(Counter::loaded) else {
                continue;
            };
            let value = values.entry(id).or_insert(counter.value());
            *value = value.saturating_add(i128::from(*amount));
            match i64::try_from(*value) {
                Ok(value) => self.within(*key, value).map_err(|error| (index, error))?,
                Err(_) if planted!(ExecInPart) => {}
                Err(_) => return Err((index, AddError::Overflow)),
            }
        }
        Ok(())
    }

    /// Begins a new generation with this value. Planned with [`crate::Need::Reset`].
    pub fn set(&mut self, key: KeyIndex, value: i64, expiry: Expiry) {
        let Some(id) = self.id(key) else { return };
        let (exists, before) = self.head(id);
        let expires_ms = match expiry {
            Expiry::Never => None,
            Expiry::Keep => before.expires_ms.filter(|_| exists),
            Expiry::AtMs(at_ms) => Some(at_ms),
        };
        let head = Head {
            generation: before.generation.next_n(),
            base: value,
            created: true,
            expires_ms,
            seen: before.seen,
            born: before.born,
        };
        self.put_head(key, id, Ends::Set, head);
    }

    /// Ends the counter's life, history included; whether it existed. Planned with [`crate::Need::Reset`].
    pub fn delete(&mut self, key: KeyIndex) -> bool {
        let Some(id) = self.id(key) else { return false };
        let (exists, before) = self.head(id);
        if exists {
            self.put_head(key, id, Ends::Life, ended(before));
        }
        exists
    }

    /// Sets or takes away the time at which the counter ends; `false` if it does not exist. A time that has passed deletes it.
    /// Planned with [`crate::Need::Reset`].
    pub fn expire(&mut self, key: KeyIndex, at_ms: Option<u64>) -> bool {
        let Some(id) = self.id(key) else { return false };
        let (exists, before) = self.head(id);
        if !exists {
            return false;
        }
        if at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            return self.delete(key);
        }
        if before.expires_ms != at_ms {
            let head = Head {
                generation: if planted!(ExpireKeepsRevision) {
                    before.generation
                } else {
                    before.generation.next_revision()
                },
                expires_ms: at_ms,
                ..before
            };
            self.put_head(key, id, Ends::Nothing, head);
        }
        true
    }

    /// When the counter ends: `None` if it does not exist, `Some(None)` if never. Planned with [`crate::Need::Value`] or more.
    pub fn expires_ms(&mut self, key: KeyIndex) -> Option<Option<u64>> {
        let id = self.id(key)?;
        let counter = self.core.table.get(id)?;
        counter
            .is_there(self.now_ms)
            .then(|| counter.head().and_then(|head| head.expires_ms))
    }

    /// What is known of a planned token whose request hashes to `payload` ([`crate::payload_hash`]).
    pub fn token(&mut self, token: TokenIndex, payload: u64) -> TokenState {
        let Some(planned) = self.plan.tokens.get(token.0) else {
            return TokenState::New;
        };
        let closing = self
            .core
            .closing
            .as_ref()
            .and_then(|closing| closing.open.tokens.get(&planned.key));
        let stored = if let ReadToken::Found(token) = &planned.loaded {
            Some(token)
        } else {
            None
        };
        let known = self.core.open.tokens.get(&planned.key).or(closing).or(stored);
        let window_ms = self.settings.token_window_ms;
        match known.filter(|known| known.time_ms.saturating_add(window_ms) > self.now_ms) {
            Some(known) if known.payload == payload || planted!(AnyPayload) => {
                TokenState::Duplicate(known.answer.to_vec())
            }
            Some(_) => TokenState::OtherPayload,
            None => {
                let count = self
                    .core
                    .token_counts
                    .get(crate::token::scope(&planned.key))
                    .copied()
                    .unwrap_or(0);
                if count >= self.settings.token_limit {
                    TokenState::Full
                } else {
                    TokenState::New
                }
            }
        }
    }

    /// Remembers a token with the answer that a repeat gets.
    pub fn remember(&mut self, token: TokenIndex, payload: u64, answer: &[u8]) {
        let Some(planned) = self.plan.tokens.get(token.0) else {
            return;
        };
        entry::put(
            opened(&mut self.core.tail, self.now_ms),
            &Op::Token {
                token: &planned.key,
                payload,
                answer,
            },
        );
        self.core.apply_token(
            &planned.key,
            Token {
                time_ms: self.now_ms,
                payload,
                answer: answer.into(),
            },
        );
    }

    /// Notes in the ledger that `adds` repeated adds to this key's namespace came as duplicates.
    pub fn duplicate_adds(&mut self, key: KeyIndex, adds: u64) {
        let id = self.id(key).or_else(|| self.make(key));
        if let Some(id) = id.filter(|_| !planted!(DuplicateUncounted)) {
            self.note_adds(id, Outcome::Duplicate, adds);
        }
    }

    /// Notes in the ledger that `adds` adds to this key's namespace came too late: those of an event that is late for another one
    /// of its namespaces.
    pub fn late_adds(&mut self, key: KeyIndex, adds: u64) {
        let id = self.id(key).or_else(|| self.make(key));
        if let Some(id) = id {
            self.note_adds(id, Outcome::Late, adds);
        }
    }

    /// Notes the outcome of an event of a source. Adds are noted by themselves, per namespace.
    pub fn event(&mut self, source: &str, outcome: Outcome) {
        entry::put(opened(&mut self.core.tail, self.now_ms), &Op::Event { source, outcome });
        self.core.apply_event(source, outcome, None);
    }

    /// Notes a rejected event: why (a short text out of few), and which.
    pub fn reject_event(&mut self, source: &str, reason: &str, which: &str) {
        entry::put(
            opened(&mut self.core.tail, self.now_ms),
            &Op::Rejected { source, reason, which },
        );
        self.core.apply_event(source, Outcome::Rejected, Some((reason, which)));
    }

    /// Ends counters whose time has come, as whoever meets them does; `seen` ends before this entry (rule 12).
    pub(crate) fn expire_due(&mut self) {
        if !self.plan.writes {
            return;
        }
        for index in 0..self.plan.keys.len() {
            let key = KeyIndex(index);
            let Some(id) = self.id(key) else { continue };
            let due = self
                .core
                .table
                .get(id)
                .is_some_and(|counter| counter.loaded() && counter.exists() && counter.has_ended(self.now_ms));
            if due {
                let (_, before) = self.head(id);
                self.put_head(key, id, Ends::Life, ended(before));
            }
        }
    }

    fn id(&self, key: KeyIndex) -> Option<CounterId> {
        self.plan.keys.get(key.0)?.id
    }

    /// Puts a counter of which nothing is known into memory.
    fn make(&mut self, key: KeyIndex) -> Option<CounterId> {
        let planned = self.plan.keys.get_mut(key.0)?;
        let name = Plan::name(&self.plan.bytes, planned);
        let hash = planned.hash.unwrap_or_else(|| self.core.hash(name));
        let id = self.core.counter(hash, name);
        planned.id = Some(id);
        Some(id)
    }

    fn note_adds(&mut self, id: CounterId, outcome: Outcome, count: u64) {
        let Some(index) = self.core.table.get(id).map(|counter| counter.namespace()) else {
            return;
        };
        let Some(name) = self.core.namespaces.get(index).map(|namespace| namespace.name.as_str()) else {
            return;
        };
        entry::put(
            opened(&mut self.core.tail, self.now_ms),
            &Op::Adds {
                namespace: name,
                outcome,
                count,
            },
        );
        if let Some(namespace) = self.core.namespaces.get_mut(index) {
            namespace.open.note(outcome, count);
        }
    }

    /// Whether the counter exists, and its head with what a new one has seen.
    fn head(&self, id: CounterId) -> (bool, Head) {
        let counter = self.core.table.get(id);
        let head = counter.and_then(|counter| counter.head().cloned()).unwrap_or_default();
        (counter.is_some_and(|counter| counter.exists()), head)
    }

    fn put_head(&mut self, key: KeyIndex, id: CounterId, ends: Ends, mut head: Head) {
        if ends != Ends::Nothing {
            self.see(key, &mut head);
        }
        if ends == Ends::Life {
            head.born.clone_from(&head.seen);
        }
        let Some(planned) = self.plan.keys.get(key.0) else {
            return;
        };
        let Some(bytes) = self.plan.bytes.get(planned.start..planned.end) else {
            return;
        };
        let Ok(name) = tally_counter::Key::new(bytes) else {
            return;
        };
        let op = Op::Head { key: name, ends, head };
        entry::put(opened(&mut self.core.tail, self.now_ms), &op);
        if let Op::Head { head, .. } = op {
            self.core.apply_head(id, ends, head);
        }
    }

    /// Notes what the ended value included: of the own journal all before this entry, of others what was read (rule 12).
    fn see(&self, key: KeyIndex, head: &mut Head) {
        let before = self.core.tail.position();
        let seen = if planted!(SeenTooLate) {
            before.after(2)
        } else {
            Ok(before)
        };
        head.see(self.registry.own(), seen.unwrap_or(before));
        let loaded: Option<&Snapshot> = self.plan.keys.get(key.0).and_then(|planned| planned.loaded.as_deref());
        for (writer, position) in loaded
            .map(|snapshot| snapshot.seen(self.registry.own(), self.registry))
            .unwrap_or_default()
        {
            head.see(writer, position);
        }
    }

    /// Ends the turn: the position of its entry, `None` if it wrote nothing.
    pub(crate) fn finish(self) -> Result<Option<Position>, String> {
        self.core.tail.finish().map_err(|error| error.to_string())
    }
}

/// The head after the end of a life.
fn ended(before: Head) -> Head {
    let generation: Generation = before.generation.next_life();
    Head {
        generation,
        base: 0,
        created: false,
        expires_ms: None,
        seen: before.seen,
        born: before.born,
    }
}

/// The buffer of the turn's entry, begun with the turn's time.
fn opened(tail: &mut crate::journal::Tail, now_ms: u64) -> &mut Vec<u8> {
    let fresh = !tail.is_open();
    let out = tail.entry();
    if fresh {
        entry::begin(out, now_ms);
    }
    out
}
