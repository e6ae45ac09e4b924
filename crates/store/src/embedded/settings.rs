//! What an operator may set about the embedded store, with values for a small machine.

use std::path::Path;

/// Settings of the embedded store. Sizes are upper limits that memory grows towards under load, not allocations.
///
/// The defaults are those of [`EmbeddedSettings::within`] half a GiB. How rows are laid out in files is not a setting: see `tables.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedSettings {
    /// Blocks of tables kept in memory for reads, uncompressed. What does not fit is read from the page cache and
    /// decompressed again, at about half the speed.
    pub cache_bytes: u64,
    /// How much the rows of all tables together take in memory before the table with the most of them writes its own to disk. Some that
    /// are being written come on top, see [`Self::memory_bytes`]. Larger: rows that change often are merged in memory, and fewer
    /// merges on disk.
    pub rows_bytes: u64,
    /// How much disk fjall's log may take before the tables that keep it from being cut are written, and so how much a start
    /// has to read again (about 2 million rows in 128 MiB, 1 to 2 s). At least 64 MiB, the size of one of its files.
    pub log_bytes: u64,
    /// Threads that write memory to tables and merge tables. One does both in turn, so that writes wait for a long merge
    /// when memory is full. From two on one of them only writes tables, and in fjall 3.1 it spins while another merges: that
    /// costs half as much CPU again for each row, which two cores do not have.
    pub worker_threads: usize,
    /// Free disk space below which rows are refused. A merge that runs out of disk would stop the store.
    pub reserve_bytes: u64,
}

const MIB: u64 = 1 << 20;

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self {
            cache_bytes: 16 * MIB,
            rows_bytes: 32 * MIB,
            log_bytes: 128 * MIB,
            worker_threads: 1,
            reserve_bytes: 256 * MIB,
        }
    }
}

impl EmbeddedSettings {
    /// For a process that may take so much memory, most of it for its own: a thirty-second for blocks, a sixteenth for rows, of which more
    /// than a quarter of a GiB gains nothing.
    #[must_use]
    pub fn within(memory_bytes: u64) -> Self {
        Self {
            cache_bytes: (memory_bytes / 32).max(MIB),
            rows_bytes: (memory_bytes / 16).clamp(MIB, 256 * MIB),
            ..Self::default()
        }
    }

    /// About what all this takes in memory at most while rows come steadily: the cache, the rows that are being collected, and those of
    /// three tables that are being written, about half as much each; a row takes half as much again as it has bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.cache_bytes.saturating_add(self.rows_bytes.saturating_mul(15) / 4)
    }

    /// With no more in reserve than a sixteenth of the disk that holds this directory: small disks are for use, too.
    #[must_use]
    pub fn fit(self, directory: &Path) -> Self {
        let Ok(disk) = rustix::fs::statvfs(directory) else {
            return self;
        };
        let sixteenth_bytes = disk.f_blocks.saturating_mul(disk.f_frsize) / 16;
        Self {
            reserve_bytes: self.reserve_bytes.min(sixteenth_bytes),
            ..self
        }
    }
}
