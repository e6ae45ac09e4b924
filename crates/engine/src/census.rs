//! How many counters there are. Derived, never stored: a start walks the names once, in slices, while rounds go on, and from
//! then on each round's new and ended names move the figure. Exact, because names are only written where this is told of it.

use std::collections::BTreeMap;

use tally_store::{Addresses, Batch, Store, StoreError, Table};

/// The count, and how far the walk has come.
#[derive(Debug, Default)]
pub(crate) struct Census {
    count: u64,
    /// The last name that was walked over.
    cursor: Vec<u8>,
    done: bool,
    /// There was no name at the start, and since then every one was put and removed as it should be: none can stand without its counter.
    spotless: bool,
    restarted: bool,
}

/// Names of one slice of the walk.
const SLICE: usize = 20_000;

impl Census {
    /// How many names the store has, once all were walked over.
    pub(crate) fn count(&self) -> Option<u64> {
        self.done.then_some(self.count)
    }

    /// Walks on by a slice. `true` when all names are counted.
    pub(crate) fn step(&mut self, store: &dyn Store) -> Result<bool, StoreError> {
        if self.done {
            return Ok(true);
        }
        let (mut seen, mut last) = (0_u64, Vec::new());
        store.names(b"", &self.cursor, SLICE, &mut |_, row| {
            seen = seen.saturating_add(1);
            last.clear();
            last.extend_from_slice(row.address.key);
            Ok(())
        })?;
        self.count = self.count.saturating_add(seen);
        self.done = seen == 0;
        self.spotless = self.done && self.count == 0 && !self.restarted;
        if seen > 0 {
            self.cursor = last;
        }
        Ok(self.done)
    }

    /// Whether a counter without rows is certain to have no name.
    pub(crate) fn is_spotless(&self) -> bool {
        self.spotless
    }

    /// A round is about to put (rows of names among others) and to remove names: to be called before it does. Where it then fails,
    /// [`Census::restart`].
    pub(crate) fn note(&mut self, store: &dyn Store, put: &Batch, gone: &Batch) -> Result<(), StoreError> {
        let names = |rows: &'_ Batch| -> BTreeMap<Vec<u8>, u64> {
            let names = rows.rows().filter(|row| row.address.table == Table::Names);
            let names = names.map(|row| (row.address.key.to_vec(), row.position));
            names.filter(|(name, _)| self.done || *name <= self.cursor).collect()
        };
        let (put, gone) = (names(put), names(gone));
        if put.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let mut addresses = Addresses::new();
        for name in put.keys().chain(gone.keys()) {
            let slot = tally_counter::Slot::of(name).number();
            addresses.push_with(Table::Names, slot, |out| out.extend_from_slice(name));
        }
        let mut present = BTreeMap::new();
        store.get(&addresses, &mut |_, row| {
            present.insert(row.address.key.to_vec(), row.position);
            Ok(())
        })?;
        let new = put.keys().filter(|name| !present.contains_key(*name)).count();
        // A name of a later life stays.
        let ended = gone
            .iter()
            .filter(|(name, life)| present.get(*name).is_some_and(|stands| stands <= life))
            .count();
        self.count = self
            .count
            .saturating_add(u64::try_from(new).unwrap_or(0))
            .saturating_sub(u64::try_from(ended).unwrap_or(0));
        Ok(())
    }

    /// The same for names that are certainly not there yet: no look-up is needed.
    pub(crate) fn note_fresh(&mut self, put: &Batch) {
        let counted = put.rows().filter(|row| self.done || *row.address.key <= *self.cursor);
        let counted = u64::try_from(counted.count()).unwrap_or(0);
        self.count = self.count.saturating_add(counted);
    }

    /// What was put and removed is not known: all names are walked over again.
    pub(crate) fn restart(&mut self) {
        *self = Self {
            restarted: true,
            ..Self::default()
        };
    }
}
