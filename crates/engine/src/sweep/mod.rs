//! Takes away what is no longer summed: windows that have left the retention move into `left`, rows of lives that have ended, heads and
//! names of counters that are gone, and tokens whose window has passed are removed. At leisure, in slices between rounds on the
//! rounds' thread; readers never depend on it (rules 14 and 18). No slice runs while a round is open.

mod counter;
mod tombstone;
mod walk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;

use tally_counter::{Key, Position, StartId, WriterNumber, WriterRow, WriterState, planted};
use tally_store::{Batch, Order, Row, Store, StoreError, Table};

use crate::Error;
use crate::core::Core;
use crate::engine::Engine;
use crate::namespaces::{Boundaries, Kept};
use crate::registry::Registry;
use crate::round::Own;
pub(crate) use counter::{Chores, leave};
use walk::Walk;

/// How many tokens each scope holds.
pub(crate) type Counted = BTreeMap<Box<[u8]>, u64>;

/// What waits to be swept, and how far the walks have come.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// Counters with rows that may go: their life ended lately, or the walk met them.
    waiting: VecDeque<Box<str>>,
    pub(crate) walk: Walk,
    /// As of the beginning of the walk.
    reach: Reach,
    /// Writers other than this node's that this start has claimed and whose rows it knows as they stand: no change of theirs is on
    /// its way.
    pub(crate) settled: BTreeSet<WriterNumber>,
    tokens: Vec<u8>,
    /// Tokens by scope, counted by the walk that is under way.
    counted: Counted,
    /// When the next walk over the tokens may begin.
    tokens_due_us: u64,
}

/// Tokens of one slice of their walk.
pub(crate) const TOKENS: usize = 5_000;
/// Counters that one slice looks at.
const AT_ONCE: usize = 128;
/// Counters that wait; with more of them, the walk finds the others.
const WAITING: usize = 100_000;
/// Writers that one slice claims for this start.
const CLAIMS: usize = 64;

impl Sweep {
    /// These counters' lives ended, and the store has the heads that say so.
    pub(crate) fn ended(&mut self, keys: Vec<Box<str>>) {
        if self.waiting.len().saturating_add(keys.len()) > WAITING {
            self.walk.want();
        } else {
            self.waiting.extend(keys);
        }
    }

    /// Whether the walk over the tokens may go on.
    pub(crate) fn tokens_are_due(&self, now_us: u64) -> bool {
        !self.tokens.is_empty() || now_us >= self.tokens_due_us
    }

    /// A walk over the tokens ended: the next begins not before this.
    pub(crate) fn rest_tokens(&mut self, until_us: u64) {
        self.tokens_due_us = until_us;
    }

    /// Walks on over the tokens: removes those whose window has passed, counts the others. `Some`: the walk came to its end, and
    /// this is how many each scope holds.
    pub(crate) fn tokens(
        &mut self,
        store: &dyn Store,
        now_ms: u64,
        window_ms: u64,
        limit: usize,
    ) -> Result<Option<Counted>, StoreError> {
        let mut old = Batch::new();
        // Of this slice alone until all of it is done: after an error it is walked again.
        let mut counted = Counted::new();
        let next = store.walk(Table::Tokens, &self.tokens, limit, &mut |_, row| {
            let token = crate::token::decode(row.value)?;
            let window_ms = if planted!(TokenWindowHalved) {
                window_ms / 2
            } else {
                window_ms
            };
            if token.time_ms.saturating_add(window_ms) <= now_ms {
                old.push(Row { value: &[], ..row });
            } else {
                let count = counted.entry(crate::token::scope(row.address.key).into()).or_default();
                *count = count.saturating_add(1);
            }
            Ok(())
        })?;
        store.remove(&old)?;
        for (scope, count) in counted {
            let sum = self.counted.entry(scope).or_default();
            *sum = sum.saturating_add(count);
        }
        let ended = next.is_none();
        self.tokens = next.unwrap_or_default();
        Ok(ended.then(|| std::mem::take(&mut self.counted)))
    }
}

/// From where the windows of each namespace are kept, as writers' rows have it durably: every later round of any writer goes by
/// these boundaries or by later ones, through every crash.
#[derive(Debug, Default)]
struct Reach(BTreeMap<String, Kept>);

impl Reach {
    /// On a shared store only of the writers that this process holds: another node goes by its own, and this one hears of it late.
    fn read(registry: &Registry, shared: bool) -> Result<Self, StoreError> {
        let mut all: BTreeMap<String, Kept> = BTreeMap::new();
        for number in registry.numbers() {
            if shared && !registry.is_claimed(number) {
                continue;
            }
            let Some(row) = registry.row(number) else { continue };
            let [applied, _] = crate::round::kept_of(&row)?;
            for (name, kept) in applied {
                let reach = &mut all.entry(name).or_default().boundaries;
                for (mine, kept) in reach.iter_mut().zip(kept.boundaries) {
                    *mine = kept.max(*mine);
                }
            }
        }
        Ok(Self(all))
    }

