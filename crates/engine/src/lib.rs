//! The engine: hot table, journal, rounds, recovery, tokens, heads, history. Correctness lives here.
//!
//! It knows neither async front ends nor wires. Clock, disk, randomness and store come in from outside (`World`), so that a
//! seeded simulation can crash everything at every step. Calls either never wait for I/O (`Engine::turn`) or block and are
//! to be made from threads that may wait (all others).

mod census;
mod commit;
mod copy;
mod core;
mod damage;
mod declared;
mod engine;
mod entry;
mod error;
mod figures;
mod flush;
mod fold;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod history;
mod journal;
mod ledger;
mod load;
mod loss;
mod names;
mod namespaces;
mod nodes;
mod plan;
mod put;
mod recovery;
mod registry;
mod resolve;
mod round;
mod sight;
mod source;
mod strong;
mod sweep;
mod system;
mod table;
mod threads;
mod token;
mod turn;
mod verify;
mod view;
mod views;
mod waiters;
mod world;

pub use commit::OnTheSpot;
pub use copy::{CopyEnd, CopyPlace, CopyProgress, copy, verify_copy};
pub use engine::{Engine, Settings, Turned, payload_hash};
pub use error::{AddError, Blocked, Error};
pub use nodes::{NodeFace, NodeView, beats};
pub use plan::{KeyIndex, Need, Plan, TokenIndex};
pub use source::{Fold, SourceWriter};
pub use strong::{Settled, StrongPart, StrongTurned, Ticket};
pub use system::{SystemClock, SystemDisk, SystemRandom};
pub use turn::{Expiry, TokenState, Turn};
pub use verify::{Check, Drift, PassView, PerCheck, VerifyView};
pub use view::{
    CellView, Explained, Extent, HistoryView, LedgerView, Listed, NamespaceView, ScanCursor, Status, StrongBatches,
    SubjectFigures, WriterView,
};
pub use world::{Clock, Disk, File, Random, World};
