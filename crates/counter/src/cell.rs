//! A cell: what one writer has counted for one counter in one life. The whole of Tally's exactness rests on it being
//! absolute: writing it again, late or twice changes nothing, because the larger position wins.

use crate::codec::put_sorted;
use crate::{Corrupt, Generation, Position, Reader, WriterNumber, put_signed};

/// One writer's amounts for one counter and life, up to a position of its log (rule 13). The life stands in the row's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Everything in the writer's log before this place is in the cell.
    pub position: Position,
    /// Which SET of the life the total counts from.
    pub n: u64,
    /// The amounts since SET number `n`.
    pub total: i128,
    /// The amounts of the whole life; history adds up to this.
    pub counted: i128,
}

impl Cell {
    /// The one with the larger position. At one position a writer has written one cell; were there two all the same, the
    /// larger bytes win in every back end.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let rank = |cell: &Self| (cell.position, cell.encoded());
        if rank(&other) > rank(&self) { other } else { self }
    }

    /// The row's value, without the position, which is the row's own. At equal positions the bytes sort by `n`: a cell that a SET
    /// had not seen is written again with the SET's number, and must stand.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_sorted(out, self.n);
        put_signed(out, self.total);
        // Most counters are never SET: what they counted is their total, one zero byte.
        put_signed(out, self.counted.wrapping_sub(self.total));
    }

    fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }

    /// Reads the value of a row at a position.
    pub fn decode(position: u64, bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new("cell", bytes);
        let position = Position::new(position).map_err(|_| reader.corrupt())?;
        let n = reader.sorted()?;
        let total = reader.signed()?;
        let counted = total.wrapping_add(reader.signed()?);
        reader.end()?;
        Ok(Self {
            position,
            n,
            total,
            counted,
        })
    }
}

/// A counter's value from its head's generation and base and the cells of that life whose writers are summed:
/// base plus the totals of the head's `n`. `None` only past 128 bits.
pub fn sum<'a>(
    base: i128,
    generation: Generation,
    cells: impl IntoIterator<Item = (WriterNumber, &'a Cell)>,
) -> Option<i128> {
    cells
        .into_iter()
        .filter(|(_, cell)| cell.n == generation.n)
        .try_fold(base, |sum, (_, cell)| sum.checked_add(cell.total))
}
