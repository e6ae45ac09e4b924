//! What stands under the engine's lock: hot table, open round, the journal's tail, tokens, namespaces. Every effect of an entry
//! is applied here, by a turn and by a replay alike, so that both give the same fold.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::quality::FixedState;
use tally_counter::{Delta, Ends, Figures, Head, Minute, Outcome, Policy, Position};

use crate::Settings;
use crate::declared::DeclaredName;
use crate::fold::{Fold, NO_LINK};
use crate::journal::Tail;
use crate::namespaces::Namespaces;
use crate::sight::Sight;
use crate::table::{Busy, CounterId, Round, Table};

/// A token as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// When it was used, Unix milliseconds.
    pub(crate) time_ms: u64,
    /// What its request hashes to.
    pub(crate) payload: u64,
    /// What a repeat is answered.
    pub(crate) answer: Box<[u8]>,
}

/// What the log said since the last cut.
#[derive(Debug, Default)]
pub(crate) struct Open {
    pub(crate) fold: Fold,
    pub(crate) tokens: BTreeMap<Box<[u8]>, Token>,
    pub(crate) sources: BTreeMap<String, Figures>,
    /// Policies and documents that changed, by kind and name.
    pub(crate) declared: BTreeMap<DeclaredName, Vec<u8>>,
    /// Those that other nodes have declared and this one goes by from here on.
    pub(crate) adopted: BTreeMap<DeclaredName, Vec<u8>>,
}

impl Open {
    fn declare(&mut self, name: DeclaredName, value: Vec<u8>, adopted: bool) {
        if adopted {
            self.adopted.insert(name, value);
        } else {
            self.adopted.remove(&name);
            self.declared.insert(name, value);
        }
    }
}

/// A round that was cut and is on its way to the store.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) cut: Position,
    pub(crate) round: Round,
    pub(crate) open: Open,
    /// The namespaces' figures, by name.
    pub(crate) namespaces: BTreeMap<String, Figures>,
    /// The policies and boundaries as of the cut.
    pub(crate) policies: crate::round::Policies,
    /// What the writer's row keeps of the namespaces as of the cut.
    pub(crate) kept: BTreeMap<String, crate::namespaces::Kept>,
    pub(crate) progress: Progress,
}

/// How much of a round is put.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicUsize);

impl Progress {
    /// So many more counters were put.
    pub(crate) fn add(&self, counters: usize) {
        self.0.fetch_add(counters, Ordering::Relaxed);
    }

    /// The store refused it: how soon it takes the rest is not known.
    pub(crate) fn give_up(&self) {
        self.0.store(usize::MAX / 2, Ordering::Relaxed);
    }

    /// In eighths of `all`.
    fn eighths(&self, all: usize) -> usize {
        let put = self.0.load(Ordering::Relaxed);
        put.saturating_mul(8).checked_div(all).unwrap_or(8).min(8)
    }
}

/// Everything under the lock.
pub(crate) struct Core {
    pub(crate) table: Table,
    pub(crate) budget: Budget,
    pub(crate) hasher: FixedState,
    pub(crate) round: Round,
    pub(crate) open: Open,
    pub(crate) closing: Option<Arc<Closing>>,
    pub(crate) tail: Tail,
    pub(crate) namespaces: Namespaces,
    pub(crate) documents: HashMap<String, String>,
    /// Tokens a scope holds.
    pub(crate) token_counts: HashMap<Box<[u8]>, u64>,
    /// Moves where what was loaded before may be old. (Not when a counter is evicted: it is clean, so the store had all of it since the
    /// round that moved this.)
    pub(crate) stamp: Stamp,
    /// Writers that may still write, other than this node's.
    pub(crate) foreign: usize,
    /// Those of them that other processes write: what is in memory is then only as others were last seen.
    pub(crate) others: usize,
    /// What is known of counters that others write too.
    pub(crate) sight: Sight,
    /// Whether the journal has a spare segment.
    pub(crate) room: bool,
    /// Why nothing more may be written.
    pub(crate) stopped: Option<String>,
    /// The last position that the store has.
    pub(crate) applied: Position,
    pub(crate) journal_bytes: u64,
    pub(crate) counts: Counts,
}

