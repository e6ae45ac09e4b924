//! Writers: one log with positions and one history each (rules 1 to 3). The row of a writer is what rounds, claims, recounts
//! and cut-overs move; it is only ever changed by compare-and-set.

use crate::{Corrupt, Position, Reader, put_bytes, put_varint};

/// A writer's short name in rows, from the store's registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterNumber(pub u32);

/// Which log, and which history of it: a log that was lost goes on in a new epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId {
    /// `node:…` or `source:…`.
    pub id: String,
    /// Counts the histories of this id.
    pub epoch: u32,
}

/// What each start of a writer puts into its row: only another one in the row means a successor or a twin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartId(pub u128);

/// Whether a writer's cells are summed, and whether it writes (rule 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterState {
    /// Written, not summed.
    Shadow,
    /// Written and summed.
    Active,
    /// Summed for ever, never written again.
    Sealed,
    /// Never summed.
    Retired,
}

impl WriterState {
    /// Whether readers sum this writer's cells.
    pub fn is_summed(self) -> bool {
        matches!(self, Self::Active) || (matches!(self, Self::Sealed) && !crate::planted!(SealedNotSummed))
    }

    /// Whether it may still write.
    pub fn is_unsealed(self) -> bool {
        matches!(self, Self::Shadow | Self::Active)
    }

    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Active => "active",
            Self::Sealed => "sealed",
            Self::Retired => "retired",
        }
    }
}

/// The row of a writer in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterRow {
    /// Its short name in rows.
    pub number: WriterNumber,
    /// Which log and history.
    pub writer: WriterId,
    /// Summed or not, writing or not.
    pub state: WriterState,
    /// Who holds it.
    pub start: StartId,
    /// Every row up to here is in the store.
    pub applied: Position,
    /// The cut of the open round: rows stand at or below `applied`, or here.
    pub pending: Option<Position>,
    /// Which version of the policies folds what comes after `applied`.
    pub policies: u64,
    /// What the kind of writer needs to go on: a source's digest, rules, largest event time.
    pub resume: Vec<u8>,
    /// The same for the open round's cut.
    pub pending_resume: Vec<u8>,
}

impl WriterRow {
    /// The row's value.
    pub fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.number.0.into());
        put_bytes(&mut out, self.writer.id.as_bytes());
        put_varint(&mut out, self.writer.epoch.into());
        out.push(match self.state {
            WriterState::Shadow => 0,
            WriterState::Active => 1,
            WriterState::Sealed => 2,
            WriterState::Retired => 3,
        });
        out.extend_from_slice(&self.start.0.to_be_bytes());
        put_varint(&mut out, self.applied.number().into());
        put_varint(
            &mut out,
            self.pending
                .map_or(0, |position| u128::from(position.number()).saturating_add(1)),
        );
        put_varint(&mut out, self.policies.into());
        put_bytes(&mut out, &self.resume);
        put_bytes(&mut out, &self.pending_resume);
        out
    }

    /// Reads the row's value.
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new("writer row", bytes);
        let position = |reader: &mut Reader<'_>, number: u64| Position::new(number).map_err(|_| reader.corrupt());
        let number = WriterNumber(reader.varint()?);
        let id = reader.text()?.to_owned();
        let writer = WriterId {
            id,
            epoch: reader.varint()?,
        };
        let state = match reader.byte()? {
            0 => WriterState::Shadow,
            1 => WriterState::Active,
            2 => WriterState::Sealed,
            3 => WriterState::Retired,
            _ => return Err(reader.corrupt()),
        };
        let start = reader
            .take(16)?
            .try_into()
            .map(u128::from_be_bytes)
            .map(StartId)
            .map_err(|_| reader.corrupt())?;
        let applied = reader.varint()?;
        let applied = position(&mut reader, applied)?;
        let pending = match reader.varint::<u64>()?.checked_sub(1) {
            Some(number) => Some(position(&mut reader, number)?),
            None => None,
        };
        let policies = reader.varint()?;
        let resume = reader.bytes()?.to_vec();
        let pending_resume = reader.bytes()?.to_vec();
        reader.end()?;
        Ok(Self {
            number,
            writer,
            state,
            start,
            applied,
            pending,
            policies,
            resume,
            pending_resume,
        })
    }
}
