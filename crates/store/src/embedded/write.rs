//! Writing: blind for growing rows, after a comparison for all others. Guards that what waits in memory for fjall's tables stays within
//! what [`crate::EmbeddedSettings::memory_bytes`] tells.

use std::time::Duration;

use fjall::OwnedWriteBatch;

use super::{Embedded, failure, row};
use crate::{Address, Batch, Row, StoreError, Swap, Swapped};

/// So many rows are sorted at a time: enough that neighbours in the keyspace meet (a put in the order of keys costs fjall a
/// quarter of one in random order), few enough that sorting takes 3 MiB.
const SORTED_ROWS: usize = 65_536;
/// One commit takes at most this many rows. More gain nothing, and hold fjall's log while others wait for it.
const COMMIT_ROWS: usize = 4_096;
/// One commit takes at most about this many bytes of keys and values; fjall looks at the memtable's size only between commits.
const COMMIT_BYTES: usize = 4 << 20;
/// Memtables that may wait to be written, of all tables together. fjall itself lets four of each wait.
const WAITING_MEMTABLES: usize = 3;
/// How often, and how far apart, a commit looks whether fewer wait: for ten seconds, then fjall's own bound is the one.
const LOOKS: usize = 5_000;
const BETWEEN: Duration = Duration::from_millis(2);

impl Embedded {
    pub(super) fn put_growing(&self, rows: &Batch) -> Result<(), StoreError> {
        self.check_room(rows)?;
        let mut commit = Commit::new(self);
        let mut rows = rows.rows();
        let mut sorted = Vec::with_capacity(rows.size_hint().0.min(SORTED_ROWS));
        loop {
            sorted.clear();
            sorted.extend(rows.by_ref().take(SORTED_ROWS));
            if sorted.is_empty() {
                return commit.finish();
            }
            // Stable: of two puts of one row the later one stays the later one.
            sorted.sort_by_key(|row| row.address);
            for same in sorted.chunk_by(|one, next| one.address == next.address) {
                if let Some(row) = same.last() {
                    commit.insert(*row)?;
                }
            }
        }
    }

    pub(super) fn put_any(&self, rows: &Batch) -> Result<(), StoreError> {
        self.check_room(rows)?;
        let mut ranked: Vec<Row<'_>> = rows.rows().collect();
        ranked.sort_unstable_by_key(|row| (row.address, row.position, row.value));
        let _comparing = self.comparing.lock();
        let mut commit = Commit::new(self);
        for same in ranked.chunk_by(|one, next| one.address == next.address) {
            let Some(row) = same.last() else { continue };
            let wins = match self.stands(row.address)? {
                Some(bytes) => row::read_value(&bytes)? < (row.position, row.value),
                None => true,
            };
            if wins {
                commit.insert(*row)?;
            }
        }
        commit.finish()
    }

    pub(super) fn remove_rows(&self, rows: &Batch) -> Result<(), StoreError> {
        let _comparing = self.comparing.lock();
        let mut commit = Commit::new(self);
        for row in rows.rows() {
            if let Some(bytes) = self.stands(row.address)?
                && row::read_value(&bytes)?.0 <= row.position
            {
                commit.remove(row.address)?;
            }
        }
        commit.finish()
    }

    pub(super) fn swap_rows(&self, swap: Swap<'_>) -> Result<Swapped, StoreError> {
        let _comparing = self.comparing.lock();
        let mut held = true;
        let mut found = Vec::with_capacity(swap.conditions.len());
        for condition in swap.conditions {
            let stands = self.stands(condition.address)?;
            let value = stands
                .as_deref()
                .map(row::read_value)
                .transpose()?
                .map(|(_, value)| value.to_vec());
            held &= value.as_deref() == condition.value;
            found.push(value);
        }
        if !held {
            return Ok(Swapped::Refused(found));
        }
        // One commit whatever its size: all rows or none.
        let mut commit = Commit::new(self);
        for row in swap.rows.rows() {
            commit.append(row);
        }
        for address in swap.gone.iter() {
            commit.erase(address);
        }
        commit.finish()?;
        Ok(Swapped::Applied)
    }

    /// Waits while as many memtables wait as may.
    fn let_tables_catch_up(&self) {
        for _ in 0..LOOKS {
            if self.tables.waiting() < WAITING_MEMTABLES {
                return;
            }
            super::close::wait(BETWEEN);
        }
    }

    /// Has the table that has the most in memory write it, where all together have more than they may.
    fn keep_within(&self) -> Result<(), StoreError> {
        match self.tables.in_memory() {
            (Some(most), bytes) if bytes >= self.rows_bytes => self.write_memtable(most),
            _ => Ok(()),
        }
    }

    fn stands(&self, address: Address<'_>) -> Result<Option<fjall::UserValue>, StoreError> {
        let mut key = Vec::new();
        row::write_key(address, &mut key);
        self.count_reads(1);
        self.tables.of(address.table).get(&key).map_err(failure::read)
    }
}

/// Rows on their way into fjall's log, committed whenever enough have come together.
struct Commit<'a> {
    store: &'a Embedded,
    batch: OwnedWriteBatch,
    bytes: usize,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> Commit<'a> {
    fn new(store: &'a Embedded) -> Self {
        Self {
            store,
            batch: Self::batch(store),
            bytes: 0,
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Without durability: that is asked for explicitly.
    fn batch(store: &Embedded) -> OwnedWriteBatch {
        store.database.batch().durability(None)
    }

    /// Puts a row, with what is not committed yet.
    fn append(&mut self, row: Row<'_>) {
        row::write_key(row.address, &mut self.key);
        row::write_value(row, &mut self.value);
        self.bytes = self
            .bytes
            .saturating_add(self.key.len())
            .saturating_add(self.value.len());
        self.batch.insert(
            self.store.tables.of(row.address.table),
            self.key.as_slice(),
            self.value.as_slice(),
        );
    }

    fn insert(&mut self, row: Row<'_>) -> Result<(), StoreError> {
        self.append(row);
        self.commit_if_large()
    }

    /// Removes a row, with what is not committed yet.
    fn erase(&mut self, address: Address<'_>) {
        row::write_key(address, &mut self.key);
        self.batch
            .remove(self.store.tables.of(address.table), self.key.as_slice());
    }

    fn remove(&mut self, address: Address<'_>) -> Result<(), StoreError> {
        self.erase(address);
        self.commit_if_large()
    }

    fn commit_if_large(&mut self) -> Result<(), StoreError> {
        if self.batch.len() < COMMIT_ROWS && self.bytes < COMMIT_BYTES {
            return Ok(());
        }
        self.bytes = 0;
        self.store.let_tables_catch_up();
        let full = std::mem::replace(&mut self.batch, Self::batch(self.store));
        full.commit().map_err(failure::write)?;
        self.store.keep_within()
    }

    fn finish(self) -> Result<(), StoreError> {
        self.batch.commit().map_err(failure::write)?;
        self.store.keep_within()
    }
}
