//! What the engine has from outside: time, randomness, disk and store, as traits, so that a simulation can be all of them.
//! `system.rs` holds the real ones.

use std::io;
use std::sync::Arc;

use tally_store::Store;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Unix milliseconds; may jump.
    fn now_ms(&self) -> u64;
    /// Microseconds that only grow, from any start.
    fn monotonic_us(&self) -> u64;
}

/// Gives random numbers.
pub trait Random: Send + Sync {
    /// 128 random bits.
    fn next(&self) -> u128;
}

/// One directory of files, by name. Nothing is safe from the loss of power before `sync` (a file's bytes) and `sync_names`
/// (that files are there, or are not).
pub trait Disk: Send + Sync {
    /// Creates a file of `size` zero bytes, all of them allocated: later writes within it need no room. The file never has its name
    /// without its size, not even after a loss of power. An error of kind `StorageFull` leaves nothing behind.
    fn allocate(&self, name: &str, size: u64) -> io::Result<Arc<dyn File>>;
    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// The names of all files.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes what was allocated and removed safe from the loss of power.
    fn sync_names(&self) -> io::Result<()>;
}

/// An open file.
pub trait File: Send + Sync {
    /// Writes all bytes at an offset.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reads up to `into.len()` bytes at an offset; fewer only at the file's end.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Returns when everything written would survive the loss of power. After an error nothing may be trusted any more.
    fn sync(&self) -> io::Result<()>;
    /// Its size in bytes.
    fn size(&self) -> io::Result<u64>;
}

/// Everything from outside.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Where the journal is.
    pub disk: Arc<dyn Disk>,
    /// Where cells live.
    pub store: Arc<dyn Store>,
}
