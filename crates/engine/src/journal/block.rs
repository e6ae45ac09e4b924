//! A block: what one commit writes and syncs. Its checksum covers segment, position and content, so that neither a torn
//! write, nor a stale block of a recycled file, nor a block at the wrong place is ever taken for one.
//!
//! A block without entries is an **end mark**: it is written, not synced, behind a block whose sync has returned, and the next block
//! overwrites it. So a broken block with a mark behind it was whole once, and may have been acknowledged.

use tally_counter::Position;

/// Blocks begin at multiples of this, so that one can be found behind damage.
pub(crate) const ALIGN: u64 = 64;
/// What precedes a block's entries.
pub(crate) const HEADER_BYTES: usize = 32;
const MAGIC: u32 = 0x4b4c_4254; // "TBLK"

/// A block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The bytes of its entries.
    pub(crate) length: u32,
    /// How many entries.
    pub(crate) entries: u32,
    /// The position of its first entry.
    pub(crate) first: Position,
    crc: u32,
}

/// Fills the header into the room at the start of `bytes` (header and entries).
pub(crate) fn seal(bytes: &mut [u8], segment: u64, entries: u32, first: Position) {
    let length = u32::try_from(bytes.len().saturating_sub(HEADER_BYTES)).unwrap_or(u32::MAX);
    if let Some(header) = bytes.get_mut(8..HEADER_BYTES) {
        let fields = length
            .to_le_bytes()
            .into_iter()
            .chain(entries.to_le_bytes())
            .chain(first.number().to_le_bytes());
        for (byte, field) in header.iter_mut().zip(fields.chain([0; 8])) {
            *byte = field;
        }
    }
    let crc = checksum(segment, bytes.get(8..).unwrap_or_default());
    if let Some(front) = bytes.get_mut(..8) {
        for (byte, field) in front
            .iter_mut()
            .zip(MAGIC.to_le_bytes().into_iter().chain(crc.to_le_bytes()))
        {
            *byte = field;
        }
    }
}

/// The end mark behind the entry before `next`.
pub(crate) fn end_mark(segment: u64, next: Position) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    seal(&mut bytes, segment, 0, next);
    bytes
}

/// Reads a header; `None` if there is none here.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?));
    if word(0)? != MAGIC {
        return None;
    }
    let first = u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?);
    Some(Header {
        crc: word(4)?,
        length: word(8)?,
        entries: word(12)?,
        first: Position::new(first).ok()?,
    })
}

impl Header {
    /// Whether `bytes` (header and entries, no more) are what was sealed for this segment.
    pub(crate) fn matches(&self, segment: u64, bytes: &[u8]) -> bool {
        bytes
            .get(8..)
            .is_some_and(|covered| checksum(segment, covered) == self.crc)
    }
}

/// The size of a block on disk, padding included.
pub(crate) fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGN)
}

/// CRC-32C (Castagnoli) of the segment's number and what follows the checksum.
fn checksum(segment: u64, covered: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&segment.to_le_bytes()), covered)
}

/// The entries of a block's content. `None` where the lengths do not add up.
pub(crate) fn entries(mut content: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !content.is_empty() {
        let (length, rest) = content.split_at_checked(4)?;
        let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (entry, rest) = rest.split_at_checked(length)?;
        entries.push(entry);
        content = rest;
    }
    Some(entries)
}
