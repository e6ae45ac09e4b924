//! What must hold for any bytes that a disk gives back: entries, journal files, rows. For the fuzzer; behind the feature `fuzz`.
#![expect(clippy::panic, reason = "a finding is a panic")]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tally_counter::Position;

use crate::entry::{self, Entry, Op};
use crate::journal::{self, JournalError};
use crate::round::Resume;
use crate::world::{Disk, File};
use crate::{ledger, source, token};

/// An entry: what is decoded, encoded and decoded again is the same; it says no more operations than it has bytes.
pub fn entry(bytes: &[u8]) {
    let Some((now_ms, ops)) = operations(bytes) else { return };
    assert!(ops.len() <= bytes.len());
    let mut out = Vec::new();
    entry::begin(&mut out, now_ms);
    for op in &ops {
        entry::put(&mut out, op);
    }
    assert_eq!(operations(&out), Some((now_ms, ops)));
}

fn operations(bytes: &[u8]) -> Option<(u64, Vec<Op<'_>>)> {
    let mut entry = Entry::decode(bytes).ok()?;
    let mut ops = Vec::new();
    while let Some(op) = entry.next().ok()? {
        ops.push(op);
    }
    Some((entry.now_ms, ops))
}

/// Values of rows that only the engine knows. The first byte says which the rest is.
pub fn rows(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    match kind % 4 {
        0 => {
            if let Ok(token) = token::decode(rest) {
                let mut out = Vec::new();
                token::encode(&token, &mut out);
                assert_eq!(token::decode(&out), Ok(token));
            }
        }
        1 => {
            if let Ok(resume) = Resume::decode(rest) {
                assert_eq!(Resume::decode(&resume.encoded()), Ok(resume));
            }
        }
        2 => source::fuzz_resume(rest),
        _ => {
            let (key, value) = rest.split_at(rest.len().min(usize::from(*kind)));
            ledger::fuzz_row(key, value);
        }
    }
}

const WRITER: u32 = 7;

/// Any bytes as the journal's only file: they are read, or refused with their place. What is read has positions without a gap.
pub fn journal(bytes: &[u8]) {
    let mut last = None;
    let replayed = replay(bytes, &mut |position, _| {
        let next = last.map(|last: Position| last.number() + 1);
        assert!(next.is_none_or(|next| next == position.number()));
        last = Some(position);
        Ok(())
    });
    if let Ok(replayed) = replayed {
        assert!(last.is_none_or(|last| replayed.end == Some(last)));
    }
}

/// A journal that was written, and then damaged in one place: what is read back is what was written, up to some entry, or it is refused. Never
/// another entry. The first bytes say where and how it is damaged, the rest is cut into entries and blocks.
pub fn damage(bytes: &[u8]) {
    let Some((how, rest)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let [place, high, bits, size] = *how;
    let entries: Vec<&[u8]> = rest.chunks(usize::from(size % 32) + 1).collect();
    let mut file = journal::fuzz_segment(WRITER, &entries, usize::from(size / 32) + 1);
    let undamaged = file.clone();
    let at = usize::from(u16::from_le_bytes([place, high]))
        .checked_rem(file.len())
        .unwrap_or(0);
    if bits == 0 {
        // The end was never written: zeros, as the file was allocated.
        if let Some(end) = file.get_mut(at..) {
            end.fill(0);
        }
    } else if let Some(byte) = file.get_mut(at) {
        *byte ^= bits;
    }
    for (file, whole) in [(&undamaged, true), (&file, false)] {
        let mut read = 0_usize;
        let replayed = replay(file, &mut |position, content| {
            assert_eq!(entries.get(read).copied(), Some(content), "entry {position}");
            read += 1;
            Ok(())
        });
        match replayed {
            Ok(_) if whole => assert_eq!(read, entries.len()),
            Err(error) if whole => panic!("what was written is refused: {error}"),
            _ => {}
        }
    }
}

fn replay(bytes: &[u8], visit: &mut journal::Visit<'_>) -> Result<journal::Replay, JournalError> {
    let file = Arc::new(Memory(bytes.to_vec()));
    let files = BTreeMap::from([("journal-0000000001.log".to_owned(), file)]);
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk(Mutex::new(files)));
    journal::replay(&disk, WRITER, Position::ZERO, false, visit)
}

/// A file that is read, and of which a start writes again what is there, and nothing else.
struct Memory(Vec<u8>);

impl File for Memory {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = self.0.get(start..start.saturating_add(bytes.len()));
        assert_eq!(there, Some(bytes), "a start writes something else at byte {offset}");
        Ok(())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = self
            .0
            .get(usize::try_from(offset).unwrap_or(usize::MAX)..)
            .unwrap_or_default();
        let count = from.len().min(into.len());
        for (place, byte) in into.iter_mut().zip(from) {
            *place = *byte;
        }
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.0.len()).unwrap_or(u64::MAX))
    }
}

struct MemoryDisk(Mutex<BTreeMap<String, Arc<Memory>>>);

impl Disk for MemoryDisk {
    fn allocate(&self, _: &str, _: u64) -> io::Result<Arc<dyn File>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let found = self.0.lock().get(name).cloned();
        found
            .map(|file| file as Arc<dyn File>)
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().remove(name);
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}
