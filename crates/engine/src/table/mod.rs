//! The hot table: the counts in memory. Names are found by an index of one cache line a look-up; a counter is sixteen bytes of fields
//! and its name in a page (decision 0010). Guards that nothing that is not in the store yet is evicted (rule 6): a counter that
//! an open or closing round changed is never let go. Evicts only when asked between turns, so that ids hold for a turn.

mod index;
mod pages;
mod prefetch;
mod record;

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use tally_counter::{Head, planted};

use crate::fold::{Fold, NO_LINK};
use index::Index;
use pages::Pages;
use record::Fields;

/// A counter's place in the table, for as long as it is not evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CounterId(pub(crate) u32);

/// The number of a round, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round(pub(crate) u32);

/// What few counters have, by their ids: heads, and values that do not fit their field.
struct Sides {
    heads: HashMap<u32, Box<Head>, FixedState>,
    values: HashMap<u32, i128, FixedState>,
}

/// A counter in memory.
#[derive(Clone, Copy)]
pub(crate) struct Counter<'t> {
    id: u32,
    fields: Fields,
    name: &'t [u8],
    sides: &'t Sides,
}

impl<'t> Counter<'t> {
    /// Its name.
    pub(crate) fn key(&self) -> &'t str {
        std::str::from_utf8(self.name).unwrap_or_default()
    }

    /// Its name's bytes.
    pub(crate) fn name(&self) -> &'t [u8] {
        self.name
    }

    /// Its head, where it has one that is known.
    pub(crate) fn head(&self) -> Option<&'t Head> {
        if !self.fields.headed() {
            return None;
        }
        self.sides.heads.get(&self.id).map(|head| &**head)
    }

    /// Base and all summed cells and what is not in the store yet. Means nothing unless `loaded`.
    pub(crate) fn value(&self) -> i128 {
        match self.fields.value() {
            Some(value) => value.into(),
            None => self.sides.values.get(&self.id).copied().unwrap_or_default(),
        }
    }

    /// Its namespace's index.
    pub(crate) fn namespace(&self) -> u16 {
        self.fields.namespace()
    }

    /// Whether value, head and existence are known; not so after blind adds to a cold counter.
    pub(crate) fn loaded(&self) -> bool {
        self.fields.loaded()
    }

    /// Whether it exists. Means nothing unless `loaded`.
    pub(crate) fn exists(&self) -> bool {
        self.fields.exists()
    }

    /// Whether the store is known to have its name.
    pub(crate) fn is_stored(&self) -> bool {
        self.fields.stored()
    }

    /// Where its newest entry stands.
    pub(crate) fn link(&self) -> u32 {
        self.fields.link
    }

    /// Whether it is known to exist, and has not ended by now.
    pub(crate) fn is_there(&self, now_ms: u64) -> bool {
        self.loaded() && self.exists() && !self.has_ended(now_ms)
    }

    /// Whether its head says that it has ended.
    pub(crate) fn has_ended(&self, now_ms: u64) -> bool {
        self.head().is_some_and(|head| head.expired(now_ms))
    }
}

/// The folds whose counters stay: the open round's and the closing one's.
#[derive(Clone, Copy)]
pub(crate) struct Busy<'f> {
    pub(crate) open: (Round, &'f Fold),
    pub(crate) closing: Option<(Round, &'f Fold)>,
}

impl Busy<'_> {
    fn holds(&self, id: u32, fields: Fields) -> bool {
        let holds =
            |(round, fold): (Round, &Fold)| round.0 & 3 == fields.round() && fold.owns(CounterId(id), fields.link);
        (holds(self.open) && !planted!(DirtyEvicted))
            || (self.closing.is_some_and(holds) && !planted!(OpenRoundEvicted))
    }
}

/// What an add met.
pub(crate) struct Added {
    pub(crate) namespace: u16,
    pub(crate) link: u32,
}

/// What is known of a counter that a round changes for the first time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Linked {
    /// What its record takes.
    pub(crate) record_bytes: usize,
    /// It seems to have changed in the round before, too: a guess, of that one only two bits are known.
    pub(crate) again: bool,
    /// The store has its name.
    pub(crate) stored: bool,
}

