//! A segment: a file of the journal, allocated whole before it is needed, that begins with a header of one block's alignment.

use tally_counter::Position;

use super::JournalError;
use super::block::ALIGN;

const MAGIC: &[u8; 8] = b"TALLYJNL";
/// The format of segments and entries; a newer one is refused.
pub(crate) const VERSION: u32 = 1;
/// The header's bytes: magic, version, writer, segment, first position, size, checksum.
pub(crate) const HEADER_BYTES: u64 = ALIGN;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Its number, from 1.
    pub(crate) segment: u64,
    /// The position of its first entry.
    pub(crate) first: Position,
    /// Whose journal: the writer's number, so that a journal is never replayed into another store.
    pub(crate) writer: u32,
    /// The bytes it was allocated with: a shorter file was cut off.
    pub(crate) size: u64,
}

/// The file's name.
pub(crate) fn name(segment: u64) -> String {
    format!("journal-{segment:010}.log")
}

/// The number in a file's name.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_prefix("journal-")?.strip_suffix(".log")?.parse().ok()
}

/// The header's bytes.
pub(crate) fn encode(header: Header) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(header.writer.to_le_bytes());
    bytes.extend(header.segment.to_le_bytes());
    bytes.extend(header.first.number().to_le_bytes());
    bytes.extend(header.size.to_le_bytes());
    bytes.resize(60, 0);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// Reads a header. `Ok(None)`: the segment was allocated and never begun.
pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Option<Header>, JournalError> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let corrupt = || JournalError::Corrupt(format!("{name}, byte 0: the segment's header is damaged"));
    let field =
        |at: usize| -> Option<u64> { Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?)) };
    if bytes.get(..8) != Some(MAGIC.as_slice()) {
        return Err(corrupt());
    }
    let crc = bytes
        .get(60..64)
        .and_then(|crc| crc.try_into().ok())
        .map(u32::from_le_bytes);
    if crc != bytes.get(..60).map(crc32c::crc32c) {
        return Err(corrupt());
    }
    let halves = field(8).ok_or_else(corrupt)?;
    let (version, writer) = (low(halves), low(halves >> 32));
    if version > VERSION {
        return Err(JournalError::Newer(format!(
            "{name} has journal format {version}, this Tally reads up to {VERSION}: start the newer Tally that wrote it"
        )));
    }
    let segment = field(16).ok_or_else(corrupt)?;
    let first = field(24)
        .and_then(|number| Position::new(number).ok())
        .ok_or_else(corrupt)?;
    Ok(Some(Header {
        segment,
        first,
        writer,
        size: field(32).ok_or_else(corrupt)?,
    }))
}

fn low(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0)
}
