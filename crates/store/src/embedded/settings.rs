//! What an operator may set about the embedded store, with values for a small machine.

/// Settings of the embedded store. Sizes are upper limits that memory grows towards under load, not allocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedSettings {
    /// Blocks of tables kept in memory for reads.
    pub cache_bytes: u64,
    /// How much a table's rows take in memory before they are written to disk, for the large tables; the small ones take
    /// a quarter.
    pub memtable_bytes: u64,
    /// How much disk the rows not yet in tables may take, and so how much a start has to read again. At least 64 MiB.
    pub log_bytes: u64,
    /// Threads that write memory to tables and merge tables.
    pub worker_threads: usize,
    /// Free disk space below which rows are refused. A merge that runs out of disk would stop the store.
    pub reserve_bytes: u64,
}

const MIB: u64 = 1 << 20;

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self {
            cache_bytes: 64 * MIB,
            memtable_bytes: 16 * MIB,
            log_bytes: 256 * MIB,
            worker_threads: 2,
            reserve_bytes: 256 * MIB,
        }
    }
}
