//! How many counters there are. Derived, never stored: a start walks the names once, in slices, while rounds go on, and from
//! then on each round's new and ended names move the figure. Exact, because names are only written where this is told of it; where other
//! nodes write names, too, it is counted again every minute, and theirs are missed until then.

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
    /// Another walk, whose figure takes the place of this one at its end.
    again: Option<Again>,
    /// When the next one may begin.
    due_us: u64,
}

/// A walk over names that were counted before: others write them, too, and are not heard of here.
#[derive(Debug, Default)]
struct Again {
    count: u64,
    cursor: Vec<u8>,
}

/// The time from the beginning of one recount to that of the next.
const RECOUNT_US: u64 = 60_000_000;

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
            self.step_again(store)?;
            return Ok(true);
        }
        let (seen, last) = slice(store, &self.cursor)?;
        self.count = self.count.saturating_add(seen);
        self.done = seen == 0;
        self.spotless = self.done && self.count == 0 && !self.restarted;
        if seen > 0 {
            self.cursor = last;
        }
        Ok(self.done)
    }

    /// Counts once more where others write names, too, and the last time was a while ago.
    pub(crate) fn recount_if_due(&mut self, now_us: u64) {
        if self.done && self.again.is_none() && now_us >= self.due_us {
            self.again = Some(Again::default());
            self.due_us = now_us.saturating_add(RECOUNT_US);
        }
    }

    fn step_again(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let Some(again) = &mut self.again else { return Ok(()) };
        let (seen, last) = slice(store, &again.cursor)?;
        again.count = again.count.saturating_add(seen);
        if seen > 0 {
            again.cursor = last;
            return Ok(());
        }
        self.count = again.count;
        self.again = None;
        Ok(())
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
        let new: Vec<&[u8]> = put
            .keys()
            .filter(|name| !present.contains_key(*name))
            .map(Vec::as_slice)
            .collect();
        // A name of a later life stays.
        let ended = gone
            .iter()
            .filter(|(name, life)| present.get(*name).is_some_and(|stands| stands <= life));
        let ended: Vec<&[u8]> = ended.map(|(name, _)| name.as_slice()).collect();
        self.count = moved(self.count, &new, &ended, |_| true);
        if let Some(again) = &mut self.again {
            let cursor = again.cursor.as_slice();
            again.count = moved(again.count, &new, &ended, |name| name <= cursor);
        }
        Ok(())
    }

    /// The same for names that are certainly not there yet: no look-up is needed.
    pub(crate) fn note_fresh(&mut self, put: &Batch) {
        let counted = put.rows().filter(|row| self.done || *row.address.key <= *self.cursor);
        let counted = u64::try_from(counted.count()).unwrap_or(0);
        self.count = self.count.saturating_add(counted);
        if let Some(again) = &mut self.again {
            let counted = put.rows().filter(|row| *row.address.key <= *again.cursor).count();
            again.count = again.count.saturating_add(u64::try_from(counted).unwrap_or(0));
        }
    }

    /// What was put and removed is not known: all names are walked over again.
    pub(crate) fn restart(&mut self) {
        *self = Self {
            restarted: true,
            ..Self::default()
        };
    }
}

/// A slice of names behind `after`: how many, and the last.
fn slice(store: &dyn Store, after: &[u8]) -> Result<(u64, Vec<u8>), StoreError> {
    let (mut seen, mut last) = (0_u64, Vec::new());
    store.names(b"", after, SLICE, &mut |_, row| {
        seen = seen.saturating_add(1);
        last.clear();
        last.extend_from_slice(row.address.key);
        Ok(())
    })?;
    Ok((seen, last))
}

/// A count after these names came and went, as far as it has them.
fn moved(count: u64, new: &[&[u8]], ended: &[&[u8]], has: impl Fn(&[u8]) -> bool) -> u64 {
    let of = |names: &[&[u8]]| u64::try_from(names.iter().filter(|name| has(name)).count()).unwrap_or(0);
    count.saturating_add(of(new)).saturating_sub(of(ended))
}
