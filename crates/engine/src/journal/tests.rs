//! Tests of the journal: what a crash tears is cut where nothing acknowledged is lost; anything else is refused, with its place.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tally_counter::Position;

use super::block::{HEADER_BYTES, padded};
use super::{JournalError, Replay, Tail, Writer, replay};
use crate::world::{Disk, File};

const WRITER: u32 = 7;
const SEGMENT: u64 = 1_024;

#[derive(Clone, Default)]
struct MemoryDisk {
    files: Arc<Mutex<BTreeMap<String, Arc<MemoryFile>>>>,
    full: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
}

#[derive(Default)]
struct MemoryFile {
    bytes: Mutex<Vec<u8>>,
    /// Where, and what.
    writes: Mutex<Vec<(u64, Vec<u8>)>>,
    broken: Arc<AtomicBool>,
}

impl Disk for MemoryDisk {
    fn allocate(&self, name: &str, size: u64) -> io::Result<Arc<dyn File>> {
        if self.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = Arc::new(MemoryFile {
            bytes: Mutex::new(vec![0; usize::try_from(size).unwrap()]),
            writes: Mutex::default(),
            broken: Arc::clone(&self.broken),
        });
        self.files.lock().unwrap().insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::clone(&self.files.lock().unwrap()[name]) as _)
    }
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().unwrap().keys().cloned().collect())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().unwrap().remove(name).unwrap();
        Ok(())
    }
    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

impl File for MemoryFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(io::Error::other("broken"));
        }
        self.writes.lock().unwrap().push((offset, bytes.to_vec()));
        let offset = usize::try_from(offset).unwrap();
        self.bytes.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes.lock().unwrap();
        let rest = &bytes[usize::try_from(offset).unwrap()..];
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn size(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.bytes.lock().unwrap().len()).unwrap())
    }
}

impl MemoryDisk {
    fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    fn bytes(&self, segment: u64) -> Vec<u8> {
        self.files.lock().unwrap()[&super::segment::name(segment)]
            .bytes
            .lock()
            .unwrap()
            .clone()
    }

    fn put_bytes(&self, segment: u64, bytes: Vec<u8>) {
        *self.files.lock().unwrap()[&super::segment::name(segment)]
            .bytes
            .lock()
            .unwrap() = bytes;
    }
}

fn writer(disk: &MemoryDisk) -> Writer {
    Writer::new(disk.shared(), WRITER, SEGMENT, Vec::new(), 1)
}

/// Commits a block of these entries.
fn commit(writer: &mut Writer, tail: &mut Tail, entries: &[&[u8]]) -> Result<(), JournalError> {
    for entry in entries {
        tail.entry().extend_from_slice(entry);
        tail.finish().unwrap();
    }
    let mut pending = tail.take(Vec::new()).unwrap();
    writer.prepare()?;
    writer.commit(&mut pending)
}

fn entry(number: u64) -> Vec<u8> {
    format!("entry {number}, whole").into_bytes()
}

/// A journal of so many blocks of two entries each; about five to a segment.
fn journal_of(blocks: u64) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let (mut writer, mut tail) = (writer(&disk), Tail::new(Position::ZERO));
    for block in 0..blocks {
        let (one, two) = (entry(block * 2 + 1), entry(block * 2 + 2));
        commit(&mut writer, &mut tail, &[&one, &two]).unwrap();
    }
    disk
}

fn read_after(disk: &MemoryDisk, of: u32, after: u64) -> Result<(Replay, Vec<Vec<u8>>), JournalError> {
    let mut entries = Vec::new();
    let after = Position::new(after).unwrap();
    let found = replay(&disk.shared(), of, after, false, &mut |position, content| {
        assert_eq!(content, entry(position.number()), "position {position}");
        entries.push(content.to_vec());
        Ok(())
    })?;
    Ok((found, entries))
}

fn read(disk: &MemoryDisk) -> Result<u64, JournalError> {
    let (found, entries) = read_after(disk, WRITER, 0)?;
    let end = found.end.map_or(0, Position::number);
    assert_eq!(u64::try_from(entries.len()).unwrap(), end);
    Ok(end)
}

