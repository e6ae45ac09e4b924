//! What retention took out of the windows of one step: `counted = left + windows`, always (rules 17 and 18). A pure function of
//! the log up to a position and of a boundary, so of two rows at one position the one with the later boundary holds more, and stands.

use crate::{Corrupt, Minute, Position, Reader, put_signed};

/// The amount that left the retention, for one writer, counter, life and step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Everything in the writer's log before this place is accounted for.
    pub position: Position,
    /// Windows that begin before this minute are in `amount`; their rows are skipped, adds to them go to `amount`.
    pub boundary: Minute,
    /// The sum of what left.
    pub amount: i128,
}

impl Left {
    /// The row's value, without the position, which is the row's own. At equal positions the bytes sort by the boundary.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.boundary.0.to_be_bytes());
        put_signed(out, self.amount);
    }

    /// Reads the value of a row at a position.
    pub fn decode(position: u64, bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new("left", bytes);
        let position = Position::new(position).map_err(|_| reader.corrupt())?;
        let boundary = reader.take(4)?.try_into().map(u32::from_be_bytes);
        let boundary = Minute(boundary.map_err(|_| reader.corrupt())?);
        let amount = reader.signed()?;
        reader.end()?;
        Ok(Self {
            position,
            boundary,
            amount,
        })
    }
}
