//! The hot table: the counts in memory. An index of names over a slab of counters. Guards that nothing that is not in the store yet
//! is evicted (rule 6): what an open or closing round counted stands in `Deltas`, and a counter with such is never let go.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use tally_counter::{Delta, Head};

/// A counter's place in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CounterId(pub(crate) u32);

/// Which round a delta belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round(pub(crate) u32);

/// Where a counter's amounts of a round stand.
#[derive(Clone, Copy, Debug)]
struct DeltaPlace {
    round: Round,
    index: u32,
}

const NOWHERE: DeltaPlace = DeltaPlace {
    round: Round(0),
    index: u32::MAX,
};

/// A counter in memory.
#[derive(Debug)]
pub(crate) struct Counter {
    key: Box<str>,
    /// Its head, where it has one that is known. Rare, so behind a pointer.
    pub(crate) head: Option<Box<Head>>,
    /// Base and all summed cells and what is not in the store yet. Means nothing unless `loaded`.
    pub(crate) value: i128,
    newest: DeltaPlace,
    older: DeltaPlace,
    /// Its namespace's index.
    pub(crate) namespace: u16,
    /// Whether value, head and existence are known; not so after blind adds to a cold counter.
    pub(crate) loaded: bool,
    /// Whether it exists. Means nothing unless `loaded`.
    pub(crate) exists: bool,
    /// Touched since the clock's hand last passed.
    referenced: bool,
}

impl Counter {
    /// Its name.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Where its amounts of this round stand.
    pub(crate) fn delta_index(&self, round: Round) -> Option<usize> {
        [self.newest, self.older]
            .into_iter()
            .find(|place| place.round == round && place.index != u32::MAX)
            .and_then(|place| usize::try_from(place.index).ok())
    }

    /// Where its amounts of a new round will stand.
    fn open_delta(&mut self, round: Round, index: usize) {
        self.older = self.newest;
        self.newest = DeltaPlace {
            round,
            index: u32::try_from(index).unwrap_or(u32::MAX),
        };
    }

    /// Whether it is known to exist, and has not ended by now.
    pub(crate) fn is_there(&self, now_ms: u64) -> bool {
        self.loaded && self.exists && !self.head.as_ref().is_some_and(|head| head.expired(now_ms))
    }

    /// Marks it as used, so that it stays in memory.
    pub(crate) fn touch(&mut self) {
        self.referenced = true;
    }

    fn bytes(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |head| {
            size_of::<Head>().saturating_add(head.seen.len().saturating_add(head.born.len()).saturating_mul(16))
        });
        PER_COUNTER_BYTES.saturating_add(self.key.len()).saturating_add(head)
    }
}

/// A slot of the slab, a share of the index, and what the allocator adds to a name.
const PER_COUNTER_BYTES: usize = size_of::<Option<Counter>>() + 10 + 16;

/// The amounts of one round, by counter.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    entries: Vec<(CounterId, Delta)>,
}

impl Deltas {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Delta> {
        self.entries.get(index).map(|(_, delta)| delta)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (CounterId, &Delta)> + '_ {
        self.entries.iter().map(|(id, delta)| (*id, delta))
    }

    /// About what they take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.len().saturating_mul(size_of::<(CounterId, Delta)>() + 16)
    }
}

/// The table.
pub(crate) struct Table {
    index: HashTable<u32>,
    counters: Vec<Option<Counter>>,
    free: Vec<u32>,
    hasher: FixedState,
    hand: usize,
    bytes: usize,
}

impl Table {
    /// An empty table; names are hashed under a seed that callers cannot know, so that keys cannot be made to collide.
    pub(crate) fn new(hasher: FixedState) -> Self {
        Self {
            index: HashTable::new(),
            counters: Vec::new(),
            free: Vec::new(),
            hasher,
            hand: 0,
            bytes: 0,
        }
    }

    /// Finds a counter by name and its hash.
    pub(crate) fn find(&self, hash: u64, key: &str) -> Option<CounterId> {
        let counters = &self.counters;
        self.index
            .find(hash, |id| {
                counter_at(counters, *id).is_some_and(|counter| counter.key() == key)
            })
            .map(|id| CounterId(*id))
    }

