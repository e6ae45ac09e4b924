//! Puts the rows of a round that was cut: tokens, and of each changed counter name, head, cell and windows. Holds the hot table only
//! for as long as some names are read. Does not: say where the round is cut, nor when its rows are whole.

use parking_lot::Mutex;
use tally_counter::{Delta, Key, planted};
use tally_store::{Batch, Order, Store, Table};

use crate::Error;
use crate::core::{Closing, Core};
use crate::flush::{CHUNK, Cut, Flusher, Item};
use crate::fold::Fold;
use crate::round::flush_error;
use crate::table::{Counter, CounterId};
use crate::token;
use crate::waiters::Waiters;

/// A counter of a round where the store has it: slot, hash within it; then who it is and where its entry stands.
pub(crate) type Ordered = (u16, u32, CounterId, u32);

/// Names that are read while the engine is held once: the longest that a turn waits for a round.
const NAMES_AT_ONCE: usize = 256;

/// Some names in one piece of memory, and what is known of their counters.
#[derive(Debug, Default)]
struct Names {
    bytes: Vec<u8>,
    ends: Vec<(usize, Option<(bool, i128)>)>,
}

impl Names {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn push(&mut self, name: &[u8], known: Option<(bool, i128)>) {
        self.bytes.extend_from_slice(name);
        self.ends.push((self.bytes.len(), known));
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], Option<(bool, i128)>)> {
        let mut from = 0;
        self.ends.iter().map(move |(end, known)| {
            let name = self.bytes.get(from..*end).unwrap_or_default();
            from = *end;
            (name, *known)
        })
    }
}

impl Core {
    /// Of a counter without a head that is known: whether the store has it, and its value as of the closing round's cut.
    fn known_at_cut(&self, id: CounterId, counter: Counter<'_>) -> Option<(bool, i128)> {
        if !counter.loaded() || counter.head().is_some() {
            return None;
        }
        let since = self.open.fold.total(id, counter.link());
        Some((counter.is_stored(), counter.value().checked_sub(since)?))
    }

    /// A counter that never had a head, and of which no other writer has a cell, has this total at the closing round's cut: so its value
    /// is known from now on.
    fn learn(&mut self, id: CounterId, total: i128) {
        let Some(counter) = self
            .table
            .get(id)
            .filter(|counter| !counter.loaded() && counter.head().is_none())
        else {
            return;
        };
        let since = self.open.fold.total(id, counter.link());
        self.table.set_value(id, total.saturating_add(since));
        self.table.set_exists(id, true);
        self.table.set_loaded(id, true);
    }
}

/// Where a round's rows come from, and where they go.
pub(crate) struct Put<'a> {
    pub(crate) core: &'a Mutex<Core>,
    /// Who waits for room is told of each step.
    pub(crate) waiters: &'a Waiters,
    pub(crate) store: &'a dyn Store,
    pub(crate) cut: Cut,
    pub(crate) closing: &'a Closing,
    pub(crate) order: Order,
}

impl Put<'_> {
    /// The counters' rows, in the order of the store's keys: neighbours share its blocks.
    pub(crate) fn counters(&self, flusher: &mut Flusher) -> Result<(), Error> {
        let closing = self.closing;
        let fold = &closing.open.fold;
        let mut names = Names::default();
        for chunk in self.ordered(fold, &mut names).chunks(CHUNK) {
            self.read_names(chunk.iter().map(|(.., id, _)| *id), &mut names);
            let deltas: Vec<Delta> = chunk
                .iter()
                .map(|(.., link)| fold.delta(*link).unwrap_or_default())
                .collect();
            let mut items = Vec::with_capacity(chunk.len());
            for (((name, known), delta), (.., link)) in names.iter().zip(&deltas).zip(chunk) {
                let Ok(key) = Key::new(name) else { continue };
                let Some((policy, boundaries)) = closing.policies.of(key.as_str()) else {
                    continue;
                };
                items.push(Item {
                    key,
                    delta,
                    head: None,
                    policy,
                    boundaries,
                    again: fold.changed_before(*link),
                    known,
                });
            }
            let totals = flusher
                .put(self.store, self.cut, &items, self.order, true)
                .map_err(flush_error)?;
            let totals = totals.into_iter().map(|total| total.filter(|_| flusher.alone));
            self.note_put(chunk.iter().map(|(.., id, _)| *id).zip(&deltas).zip(totals));
            closing.progress.add(chunk.len());
            self.waiters.relieve();
        }
        Ok(())
    }

    /// Notes what the store has after these counters were put: names, and with them the values of counters without a head.
    fn note_put<'d>(&self, put: impl Iterator<Item = ((CounterId, &'d Delta), Option<i128>)>) {
        let mut put = put.peekable();
        while put.peek().is_some() {
            let mut core = self.core.lock();
            for ((id, delta), total) in put.by_ref().take(NAMES_AT_ONCE) {
                let created = delta.head.as_ref().is_some_and(|head| head.created);
                // Where the open round has ended the life since, the name that was put goes with it.
                let gone = core
                    .deltas(id)
                    .0
                    .is_some_and(|open| open.ends == tally_counter::Ends::Life);
                if (delta.touched || created) && (!gone || planted!(GoneNameThoughtStored)) {
                    core.table.set_stored(id, true);
                } else if delta.ends == tally_counter::Ends::Life {
                    core.table.set_stored(id, false);
                }
                if let Some(total) = total {
                    core.learn(id, total);
                }
            }
        }
    }

    /// A fold's counters in the order of slot and hash. Their names are read for it, a few at a time, and read again when they are
    /// put: kept, they would take more memory than the fold.
    fn ordered(&self, fold: &Fold, names: &mut Names) -> Vec<Ordered> {
        let mut ordered: Vec<Ordered> = Vec::with_capacity(fold.len());
        let mut counters = fold.iter();
        loop {
            let some: Vec<(CounterId, u32)> = counters.by_ref().take(NAMES_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            self.read_names(some.iter().map(|(id, _)| *id), names);
            ordered.extend(names.iter().zip(some).map(|((name, _), (id, link))| {
                let slot = tally_counter::Slot::of(name).number();
                (slot, tally_counter::slot_hash(name), id, link)
            }));
        }
        ordered.sort_unstable();
        ordered
    }

    fn read_names(&self, ids: impl Iterator<Item = CounterId>, names: &mut Names) {
        names.clear();
        let mut ids = ids.peekable();
        while ids.peek().is_some() {
            let core = self.core.lock();
            for id in ids.by_ref().take(NAMES_AT_ONCE) {
                if let Some(counter) = core.table.get(id) {
                    names.push(counter.name(), core.known_at_cut(id, counter));
                }
            }
        }
    }

    /// The tokens' rows.
    pub(crate) fn tokens(&self) -> Result<(), Error> {
        let (cut, closing) = (self.cut, self.closing);
        let mut rows = Batch::new();
        for (key, used) in &closing.open.tokens {
            rows.push_with(
                Table::Tokens,
                token::slot(key),
                cut.at.number(),
                |out| token::put_row_key(out, key, cut.writer),
                |out| token::encode(used, out),
            );
        }
        Ok(self.store.put(&rows, self.order)?)
    }
}
