//! Sources, rules, ledger: what turns events into adds.
//!
//! Most of it is pure: bytes in, adds or a reason out. What a log of events adds up to is decided by its bytes and
//! its rules alone (rule 7): no clock, no I/O, no state but what the caller keeps. An event is all or nothing: either every
//! rule that matches it counts, or it is rejected with one reason from a bounded set and nothing counts. Only `file` and `files`,
//! which bring files to the engine, have state.

mod adds;
mod batch;
mod binary;
mod event;
mod fields;
mod file;
mod files;
mod json;
mod lateness;
mod limits;
mod ndjson;
mod rules;
mod time;

pub use adds::Adds;
pub use batch::{NotABatch, batch};
pub use event::{Event, MAX_NAME_BYTES, Rejected};
pub use file::{Digest, Progress};
pub use files::{FileError, Files, FilesSettings};
pub use lateness::Lateness;
pub use ndjson::{Line, Lines, MAX_LINE_BYTES, Splitter, TooLong};
pub use rules::{MAX_KEYS_A_RULE, MAX_RULES, MAX_RULES_BYTES, Rules, RulesError};
pub use time::{TimeError, rfc3339_ms};