/// The table.
pub(crate) struct Table {
    index: Index,
    pages: Pages,
    sides: Sides,
    sides_bytes: usize,
    hasher: FixedState,
    limit_bytes: usize,
    /// Counters that were let go.
    evicted: u64,
}

impl Table {
    /// An empty table of at most about so many bytes; names are hashed under a seed that callers cannot know, so that keys cannot be
    /// made to collide.
    pub(crate) fn new(hasher: FixedState, limit_bytes: usize) -> Self {
        Self {
            index: Index::new(limit_bytes),
            pages: Pages::new(limit_bytes),
            sides: Sides {
                heads: HashMap::with_hasher(hasher.clone()),
                values: HashMap::with_hasher(hasher.clone()),
            },
            sides_bytes: 0,
            hasher,
            limit_bytes,
            evicted: 0,
        }
    }

    /// Brings what look-ups of these hashes will meet into the processor's caches, so that the waits for memory overlap.
    pub(crate) fn prefetch(&self, hashes: impl Iterator<Item = u64> + Clone) {
        for hash in hashes.clone() {
            if let Some(line) = self.index.line(hash) {
                prefetch::read(line);
            }
        }
        for hash in hashes {
            let record = self.index.candidate(hash).and_then(|id| self.pages.tail(id));
            // Fields and name: most often a line or the next one, too.
            for part in [0, LINE_BYTES / 2] {
                if let Some(byte) = record.and_then(|bytes| bytes.get(part)) {
                    prefetch::read(byte);
                }
            }
        }
    }

    /// Finds a counter by name and its hash.
    #[inline]
    pub(crate) fn find(&self, hash: u64, name: &[u8]) -> Option<CounterId> {
        let is = |id| self.pages.record(id).is_some_and(|(_, other)| other == name);
        self.index.find(hash, is).map(CounterId)
    }

    /// Puts in a counter that is not there, of which nothing is known yet.
    pub(crate) fn insert(&mut self, hash: u64, name: &[u8], namespace: u16) -> CounterId {
        let id = self.pages.insert(Fields::new(name.len(), namespace, NO_LINK), name);
        let (pages, hasher) = (&self.pages, &self.hasher);
        self.index.insert(hash, id, |other| {
            pages.record(other).map_or(0, |(_, name)| hasher.hash_one(name))
        });
        CounterId(id)
    }