    /// Puts in a counter that is not there, of which nothing is known yet.
    pub(crate) fn insert(&mut self, hash: u64, key: &str, namespace: u16) -> CounterId {
        let counter = Counter {
            key: key.into(),
            head: None,
            value: 0,
            newest: NOWHERE,
            older: NOWHERE,
            namespace,
            loaded: false,
            exists: false,
            referenced: true,
        };
        self.bytes = self.bytes.saturating_add(counter.bytes());
        let id = self.free.pop().unwrap_or_else(|| {
            self.counters.push(None);
            u32::try_from(self.counters.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        if let Some(slot) = slot_at(&mut self.counters, id) {
            *slot = Some(counter);
        }
        let Self {
            index,
            counters,
            hasher,
            ..
        } = self;
        index.insert_unique(hash, id, |other| {
            counter_at(counters, *other).map_or(0, |counter| hasher.hash_one(counter.key().as_bytes()))
        });
        CounterId(id)
    }

    /// A counter that is there.
    pub(crate) fn get(&self, id: CounterId) -> Option<&Counter> {
        counter_at(&self.counters, id.0)
    }

    /// A counter that is there.
    pub(crate) fn get_mut(&mut self, id: CounterId) -> Option<&mut Counter> {
        slot_at(&mut self.counters, id.0)?.as_mut()
    }

    /// Gives a counter another head and keeps the account of memory.
    pub(crate) fn set_head(&mut self, id: CounterId, head: Option<Box<Head>>) {
        let Some(counter) = slot_at(&mut self.counters, id.0).and_then(Option::as_mut) else {
            return;
        };
        let before = counter.bytes();
        counter.head = head;
        self.bytes = self.bytes.saturating_add(counter.bytes()).saturating_sub(before);
    }

    /// The counter's amounts in the open round; begins them where there are none.
    pub(crate) fn delta<'d>(&mut self, id: CounterId, round: Round, deltas: &'d mut Deltas) -> Option<&'d mut Delta> {
        let counter = self.get_mut(id)?;
        let index = if let Some(index) = counter.delta_index(round) {
            index
        } else {
            let index = deltas.entries.len();
            deltas.entries.push((id, Delta::default()));
            counter.open_delta(round, index);
            index
        };
        deltas.entries.get_mut(index).map(|(_, delta)| delta)
    }

    /// Lets clean counters that were not used lately go, until at most `goal` bytes are taken or `steps` counters were looked at.
    /// Those with amounts of a round in `busy` stay. Answers how many went.
    pub(crate) fn evict(&mut self, goal: usize, steps: usize, busy: &[Round]) -> usize {
        let mut gone = 0_usize;
        for _ in 0..steps.min(self.counters.len().saturating_mul(2)) {
            if self.bytes <= goal {
                break;
            }
            self.hand = if self.hand.saturating_add(1) < self.counters.len() {
                self.hand.saturating_add(1)
            } else {
                0
            };
            let Some(Some(counter)) = self.counters.get_mut(self.hand) else {
                continue;
            };
            if std::mem::take(&mut counter.referenced) || busy.iter().any(|round| counter.delta_index(*round).is_some())
            {
                continue;
            }
            gone = gone.saturating_add(1);
            self.remove(self.hand);
        }
        gone
    }

    fn remove(&mut self, place: usize) {
        let Some(counter) = self.counters.get_mut(place).and_then(Option::take) else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(counter.bytes());
        let hash = self.hasher.hash_one(counter.key().as_bytes());
        let id = u32::try_from(place).unwrap_or(u32::MAX);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.free.push(id);
    }

    /// Every counter in memory.
    pub(crate) fn ids(&self) -> impl Iterator<Item = CounterId> + use<> {
        (0..u32::try_from(self.counters.len()).unwrap_or(u32::MAX)).map(CounterId)
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// What counters and index take, in bytes; deltas are accounted for by themselves.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn counter_at(counters: &[Option<Counter>], id: u32) -> Option<&Counter> {
    counters.get(usize::try_from(id).ok()?)?.as_ref()
}

fn slot_at(counters: &mut [Option<Counter>], id: u32) -> Option<&mut Option<Counter>> {
    counters.get_mut(usize::try_from(id).ok()?)
}
