//! The real world: the system's clocks, its randomness, a directory on disk. The one place that may ask for them.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::world::{Clock, Disk, File, Random};

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that provides time")]
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that provides time")]
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that provides time")]
    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The system's randomness.
#[derive(Debug)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u128 {
        let mut bytes = [0; 16];
        let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        // Without randomness two starts could take each other for themselves: there is no going on.
        assert!(
            read.is_ok(),
            "the system gives no randomness: /dev/urandom cannot be read"
        );
        u128::from_le_bytes(bytes)
    }
}

/// What a file is called until it has its size. One that a crash left behind is overwritten by the next.
const NEW: &str = "allocating";

/// A directory on disk, held by a lock for as long as this lives.
#[derive(Debug)]
pub struct SystemDisk {
    root: PathBuf,
    _lock: fs::File,
}

impl SystemDisk {
    /// Creates the directory where it is not there, and locks it.
    ///
    /// # Errors
    /// A sentence for the operator: the directory cannot be used, or another process uses it.
    pub fn open(root: &Path) -> Result<Self, String> {
        let refuse = |error: io::Error| format!("the data directory {} cannot be used: {error}", root.display());
        fs::create_dir_all(root).map_err(refuse)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .map_err(refuse)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            format!("the data directory {} is in use by another process: stop that one, or give this one another with --data", root.display())
        })?;
        Ok(Self {
            root: root.to_owned(),
            _lock: lock,
        })
    }
}

impl Disk for SystemDisk {
    fn allocate(&self, name: &str, size: u64) -> io::Result<Arc<dyn File>> {
        let new = self.root.join(NEW);
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&new)?;
        let allocated = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size);
        // Its size is on disk before its name is.
        if let Err(error) = allocated.map_err(io::Error::from).and_then(|()| file.sync_all()) {
            fs::remove_file(&new)?;
            return Err(error);
        }
        fs::rename(&new, self.root.join(name))?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).open(self.root.join(name))?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        fs::File::open(&self.root)?.sync_all()
    }
}

struct SystemFile(fs::File);

impl File for SystemFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match self.0.read_at(rest, at) {
                Ok(0) => break,
                Ok(read) => filled = filled.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
