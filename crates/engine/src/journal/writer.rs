//! Writes blocks and syncs them. One at a time; after the first failure nothing is ever written again.
//!
//! There is always a spare segment, allocated in advance, so that what was accepted finds room: a full disk shows when the
//! next spare is allocated, and adds are refused from then on, before anything of them is applied.

use std::io;
use std::sync::Arc;

use tally_counter::{Position, planted};

use super::tail::Pending;
use super::{JournalError, block, segment};
use crate::world::{Disk, File};

/// The writing end of the journal.
pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    owner: u32,
    segment_bytes: u64,
    current: Option<Open>,
    spare: Option<Open>,
    /// Segments that are full: number and last position, oldest first.
    full: Vec<(u64, Position)>,
    next_segment: u64,
    failed: Option<String>,
    /// How often it synced.
    pub(crate) syncs: u64,
}

struct Open {
    segment: u64,
    file: Arc<dyn File>,
    size: u64,
    at: u64,
    last: Position,
}

impl Writer {
    /// Goes on after the segments that were replayed (number and last position of each). Never appends to an old one.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        writer: u32,
        segment_bytes: u64,
        full: Vec<(u64, Position)>,
        next_segment: u64,
    ) -> Self {
        Self {
            disk,
            owner: writer,
            segment_bytes,
            current: None,
            spare: None,
            full,
            next_segment,
            failed: None,
            syncs: 0,
        }
    }

    /// Makes sure that there is a spare segment. `Ok(false)`: there is no room for one.
    pub(crate) fn prepare(&mut self) -> Result<bool, JournalError> {
        self.check()?;
        if self.spare.is_some() {
            return Ok(true);
        }
        match self.allocate(self.segment_bytes) {
            Ok(open) => {
                self.spare = Some(open);
                Ok(true)
            }
            Err(error) if is_full(&error) => Ok(false),
            Err(error) => Err(self.fail("allocate a segment", &error)),
        }
    }

    /// Whether there is a spare segment.
    pub(crate) fn is_prepared(&self) -> bool {
        self.spare.is_some()
    }

    /// Writes a block and syncs it. When this returns `Ok`, its entries survive the loss of power.
    pub(crate) fn commit(&mut self, pending: &mut Pending) -> Result<(), JournalError> {
        self.check()?;
        let size = block::padded(u64::try_from(pending.bytes.len()).unwrap_or(u64::MAX));
        let first = Position::new(
            pending
                .last
                .number()
                .saturating_sub(u64::from(pending.entries))
                .saturating_add(1),
        );
        let first = first.map_err(|error| JournalError::Failed(error.to_string()))?;
        if self
            .current
            .as_ref()
            .is_none_or(|open| open.at.saturating_add(size).saturating_add(block::ALIGN) > open.size)
        {
            self.rotate(first)?;
        }
        let Some(open) = &mut self.current else {
            return Err(JournalError::Failed("there is no segment to write to".to_owned()));
        };
        block::seal(&mut pending.bytes, open.segment, pending.entries, first);
        let next = pending
            .last
            .after(1)
            .map_err(|error| JournalError::Failed(error.to_string()))?;
        let end = open.at.saturating_add(size);
        let written = open
            .file
            .write_at(&pending.bytes, open.at)
            .and_then(|()| {
                if planted!(AckBeforeSync) {
                    return Ok(());
                }
                let synced = open.file.sync();
                if planted!(SyncTriedAgain) {
                    synced.or_else(|_| open.file.sync())
                } else {
                    synced
                }
            })
            .and_then(|()| open.file.write_at(&block::end_mark(open.segment, next), end));
        open.at = end;
        open.last = pending.last;
        self.syncs = self.syncs.saturating_add(1);
        written.map_err(|error| self.fail("write and sync", &error))
    }

    /// Removes the segments whose entries are all at or before `applied`. The newest segment that holds entries always stays: a
    /// start tells by it that the journal was not lost.
    pub(crate) fn cut(&mut self, applied: Position) -> Result<(), JournalError> {
        self.check()?;
        let newest = usize::from(self.current.is_none() && !planted!(NewestSegmentCut));
        let gone: Vec<u64> = self
            .full
            .iter()
            .take(self.full.len().saturating_sub(newest))
            .filter(|(_, last)| *last <= applied)
            .map(|(number, _)| *number)
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        for number in &gone {
            self.disk
                .remove(&segment::name(*number))
                .map_err(|error| self.fail("remove a segment", &error))?;
        }
        self.full.retain(|(number, _)| !gone.contains(number));
        self.disk
            .sync_names()
            .map_err(|error| self.fail("sync the directory", &error))
    }

    /// The bytes of all segments in use.
    pub(crate) fn size_bytes(&self) -> u64 {
        let full = u64::try_from(self.full.len())
            .unwrap_or(u64::MAX)
            .saturating_mul(self.segment_bytes);
        full.saturating_add(self.current.as_ref().map_or(0, |open| open.at))
    }

    fn rotate(&mut self, first: Position) -> Result<(), JournalError> {
        let Some(mut next) = self.spare.take() else {
            return Err(self.fail("go on", &io::Error::other("no spare segment was prepared")));
        };
        let header = segment::encode(segment::Header {
            segment: next.segment,
            first,
            writer: self.owner,
            size: next.size,
        });
        next.file
            .write_at(&header, 0)
            .map_err(|error| self.fail("begin a segment", &error))?;
        next.at = segment::HEADER_BYTES;
        if let Some(old) = self.current.replace(next) {
            self.full.push((old.segment, old.last));
        }
        Ok(())
    }

    fn allocate(&mut self, size: u64) -> io::Result<Open> {
        let number = self.next_segment;
        let file = self.disk.allocate(&segment::name(number), size)?;
        // Its name must be there before any entry in it is acknowledged; its size is, since `allocate` returned.
        if !planted!(NamesNotSynced) {
            self.disk.sync_names()?;
        }
        self.next_segment = number.saturating_add(1);
        Ok(Open {
            segment: number,
            file,
            size,
            at: 0,
            last: Position::ZERO,
        })
    }

    fn check(&self) -> Result<(), JournalError> {
        self.failed
            .as_ref()
            .map_or(Ok(()), |text| Err(JournalError::Failed(text.clone())))
    }

    fn fail(&mut self, what: &str, error: &io::Error) -> JournalError {
        let text = format!("could not {what}: {error}");
        self.failed = Some(text.clone());
        JournalError::Failed(text)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