    /// A counter that is there.
    #[inline]
    pub(crate) fn get(&self, id: CounterId) -> Option<Counter<'_>> {
        let (fields, name) = self.pages.record(id.0)?;
        Some(Counter {
            id: id.0,
            fields,
            name,
            sides: &self.sides,
        })
    }

    /// Counts an add in the counter's value, and marks it as used and existing.
    #[inline]
    pub(crate) fn add(&mut self, id: CounterId, amount: i64) -> Option<Added> {
        let mut past = false;
        let added = self.pages.change(id.0, |fields| {
            fields.set_referenced(true);
            fields.set_exists(true);
            let sum = fields.value().and_then(|value| value.checked_add(amount));
            match sum.filter(|sum| *sum != i64::MIN) {
                Some(sum) => fields.set_value(Some(sum)),
                None => past = true,
            }
            Added {
                namespace: fields.namespace(),
                link: fields.link,
            }
        });
        if past && let Some(value) = self.get(id).map(|counter| counter.value()) {
            // Within 128 bits: totals are sums of fewer than 2^64 adds of 64 bits.
            self.set_value(id, value.saturating_add(amount.into()));
        }
        added
    }

    /// Gives a counter another value.
    pub(crate) fn set_value(&mut self, id: CounterId, value: i128) {
        let small = i64::try_from(value).ok().filter(|value| *value != i64::MIN);
        let was_aside = self.get(id).is_some_and(|counter| counter.fields.value().is_none());
        self.pages.change(id.0, |fields| fields.set_value(small));
        match small {
            None => {
                if self.sides.values.insert(id.0, value).is_none() {
                    self.sides_bytes = self.sides_bytes.saturating_add(VALUE_BYTES);
                }
            }
            Some(_) if was_aside => {
                self.sides.values.remove(&id.0);
                self.sides_bytes = self.sides_bytes.saturating_sub(VALUE_BYTES);
            }
            Some(_) => {}
        }
    }

    /// Gives a counter another head.
    pub(crate) fn set_head(&mut self, id: CounterId, head: Option<Head>) {
        self.pages.change(id.0, |fields| fields.set_headed(head.is_some()));
        let bytes = head.as_ref().map_or(0, head_bytes);
        let before = match head {
            Some(head) => self.sides.heads.insert(id.0, Box::new(head)),
            None if self.sides.heads.is_empty() => None,
            None => self.sides.heads.remove(&id.0),
        };
        let before = before.as_deref().map_or(0, head_bytes);
        self.sides_bytes = self.sides_bytes.saturating_add(bytes).saturating_sub(before);
    }

    /// Marks a counter as used, so that it stays in memory.
    pub(crate) fn touch(&mut self, id: CounterId) {
        self.pages.change(id.0, |fields| fields.set_referenced(true));
    }

    pub(crate) fn set_exists(&mut self, id: CounterId, exists: bool) {
        self.pages.change(id.0, |fields| fields.set_exists(exists));
    }

    pub(crate) fn set_loaded(&mut self, id: CounterId, loaded: bool) {
        self.pages.change(id.0, |fields| fields.set_loaded(loaded));
    }

    /// Whether the store is known to have its name.
    pub(crate) fn set_stored(&mut self, id: CounterId, stored: bool) {
        self.pages.change(id.0, |fields| fields.set_stored(stored));
    }

    pub(crate) fn set_namespace(&mut self, id: CounterId, namespace: u16) {
        self.pages.change(id.0, |fields| fields.set_namespace(namespace));
    }

    /// The counter's entry of this round stands here.
    pub(crate) fn set_link(&mut self, id: CounterId, round: Round, link: u32) -> Linked {
        let set = self.pages.change(id.0, |fields| {
            let again = fields.link != NO_LINK && fields.round() == round.0.wrapping_sub(1) & 3;
            fields.link = link;
            fields.set_round(round.0);
            Linked {
                record_bytes: fields.units().saturating_mul(record::UNIT_BYTES),
                again,
                stored: fields.stored(),
            }
        });
        set.unwrap_or_default()
    }

    /// Sees to room for so many bytes of names in so many counters: takes it where the table is small, else lets clean counters go
    /// that were not used lately, looking at a bounded number of them.
    pub(crate) fn make_room(&mut self, names_bytes: usize, names: usize, busy: Busy<'_>) {
        for _ in 0..RELEASED_AT_ONCE {
            if self.bytes() <= self.limit_bytes {
                break;
            }
            self.with_pages(&busy, false, |pages, let_go| pages.release(let_go));
        }
        let each = record::HEADER_BYTES.saturating_add(record::UNIT_BYTES);
        let wanted = names_bytes.saturating_add(names.saturating_mul(each));
        let spare = self.limit_bytes.saturating_sub(self.bytes());
        if self.pages.gap_bytes() >= wanted || spare > wanted.saturating_add(self.pages.page_bytes()) {
            return;
        }
        let mut steps = EVICTION_STEPS;
        while steps > 0 && self.pages.gap_bytes() < wanted {
            let taken = self.with_pages(&busy, true, |pages, let_go| pages.sweep(steps, wanted, let_go));
            steps = steps.saturating_sub(taken);
        }
    }

    /// Works on the pages with a say in which counters may go; `second_chance`: those used since the hand last passed stay once more.
    fn with_pages<R>(
        &mut self,
        busy: &Busy<'_>,
        second_chance: bool,
        work: impl FnOnce(&mut Pages, &mut dyn FnMut(u32, &mut Fields, &[u8]) -> bool) -> R,
    ) -> R {
        let Self {
            index,
            pages,
            sides,
            sides_bytes,
            hasher,
            evicted,
            ..
        } = self;
        work(pages, &mut |id, fields, name| {
            let used = fields.referenced();
            fields.set_referenced(false);
            if (used && second_chance) || busy.holds(id, *fields) {
                return false;
            }
            index.remove(hasher.hash_one(name), id);
            *evicted = evicted.saturating_add(1);
            if fields.headed() {
                let head = sides.heads.remove(&id);
                *sides_bytes = sides_bytes.saturating_sub(head.as_deref().map_or(0, head_bytes));
            }
            if fields.value().is_none() && sides.values.remove(&id).is_some() {
                *sides_bytes = sides_bytes.saturating_sub(VALUE_BYTES);
            }
            true
        })
    }

    /// The counters of a page; `None` past the last one. Those that come and go between two calls may be met or not.
    pub(crate) fn page(&self, number: u32) -> Option<Vec<CounterId>> {
        let ids = self.pages.ids_of(usize::try_from(number).ok()?)?;
        Some(ids.into_iter().map(CounterId).collect())
    }

    /// Every counter in memory.
    pub(crate) fn ids(&self) -> Vec<CounterId> {
        self.pages.ids().into_iter().map(CounterId).collect()
    }

    /// How many were let go so far.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// What it takes, in bytes; folds are accounted for by themselves.
    pub(crate) fn bytes(&self) -> usize {
        let sides = self.sides_bytes;
        self.pages
            .bytes()
            .saturating_add(self.index.bytes())
            .saturating_add(sides)
    }
}

