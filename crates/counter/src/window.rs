//! The windows of one chunk, packed: the amounts of one writer for one counter and life in an hour of minutes, a day of hours
//! or a month of days. The row *is* the cell (rule 15): absolute, with a position, rewritten whole each round.

use crate::{Corrupt, Position, Reader, Step, put_signed, put_varint};

/// The amounts of a chunk, by window, and the position up to which they are whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Everything in the writer's log before this place is in here.
    pub position: Position,
    /// Window within the chunk and its amount, sorted by window; windows without an add are not there.
    amounts: Vec<(u8, i128)>,
}

const LISTED: u128 = 0;
const MAPPED: u128 = 1;
const SIGNED: u128 = 2;

impl Window {
    /// A chunk without amounts.
    pub fn new(position: Position) -> Self {
        Self {
            position,
            amounts: Vec::new(),
        }
    }

    /// Adds to one window. `None`, and nothing changed, past 128 bits.
    #[must_use]
    pub fn add(&mut self, window: u8, amount: i128) -> Option<()> {
        match self.amounts.binary_search_by_key(&window, |(at, _)| *at) {
            Ok(found) => {
                let (_, sum) = self.amounts.get_mut(found)?;
                *sum = sum.checked_add(amount)?;
            }
            Err(place) => self.amounts.insert(place, (window, amount)),
        }
        Some(())
    }

    /// The windows that had an add, in order, with their amounts.
    pub fn amounts(&self) -> impl Iterator<Item = (u8, i128)> + '_ {
        self.amounts.iter().copied()
    }

    /// The sum of all windows. `None` past 128 bits.
    pub fn sum(&self) -> Option<i128> {
        self.amounts
            .iter()
            .try_fold(0_i128, |sum, (_, amount)| sum.checked_add(*amount))
    }

    /// The one with the larger position; at equal ones the larger bytes.
    #[must_use]
    pub fn merge(self, other: Self, step: Step) -> Self {
        let rank = |window: &Self| (window.position, window.encoded(step));
        if rank(&other) > rank(&self) { other } else { self }
    }

    /// The row's value, without the position, which is the row's own: form, then which windows (a list when few, else a bit map) and their amounts (unsigned
    /// when none is negative: small counts then take one byte up to 127).
    pub fn encode(&self, step: Step, out: &mut Vec<u8>) {
        let map_bytes = map_bytes(step);
        let signed = self.amounts.iter().any(|(_, amount)| *amount < 0);
        let mapped = self.amounts.len() > map_bytes;
        let form = (if mapped { MAPPED } else { LISTED }) | (if signed { SIGNED } else { 0 });
        if mapped {
            put_varint(out, form);
            let mut map = 0_u64;
            for (window, _) in &self.amounts {
                map |= 1_u64.checked_shl(u32::from(*window)).unwrap_or(0);
            }
            out.extend(map.to_le_bytes().into_iter().take(map_bytes));
        } else {
            put_varint(out, form | (self.amounts.len() as u128) << 2);
            out.extend(self.amounts.iter().map(|(window, _)| *window));
        }
        for (_, amount) in &self.amounts {
            if signed {
                put_signed(out, *amount);
            } else {
                put_varint(out, amount.unsigned_abs());
            }
        }
    }

    /// The row's value, owned.
    pub fn encoded(&self, step: Step) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(step, &mut bytes);
        bytes
    }

    /// Reads the value of a row at a position.
    pub fn decode(position: u64, bytes: &[u8], step: Step) -> Result<Self, Corrupt> {
        let mut reader = Reader::new("window", bytes);
        let position = Position::new(position).map_err(|_| reader.corrupt())?;
        let form = reader.wide()?;
        let windows = if form & MAPPED == 0 {
            let count = usize::try_from(form >> 2).map_err(|_| reader.corrupt())?;
            reader.take(count)?.to_vec()
        } else {
            let mut map = [0; 8];
            for (byte, read) in map.iter_mut().zip(reader.take(map_bytes(step))?) {
                *byte = *read;
            }
            let map = u64::from_le_bytes(map);
            (0..64).filter(|window| map >> window & 1 == 1).collect()
        };
        if !windows.is_sorted_by(|a, b| a < b) || windows.last().is_some_and(|last| *last >= step.chunk_windows()) {
            return Err(reader.corrupt());
        }
        let mut amounts = Vec::with_capacity(windows.len());
        for window in windows {
            let amount = if form & SIGNED == 0 {
                reader.varint()?
            } else {
                reader.signed()?
            };
            amounts.push((window, amount));
        }
        reader.end()?;
        Ok(Self { position, amounts })
    }
}

fn map_bytes(step: Step) -> usize {
    usize::from(step.chunk_windows()).div_ceil(8)
}
