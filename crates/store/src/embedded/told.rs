//! What fjall says in the process's log, where that is all it does about a failure. Guards that no failed write or sync goes unnoticed:
//! what it only warns of while tables are created refuses the store, and what ends one of its threads is told at once, and not
//! when the next round is written.
//!
//! Read in fjall 3.1.13 and lsm-tree 3.1.10. Told to nobody but the log: merging the list of tables after one was created
//! (`meta_keyspace.rs`: tables, their list and the directory are written and synced); the end of a thread (`worker_pool.rs`: after
//! it only the next write or sync is refused); the log's last sync when the database is dropped (`journal/mod.rs`: all was
//! synced before); files that are removed (`super_version.rs`, `table/inner.rs`: they take room, and the next start removes them).

use std::cell::RefCell;
use std::sync::OnceLock;

use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

use crate::StoreError;

/// The name of fjall's threads, `worker_pool.rs`.
const FJALLS_THREAD: &str = "fjall:worker";

type Tell = Box<dyn Fn(&str) + Send>;

thread_local! {
    /// What was said by this thread, while somebody wants to know.
    static SAID: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Whoever wants to know that a thread of fjall's has failed.
static TELL: Mutex<Option<Tell>> = Mutex::new(None);

/// Calls `tell` with the reason when a thread of fjall's fails, of any store of this process: what it had to bring to disk is not
/// there, and the store refuses all that is written from then on. The last caller is told.
pub(super) fn on_failed_thread(tell: Tell) {
    *TELL.lock() = Some(tell);
}

/// Begins to listen. Refuses where something else keeps the process's log: failures would go unnoticed.
pub(super) fn listen() -> Result<(), StoreError> {
    static LISTENS: OnceLock<bool> = OnceLock::new();
    if *LISTENS.get_or_init(|| log::set_logger(&Ear).is_ok()) {
        log::set_max_level(LevelFilter::Warn);
        return Ok(());
    }
    Err(StoreError::Refused(
        "something else in this process keeps its log (crate log): the embedded store must hear what fjall says there"
            .to_owned(),
    ))
}

/// Runs a call of fjall's; an error as well where fjall warned of something, and called it done.
pub(super) fn whole<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    SAID.set(Some(Vec::new()));
    let done = call();
    let said = SAID.take().unwrap_or_default();
    let done = done?;
    if said.is_empty() {
        return Ok(done);
    }
    Err(StoreError::Failed(format!(
        "{}; start again to go on from what is on disk",
        said.join("; ")
    )))
}

struct Ear;

impl Log for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        metadata.level() <= Level::Warn && (target.starts_with("fjall") || target.starts_with("lsm_tree"))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        SAID.with_borrow_mut(|said| {
            if let Some(said) = said {
                said.push(record.args().to_string());
            }
        });
        if record.level() == Level::Error
            && std::thread::current().name() == Some(FJALLS_THREAD)
            && let Some(tell) = TELL.lock().as_ref()
        {
            tell(&record.args().to_string());
        }
    }

    fn flush(&self) {}
}