    fn of(&self, core: &Core, key: &str) -> Boundaries {
        let namespace = core.namespaces.get(core.namespaces.of(key));
        let kept = namespace.and_then(|namespace| self.0.get(&namespace.name));
        kept.map_or_else(Boundaries::default, |kept| kept.boundaries)
    }
}

impl Engine {
    /// A slice: some of the counters that wait, and, where `walks` says so, the walk that finds them.
    pub(crate) fn sweep(&self, own: &mut Own, walks: bool) -> Result<(), Error> {
        if own.row.pending.is_some() || self.core.lock().closing.is_some() {
            return Ok(());
        }
        if walks && own.sweep.waiting.is_empty() {
            self.walk_on(own)?;
        }
        let some = own.sweep.waiting.len().min(AT_ONCE);
        let names: BTreeSet<Box<str>> = own.sweep.waiting.drain(..some).collect();
        let swept = self.sweep_counters(own, &names);
        if swept.is_err() {
            own.sweep.walk.want();
        }
        swept
    }

    fn sweep_counters(&self, own: &mut Own, names: &BTreeSet<Box<str>>) -> Result<(), Error> {
        let boundaries: Vec<Boundaries> = {
            let core = self.core.lock();
            let reach = &own.sweep.reach;
            names.iter().map(|name| reach.of(&core, name)).collect()
        };
        let mut chores = Chores::default();
        for (name, boundaries) in names.iter().zip(boundaries) {
            let Ok(key) = Key::new(name.as_bytes()) else { continue };
            self.look_at(own, key, boundaries, &mut chores)?;
        }
        self.do_chores(own, &chores)?;
        own.sweep.waiting.extend(chores.again);
        self.bury(own, chores.tombstones)
    }

    /// `left` first, and durable; only then what it took in is removed: readers skip it from the moment that `left` stands.
    fn do_chores(&self, own: &mut Own, chores: &Chores) -> Result<(), Error> {
        let store = self.world.store.as_ref();
        for name in &chores.folded {
            own.flusher.forget(name);
        }
        if !chores.lefts.is_empty() {
            store.put(&chores.lefts, Order::Any)?;
        }
        if chores.windows.is_empty() && chores.rows.is_empty() {
            return Ok(());
        }
        // Also the heads that say which lives are over.
        store.durable()?;
        store.remove(&chores.windows)?;
        store.remove(&chores.rows)?;
        let swept = chores.windows.len().saturating_add(chores.rows.len());
        let count = |rows: usize| u64::try_from(rows).unwrap_or(u64::MAX);
        self.figures.swept_rows.fetch_add(count(swept), Ordering::Relaxed);
        self.figures
            .folded_windows
            .fetch_add(chores.folded_windows, Ordering::Relaxed);
        Ok(())
    }

    /// Up to where the store has everything of a writer, and nothing of it is open: the position at which what left its windows may
    /// be written. `None`: a round of it is open, or it is never summed.
    fn whole_up_to(&self, own: &mut Own, number: WriterNumber) -> Result<Option<Position>, Error> {
        if number == own.row.number {
            return Ok(Some(own.row.applied));
        }
        let Some(row) = self.registry.row(number) else {
            return Ok(None);
        };
        // Where other nodes sweep too, each does so for the writers that it holds.
        if self.is_shared() && !self.registry.is_claimed(number) {
            return Ok(None);
        }
        match row.state {
            // Its rows stay as they are: what its open round had put included.
            WriterState::Sealed => Ok(Some(row.pending.unwrap_or(row.applied))),
            WriterState::Retired => Ok(None),
            // Another node's are that node's to claim.
            WriterState::Active | WriterState::Shadow if !row.writer.id.starts_with("source:") => Ok(None),
            WriterState::Active | WriterState::Shadow => {
                let row = self.settle(own, row)?;
                Ok(row.pending.is_none().then_some(row.applied))
            }
        }
    }

    /// Claims a writer that nobody in this process has claimed, or whose last change is in doubt: from then on its row is known, and
    /// what an earlier start sent can change it no more (rule 3). Whoever opens it claims it again.
    fn settle(&self, own: &mut Own, row: WriterRow) -> Result<WriterRow, Error> {
        if own.sweep.settled.contains(&row.number) {
            return Ok(row);
        }
        let row = self.registry.claim(&row, StartId(self.world.random.next()))?;
        self.world.store.durable()?;
        own.sweep.settled.insert(row.number);
        Ok(row)
    }

    /// Whether no writer has an open round: no log is to be folded again from before what any row says.
    fn nothing_is_open(&self, own: &mut Own) -> Result<bool, Error> {
        if self.others() > 0 {
            // Their journals, and the sources that they count, are not known here.
            return Ok(false);
        }
        let mut claims = 0_usize;
        for row in self.registry.sources() {
            if !row.state.is_unsealed() {
                continue;
            }
            if !own.sweep.settled.contains(&row.number) {
                claims = claims.saturating_add(1);
                if claims > CLAIMS {
                    return Ok(false);
                }
            }
            if self.settle(own, row)?.pending.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
