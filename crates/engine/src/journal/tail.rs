//! Entries that were appended and not yet committed. Lives under the engine's lock; appending is a copy into a buffer.

use tally_counter::{Position, PositionError};

use super::block::HEADER_BYTES;

/// The journal's end in memory.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The block to be: room for its header, then entries.
    bytes: Vec<u8>,
    /// How many entries are in it.
    entries: u32,
    /// The last position handed out.
    position: Position,
    /// Where the length of the entry being written stands.
    open: Option<usize>,
}

/// What is committed at once.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Room for the block's header, then entries.
    pub(crate) bytes: Vec<u8>,
    /// How many entries.
    pub(crate) entries: u32,
    /// The position of the last one.
    pub(crate) last: Position,
}

impl Tail {
    /// An empty tail after `position`.
    pub(crate) fn new(position: Position) -> Self {
        Self {
            bytes: vec![0; HEADER_BYTES],
            entries: 0,
            position,
            open: None,
        }
    }

    /// The last position handed out.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The bytes that wait.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.bytes.len().saturating_sub(HEADER_BYTES)
    }

    /// The buffer of the entry being written; begins one where there is none.
    pub(crate) fn entry(&mut self) -> &mut Vec<u8> {
        if self.open.is_none() {
            self.open = Some(self.bytes.len());
            self.bytes.extend([0; 4]);
        }
        &mut self.bytes
    }

    /// Whether an entry is being written.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Ends the entry being written and hands out its position; `None` if nothing was written.
    pub(crate) fn finish(&mut self) -> Result<Option<Position>, PositionError> {
        let Some(start) = self.open.take() else {
            return Ok(None);
        };
        let position = self.position.after(1)?;
        let content = start.saturating_add(4);
        let length = u32::try_from(self.bytes.len().saturating_sub(content)).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(start..content) {
            field.copy_from_slice(&length.to_le_bytes());
        }
        self.position = position;
        self.entries = self.entries.saturating_add(1);
        Ok(Some(position))
    }

    /// Forgets all finished entries: who goes on from here needs no journal.
    pub(crate) fn forget(&mut self) {
        if self.open.is_none() {
            self.bytes.truncate(HEADER_BYTES);
            self.entries = 0;
        }
    }

    /// Takes all finished entries out, leaving `spare`'s memory to go on with. `None` if there are none.
    pub(crate) fn take(&mut self, mut spare: Vec<u8>) -> Option<Pending> {
        if self.entries == 0 {
            return None;
        }
        spare.clear();
        spare.resize(HEADER_BYTES, 0);
        let bytes = std::mem::replace(&mut self.bytes, spare);
        let entries = std::mem::take(&mut self.entries);
        Some(Pending {
            bytes,
            entries,
            last: self.position,
        })
    }
}
