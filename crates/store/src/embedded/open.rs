//! The data directory: its format marker, its lock, and fjall within it.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};

use fjall::Database;
use parking_lot::Mutex;

use super::close::Log;
use super::damage::Cut;
use super::tables::Tables;
use super::{Embedded, EmbeddedSettings, damage, failure, told};
use crate::StoreError;

/// The version of the bytes in the directory.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "format";
const FORMAT_PREFIX: &str = "tally store ";
const LOCK_FILE: &str = "lock";
const ROWS_DIRECTORY: &str = "rows";
/// What fjall writes last when it creates a database.
const FJALL_MARKER: &str = "version";
/// Open files; one table of up to 64 MiB is one.
const OPEN_FILES: usize = 400;
const MIN_LOG_BYTES: u64 = 64 << 20;

pub(super) fn open(directory: &Path, settings: &EmbeddedSettings) -> Result<Embedded, StoreError> {
    let in_directory = |error: std::io::Error| failure::directory(directory, &error);
    told::listen()?;
    fs::create_dir_all(directory).map_err(in_directory)?;
    let lock = lock(directory)?;
    check_format(directory)?;
    let rows = directory.join(ROWS_DIRECTORY);
    if !rows.join(FJALL_MARKER).try_exists().map_err(in_directory)? && rows.exists() {
        // A creation that was cut off: nothing was ever written into it.
        fs::remove_dir_all(&rows).map_err(in_directory)?;
    }
    let cut = damage::check(&rows)?;
    let database = Database::builder(&rows)
        .cache_size(settings.cache_bytes)
        .max_journaling_size(settings.log_bytes.max(MIN_LOG_BYTES))
        .worker_threads(settings.worker_threads.max(1))
        .max_cached_files(Some(OPEN_FILES))
        .manual_journal_persist(true)
        .open()
        .map_err(|error| failure::open(&rows, error))?;
    let tables = told::whole(|| Tables::open(&rows, &database))?;
    let cut = cut.map(|cut| fits(&tables, cut)).transpose()?.flatten();
    Ok(Embedded {
        log: Log::of(&rows),
        tables,
        database,
        comparing: Mutex::new(()),
        reads: AtomicU64::new(0),
        directory: directory.to_path_buf(),
        reserve_bytes: settings.reserve_bytes,
        rows_bytes: settings.rows_bytes,
        keeps_states: AtomicBool::new(false),
        cut,
        _lock: lock,
    })
}

/// What is left of a log that was cut must not be older than a table: the store never was in such a state. Answers what to say.
fn fits(tables: &Tables, cut: Cut) -> Result<Option<String>, StoreError> {
    let ahead = tables.newest().is_some_and(|newest| newest >= cut.first_gone);
    match cut.said {
        said if !ahead => Ok(said),
        Some(said) => Err(StoreError::Corrupt(format!(
            "{said}; parts of that are in tables already, so that what is left is no state that the store ever had: restore the data directory from a copy"
        ))),
        None => Err(StoreError::Corrupt(
            "the end of the store's log is damaged, and parts of what stood there are in tables already: restore the data directory from a copy".to_owned(),
        )),
    }
}

fn lock(directory: &Path) -> Result<File, StoreError> {
    let in_directory = |error: std::io::Error| failure::directory(directory, &error);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join(LOCK_FILE))
        .map_err(in_directory)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Refused(format!(
            "the data directory {} is in use by another process; stop that one, or set another directory",
            directory.display()
        ))),
        Err(TryLockError::Error(error)) => Err(in_directory(error)),
    }
}

fn check_format(directory: &Path) -> Result<(), StoreError> {
    let in_directory = |error: std::io::Error| failure::directory(directory, &error);
    let path = directory.join(FORMAT_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return write_format(directory),
        Err(error) => return Err(in_directory(error)),
    };
    let version: Option<u32> = text
        .trim_end()
        .strip_prefix(FORMAT_PREFIX)
        .and_then(|version| version.parse().ok());
    match version {
        Some(FORMAT) => Ok(()),
        Some(newer) if newer > FORMAT => Err(StoreError::Refused(format!(
            "the data in {} has format {newer}, this Tally reads up to {FORMAT}; start a newer Tally on it",
            directory.display()
        ))),
        _ => Err(StoreError::Refused(format!(
            "{} is not the format marker of a Tally store; set another data directory, or restore this one",
            path.display()
        ))),
    }
}

/// Marks a new directory; one that has other things in it is not ours.
fn write_format(directory: &Path) -> Result<(), StoreError> {
    let in_directory = |error: std::io::Error| failure::directory(directory, &error);
    if directory.join(ROWS_DIRECTORY).exists() {
        return Err(StoreError::Refused(format!(
            "the data directory {} has rows but no format marker; restore its file \"{FORMAT_FILE}\"",
            directory.display()
        )));
    }
    let new = directory.join("format.new");
    let mut file = File::create(&new).map_err(in_directory)?;
    writeln!(file, "{FORMAT_PREFIX}{FORMAT}")
        .and_then(|()| file.sync_all())
        .map_err(in_directory)?;
    fs::rename(&new, directory.join(FORMAT_FILE)).map_err(in_directory)?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(in_directory)
}

/// The bytes that the files below `directory` really take; fjall's own figure counts what it reserved in advance.
pub(super) fn allocated_bytes(directory: &Path) -> Option<u64> {
    let mut bytes: u64 = 0;
    for entry in fs::read_dir(directory).ok()? {
        let entry = entry.ok()?;
        // A file that was merged away meanwhile takes nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes = bytes.saturating_add(if metadata.is_dir() {
            allocated_bytes(&entry.path()).unwrap_or(0)
        } else {
            metadata.blocks().saturating_mul(512)
        });
    }
    Some(bytes)
}
