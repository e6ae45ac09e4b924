//! The back end on local disk: `fjall`, an LSM library, one keyspace a table, one directory, one process.
//!
//! Guards: nothing is said to be durable that was not synced, and after a failed write or sync nothing more is written.
//! Does not: keep a log of its own for the engine (the engine's journal is that), and it never touches rows in the background.

mod check;
mod close;
mod damage;
mod failure;
mod names;
mod open;
mod read;
mod rest;
mod row;
mod settings;
mod tables;
mod told;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};

use fjall::{Database, PersistMode};
use parking_lot::Mutex;

pub use settings::EmbeddedSettings;

use crate::{Addresses, Batch, NameCursor, Order, Range, Store, StoreError, Swap, Swapped, Table, Visit};
use tables::Tables;

/// The embedded store. Dropping it brings what was written to tables and gives the directory free.
pub struct Embedded {
    tables: Tables,
    database: Database,
    /// Held over every read that decides a write: puts in any order, removals, swaps.
    comparing: Mutex<()>,
    reads: AtomicU64,
    directory: PathBuf,
    reserve_bytes: u64,
    /// What the tables' rows may take in memory before one table writes its own.
    rows_bytes: u64,
    /// fjall may keep states of before a flush.
    keeps_states: AtomicBool,
    /// What was cut of the log when it was opened, for the operator.
    cut: Option<String>,
    /// After the database, so that it is dropped after it.
    log: close::Log,
    // Last, so that it is dropped last: whoever waits for the directory finds everything written.
    _lock: File,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the store in `directory`, creating it where there is none.
    ///
    /// `Refused` when the directory is in use by another process, holds something else or the data of a newer Tally, or
    /// may not be written; the message says what to do.
    pub fn open(directory: &Path, settings: &EmbeddedSettings) -> Result<Self, StoreError> {
        open::open(directory, settings)
    }

    /// What a damaged log made this open on: an earlier state than there was. A sentence for the operator; none where nothing was cut.
    pub fn cut(&self) -> Option<&str> {
        self.cut.as_deref()
    }

    /// Calls `tell` with the reason when what a store of this process does in the background has failed: it takes no writes from then on,
    /// and whoever serves should stop before the next round finds out. The last caller is told.
    pub fn on_failure_in_background(tell: impl Fn(&str) + Send + 'static) {
        told::on_failed_thread(Box::new(tell));
    }

    /// How many rows were asked for by address and how many ranges were opened since the store was opened.
    pub fn reads(&self) -> u64 {
        self.reads.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The bytes that a table's rows take on disk, without what is in memory and in fjall's log only.
    pub fn table_bytes(&self, table: Table) -> u64 {
        self.tables.of(table).disk_space()
    }

    /// Writes what is in memory to tables and merges all tables: the smallest the data can be on disk. Takes as long as reading and writing everything; for benchmarks and before a copy of the directory.
    pub fn compact(&self) -> Result<(), StoreError> {
        for table in Table::ALL {
            let keyspace = self.tables.of(table);
            keyspace.rotate_memtable_and_wait().map_err(failure::write)?;
            keyspace.major_compact().map_err(failure::write)?;
        }
        Ok(())
    }
}

impl Store for Embedded {
    fn put(&self, rows: &Batch, order: Order) -> Result<(), StoreError> {
        match order {
            Order::Growing => self.put_growing(rows),
            Order::Any => self.put_any(rows),
        }
    }

    fn remove(&self, rows: &Batch) -> Result<(), StoreError> {
        self.remove_rows(rows)
    }

    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.get_rows(addresses, visit)
    }

    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.scan_ranges(ranges, visit)
    }

    fn names(&self, prefix: &[u8], after: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.names_in_order(prefix, after, limit, visit)
    }

    fn names_by_slot(
        &self,
        cursor: NameCursor,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<NameCursor>, StoreError> {
        self.names_from(cursor, limit, visit)
    }

    fn walk(
        &self,
        table: Table,
        cursor: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.walk_table(table, cursor, limit, visit)
    }

    fn swap(&self, swap: Swap<'_>) -> Result<Swapped, StoreError> {
        self.swap_rows(swap)
    }

    fn durable(&self) -> Result<(), StoreError> {
        self.database.persist(PersistMode::SyncAll).map_err(failure::write)
    }

    fn rest(&self) -> Result<bool, StoreError> {
        self.come_to_rest()
    }

    fn forgets(&self) -> bool {
        true
    }

    fn size_bytes(&self) -> Option<u64> {
        open::allocated_bytes(&self.directory)
    }
}
