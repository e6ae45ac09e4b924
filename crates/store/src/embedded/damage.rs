//! What fjall does not look at when it opens: its log from end to end, and which list of tables is the right one. A store that
//! opens must hold a state that it really had.
//!
//! fjall cuts its log at the first entry that it cannot read, in files that are not the last one, too, and believes a batch's
//! sequence number, which no checksum covers; a batch whose checksum is wrong, as a loss of power may leave one, it refuses. Here
//! the last file is cut before the first batch that is not whole, which gives an earlier state of the store, and the engine replays
//! its journal on that, or refuses where it cannot. Earlier files were synced whole: damage in them is refused.
//!
//! The bytes are those of fjall 3 (`journal/entry.rs`, `version/persist.rs` of lsm-tree 3); a test writes and reads them.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::failure;
use crate::StoreError;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: [u8; 4] = [b'F', b'J', b'L', 3];
/// Of an item: kind, compression, keyspace, lengths of key, value, and value on disk.
const ITEM_HEAD_BYTES: usize = 20;
const BUFFER_BYTES: usize = 256 * 1_024;

/// What was cut of the log.
#[derive(Debug)]
pub(super) struct Cut {
    /// Where, for the operator; only if something whole followed: any other end is what a crash leaves.
    pub(super) said: Option<String>,
    /// Tables that hold a row of this number or a later one are ahead of what is left of the log.
    pub(super) first_gone: u64,
}

/// Looks at everything, and cuts the log where it is no longer whole.
pub(super) fn check(rows: &Path) -> Result<Option<Cut>, StoreError> {
    let in_directory = |error: io::Error| failure::directory(rows, &error);
    check_versions(&rows.join("keyspaces"))?;
    let logs = logs(rows).map_err(in_directory)?;
    let mut newest = 0;
    let mut cut = None;
    for (index, log) in logs.iter().enumerate() {
        let mut scan = Scan::open(log).map_err(in_directory)?;
        let end = scan.run(&mut newest).map_err(in_directory)?;
        if scan.is_zero_from(end).map_err(in_directory)? {
            continue;
        }
        if index.saturating_add(1) < logs.len() {
            return Err(StoreError::Corrupt(format!(
                "{}, byte {end}: the store's log is damaged here; restore the data directory from a copy",
                log.display()
            )));
        }
        cut = Some(cut_off(log, end, newest).map_err(in_directory)?);
    }
    Ok(cut)
}

/// The files of the log, oldest first.
fn logs(rows: &Path) -> io::Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    let entries = match fs::read_dir(rows) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|extension| extension == "jnl")) {
            logs.push((number, path));
        }
    }
    logs.sort();
    Ok(logs.into_iter().map(|(_, path)| path).collect())
}

/// The last file ends here. What followed is kept beside it if any of it is whole. `newest`: the last number before the cut, 0 if
/// that is not known since the file begins here.
fn cut_off(log: &Path, end: u64, newest: u64) -> io::Result<Cut> {
    let mut file = File::options().read(true).write(true).open(log)?;
    file.seek(SeekFrom::Start(end))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    let used = rest
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last.saturating_add(1));
    rest.truncate(used);
    let mut cut = Cut {
        said: None,
        // fjall syncs its log before it writes tables: what a crash tears off is in none.
        first_gone: if newest > 0 { newest.saturating_add(1) } else { u64::MAX },
    };
    if let Some(batch) = first_batch(&rest) {
        if newest == 0 {
            cut.first_gone = batch.number.saturating_sub(1);
        }
        let name = log.file_name().unwrap_or_default().to_string_lossy();
        let kept = log.with_file_name(format!("../{name}-{end}.damaged"));
        fs::write(&kept, &rest)?;
        File::open(&kept)?.sync_all()?;
        cut.said = Some(format!(
            "{}, byte {end}: the store's log was damaged here and is cut; what followed is kept in {}",
            log.display(),
            kept.display()
        ));
    }
    file.set_len(end)?;
    file.sync_all()?;
    Ok(cut)
}

/// The first whole batch behind the first byte.
fn first_batch(bytes: &[u8]) -> Option<Batch> {
    let starts = bytes.iter().enumerate().skip(1).filter(|(_, byte)| **byte == START);
    let mut candidates = starts.filter_map(|(at, _)| bytes.get(at..));
    candidates.find_map(|rest| {
        let follows = rest.get(13).is_some_and(|tag| matches!(*tag, ITEM | CLEAR));
        let read = follows.then(|| batch(&mut &*rest, rest.len() as u64));
        read?.ok().flatten()
    })
}

