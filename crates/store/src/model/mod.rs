//! The reference back end, in memory. Under a seed it does everything the promise allows: it applies batches in part, in any
//! order, twice and late, leaves the outcome of swaps unknown, fails reads half-way, and loses in a crash any of what was
//! not durable. With [`Faults::none`] it is a perfect store.
//!
//! The same seed and the same calls give the same answers. It takes no time from a clock and no randomness from outside.

mod crash;
mod faults;
mod found;
mod late;
mod random;
mod rows;
mod state;
#[cfg(test)]
mod tests;

use parking_lot::Mutex;

pub use faults::Faults;
#[cfg(feature = "contract")]
pub(crate) use random::Random;

use crate::{Addresses, Batch, NameCursor, Order, Range, Store, StoreError, Swap, Swapped, Table, Visit};
use state::State;

/// The in-memory store. What it holds survives whoever uses it: a simulation keeps it, and opens engine after engine on it.
#[derive(Debug)]
pub struct Model {
    state: Mutex<State>,
}

impl Default for Model {
    fn default() -> Self {
        Self::perfect()
    }
}

impl Model {
    /// A store that does on purpose what `faults` say, as the seed decides.
    pub fn new(faults: Faults, seed: u64) -> Self {
        Self {
            state: Mutex::new(State::new(faults, seed)),
        }
    }

    /// A store without faults.
    pub fn perfect() -> Self {
        Self::new(Faults::none(), 0)
    }

    /// A store of its own that holds the same and goes on the same way. Costs a reference until one of the two changes.
    pub fn snapshot(&self) -> Self {
        Self {
            state: Mutex::new(self.state.lock().clone()),
        }
    }

    /// Changes what it does on purpose from now on. What is on its way late stays on its way: see [`Model::settle`].
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Makes it a store on one disk, as [`Store::forgets`] says: nothing comes late any more, and nothing is left of a removed row.
    #[must_use]
    pub fn forgetful(self) -> Self {
        self.state.lock().forgetful = true;
        self
    }

    /// How many writes and syncs (`put`, `remove`, `swap`, `durable`) were called.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// How often it did something on purpose that a perfect store does not do.
    pub fn faulted(&self) -> u64 {
        self.state.lock().faulted
    }

    /// How many rows were asked for by address and how many ranges and walks were read.
    pub fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// How often a row was put with [`Order::Growing`] at a smaller position than it stood at, or with another value at the
    /// same one: the caller broke its word.
    pub fn broken_words(&self) -> u64 {
        self.state.lock().broken_words
    }

    /// Breaks down at the write or sync with this number, counted from zero as [`Model::operations`] counts: that one is
    /// applied in part, as the seed decides, and answers `Failed`; whatever is called after it, reads too, changes nothing
    /// and answers `Failed`. `None` ends it.
    pub fn fail_from(&self, operation: Option<u64>) {
        self.state.lock().fail_from = operation;
    }

    /// The power fails. Of each row, whatever was durable stays, and of what was put or removed since any part may survive.
    /// Swaps within one partition are lost from some one on, whole ones. What is on its way late may arrive yet or not.
    pub fn crash(&self, seed: u64) {
        self.state.lock().crash(seed);
    }

    /// Lets everything that is on its way late arrive now.
    pub fn settle(&self) {
        self.state.lock().settle();
    }

    /// How often it was told that nothing is written.
    pub fn rests(&self) -> u64 {
        self.state.lock().rests
    }

    /// How many writes are on their way late.
    pub fn late(&self) -> usize {
        self.state.lock().late.len()
    }

    /// Calls `visit` with no lock held, so that it may use the store.
    fn read<T>(
        &self,
        visit: &mut Visit<'_>,
        find: impl FnOnce(&State, &mut found::Found) -> T,
    ) -> Result<T, StoreError> {
        let mut found = found::Found::default();
        let (answer, ends) = {
            let mut state = self.state.lock();
            state.begin_read()?;
            let answer = find(&state, &mut found);
            state.reads = state.reads.saturating_add(1);
            (answer, state.end_read(found.len()))
        };
        found.visit(ends, visit)?;
        Ok(answer)
    }
}

impl Store for Model {
    fn put(&self, rows: &Batch, order: Order) -> Result<(), StoreError> {
        self.state.lock().put(rows, order)
    }

    fn remove(&self, rows: &Batch) -> Result<(), StoreError> {
        self.state.lock().remove(rows)
    }

    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.read(visit, |state, found| {
            let mut sorted: Vec<_> = addresses.iter().enumerate().collect();
            // Any order is allowed, so not the caller's.
            sorted.sort_unstable_by_key(|(_, address)| *address);
            for (index, address) in sorted {
                found.get(state, index, address);
            }
        })
    }

    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.read(visit, |state, found| {
            for (index, range) in ranges.iter().enumerate() {
                found.scan(state, index, range);
            }
        })
    }

    fn names(&self, prefix: &[u8], after: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.read(visit, |state, found| found.names(state, prefix, after, limit))
    }

    fn names_by_slot(
        &self,
        cursor: NameCursor,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<NameCursor>, StoreError> {
        self.read(visit, |state, found| found.names_by_slot(state, cursor, limit))?
    }

    fn walk(
        &self,
        table: Table,
        cursor: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(visit, |state, found| found.walk(state, table, cursor, limit))
    }

    fn swap(&self, swap: Swap<'_>) -> Result<Swapped, StoreError> {
        self.state.lock().swap(swap)
    }

    fn durable(&self) -> Result<(), StoreError> {
        self.state.lock().durable()
    }

    fn rest(&self) -> Result<bool, StoreError> {
        let mut state = self.state.lock();
        state.rests = state.rests.saturating_add(1);
        Ok(false)
    }

    fn forgets(&self) -> bool {
        self.state.lock().forgetful
    }
}