/// A moment of what the store has of counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    rounds: u64,
    others: u64,
}

impl Stamp {
    /// A round of the own writer has ended: of the counters that it changed, and of no others, the store has more.
    pub(crate) fn round_ended(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
    }

    /// Rows of any counters were put or removed, or are read by other rules.
    pub(crate) fn others_moved(&mut self) {
        self.others = self.others.saturating_add(1);
    }
}

/// When something was read, and how many counters had been evicted by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadAt {
    stamp: Stamp,
    evicted: u64,
}

/// Figures for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) adds: u64,
    pub(crate) lookups: u64,
    pub(crate) hits: u64,
}

impl Core {
    pub(crate) fn new(seed: u64, applied: Position, budget: Budget) -> Self {
        Self::with_hasher(FixedState::with_seed(seed), applied, budget)
    }

    pub(crate) fn with_hasher(hasher: FixedState, applied: Position, budget: Budget) -> Self {
        Self {
            table: Table::new(hasher.clone(), budget.table_bytes),
            budget,
            hasher: hasher.clone(),
            round: Round(1),
            open: Open::default(),
            closing: None,
            tail: Tail::new(applied),
            namespaces: Namespaces::new(),
            documents: HashMap::new(),
            token_counts: HashMap::new(),
            stamp: Stamp::default(),
            foreign: 0,
            others: 0,
            sight: Sight::new(hasher),
            room: true,
            stopped: None,
            applied,
            journal_bytes: 0,
            counts: Counts::default(),
        }
    }

    pub(crate) fn hash(&self, name: &[u8]) -> u64 {
        self.hasher.hash_one(name)
    }

    /// A counter that is in memory.
    pub(crate) fn find(&self, key: &str) -> Option<CounterId> {
        self.table.find(self.hash(key.as_bytes()), key.as_bytes())
    }

    /// The counter, made where it is not in memory, with nothing known of it.
    pub(crate) fn counter(&mut self, hash: u64, name: &[u8]) -> CounterId {
        if let Some(id) = self.table.find(hash, name) {
            return id;
        }
        let namespace = self.namespaces.of_name(name);
        self.table.insert(hash, name, namespace)
    }

    /// The effect of an add that was counted.
    #[inline]
    pub(crate) fn apply_add(&mut self, id: CounterId, amount: i64, time_ms: u64) {
        let Some(added) = self.table.add(id, amount) else {
            return;
        };
        let minute = self.note_add(added.namespace, time_ms);
        if let Some(begun) = self.open.fold.add(id, added.link, amount, minute) {
            self.link(id, begun);
        }
    }

    /// The open round has an entry of this counter from now on.
    fn link(&mut self, id: CounterId, entry: u32) {
        let linked = self.table.set_link(id, self.round, entry);
        self.open.fold.pin(linked.record_bytes);
        if linked.again {
            self.open.fold.set_changed_before(entry);
        }
        if !linked.stored {
            self.open.fold.set_fresh(id);
        }
    }

    /// Where a counter's amounts of the open and of the closing round stand.
    pub(crate) fn entries(&self, id: CounterId) -> (Option<u32>, Option<u32>) {
        let link = self.table.get(id).map_or(NO_LINK, |counter| counter.link());
        let open = self.open.fold.owns(id, link).then_some(link);
        let older = open.map_or(link, |link| self.open.fold.older(link));
        let closing = self
            .closing
            .as_ref()
            .filter(|closing| closing.open.fold.owns(id, older));
        (open, closing.map(|_| older))
    }

    /// What the open and the closing round add to a counter.
    pub(crate) fn deltas(&self, id: CounterId) -> (Option<Delta>, Option<Delta>) {
        let (open, closing) = self.entries(id);
        let open = open.and_then(|link| self.open.fold.delta(link));
        let closing = self
            .closing
            .as_ref()
            .zip(closing)
            .and_then(|(closing, link)| closing.open.fold.delta(link));
        (open, closing)
    }

