//! What can go wrong in a store, named for what the caller can do.

/// A store's error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The back end cannot be reached, has no room, or timed out: the call may have been applied; the same call again is safe.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What was read is not what was written.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
    /// The data is of a newer Tally, or the directory is in use, or may not be used.
    #[error("{0}")]
    Refused(String),
    /// The back end failed in a way after which nothing more may be written (a failed sync): the process must stop.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl From<tally_counter::Corrupt> for StoreError {
    fn from(error: tally_counter::Corrupt) -> Self {
        Self::Corrupt(error.to_string())
    }
}
