//! A directory of files in memory. A write is visible at once and safe only after a sync; a crash keeps of each sector any version
//! since then, and of each name that was not synced the old or the new state. Room may run out; writes and syncs may fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tally_engine::{Disk, File};

use super::meanwhile::Place;
use super::power::{Goes, Power};
use super::{Crash, Meanwhile, SimClock};
use crate::random::Rng;

/// No write or sync is going to fail.
const NEVER: u64 = u64::MAX;
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
    /// After so many more writes and syncs one fails; `NEVER`: none.
    fails: AtomicU64,
    /// Nothing comes back: nobody may have to wait for it.
    stuck: AtomicBool,
    /// The next read fails.
    reads_fail: AtomicBool,
    /// A read, write or sync has failed since the last start.
    failed: AtomicBool,
    /// How many milliseconds each write and sync takes at most.
    slow_ms: AtomicU64,
    clock: Arc<SimClock>,
    meanwhile: Arc<Meanwhile>,
}

/// All that is on a disk: what somebody copies, and puts back later.
#[derive(Clone)]
pub(crate) struct Image {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
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
    /// Sectors that a sync failed to write: they are taken for clean, and no later sync writes them unless they are written again.
    lost: BTreeSet<usize>,
}

impl SimDisk {
    pub(super) fn new(power: Arc<Power>, clock: Arc<SimClock>, meanwhile: Arc<Meanwhile>, seed: u64) -> Self {
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
                fails: AtomicU64::new(NEVER),
                stuck: AtomicBool::new(false),
                reads_fail: AtomicBool::new(false),
                failed: AtomicBool::new(false),
                slow_ms: AtomicU64::new(0),
                clock,
                meanwhile,
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

    /// After so many more writes and syncs, one fails.
    pub(crate) fn fail_after(&self, more: u64) {
        self.shared.fails.store(more, Ordering::Relaxed);
    }

    /// The next read fails.
    pub(crate) fn fail_next_read(&self) {
        self.shared.reads_fail.store(true, Ordering::Relaxed);
    }

    /// From now on no write or sync comes back, or they do again. The simulation has one thread: whoever waits is a bug of it.
    pub(crate) fn set_stuck(&self, stuck: bool) {
        self.shared.stuck.store(stuck, Ordering::Relaxed);
    }

    /// From now on a write or sync takes up to so many milliseconds; answers how many until now.
    pub(crate) fn slow_down(&self, slow_ms: u64) -> u64 {
        self.shared.slow_ms.swap(slow_ms, Ordering::Relaxed)
    }

    /// What is on it.
    pub(crate) fn image(&self) -> Image {
        let state = self.shared.state();
        Image {
            files: state.files.clone(),
            names: state.names.clone(),
        }
    }

    /// Everything on it is gone; in its place is what was copied, if anything was.
    pub(crate) fn put_back(&self, image: Option<Image>) {
        let mut state = self.shared.state();
        let Image { files, names } = image.unwrap_or(Image {
            files: Vec::new(),
            names: BTreeMap::new(),
        });
        state.files = files;
        for file in &mut state.files {
            file.synced = file.bytes.clone();
            file.versions.clear();
            file.lost.clear();
        }
        state.synced_names.clone_from(&names);
        state.names = names;
    }

    /// Whether one has failed since the last start.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// The process has ended. After a loss of power: what is left of everything that was not synced.
    pub(super) fn restart(&self, crash: Crash, seed: u64) {
        self.shared.fails.store(NEVER, Ordering::Relaxed);
        self.shared.reads_fail.store(false, Ordering::Relaxed);
        self.shared.stuck.store(false, Ordering::Relaxed);
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
        assert!(
            !self.stuck.load(Ordering::Relaxed),
            "something waits for a disk that is stuck"
        );
        self.meanwhile.come(Place::Disk);
        let slow_ms = self.slow_ms.load(Ordering::Relaxed);
        if slow_ms > 0 {
            let took_ms = self.state().rng.below(slow_ms);
            self.clock.now_ms.fetch_add(took_ms, Ordering::Relaxed);
        }
        let goes = self.power.operation();
        if goes != Goes::Well {
            return (goes, Err(io::Error::other("the power is off")));
        }
        let more = self.fails.load(Ordering::Relaxed);
        self.fails.store(
            if more == NEVER { NEVER } else { more.wrapping_sub(1) },
            Ordering::Relaxed,
        );
        if more == 0 {
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
        self.lost.clear();
    }

    /// `done`: or it failed.
    fn sync(&mut self, done: bool) {
        let written = std::mem::take(&mut self.versions);
        if !done {
            self.lost.extend(written.into_keys());
            return;
        }
        self.synced.resize(self.bytes.len(), 0);
        for sector in written.into_keys() {
            self.lost.remove(&sector);
            let until = (sector + 1).saturating_mul(SECTOR).min(self.bytes.len());
            let now = self.bytes.get(sector * SECTOR..until).unwrap_or_default();
            put(&mut self.synced, sector * SECTOR, now);
        }
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
        if self.shared.reads_fail.swap(false, Ordering::Relaxed) {
            self.shared.failed.store(true, Ordering::Relaxed);
            return Err(io::Error::other("the disk fails this read"));
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
        if let Some(file) = state.files.get_mut(self.index) {
            // A process that is killed leaves what it wrote to the system, which writes it in its own time.
            if done || !self.shared.power.is_off() {
                file.sync(done);
            }
        }
        answer
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.shared.state();
        let size = state.files.get(self.index).map_or(0, |file| file.bytes.len());
        Ok(u64::try_from(size).unwrap_or(u64::MAX))
    }
}