fn refusal(disk: &MemoryDisk) -> String {
    match read(disk) {
        Err(JournalError::Corrupt(text)) => text,
        other => format!("not refused: {other:?}"),
    }
}

/// The size on disk of a block of two entries.
fn block_bytes() -> usize {
    let bytes = HEADER_BYTES + 2 * (4 + entry(1).len());
    usize::try_from(padded(u64::try_from(bytes).unwrap())).unwrap()
}

#[test]
fn what_was_committed_is_read_back_across_segments() {
    let disk = journal_of(30);
    assert!(disk.names().unwrap().len() > 3, "it rotates");
    assert_eq!(read(&disk).unwrap(), 60);
    let (_, entries) = read_after(&disk, WRITER, 55).unwrap();
    assert_eq!(entries.len(), 5);
}

#[test]
fn a_torn_tail_is_cut_at_every_byte_of_the_last_block() {
    let disk = journal_of(3);
    let whole = disk.bytes(1);
    let last = 64 + 2 * block_bytes();
    for torn in 0..block_bytes() {
        let mut bytes = whole.clone();
        bytes[last + torn..].fill(0);
        let end = last + HEADER_BYTES + 2 * (4 + entry(1).len());
        let expected = if bytes[..end] == whole[..end] { 6 } else { 4 };
        disk.put_bytes(1, bytes);
        assert_eq!(read(&disk).unwrap(), expected, "torn at byte {torn}");
    }
}

#[test]
fn damage_before_a_whole_block_is_refused_with_its_place() {
    let disk = journal_of(3);
    let whole = disk.bytes(1);
    for at in 64 + block_bytes()..64 + block_bytes() + HEADER_BYTES + 2 * (4 + entry(1).len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xFF;
        disk.put_bytes(1, bytes);
        let text = refusal(&disk);
        let place = format!("journal-0000000001.log, byte {}", 64 + block_bytes());
        assert!(text.starts_with(&place), "{text}");
    }
}

#[test]
fn a_damaged_tail_before_a_later_segment_is_refused() {
    let disk = journal_of(10);
    let mut bytes = disk.bytes(1);
    let mark = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 64 * 64;
    // The end mark is not synced: it may be gone.
    bytes[mark..].fill(0);
    bytes[mark - block_bytes() + HEADER_BYTES] ^= 1;
    disk.put_bytes(1, bytes);
    assert!(refusal(&disk).contains("cannot be read"), "{}", refusal(&disk));
}

#[test]
fn a_bit_flip_anywhere_is_refused_or_changes_nothing_the_last_block_included() {
    let disk = journal_of(8);
    let mut refused = 0;
    for segment in [1, 2] {
        let whole = disk.bytes(segment);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            disk.put_bytes(segment, bytes);
            // `read` compares each entry with what was written.
            match read(&disk) {
                Ok(end) => assert_eq!(end, 16, "bit {bit} of {segment}"),
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().contains("byte "), "no place: {error}");
                }
            }
        }
        disk.put_bytes(segment, whole);
    }
    assert!(refused > 0);
}

#[test]
fn a_cut_off_file_is_refused_at_every_length() {
    let disk = journal_of(8);
    for segment in [1, 2] {
        let whole = disk.bytes(segment);
        for length in 0..whole.len() {
            disk.put_bytes(segment, whole[..length].to_vec());
            let text = refusal(&disk);
            let place = format!("journal-000000000{segment}.log, byte ");
            assert!(text.starts_with(&place), "cut off at {length}: {text}");
        }
        disk.put_bytes(segment, whole);
    }
}

