//! A clean end: what is in memory goes to tables, small tables are merged, and fjall's log, which says nothing more then, is cut. The
//! next start reads no log, and the disk holds each row once. Guards that the log is cut only after all of it was seen in tables.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fjall::PersistMode;

use super::{Embedded, failure};
use crate::{Batch, StoreError, Table};

/// A table of more than this is left to fjall's own merging: an end may not take long.
const MERGED_BYTES: u64 = 64 << 20;
/// How often, and how far apart, an end looks whether memory is written to tables: for ten seconds.
const LOOKS: usize = 5_000;
const BETWEEN: Duration = Duration::from_millis(2);

/// The files of fjall's log. Dropped after fjall, it cuts them if everything is in tables.
#[derive(Debug)]
pub(super) struct Log {
    rows: PathBuf,
    in_tables: AtomicBool,
}

impl Log {
    pub(super) fn of(rows: &Path) -> Self {
        Self {
            rows: rows.to_path_buf(),
            in_tables: AtomicBool::new(false),
        }
    }

    /// As fjall's log is after it was rotated and all of it was written to tables: one file, of nothing.
    fn cut(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.rows)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "jnl") {
                let file = std::fs::File::options().write(true).open(path)?;
                file.set_len(0)?;
                file.sync_all()?;
            }
        }
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Where it fails, the log stays, whole or in part, and says what the tables say.
        if self.in_tables.load(Ordering::Relaxed) && self.cut().is_err() {
            self.in_tables.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // A store that failed, or whose disk is full, is left as it is: its log has what it needs.
        if matches!(self.settle(), Ok(true)) {
            self.log.in_tables.store(true, Ordering::Relaxed);
        }
    }
}

impl Embedded {
    /// Brings everything to tables, durably. `false`: that took too long.
    fn settle(&self) -> Result<bool, StoreError> {
        self.check_room(&Batch::new())?;
        self.database.persist(PersistMode::SyncAll).map_err(failure::write)?;
        let keyspaces = Table::ALL.map(|table| self.tables.of(table));
        for keyspace in keyspaces {
            keyspace.rotate_memtable().map_err(failure::write)?;
        }
        let written = || keyspaces.iter().all(|keyspace| keyspace.sealed_memtable_count() == 0);
        for _ in 0..LOOKS {
            if written() {
                break;
            }
            wait(BETWEEN);
        }
        if !written() {
            return Ok(false);
        }
        for keyspace in keyspaces {
            if keyspace.table_count() > 1 && keyspace.disk_space() <= MERGED_BYTES {
                keyspace.major_compact().map_err(failure::write)?;
            }
        }
        self.database.persist(PersistMode::SyncAll).map_err(failure::write)?;
        Ok(true)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "fjall's own threads are waited for, which tell nobody"
)]
pub(super) fn wait(time: Duration) {
    std::thread::sleep(time);
}
