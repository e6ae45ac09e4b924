//! Removes the heads of deleted counters, and names that no counter has. A head is what keeps rows and logs that lag from bringing an
//! ended life back (rule 14), so it goes only where nothing can lag: the store forgets what is removed and is never late, nothing else
//! stands of the counter, and no writer has an open round, so that every log goes on behind everything that was ever written.

use tally_counter::{Head, Key, WriterNumber, row_key};
use tally_store::{Addresses, Batch, Row, Table};

use crate::engine::Engine;
use crate::load;
use crate::round::Own;
use crate::{Error, core::Core};

impl Engine {
    /// Removes heads that nothing stands behind, as far as that is safe now.
    pub(super) fn bury(&self, own: &mut Own, mut tombstones: Vec<(Box<str>, Head)>) -> Result<(), Error> {
        let store = self.world.store.as_ref();
        if tombstones.is_empty() || !store.forgets() || !self.nothing_is_open(own)? {
            return Ok(());
        }
        {
            let core = self.core.lock();
            tombstones.retain(|(name, _)| core.unflushed(name) == (None, None));
        }
        let (mut names, mut heads) = (Batch::new(), Batch::new());
        let mut addresses = Addresses::new();
        for (name, head) in &tombstones {
            let Ok(key) = Key::new(name.as_bytes()) else { continue };
            addresses.push_with(Table::Names, key.slot().number(), |out| {
                out.extend_from_slice(name.as_bytes());
            });
            heads.push_with(
                Table::Counters,
                key.slot().number(),
                head.generation.revision,
                |out| row_key(key, tally_counter::CounterRow::Head, out),
                |_| {},
            );
        }
        store.get(&addresses, &mut |_, row| {
            names.push(Row { value: &[], ..row });
            Ok(())
        })?;
        self.remove_names(own, &names)?;
        // What stood behind the heads must be gone for good before they are.
        store.durable()?;
        let removed = store.remove(&heads).and_then(|()| store.durable());
        for (name, _) in &tombstones {
            own.flusher.forget(name);
        }
        let mut core = self.core.lock();
        for (name, head) in &tombstones {
            forget_head(&mut core, name, head);
        }
        // What was loaded before may hold one of these heads.
        core.stamp.others_moved();
        drop(core);
        self.figures.swept_rows.fetch_add(
            u64::try_from(heads.len()).unwrap_or(0),
            std::sync::atomic::Ordering::Relaxed,
        );
        Ok(removed?)
    }

    /// Removes those of some stored names (with their positions) that no counter has: a crash, or a removal that failed, left them.
    pub(super) fn bury_names(&self, own: &mut Own, found: &[(Box<str>, u64)]) -> Result<(), Error> {
        if found.is_empty() || !self.nothing_is_open(own)? {
            return Ok(());
        }
        let store = self.world.store.as_ref();
        let keys: Vec<Key<'_>> = found
            .iter()
            .filter_map(|(name, _)| Key::new(name.as_bytes()).ok())
            .collect();
        let snapshots = load::counters(store, &self.registry, &keys)?;
        let mut names = Batch::new();
        for ((key, snapshot), (_, position)) in keys.iter().zip(snapshots).zip(found) {
            let life = snapshot.head.as_ref().map_or(0, |head| head.generation.life);
            let exists = snapshot.head.is_some_and(|head| head.created)
                || snapshot
                    .cells
                    .iter()
                    .any(|(_, of, _): &(WriterNumber, _, _)| *of >= life);
            // The next life's name must not be hidden by this removal.
            let may_go = store.forgets() || *position < life;
            if !exists && may_go && self.core.lock().unflushed(key.as_str()) == (None, None) {
                names.push_with(
                    Table::Names,
                    key.slot().number(),
                    *position,
                    |out| out.extend_from_slice(key.as_bytes()),
                    |_| {},
                );
            }
        }
        self.remove_names(own, &names)
    }

    fn remove_names(&self, own: &mut Own, names: &Batch) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        let store = self.world.store.as_ref();
        own.flusher.census.note(store, &Batch::new(), names)?;
        if let Err(error) = store.remove(names) {
            own.flusher.census.restart();
            return Err(error.into());
        }
        self.figures.swept_rows.fetch_add(
            u64::try_from(names.len()).unwrap_or(0),
            std::sync::atomic::Ordering::Relaxed,
        );
        Ok(())
    }
}

/// The memory knows this head no more; what the counter is now is asked from the store.
fn forget_head(core: &mut Core, name: &str, head: &Head) {
    let Some(id) = core.find(name) else { return };
    let same = |known: &Head| known.generation == head.generation;
    if core.table.get(id).and_then(|counter| counter.head()).is_some_and(same) {
        core.table.set_head(id, None);
        core.table.set_loaded(id, false);
    }
}
