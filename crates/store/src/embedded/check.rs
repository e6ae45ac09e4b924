//! Whether there is room on the disk for what is to be written.

use super::Embedded;
use crate::{Batch, StoreError};

impl Embedded {
    /// Refuses rows while the disk is nearly full: what fjall cannot write stops it for good, so it is not let try.
    pub(super) fn check_room(&self, rows: &Batch) -> Result<(), StoreError> {
        let Ok(disk) = rustix::fs::statvfs(&self.directory) else {
            return Ok(());
        };
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        // Once into the log, once into a table.
        let needed_bytes = (rows.size_bytes() as u64)
            .saturating_mul(2)
            .saturating_add(self.reserve_bytes);
        if free_bytes < needed_bytes {
            return Err(StoreError::Unavailable(format!(
                "the disk of {} has {} MiB free, fewer than the {} MiB kept in reserve; make room and writing goes on",
                self.directory.display(),
                free_bytes >> 20,
                needed_bytes >> 20,
            )));
        }
        Ok(())
    }
}
