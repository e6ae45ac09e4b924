//! This node's log: entries with positions, in blocks that are written and synced as one (group commit), in segments that are
//! allocated before they are needed. Guards promise 2: what was acknowledged at level `disk` is read back.
//!
//! The bytes are specified in docs/format.md. It knows nothing of what entries mean.

mod aside;
mod block;
mod reader;
mod segment;
mod tail;
mod writer;

pub(crate) use reader::{Replay, replay};
pub(crate) use tail::Tail;
pub(crate) use writer::Writer;

#[cfg(test)]
mod tests;

/// Why the journal cannot go on.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The disk failed: nothing later may be acknowledged, the process must stop.
    #[error("the journal failed: {0}")]
    Failed(String),
    /// The bytes on disk are not what was written.
    #[error("{0}")]
    Corrupt(String),
    /// The files are of a newer Tally.
    #[error("{0}")]
    Newer(String),
}