    fn note_add(&mut self, namespace: u16, time_ms: u64) -> Option<Minute> {
        self.counts.adds = self.counts.adds.saturating_add(1);
        let namespace = self.namespaces.get_mut(namespace)?;
        namespace.open.note(Outcome::Counted, 1);
        if !namespace.history {
            return None;
        }
        let minute = Minute::of_ms(time_ms)?;
        namespace.newest = namespace.newest.max(minute);
        Some(minute)
    }

    /// The effect of a new head.
    pub(crate) fn apply_head(&mut self, id: CounterId, ends: Ends, head: Head) {
        let Some(counter) = self.table.get(id) else { return };
        let (namespace, link) = (counter.namespace(), counter.link());
        self.table.touch(id);
        match ends {
            Ends::Nothing => {}
            Ends::Set => {
                self.table.set_value(id, head.base.into());
                self.table.set_exists(id, true);
            }
            Ends::Life => {
                self.table.set_value(id, 0);
                self.table.set_exists(id, false);
                self.table.set_stored(id, false);
            }
        }
        if head.expires_ms.is_some()
            && let Some(namespace) = self.namespaces.get_mut(namespace)
        {
            namespace.expires = true;
        }
        if let Some(begun) = self.open.fold.end(id, link, ends, head.clone()) {
            self.link(id, begun);
        }
        self.table.set_head(id, Some(head));
    }

    /// The effect of a used token.
    pub(crate) fn apply_token(&mut self, key: &[u8], token: Token) {
        let scope = crate::token::scope(key);
        let count = self.token_counts.entry(scope.into()).or_default();
        *count = count.saturating_add(1);
        self.open.tokens.insert(key.into(), token);
    }

    /// The effect of adds that were not counted.
    pub(crate) fn apply_adds(&mut self, namespace: &str, outcome: Outcome, count: u64) {
        let index = self.namespaces.named(namespace).unwrap_or(0);
        if let Some(namespace) = self.namespaces.get_mut(index) {
            namespace.open.note(outcome, count);
        }
    }

    /// The effect of an event's outcome.
    pub(crate) fn apply_event(&mut self, source: &str, outcome: Outcome, reason: Option<(&str, &str)>) {
        let figures = match self.open.sources.get_mut(source) {
            Some(figures) => figures,
            None => self.open.sources.entry(source.to_owned()).or_default(),
        };
        match reason {
            Some((reason, which)) => figures.reject(reason, which),
            None => figures.note(outcome, 1),
        }
    }

    /// The effect of a policy; `adopted`: of another node's.
    pub(crate) fn apply_policy(&mut self, name: &str, policy: Policy, adopted: bool) {
        let declared = DeclaredName::policy(name);
        self.open.declare(declared, policy.encoded(), adopted);
        let before = self.namespaces.len();
        self.namespaces.put(name, policy, true);
        if self.namespaces.len() != before {
            // Counters of a namespace that is declared now belonged to `default` until here.
            for id in self.table.ids() {
                if let Some(namespace) = self
                    .table
                    .get(id)
                    .map(|counter| self.namespaces.of_name(counter.name()))
                {
                    self.table.set_namespace(id, namespace);
                }
            }
        }
    }

    /// The effect of a document.
    pub(crate) fn apply_document(&mut self, name: &str, text: &str, adopted: bool) {
        self.documents.insert(name.to_owned(), text.to_owned());
        let declared = DeclaredName::document(name);
        self.open.declare(declared, text.as_bytes().to_vec(), adopted);
    }

    /// Now, for who goes to read.
    pub(crate) fn read_at(&self) -> ReadAt {
        ReadAt {
            stamp: self.stamp,
            evicted: self.table.evicted(),
        }
    }

    /// Whether what was read at that moment may be old.
    pub(crate) fn is_past(&self, read: ReadAt) -> bool {
        self.stamp != read.stamp
    }

