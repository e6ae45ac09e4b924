//! Sets aside what the operator has decided to go on without: copies are kept under other names, which no start reads.

use std::io;
use std::sync::Arc;

use super::{JournalError, segment};
use crate::world::{Disk, File};

/// Appended to a segment's name; what follows is not a segment any more.
const SUFFIX: &str = ".damaged";

/// Ends the journal in segment `number` before `offset` (0: it has no readable header, so all of it goes) and takes the later
/// segments away. A crash in between leaves the damage, and the next start does the same again.
pub(super) fn set(disk: &Arc<dyn Disk>, number: u64, offset: usize, later: &[u64]) -> Result<(), JournalError> {
    let done = || -> io::Result<()> {
        for number in later.iter().rev() {
            copy(disk, *number)?;
            disk.remove(&segment::name(*number))?;
        }
        let file = copy(disk, number)?;
        if offset == 0 {
            disk.remove(&segment::name(number))?;
        } else {
            let offset = u64::try_from(offset).unwrap_or(u64::MAX);
            let size = file.size()?;
            let rest = usize::try_from(size.saturating_sub(offset)).unwrap_or(0);
            if rest > 0 {
                file.write_at(&vec![0; rest], offset)?;
            }
            file.sync()?;
            if let Some(header) = header(number, &file)?.filter(|header| header.size > size) {
                // It was cut off: from now on that is its size.
                let header = segment::encode(segment::Header { size, ..header });
                file.write_at(&header, 0)?;
                file.sync()?;
            }
        }
        disk.sync_names()
    };
    done().map_err(|error| JournalError::Failed(format!("could not set the damaged journal aside: {error}")))
}

fn header(number: u64, file: &Arc<dyn File>) -> io::Result<Option<segment::Header>> {
    let mut bytes = [0; 64];
    file.read_at(&mut bytes, 0)?;
    Ok(segment::decode(&segment::name(number), &bytes).ok().flatten())
}

/// Copies a segment as it is; answers it.
fn copy(disk: &Arc<dyn Disk>, number: u64) -> io::Result<Arc<dyn File>> {
    let name = segment::name(number);
    let file = disk.open(&name)?;
    let size = file.size()?;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    let kept = disk.allocate(&format!("{name}{SUFFIX}"), size.max(1))?;
    kept.write_at(&bytes, 0)?;
    kept.sync()?;
    disk.sync_names()?;
    Ok(file)
}
