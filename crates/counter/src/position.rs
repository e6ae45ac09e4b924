//! Places in a log, after the last entry included (rule 4): they only grow, stay below 2^50, and are no time.

/// A place in a writer's log: everything before it is included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

/// A number that is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("position {0} is beyond 2^50: this log is full, start a new epoch")]
pub struct PositionError(u64);

impl Position {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);
    /// The last one there can be.
    pub const LAST: Self = Self(Self::LIMIT - 1);
    const LIMIT: u64 = 1 << 50;

    /// The position with this number, below 2^50.
    pub fn new(number: u64) -> Result<Self, PositionError> {
        if number < Self::LIMIT {
            Ok(Self(number))
        } else {
            Err(PositionError(number))
        }
    }

    /// The position's number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The position `by` further on.
    pub fn after(self, by: u64) -> Result<Self, PositionError> {
        Self::new(self.0.saturating_add(by))
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}
