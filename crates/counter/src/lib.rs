//! The domain of Tally: what a counter is made of and how its parts are merged.
//!
//! Pure values and functions: no I/O, no clock, no async, no shared state. Everything that must be exact whatever the
//! store, the disk or the network do is decided here, and the laws are held by the property tests in `tests/laws.rs`.

mod cell;
mod codec;
mod delta;
mod figures;
mod head;
mod key;
mod left;
mod planted;
mod policy;
mod position;
mod row;
mod slot;
mod step;
mod window;
mod writer;

pub use cell::{Cell, sum};
pub use codec::{Corrupt, Reader, put_bytes, put_signed, put_varint};
pub use delta::{Beyond, Delta, Ends, Minutes};
pub use figures::{Figures, Outcome, Reason};
pub use head::{Generation, Head};
pub use key::{Key, KeyError, MAX_KEY_BYTES};
pub use left::Left;
pub use planted::Bug;
#[cfg(feature = "planted")]
pub use planted::{is_planted, plant};
pub use policy::{Acknowledgement, Bounds, Consistency, History, Keep, Policy, PolicyError, Template};
pub use position::{Position, PositionError};
pub use row::{CounterRow, counter_prefix, row_key};
pub use slot::{SLOTS, Slot, slot_hash};
pub use step::{Chunk, MAX_TIME_MS, Minute, Step};
pub use window::Window;
pub use writer::{StartId, WriterId, WriterNumber, WriterRow, WriterState};
