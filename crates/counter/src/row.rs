//! The keys of rows, in bytes that sort as they are to be read: all rows of a counter stand together, head first, and the
//! counters of a slot in the order of their 32-bit hash, so that a cursor over all names needs no state.

use crate::codec::put_sorted;
use crate::{Chunk, Corrupt, Key, Reader, Step, WriterNumber, slot_hash};

/// One row of a counter, within its table. Lives and chunks are big-endian so that they sort; names are length-prefixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CounterRow {
    /// The head, one a counter.
    Head,
    /// A writer's cell of a life.
    Cell {
        /// Which life.
        life: u64,
        /// Whose.
        writer: WriterNumber,
    },
    /// What left the retention.
    Left {
        /// Which life.
        life: u64,
        /// Of which step.
        step: Step,
        /// Whose.
        writer: WriterNumber,
    },
    /// A chunk of windows.
    Window {
        /// Which life.
        life: u64,
        /// Of which step.
        step: Step,
        /// Which chunk.
        chunk: Chunk,
        /// Whose.
        writer: WriterNumber,
    },
}

const HEAD: u8 = 0;
const CELL: u8 = 1;
const LEFT: u8 = 2;
const WINDOW: u8 = 3;

/// What all rows of a counter begin with: its place within the slot (32-bit hash), its length, its name.
pub fn counter_prefix(key: Key<'_>, out: &mut Vec<u8>) {
    out.extend(slot_hash(key.as_bytes()).to_be_bytes());
    let length = u16::try_from(key.as_bytes().len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(key.as_bytes());
}

/// The whole key of a row.
pub fn row_key(key: Key<'_>, row: CounterRow, out: &mut Vec<u8>) {
    counter_prefix(key, out);
    row.encode(out);
}

impl CounterRow {
    /// Which life the row is of; the head is of all.
    pub fn life(self) -> Option<u64> {
        match self {
            Self::Head => None,
            Self::Cell { life, .. } | Self::Left { life, .. } | Self::Window { life, .. } => Some(life),
        }
    }

    /// What follows the counter's prefix.
    pub fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::Head => out.push(HEAD),
            Self::Cell { life, writer } => {
                out.push(CELL);
                put_sorted(out, life);
                put_sorted(out, writer.0.into());
            }
            Self::Left { life, step, writer } => {
                out.push(LEFT);
                put_sorted(out, life);
                out.push(step.code());
                put_sorted(out, writer.0.into());
            }
            Self::Window {
                life,
                step,
                chunk,
                writer,
            } => {
                out.push(WINDOW);
                put_sorted(out, life);
                out.push(step.code());
                out.extend(chunk.0.to_be_bytes());
                put_sorted(out, writer.0.into());
            }
        }
    }

    /// What all windows of a life and step begin with, after the counter's prefix.
    pub fn window_prefix(life: u64, step: Step, out: &mut Vec<u8>) {
        out.push(WINDOW);
        put_sorted(out, life);
        out.push(step.code());
    }

    /// What all rows of a life and step that say what left begin with, after the counter's prefix.
    pub fn left_prefix(life: u64, step: Step, out: &mut Vec<u8>) {
        out.push(LEFT);
        put_sorted(out, life);
        out.push(step.code());
    }

    /// Splits a row's key into the counter's name and the row.
    pub fn decode(bytes: &[u8]) -> Result<(Key<'_>, Self), Corrupt> {
        let mut reader = Reader::new("row key", bytes);
        reader.take(4)?;
        let length = usize::from(u16::from(reader.byte()?) << 8 | u16::from(reader.byte()?));
        let key = Key::new(reader.take(length)?).map_err(|_| reader.corrupt())?;
        let row = match reader.byte()? {
            HEAD => Self::Head,
            CELL => Self::Cell {
                life: reader.sorted()?,
                writer: writer(&mut reader)?,
            },
            LEFT => Self::Left {
                life: reader.sorted()?,
                step: step(&mut reader)?,
                writer: writer(&mut reader)?,
            },
            WINDOW => Self::Window {
                life: reader.sorted()?,
                step: step(&mut reader)?,
                chunk: chunk(&mut reader)?,
                writer: writer(&mut reader)?,
            },
            _ => return Err(reader.corrupt()),
        };
        reader.end()?;
        Ok((key, row))
    }
}

fn writer(reader: &mut Reader<'_>) -> Result<WriterNumber, Corrupt> {
    let number = reader.sorted()?;
    u32::try_from(number).map(WriterNumber).map_err(|_| reader.corrupt())
}

fn step(reader: &mut Reader<'_>) -> Result<Step, Corrupt> {
    let code = reader.byte()?;
    Step::from_code(code).ok_or_else(|| reader.corrupt())
}

fn chunk(reader: &mut Reader<'_>) -> Result<Chunk, Corrupt> {
    let bytes = reader.take(4)?;
    Ok(Chunk(
        bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)),
    ))
}
