//! fjall's errors, named for what the caller should do.
//!
//! fjall poisons itself after a failed write to its log, a failed sync and a failed merge: from then on it takes no write,
//! and only opening it again reads what is really on disk. So a failed write is `Failed`, whatever its cause.

use std::io::ErrorKind;
use std::path::Path;

use crate::StoreError;

/// Of a call that writes or syncs.
pub(super) fn write(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Poisoned => StoreError::Failed(
            "an earlier write, sync or merge failed; start again to go on from what is on disk".into(),
        ),
        error => StoreError::Failed(error.to_string()),
    }
}

/// Of a call that reads.
pub(super) fn read(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            StoreError::Unavailable(format!("cannot read from disk: {error}"))
        }
        fjall::Error::Poisoned => write(error),
        error => StoreError::Corrupt(error.to_string()),
    }
}

/// Of opening.
pub(super) fn open(rows: &Path, error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            StoreError::Unavailable(format!("cannot open the store in {}: {error}", rows.display()))
        }
        error => StoreError::Corrupt(format!(
            "the store in {} cannot be read ({error}); restore the data directory from a copy",
            rows.display()
        )),
    }
}

/// Of the directory itself.
pub(super) fn directory(directory: &Path, error: &std::io::Error) -> StoreError {
    let path = directory.display();
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::Refused(format!(
            "the data directory {path} cannot be used: {error}; give this user the right to write there, or set another"
        )),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            StoreError::Refused(format!("the data directory {path} is not a directory; set another"))
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            StoreError::Unavailable(format!("the disk of {path} is full: {error}"))
        }
        _ => StoreError::Unavailable(format!("the data directory {path} cannot be used: {error}")),
    }
}