    /// Whether what was read at that moment of a counter that is not in memory is as good as ever: only own rounds have ended since, and
    /// it was in none of them, or it would be here still.
    pub(crate) fn has_kept_all_since(&self, read: ReadAt) -> bool {
        self.stamp.others == read.stamp.others && self.table.evicted() == read.evicted
    }

    /// What the table and the rounds take in memory.
    pub(crate) fn hot_bytes(&self) -> usize {
        self.table.bytes().saturating_add(self.round_bytes())
    }

    /// What the rounds take.
    fn round_bytes(&self) -> usize {
        let closing = self.closing.as_ref();
        ordered_bytes(&self.open.fold).saturating_add(closing.map_or(0, |closing| ordered_bytes(&closing.open.fold)))
    }

    /// Whether the open round should be cut, so that it and the next find room.
    pub(crate) fn is_heavy(&self) -> bool {
        ordered_bytes(&self.open.fold) > self.budget.rounds_bytes / 8 * 3
            || self.open.fold.pinned_bytes() > self.budget.table_bytes / 4
    }

    /// Sees to room for a turn: lets clean counters go where the budget asks for it. `false`: a round must free some first. The last
    /// eighth is for turns of few counters, so that a flood of new ones in bulk does not hold up whoever counts a few. Such a flood fills
    /// half at most with the open round, and the second quarter no faster than the store takes the round before: so it is slowed down
    /// evenly, not stopped for as long as a round takes.
    pub(crate) fn make_room(&mut self, names_bytes: usize, names: usize) -> bool {
        let closing = self.closing.as_ref();
        self.table.make_room(
            names_bytes,
            names,
            Busy {
                open: (self.round, &self.open.fold),
                closing: closing.map(|closing| (closing.round, &closing.open.fold)),
            },
        );
        let pinned = closing.map_or(0, |closing| closing.open.fold.pinned_bytes());
        let pinned = self.open.fold.pinned_bytes().saturating_add(pinned);
        let few = names <= FEW;
        let eighths = if few { 8 } else { 7 };
        self.round_bytes() <= self.budget.rounds_bytes / 8 * eighths
            && pinned <= self.budget.table_bytes / 32 * 3 * eighths
            && (few || self.has_pace())
    }

    /// Whether the open round is not filled faster than the closing one is put.
    fn has_pace(&self) -> bool {
        let eighths = self
            .closing
            .as_ref()
            .map_or(8, |closing| closing.progress.eighths(closing.open.fold.len()));
        let sixteenths = eighths.saturating_add(8);
        ordered_bytes(&self.open.fold) <= self.budget.rounds_bytes / 32 * sixteenths
            && self.open.fold.pinned_bytes() <= self.budget.table_bytes / 128 * 3 * sixteenths
    }
}

/// What a round takes once it is put, when its counters are brought into order. An open one is taken for so much from the start:
/// else it would take more than there is in the moment it is cut.
fn ordered_bytes(fold: &Fold) -> usize {
    let order = fold.len().saturating_mul(size_of::<crate::put::Ordered>());
    fold.bytes().saturating_add(order)
}

/// A turn of so many counters has few.
const FEW: usize = 16;

/// How the hot table's memory is shared out.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "units stand last")]
pub(crate) struct Budget {
    /// For counters, names and their index.
    pub(crate) table_bytes: usize,
    /// For the open and the closing round.
    pub(crate) rounds_bytes: usize,
    /// For what a round remembers of the rows it wrote.
    pub(crate) cache_bytes: usize,
}

impl Budget {
    /// A quarter for the rounds, a sixteenth for the cache, the rest for counters.
    pub(crate) fn of(settings: &Settings) -> Self {
        let all = usize::try_from(settings.hot_budget_bytes).unwrap_or(usize::MAX);
        Self {
            table_bytes: all / 16 * 11,
            rounds_bytes: all / 4,
            cache_bytes: all / 16,
        }
    }
}
