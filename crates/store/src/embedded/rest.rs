//! What the tables hold in memory goes to disk: a table's rows when all tables have too many, and all but little when nothing has been
//! written for a while. Guards that a process that rests holds no rows, neither those to be written nor those that fjall keeps
//! behind: the state before a flush stays in memory until the next one, for reads that are long over.

use std::sync::atomic::Ordering;

use super::{Embedded, failure};
use crate::{StoreError, Table};

/// Less than this a table keeps in memory while nothing is written: every table on disk costs reads, and a merge later.
const RESTING_BYTES: u64 = 1 << 20;
/// No row of [`Table::Nodes`] has this key: each begins with the two bytes of its slot.
const NO_ROW: &[u8] = &[0];

impl Embedded {
    /// Has a table write what it has in memory.
    pub(super) fn write_memtable(&self, table: Table) -> Result<(), StoreError> {
        self.keeps_states.store(true, Ordering::Relaxed);
        self.tables.of(table).rotate_memtable().map_err(failure::write)?;
        Ok(())
    }

    /// A step towards rest. `true`: there is more to do, soon.
    pub(super) fn come_to_rest(&self) -> Result<bool, StoreError> {
        let full = |table: &Table| self.tables.memtable_bytes(*table) >= RESTING_BYTES;
        let mut written = false;
        for table in Table::ALL.into_iter().filter(full) {
            self.write_memtable(table)?;
            written = true;
        }
        if written || self.tables.waiting() > 0 {
            return Ok(true);
        }
        if self.keeps_states.swap(false, Ordering::Relaxed) {
            self.let_states_go()?;
        }
        Ok(false)
    }

    /// fjall lets states go that are older than the newest write but one, of all tables, whenever a table begins to be written: so there
    /// is a write that changes nothing, and a table with nothing else.
    fn let_states_go(&self) -> Result<(), StoreError> {
        let keyspace = self.tables.of(Table::Nodes);
        keyspace.remove(NO_ROW).map_err(failure::write)?;
        keyspace.rotate_memtable().map_err(failure::write)?;
        Ok(())
    }
}
