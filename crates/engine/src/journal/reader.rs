//! Reads the journal back after a start. A torn last block is the end; a block behind damage means that something which may have
//! been acknowledged cannot be read: that is an error with file and offset, never a shorter log.

use std::ops::Range;
use std::sync::Arc;

use tally_counter::{Position, planted};

use super::{JournalError, aside, block, segment};
use crate::world::{Disk, File};

/// What an operator can do about damage.
const WAYS_OUT: &str =
    "restore the file from a copy, or start once with journal_damage=cut to go on without what it held from there on";

/// Called for each entry with its position.
pub(crate) type Visit<'v> = dyn FnMut(Position, &[u8]) -> Result<(), JournalError> + 'v;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// The last entry's position, or where the log would have gone on; `None` if there is no journal at all.
    pub(crate) end: Option<Position>,
    /// Segments that hold entries, with their last positions.
    pub(crate) segments: Vec<(u64, Position)>,
    /// The number for the next segment.
    pub(crate) next_segment: u64,
}

/// What was read of a segment.
struct Reading {
    /// The first byte that was not read as a block.
    offset: usize,
    /// It was the visitor that refused.
    by_visitor: bool,
}

/// Calls `entry` for each entry after `after`, in order. Segments that were allocated and never begun are removed.
///
/// `cut`: the operator has decided to go on without what cannot be read. Then the journal ends before the damage, and files with
/// anything behind it are kept under another name.
pub(crate) fn replay(
    disk: &Arc<dyn Disk>,
    writer: u32,
    after: Position,
    cut: bool,
    entry: &mut Visit<'_>,
) -> Result<Replay, JournalError> {
    let numbers = numbers(disk)?;
    let mut found = Replay {
        next_segment: numbers.last().map_or(1, |last| last.saturating_add(1)),
        ..Replay::default()
    };
    let mut damage: Option<String> = None;
    let mut bytes = Vec::new();
    for (index, number) in numbers.iter().enumerate() {
        let mut reading = Reading {
            offset: 0,
            by_visitor: false,
        };
        match read_segment(
            disk,
            *number,
            writer,
            after,
            &mut found,
            &mut damage,
            &mut reading,
            &mut bytes,
            entry,
        ) {
            Err(JournalError::Corrupt(text)) if cut && !reading.by_visitor => {
                tracing::error!(damage = %text, "the journal is cut here, as journal_damage asks for: what it held behind this is given up");
                let later = numbers.get(index.saturating_add(1)..).unwrap_or_default();
                aside::set(disk, *number, reading.offset, later)?;
                if reading.offset > 0 {
                    let end = found.end.unwrap_or(after);
                    found.segments.push((*number, end));
                }
                break;
            }
            read => read?,
        }
    }
    Ok(found)
}

/// Where the newest segment with entries ends; `None` if there is none, or it is not whole. No other is looked at, nothing is written.
pub(crate) fn newest_end(disk: &Arc<dyn Disk>, writer: u32) -> Result<Option<Position>, JournalError> {
    let mut bytes = Vec::new();
    for number in numbers(disk)?.into_iter().rev() {
        let name = segment::name(number);
        let failed = |error: std::io::Error| JournalError::Failed(format!("cannot read {name}: {error}"));
        let file = disk.open(&name).map_err(failed)?;
        read_whole(&file, &mut bytes).map_err(failed)?;
        match end_of(&name, number, writer, &bytes) {
            // Allocated, and never begun: the one before it is the newest.
            Ok(None) => {}
            Err(JournalError::Corrupt(_)) => return Ok(None),
            end => return end,
        }
    }
    Ok(None)
}

/// Where a segment's entries end; `None`: it was never begun.
fn end_of(name: &str, number: u64, writer: u32, bytes: &[u8]) -> Result<Option<Position>, JournalError> {
    let Some(header) = header_of(name, number, bytes)? else {
        return Ok(None);
    };
    check_header(name, header, number, writer, &Replay::default(), None)?;
    let mut reading = Reading {
        offset: 0,
        by_visitor: false,
    };
    let mut end = Position::new(header.first.number().saturating_sub(1)).unwrap_or_default();
    let none = &mut |_, _: &[u8]| Ok(());
    read_blocks(name, number, bytes, &mut end, Position::LAST, &mut reading, none)?;
    Ok(Some(end))
}

