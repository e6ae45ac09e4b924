//! The files that are being counted, by source. One at a time folds a source; another run of the same file is told how far it is and
//! goes on from there, so that two at once count once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tally_counter::{Corrupt, Figures};
use tally_engine::Engine;

use crate::file::{Chunk, Digest, File, Progress};
use crate::{Rules, RulesError};

/// Why a call about a file was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FileError {
    /// The rules cannot be used.
    #[error("the rules cannot be used: {0}")]
    Rules(#[from] RulesError),
    /// The call is not as it must be.
    #[error("{0}")]
    Invalid(String),
    /// The bytes before the position are others than those that were counted.
    #[error(
        "the file's bytes before {position} are not those that were counted: it was changed, or is another file of the same name. Nothing of it was counted; if it is another file, give it a --source of its own"
    )]
    Changed {
        /// Up to where other bytes were counted.
        position: u64,
    },
    /// The source was not opened, or this server was started anew: open it and go on from where it is.
    #[error("the source {0:?} is not open: open it first")]
    NotOpen(String),
    /// A limit.
    #[error("{limit} sources are open, as many as may be (setting max_sources): finish one first")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The engine's answer.
    #[error(transparent)]
    Engine(#[from] tally_engine::Error),
    /// What was kept of the file cannot be read.
    #[error("what was kept of the file is damaged: {0}")]
    Corrupt(#[from] Corrupt),
}

/// Limits.
#[derive(Clone, Copy, Debug)]
pub struct FilesSettings {
    /// How many sources may be open at once.
    pub max_sources: usize,
    /// The longest line.
    pub max_line_bytes: usize,
}

/// All files that are being counted.
pub struct Files {
    engine: Arc<Engine>,
    settings: FilesSettings,
    open: Mutex<HashMap<String, Arc<Mutex<File>>>>,
}

/// The longest name of a source.
const MAX_SOURCE_BYTES: usize = 512;

impl Files {
    /// None yet.
    pub fn new(engine: Arc<Engine>, settings: FilesSettings) -> Self {
        Self {
            engine,
            settings,
            open: Mutex::new(HashMap::new()),
        }
    }

    /// Opens a source, or finds it open; says from where to go on. Other rules than before hold from here on. Blocks.
    pub fn open(&self, source: &str, rules_text: &str, backfill: bool, now_ms: u64) -> Result<Progress, FileError> {
        if source.is_empty() || source.len() > MAX_SOURCE_BYTES || source.contains('\0') {
            return Err(FileError::Invalid(format!(
                "a source's name has 1 to {MAX_SOURCE_BYTES} bytes"
            )));
        }
        let rules = Rules::parse(rules_text)?;
        let file = self.file(source, now_ms)?;
        let mut file = file.lock();
        file.adopt(&self.engine, rules_text, rules, backfill)?;
        Ok(file.progress())
    }

    fn file(&self, source: &str, now_ms: u64) -> Result<Arc<Mutex<File>>, FileError> {
        let mut open = self.open.lock();
        if let Some(file) = open.get(source).filter(|file| !file.lock().broken) {
            return Ok(Arc::clone(file));
        }
        if open.len() >= self.settings.max_sources && !open.contains_key(source) {
            return Err(FileError::TooMany {
                limit: self.settings.max_sources,
            });
        }
        let file = File::open(&self.engine, source, self.settings.max_line_bytes, now_ms)?;
        let file = Arc::new(Mutex::new(file));
        open.insert(source.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn opened(&self, source: &str) -> Result<Arc<Mutex<File>>, FileError> {
        let open = self.open.lock();
        let file = open.get(source).filter(|file| !file.lock().broken);
        file.cloned().ok_or_else(|| FileError::NotOpen(source.to_owned()))
    }

    /// Counts a chunk of whole lines that begins at `from`; `before` and `after` are the hashes of all bytes before its ends. One that
    /// does not begin where the source stands changes nothing and is told where that is. Blocks.
    pub fn chunk(
        &self,
        source: &str,
        from: u64,
        before: &Digest,
        after: Digest,
        last: bool,
        bytes: &[u8],
    ) -> Result<Progress, FileError> {
        let file = self.opened(source)?;
        let mut file = file.lock();
        let chunk = Chunk {
            from,
            before,
            after,
            last,
            bytes,
        };
        let folded = file.chunk(&self.engine, &chunk);
        if folded.is_err() {
            // What is folded beyond the applied position cannot be told apart any more: it is read again.
            file.broken = true;
        }
        folded?;
        Ok(file.progress())
    }

    /// Makes everything that was sent durable, and answers the figures of the source's events. Blocks.
    pub fn finish(&self, source: &str) -> Result<(Progress, Figures), FileError> {
        let file = self.opened(source)?;
        let mut file = file.lock();
        let put = file.put(&self.engine);
        put?;
        Ok((file.progress(), file.figures()))
    }

    /// Makes what every source has folded durable: for files whose run broke off, and before a stop. Closes sources that have
    /// nothing to put. Blocks.
    pub fn settle(&self) -> Result<(), FileError> {
        let files: Vec<(String, Arc<Mutex<File>>)> = self
            .open
            .lock()
            .iter()
            .map(|(source, file)| (source.clone(), Arc::clone(file)))
            .collect();
        for (source, file) in files {
            let Some(mut held) = file.try_lock() else { continue };
            let idle = held.progress().position == held.progress().applied;
            held.put(&self.engine)?;
            drop(held);
            // Nobody holds it beside this list and the map: it is opened anew when it is asked for.
            let mut open = self.open.lock();
            if idle && Arc::strong_count(&file) == 2 {
                open.remove(&source);
            }
        }
        Ok(())
    }
}