#[test]
fn a_torn_block_over_an_end_mark_is_cut_at_every_byte() {
    let disk = journal_of(2);
    let before = disk.bytes(1);
    let third = journal_of(3).bytes(1);
    let at = 64 + 2 * block_bytes();
    assert_ne!(before[at..at + 4], [0; 4], "an end mark");
    for torn in 0..block_bytes() {
        let mut bytes = before.clone();
        bytes[at..at + torn].copy_from_slice(&third[at..at + torn]);
        let whole = bytes[at..at + block_bytes()] == third[at..at + block_bytes()];
        disk.put_bytes(1, bytes);
        assert_eq!(read(&disk).unwrap(), if whole { 6 } else { 4 }, "torn at byte {torn}");
    }
}

#[test]
fn the_operator_may_go_on_before_the_damage_and_what_is_cut_is_kept() {
    let disk = journal_of(30);
    let mut bytes = disk.bytes(2);
    bytes[64 + block_bytes()] ^= 1;
    disk.put_bytes(2, bytes);
    assert!(refusal(&disk).contains("journal_damage=cut"));
    let mut entries = 0;
    let found = replay(
        &disk.shared(),
        WRITER,
        Position::ZERO,
        true,
        &mut |position, content| {
            assert_eq!(content, entry(position.number()));
            entries += 1;
            Ok(())
        },
    );
    let found = found.unwrap();
    // Five blocks of the first segment would be ten entries; one more block was before the damage.
    let end = found.end.unwrap().number();
    assert_eq!(end, entries);
    assert_eq!(
        found.segments.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(read(&disk).unwrap(), end, "the next start needs no decision");
    let names = disk.names().unwrap();
    let kept = names.iter().filter(|name| name.ends_with(".damaged")).count();
    assert!(kept >= 2, "{names:?}");
    let mut writer = Writer::new(disk.shared(), WRITER, SEGMENT, found.segments, found.next_segment);
    let mut tail = Tail::new(found.end.unwrap());
    commit(&mut writer, &mut tail, &[&entry(end + 1)]).unwrap();
    assert_eq!(read(&disk).unwrap(), end + 1);
}

#[test]
fn the_operator_may_go_on_without_a_cut_off_end() {
    let disk = journal_of(3);
    let whole = disk.bytes(1);
    for length in (0..whole.len()).step_by(7) {
        disk.put_bytes(1, whole[..length].to_vec());
        let found = replay(&disk.shared(), WRITER, Position::ZERO, true, &mut |_, _| Ok(())).unwrap();
        let end = found.end.map_or(0, Position::number);
        assert_eq!(read(&disk).unwrap(), end, "cut off at {length}");
        disk.allocate(&super::segment::name(1), SEGMENT).unwrap();
    }
}

#[test]
fn a_missing_segment_in_the_middle_is_refused_unless_the_store_has_it() {
    let disk = journal_of(30);
    disk.remove(&super::segment::name(2)).unwrap();
    assert!(refusal(&disk).contains("cannot be read"));
    let (found, entries) = read_after(&disk, WRITER, 40).unwrap();
    assert_eq!(found.end, Some(Position::new(60).unwrap()));
    assert_eq!(entries.len(), 20);
}

#[test]
fn a_journal_of_another_writer_is_refused() {
    let disk = journal_of(1);
    match read_after(&disk, WRITER + 1, 0) {
        Err(JournalError::Corrupt(text)) => assert!(text.contains("another data directory"), "{text}"),
        other => assert!(other.is_err()),
    }
}

#[test]
fn a_segment_whose_first_commit_was_torn_was_never_begun() {
    let disk = journal_of(5);
    let mut writer = Writer::new(disk.shared(), WRITER, SEGMENT, Vec::new(), 9);
    writer.prepare().unwrap();
    let header = disk.bytes(1)[..64].to_vec();
    for torn in 0..64 {
        let mut bytes = vec![0; 1_024];
        bytes[..torn].copy_from_slice(&header[..torn]);
        disk.allocate(&super::segment::name(9), SEGMENT).unwrap();
        disk.put_bytes(9, bytes);
        assert_eq!(read(&disk).unwrap(), 10, "torn at byte {torn}");
        assert!(!disk.names().unwrap().contains(&super::segment::name(9)));
    }
}

#[test]
fn a_header_that_is_gone_before_whole_blocks_is_refused() {
    let disk = journal_of(3);
    let mut bytes = disk.bytes(1);
    bytes[..64].fill(0);
    disk.put_bytes(1, bytes);
    assert!(refusal(&disk).starts_with("journal-0000000001.log, byte 0"));
}

#[test]
fn without_room_for_a_spare_it_says_so_and_goes_on_once_there_is() {
    let disk = MemoryDisk::default();
    let (mut writer, mut tail) = (writer(&disk), Tail::new(Position::ZERO));
    assert!(writer.prepare().unwrap());
    disk.full.store(true, Ordering::Relaxed);
    let one = entry(1);
    commit(&mut writer, &mut tail, &[&one]).unwrap();
    assert!(
        !writer.prepare().unwrap(),
        "the spare is in use, and there is no room for another"
    );
    let two = entry(2);
    commit(&mut writer, &mut tail, &[&two]).unwrap();
    disk.full.store(false, Ordering::Relaxed);
    assert!(writer.prepare().unwrap());
    assert_eq!(read(&disk).unwrap(), 2);
}

#[test]
fn after_a_failed_write_nothing_is_ever_written_again() {
    let disk = MemoryDisk::default();
    let (mut writer, mut tail) = (writer(&disk), Tail::new(Position::ZERO));
    writer.prepare().unwrap();
    disk.broken.store(true, Ordering::Relaxed);
    let one = entry(1);
    assert!(commit(&mut writer, &mut tail, &[&one]).is_err());
    disk.broken.store(false, Ordering::Relaxed);
    assert!(writer.prepare().is_err());
    assert!(commit(&mut writer, &mut tail, &[&one]).is_err());
    assert_eq!(read(&disk).unwrap(), 0);
}

#[test]
fn cutting_keeps_the_newest_segment_so_that_the_journal_is_never_taken_for_lost() {
    let disk = journal_of(30);
    let (found, _) = read_after(&disk, WRITER, 0).unwrap();
    let mut writer = Writer::new(disk.shared(), WRITER, SEGMENT, found.segments, found.next_segment);
    writer.cut(Position::new(60).unwrap()).unwrap();
    assert_eq!(disk.names().unwrap().len(), 1);
    let (found, _) = read_after(&disk, WRITER, 60).unwrap();
    assert_eq!(found.end, Some(Position::new(60).unwrap()));
}

#[test]
fn a_replay_writes_again_what_a_failed_sync_may_have_dropped() {
    let disk = journal_of(2);
    let file = Arc::clone(&disk.files.lock().unwrap()[&super::segment::name(1)]);
    let committed = std::mem::take(&mut *file.writes.lock().unwrap());
    // Header, block, end mark, block, end mark.
    assert_eq!(committed.len(), 5);
    read(&disk).unwrap();
    assert_eq!(
        *file.writes.lock().unwrap(),
        [committed[0].clone(), committed[3].clone()]
    );
}

#[test]
fn the_newest_segment_says_where_the_journal_ends() {
    let disk = journal_of(30);
    // One more is there, and was never begun.
    let names = disk.names().unwrap();
    let spare = names
        .iter()
        .filter_map(|name| super::segment::number(name))
        .max()
        .unwrap()
        + 1;
    disk.allocate(&super::segment::name(spare), SEGMENT).unwrap();
    let end = |disk: &MemoryDisk, writer| super::newest_end(&disk.shared(), writer).unwrap().map(Position::number);
    assert_eq!(end(&disk, WRITER), Some(60));
    assert_eq!(end(&disk, WRITER + 1), None, "another's");
    assert_eq!(end(&MemoryDisk::default(), WRITER), None, "there is none");
    // What cannot be read says nothing: the whole journal is read then.
    let begun = |number: &u64| disk.bytes(*number)[..4] != [0; 4];
    let newest = (1..spare).rev().find(begun).unwrap();
    let mut bytes = disk.bytes(newest);
    bytes[16] ^= 1;
    disk.put_bytes(newest, bytes);
    assert_eq!(end(&disk, WRITER), None);
}
