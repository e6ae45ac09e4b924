//! A directory of files in memory. A write is visible at once and safe only after a sync; a crash keeps of each sector any version
//! since then, and of each name that was not synced the old or the new state. Room may run out; writes and syncs may fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tally_engine::{Disk, File};

use super::Crash;
use super::power::{Goes, Power};
use crate::random::Rng;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// The disk.
pub(crate) struct SimDisk {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    power: Arc<Power>,
    /// There is no room for another file.
    full: AtomicBool,
    /// The next write or sync fails.
    fails: AtomicBool,
    /// A write or sync has failed since the last start.
    failed: AtomicBool,
}

struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    rng: Rng,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    /// The versions of each sector that was written since the last sync.
    versions: BTreeMap<usize, Vec<Vec<u8>>>,
}

impl SimDisk {
    pub(super) fn new(power: Arc<Power>, seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    files: Vec::new(),
                    names: BTreeMap::new(),
                    synced_names: BTreeMap::new(),
                    rng: Rng::of_part(seed, 0xD15C),
                }),
                power,
                full: AtomicBool::new(false),
                fails: AtomicBool::new(false),
                failed: AtomicBool::new(false),
            }),
        }
    }

    /// From now on there is room for another file, or none.
    pub(crate) fn set_full(&self, full: bool) {
        self.shared.full.store(full, Ordering::Relaxed);
    }

    /// Whether there is no room.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.full.load(Ordering::Relaxed)
    }

    /// The next write or sync fails.
    pub(crate) fn fail_next(&self) {
        self.shared.fails.store(true, Ordering::Relaxed);
    }

    /// Whether one has failed since the last start.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// The process has ended. After a loss of power: what is left of everything that was not synced.
    pub(super) fn restart(&self, crash: Crash, seed: u64) {
        self.shared.fails.store(false, Ordering::Relaxed);
        self.shared.failed.store(false, Ordering::Relaxed);
        if crash == Crash::Power {
            let mut rng = Rng::of_part(seed, 0xC4A5);
            self.shared.state().lose(&mut rng);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write or sync begins: whether it is done, and what is answered.
    fn begin(&self) -> (Goes, io::Result<()>) {
        let goes = self.power.operation();
        if goes != Goes::Well {
            return (goes, Err(io::Error::other("the power is off")));
        }
        if self.fails.swap(false, Ordering::Relaxed) {
            self.failed.store(true, Ordering::Relaxed);
            return (Goes::Last, Err(io::Error::other("the disk fails this one")));
        }
        (goes, Ok(()))
    }
}

impl State {
    fn lose(&mut self, rng: &mut Rng) {
        let all: BTreeSet<&String> = self.names.keys().chain(self.synced_names.keys()).collect();
        let mut left = BTreeMap::new();
        for name in all {
            let (new, old) = (self.names.get(name), self.synced_names.get(name));
            let kept = if new == old || rng.percent(50) { new } else { old };
            if let Some(file) = kept {
                left.insert(name.clone(), *file);
            }
        }
        self.names.clone_from(&left);
        self.synced_names = left;
        let share = rng.one(&[0, 20, 50, 80, 100]).copied().unwrap_or(50);
        for file in &mut self.files {
            file.lose(rng, share);
        }
    }
}

impl Content {
    /// `share`: how many of a hundred sectors keep a version newer than the synced one.
    fn lose(&mut self, rng: &mut Rng, share: u64) {
        if self.bytes.len() != self.synced.len() {
            // Its size was not synced: it has it, or none.
            let size = if rng.percent(50) {
                self.bytes.len()
            } else {
                self.synced.len()
            };
            self.synced.resize(size, 0);
        }
        let mut left = std::mem::take(&mut self.synced);
        for (sector, versions) in std::mem::take(&mut self.versions) {
            if !rng.percent(share) {
                continue;
            }
            if let Some(version) = rng.one(&versions) {
                put(&mut left, sector * SECTOR, version);
            }
        }
        self.bytes.clone_from(&left);
        self.synced = left;
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset.saturating_add(bytes.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        put(&mut self.bytes, offset, bytes);
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            let until = (sector + 1).saturating_mul(SECTOR).min(self.bytes.len());
            let version = self.bytes.get(sector * SECTOR..until).unwrap_or_default().to_vec();
            self.versions.entry(sector).or_default().push(version);
        }
    }
}

/// Overwrites as far as there is room.
fn put(into: &mut [u8], offset: usize, bytes: &[u8]) {
    for (place, byte) in into.iter_mut().skip(offset).zip(bytes) {
        *place = *byte;
    }
}

impl Disk for SimDisk {
    fn allocate(&self, name: &str, size: u64) -> io::Result<Arc<dyn File>> {
        let (goes, answer) = self.shared.begin();
        let mut state = self.shared.state();
        let done = match goes {
            Goes::Well => true,
            Goes::Last => state.rng.percent(50),
            Goes::Never => false,
        };
        if goes == Goes::Well && self.is_full() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let index = state.files.len();
        if done {
            let bytes = vec![0; usize::try_from(size).unwrap_or(0)];
            // A file never has its name without its size.
            state.files.push(Content {
                synced: bytes.clone(),
                bytes,
                ..Content::default()
            });
            state.names.insert(name.to_owned(), index);
        }
        answer.map(|()| handle(&self.shared, index))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let state = self.shared.state();
        let index = state.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(handle(&self.shared, index))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.shared.state().names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (goes, answer) = self.shared.begin();
        let mut state = self.shared.state();
        if goes == Goes::Well || (goes == Goes::Last && state.rng.percent(50)) {
            state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        }
        answer
    }

    fn sync_names(&self) -> io::Result<()> {
        let (goes, answer) = self.shared.begin();
        let mut state = self.shared.state();
        if goes == Goes::Well || (goes == Goes::Last && state.rng.percent(50)) {
            state.synced_names = state.names.clone();
        }
        answer
    }
}

fn handle(shared: &Arc<Shared>, index: usize) -> Arc<dyn File> {
    Arc::new(SimFile {
        shared: Arc::clone(shared),
        index,
    })
}

struct SimFile {
    shared: Arc<Shared>,
    index: usize,
}

impl File for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (goes, answer) = self.shared.begin();
        let mut state = self.shared.state();
        let length = match goes {
            Goes::Well => bytes.len(),
            Goes::Last => state.rng.index(bytes.len() + 1),
            Goes::Never => 0,
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some((file, bytes)) = state.files.get_mut(self.index).zip(bytes.get(..length)) {
            file.write(bytes, offset);
        }
        answer
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.shared.power.is_off() {
            return Err(io::Error::other("the power is off"));
        }
        let state = self.shared.state();
        let bytes = state
            .files
            .get(self.index)
            .map_or(&[][..], |file| file.bytes.as_slice());
        let rest = bytes
            .get(usize::try_from(offset).unwrap_or(usize::MAX)..)
            .unwrap_or_default();
        let mut read = 0;
        for (place, byte) in into.iter_mut().zip(rest) {
            *place = *byte;
            read += 1;
        }
        Ok(read)
    }

    fn sync(&self) -> io::Result<()> {
        let (goes, answer) = self.shared.begin();
        let mut state = self.shared.state();
        let done = goes == Goes::Well || (goes == Goes::Last && state.rng.percent(50));
        if let Some(file) = state.files.get_mut(self.index).filter(|_| done) {
            file.synced = file.bytes.clone();
            file.versions.clear();
        }
        answer
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.shared.state();
        let size = state.files.get(self.index).map_or(0, |file| file.bytes.len());
        Ok(u64::try_from(size).unwrap_or(u64::MAX))
    }
}
