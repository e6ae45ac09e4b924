//! What stands under the engine's lock: hot table, open round, the journal's tail, tokens, namespaces. Every effect of an entry
//! is applied here, by a turn and by a replay alike, so that both give the same fold.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::FixedState;
use tally_counter::{Ends, Figures, Head, Minute, Outcome, Policy, Position, planted};

use crate::Settings;
use crate::journal::Tail;
use crate::namespaces::Namespaces;
use crate::table::{CounterId, Deltas, Round, Table};

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
    pub(crate) deltas: Deltas,
    pub(crate) tokens: BTreeMap<Box<[u8]>, Token>,
    pub(crate) sources: BTreeMap<String, Figures>,
    pub(crate) documents: BTreeMap<String, String>,
    /// Policies that changed, encoded, by namespace.
    pub(crate) policies: BTreeMap<String, Vec<u8>>,
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
}

/// Everything under the lock.
pub(crate) struct Core {
    pub(crate) table: Table,
    pub(crate) hasher: FixedState,
    pub(crate) round: Round,
    pub(crate) open: Open,
    pub(crate) closing: Option<Arc<Closing>>,
    pub(crate) tail: Tail,
    pub(crate) namespaces: Namespaces,
    pub(crate) documents: HashMap<String, String>,
    /// Tokens a scope holds.
    pub(crate) token_counts: HashMap<Box<[u8]>, u64>,
    /// Moves when a round ends or another writer's rows were put: what was loaded before may be old. (Not when a counter is
    /// evicted: it is clean, so the store had all of it since the round that moved this.)
    pub(crate) stamp: u64,
    /// Writers that may still write, other than this node's.
    pub(crate) foreign: usize,
    /// Whether the journal has a spare segment.
    pub(crate) room: bool,
    /// Why nothing more may be written.
    pub(crate) stopped: Option<String>,
    /// The last position that the store has.
    pub(crate) applied: Position,
    pub(crate) journal_bytes: u64,
    pub(crate) counts: Counts,
}

/// Figures for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) adds: u64,
    pub(crate) lookups: u64,
    pub(crate) hits: u64,
}

impl Core {
    pub(crate) fn new(seed: u64, applied: Position) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            table: Table::new(hasher.clone()),
            hasher,
            // The first round is 1: a counter that was never touched points to round 0.
            round: Round(1),
            open: Open::default(),
            closing: None,
            tail: Tail::new(applied),
            namespaces: Namespaces::new(),
            documents: HashMap::new(),
            token_counts: HashMap::new(),
            stamp: 0,
            foreign: 0,
            room: true,
            stopped: None,
            applied,
            journal_bytes: 0,
            counts: Counts::default(),
        }
    }

    pub(crate) fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key.as_bytes())
    }

    /// The counter, made where it is not in memory, with nothing known of it.
    pub(crate) fn counter(&mut self, hash: u64, key: &str) -> CounterId {
        if let Some(id) = self.table.find(hash, key) {
            return id;
        }
        let namespace = self.namespaces.of(key);
        self.table.insert(hash, key, namespace)
    }

    /// The effect of an add that was counted.
    pub(crate) fn apply_add(&mut self, id: CounterId, amount: i64, time_ms: u64) {
        let Some(counter) = self.table.get_mut(id) else { return };
        counter.touch();
        counter.exists = true;
        // Within 128 bits: totals are sums of fewer than 2^64 adds of 64 bits.
        counter.value = counter.value.saturating_add(i128::from(amount));
        let namespace = counter.namespace;
        let minute = self.note_add(namespace, time_ms);
        if let Some(delta) = self.table.delta(id, self.round, &mut self.open.deltas) {
            delta.add(amount.into(), minute);
        }
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
        let Some(counter) = self.table.get_mut(id) else { return };
        counter.touch();
        match ends {
            Ends::Nothing => {}
            Ends::Set => {
                counter.value = head.base.into();
                counter.exists = true;
            }
            Ends::Life => {
                counter.value = 0;
                counter.exists = false;
            }
        }
        let namespace = counter.namespace;
        if head.expires_ms.is_some()
            && let Some(namespace) = self.namespaces.get_mut(namespace)
        {
            namespace.expires = true;
        }
        if let Some(delta) = self.table.delta(id, self.round, &mut self.open.deltas) {
            delta.end(ends, head.clone());
        }
        self.table.set_head(id, Some(Box::new(head)));
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

    /// The effect of a policy.
    pub(crate) fn apply_policy(&mut self, name: &str, policy: Policy) {
        self.open.policies.insert(name.to_owned(), policy.encoded());
        let before = self.namespaces.len();
        self.namespaces.put(name, policy, true);
        if self.namespaces.len() != before {
            // Counters of a namespace that is declared now belonged to `default` until here.
            for id in self.table.ids() {
                let Some(namespace) = self.table.get(id).map(|counter| self.namespaces.of(counter.key())) else {
                    continue;
                };
                if let Some(counter) = self.table.get_mut(id) {
                    counter.namespace = namespace;
                }
            }
        }
    }

    /// The effect of a document.
    pub(crate) fn apply_document(&mut self, name: &str, text: &str) {
        self.documents.insert(name.to_owned(), text.to_owned());
        self.open.documents.insert(name.to_owned(), text.to_owned());
    }

    /// The rounds whose amounts the store may lack.
    pub(crate) fn busy(&self) -> [Round; 2] {
        let closing = self.closing.as_ref().map_or(self.round, |closing| closing.round);
        if planted!(DirtyEvicted) {
            return [closing, closing];
        }
        if planted!(OpenRoundEvicted) {
            return [self.round, self.round];
        }
        [self.round, closing]
    }

    /// What the table and the rounds take in memory.
    pub(crate) fn hot_bytes(&self) -> usize {
        let closing = self.closing.as_ref().map_or(0, |closing| closing.open.deltas.bytes());
        self.table
            .bytes()
            .saturating_add(self.open.deltas.bytes())
            .saturating_add(closing)
    }

    /// Lets clean counters go where the budget asks for it. `false`: there is not enough to let go, a round must free some.
    pub(crate) fn make_room(&mut self, settings: &Settings) -> bool {
        let budget = usize::try_from(settings.hot_budget_bytes).unwrap_or(usize::MAX);
        let taken = self.hot_bytes();
        if taken <= budget {
            return true;
        }
        // A little more than is needed, so that not every turn evicts; a bounded walk, so that no turn waits long.
        let goal = self
            .table
            .bytes()
            .saturating_sub(taken.saturating_sub(budget))
            .saturating_sub(64 * 1_024);
        let busy = self.busy();
        self.table.evict(goal, EVICTION_STEPS, &busy);
        self.hot_bytes() <= budget
    }
}

/// How many counters one turn looks at to find some to evict.
const EVICTION_STEPS: usize = 4_096;