/// The numbers of all segments, oldest first.
fn numbers(disk: &Arc<dyn Disk>) -> Result<Vec<u64>, JournalError> {
    let names = disk
        .names()
        .map_err(|error| JournalError::Failed(format!("cannot list the journal: {error}")))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[expect(clippy::too_many_arguments, reason = "one step of a loop, whose state they are")]
fn read_segment(
    disk: &Arc<dyn Disk>,
    number: u64,
    writer: u32,
    after: Position,
    found: &mut Replay,
    damage: &mut Option<String>,
    reading: &mut Reading,
    bytes: &mut Vec<u8>,
    entry: &mut Visit<'_>,
) -> Result<(), JournalError> {
    let name = segment::name(number);
    let failed = |error: std::io::Error| JournalError::Failed(format!("cannot read {name}: {error}"));
    let file = disk.open(&name).map_err(failed)?;
    read_whole(&file, bytes).map_err(failed)?;
    let bytes: &[u8] = bytes;
    let Some(header) = header_of(&name, number, bytes)? else {
        disk.remove(&name).map_err(failed)?;
        return Ok(());
    };
    let before = Position::new(header.first.number().saturating_sub(1)).unwrap_or_default();
    if before <= after && found.end.is_some_and(|end| end < before) {
        // Segments that the store no longer needed: a crash may bring any of them back.
        found.end = None;
    }
    check_header(&name, header, number, writer, found, damage.as_deref())?;
    let mut end = found.end.unwrap_or(before);
    let read = read_blocks(&name, number, bytes, &mut end, after, reading, entry);
    found.end = Some(end);
    let blocks = read?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size < header.size {
        return Err(JournalError::Corrupt(format!(
            "{name}, byte {size}: the file was cut off here, it had {} bytes; {WAYS_OUT}",
            header.size
        )));
    }
    *damage = blocks.stop.map(|offset| format!("{name}, byte {offset}"));
    // It may have been read from memory only: it must be on disk before anything goes on from here. After a sync that failed, the
    // system takes what it did not write for clean, and no later sync writes it, unless it is written again.
    write_again(&file, bytes, blocks.last)
        .and_then(|()| file.sync())
        .map_err(|error| JournalError::Failed(format!("cannot write and sync the end of {name} again: {error}")))?;
    found.segments.push((number, end));
    Ok(())
}

/// The segment's header; `None` where the segment was never begun, or its first commit was torn before the header was whole.
fn header_of(name: &str, number: u64, bytes: &[u8]) -> Result<Option<segment::Header>, JournalError> {
    let size = usize::try_from(segment::HEADER_BYTES).unwrap_or(64);
    if bytes.len() < size {
        // A segment has its name only once it has its size.
        return Err(JournalError::Corrupt(format!(
            "{name}, byte {}: the file was cut off here; {WAYS_OUT}",
            bytes.len()
        )));
    }
    let (header, rest) = bytes.split_at(size);
    match segment::decode(name, header) {
        // Nothing follows the header: it was being written, and no entry ever was.
        Err(JournalError::Corrupt(_)) if rest.iter().all(|byte| *byte == 0) => Ok(None),
        Ok(None) => match later_block(number, bytes, 0) {
            None => Ok(None),
            Some(later) => Err(JournalError::Corrupt(format!(
                "{name}, byte 0: the segment's header is gone, and a whole block follows at byte {later}; {WAYS_OUT}"
            ))),
        },
        Err(JournalError::Corrupt(text)) => Err(JournalError::Corrupt(format!("{text}; {WAYS_OUT}"))),
        decoded => decoded,
    }
}

fn check_header(
    name: &str,
    header: segment::Header,
    number: u64,
    writer: u32,
    found: &Replay,
    damage: Option<&str>,
) -> Result<(), JournalError> {
    if (header.segment != number || header.writer != writer) && !planted!(SegmentNotOurs) {
        return Err(JournalError::Corrupt(format!(
            "{name} is segment {} of writer {}, here segment {number} of writer {writer} was expected: it was copied from another data directory",
            header.segment, header.writer
        )));
    }
    let expected = found.end.map(|end| end.number().saturating_add(1));
    if expected.is_some_and(|expected| expected != header.first.number()) {
        let place = damage.unwrap_or(name);
        return Err(JournalError::Corrupt(format!(
            "{place}: entries {} to {} of the journal cannot be read; {WAYS_OUT}",
            expected.unwrap_or(0),
            header.first.number().saturating_sub(1)
        )));
    }
    Ok(())
}

/// What the blocks of a segment came to.
struct Blocks {
    /// Where it stopped at bytes that are neither a block nor zero.
    stop: Option<usize>,
    /// The bytes of the last block with entries: only that one may never have been synced.
    last: Range<usize>,
}

/// Writes a segment's header and last block where they stand.
fn write_again(file: &Arc<dyn File>, bytes: &[u8], last: Range<usize>) -> std::io::Result<()> {
    if planted!(NotWrittenAgain) {
        return Ok(());
    }
    let header = bytes.get(..usize::try_from(segment::HEADER_BYTES).unwrap_or(64));
    file.write_at(header.unwrap_or_default(), 0)?;
    let offset = u64::try_from(last.start).unwrap_or(u64::MAX);
    file.write_at(bytes.get(last).unwrap_or_default(), offset)
}

/// Reads the blocks of a segment.
fn read_blocks(
    name: &str,
    number: u64,
    bytes: &[u8],
    end: &mut Position,
    after: Position,
    reading: &mut Reading,
    entry: &mut Visit<'_>,
) -> Result<Blocks, JournalError> {
    let mut last = 0..0;
    reading.offset = usize::try_from(segment::HEADER_BYTES).unwrap_or(64);
    while let Some((header, content)) = block_at(number, bytes, reading.offset) {
        let offset = reading.offset;
        let wrong = || {
            JournalError::Corrupt(format!(
                "{name}, byte {offset}: the block does not continue position {end}; {WAYS_OUT}"
            ))
        };
        let entries = block::entries(content).ok_or_else(wrong)?;
        if header.first.number() != end.number().saturating_add(1)
            || entries.len() != usize::try_from(header.entries).unwrap_or(0)
        {
            return Err(wrong());
        }
        if entries.is_empty() {
            // The end mark: nothing behind it was ever synced.
            break;
        }
        for content in entries {
            *end = end.after(1).map_err(|error| JournalError::Failed(error.to_string()))?;
            if *end > after {
                entry(*end, content).inspect_err(|_| reading.by_visitor = true)?;
            }
        }
        let whole = block::HEADER_BYTES.saturating_add(content.len());
        last = offset..offset.saturating_add(whole);
        let size = u64::try_from(whole).unwrap_or(u64::MAX);
        reading.offset = offset.saturating_add(usize::try_from(block::padded(size)).unwrap_or(usize::MAX));
    }
    let offset = reading.offset;
    if let Some(later) = later_block(number, bytes, offset) {
        return Err(JournalError::Corrupt(format!(
            "{name}, byte {offset}: the block here is damaged, and a whole one follows at byte {later}; {WAYS_OUT}"
        )));
    }
    let rest = bytes.get(offset..).unwrap_or_default();
    Ok(Blocks {
        stop: rest.iter().any(|byte| *byte != 0).then_some(offset),
        last,
    })
}

fn block_at(segment: u64, bytes: &[u8], offset: usize) -> Option<(block::Header, &[u8])> {
    let rest = bytes.get(offset..)?;
    let header = block::header(rest)?;
    let whole = block::HEADER_BYTES.checked_add(usize::try_from(header.length).ok()?)?;
    let whole = rest.get(..whole)?;
    let matches = header.matches(segment, whole) || planted!(ChecksumNotRead);
    matches.then(|| (header, whole.get(block::HEADER_BYTES..).unwrap_or_default()))
}

fn later_block(segment: u64, bytes: &[u8], from: usize) -> Option<usize> {
    let align = usize::try_from(block::ALIGN).unwrap_or(64);
    (from.saturating_add(align)..bytes.len())
        .step_by(align)
        .find(|offset| block_at(segment, bytes, *offset).is_some())
}

/// Reads a file into a buffer that most often has its size already, from the segment before.
fn read_whole(file: &Arc<dyn File>, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    bytes.resize(usize::try_from(file.size()?).unwrap_or(usize::MAX), 0);
    let read = file.read_at(bytes, 0)?;
    bytes.truncate(read);
    Ok(())
}