/// A line of the processor's caches.
const LINE_BYTES: usize = 64;
/// How many counters one turn looks at to find some to evict.
const EVICTION_STEPS: usize = 4_096;
/// How many pages one turn gives back while the table is too large.
const RELEASED_AT_ONCE: usize = 4;
/// A value that does not fit its field: its share of a map.
const VALUE_BYTES: usize = 40;

fn head_bytes(head: &Head) -> usize {
    let positions = head.seen.len().saturating_add(head.born.len());
    (size_of::<Head>() + 32).saturating_add(positions.saturating_mul(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(limit_bytes: usize) -> Table {
        Table::new(FixedState::with_seed(1), limit_bytes)
    }

    fn put(table: &mut Table, name: &str) -> CounterId {
        let hash = table.hasher.hash_one(name.as_bytes());
        table.insert(hash, name.as_bytes(), 3)
    }

    fn find(table: &Table, name: &str) -> Option<CounterId> {
        table.find(table.hasher.hash_one(name.as_bytes()), name.as_bytes())
    }

    #[test]
    fn values_of_any_size_are_kept() {
        let mut table = table(1 << 20);
        let id = put(&mut table, "a");
        let mut sum = 0_i128;
        for amount in [i64::MAX, i64::MAX, i64::MIN, i64::MIN, i64::MIN, 5, i64::MAX, -7] {
            table.add(id, amount);
            sum += i128::from(amount);
            assert_eq!(table.get(id).unwrap().value(), sum);
        }
        table.set_value(id, i128::from(i64::MIN));
        assert_eq!(table.get(id).unwrap().value(), i128::from(i64::MIN));
        table.set_value(id, 4);
        assert_eq!((table.get(id).unwrap().value(), table.sides_bytes), (4, 0));
    }

    /// A table of a tenth of what comes keeps the counters of its rounds, whatever else goes, and its bytes.
    #[test]
    fn counters_of_a_round_stay_and_others_go() {
        let mut table = table(200_000);
        let mut folds = [Fold::default(), Fold::default()];
        let mut busy_names = Vec::new();
        for number in 0..40_000_u32 {
            let name = format!("counter:{number:016}");
            let [open, closing] = &mut folds;
            table.make_room(
                name.len(),
                1,
                Busy {
                    open: (Round(6), open),
                    closing: Some((Round(5), closing)),
                },
            );
            let id = put(&mut table, &name);
            table.set_value(id, i128::from(number) << (number % 100));
            if number % 7 == 0 {
                table.set_head(id, Some(Head::default()));
            }
            if number % 40 == 0 {
                let (round, fold) = if number % 80 == 0 {
                    (Round(6), open)
                } else {
                    (Round(5), closing)
                };
                let link = fold.add(id, NO_LINK, 1, None).unwrap();
                table.set_link(id, round, link);
                busy_names.push((number, name));
            }
        }
        for (number, name) in &busy_names {
            let counter = table.get(find(&table, name).unwrap()).unwrap();
            assert_eq!(counter.value(), i128::from(*number) << (number % 100));
            assert_eq!(counter.head().is_some(), number % 7 == 0);
        }
        assert!(table.bytes() < 220_000, "{} bytes", table.bytes());
        assert!(table.len() > 2_000 && table.len() < 6_000, "{} counters", table.len());
        assert_eq!(table.ids().len(), table.len());
        for id in table.ids() {
            assert_eq!(find(&table, table.get(id).unwrap().key()), Some(id));
        }
    }
}