/// A batch that is whole: its sequence number and its bytes.
struct Batch {
    number: u64,
    bytes: u64,
}

/// Reads a batch; none where there is no whole one. `most`: the bytes that can be left.
fn batch(reader: &mut impl Read, most: u64) -> io::Result<Option<Batch>> {
    let whole = || -> io::Result<Option<Batch>> {
        let mut start = [0; 13];
        reader.read_exact(&mut start)?;
        let [START, items @ .., _, _, _, _, _, _, _, _] = start else {
            return Ok(None);
        };
        let number = word(start.get(5..13).unwrap_or_default());
        let mut bytes: u64 = 13;
        let mut hash = Xxh3::new();
        let mut body = Vec::new();
        for _ in 0..u32::from_le_bytes(items) {
            let mut tag = [0];
            reader.read_exact(&mut tag)?;
            hash.update(&tag);
            let length = match tag {
                [ITEM] => {
                    let mut head = [0; ITEM_HEAD_BYTES];
                    reader.read_exact(&mut head)?;
                    hash.update(&head);
                    bytes = bytes.saturating_add(ITEM_HEAD_BYTES as u64);
                    let key = word(head.get(10..12).unwrap_or_default());
                    let value = word(head.get(16..20).unwrap_or_default());
                    key.saturating_add(value)
                }
                [CLEAR] => 8,
                _ => return Ok(None),
            };
            bytes = bytes.saturating_add(1).saturating_add(length);
            if bytes > most {
                return Ok(None);
            }
            body.resize(usize::try_from(length).unwrap_or(0), 0);
            reader.read_exact(&mut body)?;
            hash.update(&body);
        }
        let mut end = [0; 13];
        reader.read_exact(&mut end)?;
        let trailer = end.get(9..) == Some(TRAILER.as_slice());
        let sum = word(end.get(1..9).unwrap_or_default());
        let is_whole = end.first() == Some(&END) && trailer && sum == hash.digest();
        Ok(is_whole.then_some(Batch {
            number,
            bytes: bytes.saturating_add(13),
        }))
    };
    let mut whole = whole;
    match whole() {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read,
    }
}

/// A little-endian number of up to eight bytes.
fn word(bytes: &[u8]) -> u64 {
    let mut wide = [0; 8];
    for (place, byte) in wide.iter_mut().zip(bytes) {
        *place = *byte;
    }
    u64::from_le_bytes(wide)
}

/// A file of the log, read from its beginning.
struct Scan {
    reader: BufReader<File>,
    size: u64,
}

impl Scan {
    fn open(log: &Path) -> io::Result<Self> {
        let file = File::open(log)?;
        let size = file.metadata()?.len();
        Ok(Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, file),
            size,
        })
    }

    /// Where the whole batches end. Their numbers grow; where one does not, it or the one before it is wrong, and both go.
    fn run(&mut self, newest: &mut u64) -> io::Result<u64> {
        let (mut at, mut before): (u64, u64) = (0, 0);
        while let Some(batch) = batch(&mut self.reader, self.size.saturating_sub(at))? {
            if batch.number < *newest {
                return Ok(before);
            }
            *newest = batch.number;
            before = at;
            at = at.saturating_add(batch.bytes);
        }
        Ok(at)
    }

    fn is_zero_from(&mut self, at: u64) -> io::Result<bool> {
        self.reader.seek(SeekFrom::Start(at))?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = self.reader.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(true);
            };
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
    }
}

/// Each keyspace's list of tables is the one that was written: fjall keeps its checksum and does not look at it.
fn check_versions(keyspaces: &Path) -> Result<(), StoreError> {
    let in_directory = |error: io::Error| failure::directory(keyspaces, &error);
    let entries = match fs::read_dir(keyspaces) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(in_directory)?,
    };
    for entry in entries {
        let folder = entry.map_err(in_directory)?.path();
        let current = match fs::read(folder.join("current")) {
            // A keyspace that was being created.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            current => current.map_err(in_directory)?,
        };
        let number = word(current.get(..8).unwrap_or_default());
        let sum = current
            .get(8..24)
            .and_then(|sum| sum.try_into().ok())
            .map(u128::from_le_bytes);
        let list = folder.join(format!("v{number}"));
        let bytes = fs::read(&list).unwrap_or_default();
        if current.len() != 25 || sum != Some(xxh3_128(&bytes)) {
            return Err(StoreError::Corrupt(format!(
                "{}, byte 0: the list of tables is not what was written, or {} is not; restore the data directory from a copy",
                list.display(),
                folder.join("current").display()
            )));
        }
    }
    Ok(())
}
