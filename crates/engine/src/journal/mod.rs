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

#[cfg(feature = "fuzz")]
pub(crate) use reader::Visit;
pub(crate) use reader::{Replay, newest_end, replay};
pub(crate) use tail::Tail;
pub(crate) use writer::Writer;

#[cfg(test)]
mod tests;

/// A segment of these entries, so many to a block, as a writer writes it.
#[cfg(feature = "fuzz")]
pub(crate) fn fuzz_segment(writer: u32, entries: &[&[u8]], a_block: usize) -> Vec<u8> {
    let mut position = tally_counter::Position::ZERO;
    let mut blocks = Vec::new();
    for some in entries.chunks(a_block.max(1)) {
        let mut tail = Tail::new(position);
        for entry in some {
            tail.entry().extend_from_slice(entry);
            if tail.finish().is_err() {
                break;
            }
        }
        let Some(mut pending) = tail.take(Vec::new()) else {
            continue;
        };
        let first = position.after(1).unwrap_or_default();
        block::seal(&mut pending.bytes, 1, pending.entries, first);
        position = pending.last;
        let size = block::padded(u64::try_from(pending.bytes.len()).unwrap_or(0));
        pending.bytes.resize(usize::try_from(size).unwrap_or(0), 0);
        blocks.extend(pending.bytes);
    }
    // A segment is allocated whole.
    let header_bytes = usize::try_from(segment::HEADER_BYTES).unwrap_or(0);
    let size = header_bytes.saturating_add(blocks.len()).next_multiple_of(1_024);
    let mut file = segment::encode(segment::Header {
        segment: 1,
        first: tally_counter::Position::new(1).unwrap_or_default(),
        writer,
        size: u64::try_from(size).unwrap_or(0),
    });
    file.extend(blocks);
    file.resize(size, 0);
    file
}

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
