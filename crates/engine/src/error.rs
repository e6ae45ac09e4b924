//! The engine's errors, named for what the caller can do.

use tally_store::StoreError;

/// Why a turn was not taken. Nothing was applied.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Blocked {
    /// Counters or tokens that the plan needs are not in memory: call [`crate::Engine::load`] from a thread that may wait, then
    /// take the turn again.
    #[error("not in memory")]
    Load,
    /// A limit is reached that the next round or sync lifts: wait for [`crate::Engine::relieved`] and take the turn again.
    #[error("{0}")]
    Full(&'static str),
    /// All of the plan's counters are strong: take the turn by [`crate::Engine::strong_turn`].
    #[error("strong counters are not counted by the journal; nothing was applied")]
    Strong(crate::StrongPart),
    /// Some of the plan's counters are strong, and cannot be changed together with the others.
    #[error("{0}")]
    Mixed(&'static str),
    /// More than one entry of the journal may hold: split the request.
    #[error(
        "the request is larger than a journal entry may be ({limit_bytes} bytes, setting journal_segment): split it"
    )]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// There is no room for the journal: reads go on, adds are refused until there is.
    #[error("the disk is full: adds are refused until there is room for the journal; nothing was applied")]
    DiskFull,
    /// The engine has stopped after a failure, or is draining.
    #[error("{0}")]
    Stopped(String),
}

/// Why an add was refused. Nothing was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// The value that was asked for would leave 64 bits.
    #[error("increment or decrement would overflow")]
    Overflow,
    /// The value would pass the namespace's bound.
    #[error("the value would be {value}, {}; nothing was applied", bound(*.max, *.limit))]
    Bound {
        /// What it would be.
        value: i64,
        /// The bound that it passes.
        limit: i64,
        /// Whether that is the namespace's `max`; else its `min`.
        max: bool,
    },
    /// The add's own time is in the year 10000 or later.
    #[error("the time is outside 1970 to 9999")]
    Time,
}

fn bound(max: bool, limit: i64) -> String {
    let (side, word) = if max { ("above", "max") } else { ("below", "min") };
    format!("{side} the namespace's {word} of {limit}")
}

/// What went wrong in a call that waits.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request can never be served as it stands.
    #[error("{0}")]
    Invalid(String),
    /// It contradicts what is there: a changed file, a policy that is fixed by now.
    #[error("{0}")]
    Conflict(String),
    /// A limit with a name.
    #[error("{0}")]
    Exhausted(String),
    /// Not now; the same again later is safe.
    #[error("{0}")]
    Unavailable(String),
    /// The engine or the store failed: the process must stop.
    #[error("{0}")]
    Failed(String),
    /// Stored data is not what was written.
    #[error("{0}")]
    Corrupt(String),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.to_string()),
            StoreError::Corrupt(_) => Self::Corrupt(error.to_string()),
            StoreError::Refused(text) => Self::Invalid(text),
            StoreError::Failed(_) => Self::Failed(error.to_string()),
        }
    }
}
