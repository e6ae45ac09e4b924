//! A file that is counted by the real reader of files: opened again after every error and every start, sent in chunks, some of them
//! twice, some with other bytes before them.

use std::sync::Arc;

use tally_counter::Outcome;
use tally_ingest::{Digest, FileError, Files, FilesSettings, Progress};

use crate::file::{Limits, Lines, RULES};
use crate::random::Rng;
use crate::run::{FILE, Run, Source};
use crate::violation::{Violation, violated};

fn digest(bytes: &[u8]) -> Digest {
    Digest(format!("{:016x}", tally_engine::payload_hash(bytes)))
}

impl Run {
    /// The latenesses as they are declared now.
    pub(crate) fn limits(&self) -> Limits {
        let now = self.expected.now();
        let mut limits = Limits::default();
        for (name, policy) in &now.policies {
            if name == "default" {
                limits.default_ms = policy.lateness_ms;
            } else {
                limits.declared.insert(name.clone(), policy.lateness_ms);
            }
        }
        limits
    }

    fn file(&mut self) -> Result<&mut Source, Violation> {
        match self.sources.get_mut(FILE) {
            Some(source) => Ok(source),
            None => violated("there is no file"),
        }
    }

    /// A call about the file, others at work; `None` where it was refused or the process has to end: then it is to be opened again.
    fn of_file<T>(&mut self, call: impl FnOnce(&Files) -> Result<T, FileError>) -> Result<Option<T>, Violation> {
        let Some(engine) = self.engine.clone() else {
            return Ok(None);
        };
        let limits = FilesSettings {
            max_sources: 10,
            max_line_bytes: 1 << 16,
        };
        let files = self.files.get_or_insert_with(|| Arc::new(Files::new(engine, limits)));
        let files = Arc::clone(files);
        let others = self.others_begin(true);
        let answer = call(&files);
        self.others_end(others)?;
        let error = match answer {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) => error,
        };
        self.file_is_open = false;
        match error {
            FileError::Engine(error) => self.judge(&error).map(|_| None),
            other => violated(format!("without cause: {other:?}")),
        }
    }

    pub(super) fn file_put(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        if !self.file_is_open && !self.open_file()? {
            return Ok("not open".to_owned());
        }
        match rng.below(20) {
            0 | 1 => return self.sent_again(rng),
            2 => return self.other_file(),
            _ => {}
        }
        let (sent, attempt) = (self.file_sent, self.file()?.attempt);
        let missing = attempt.map_or(0, |cut| cut - sent);
        let more = if rng.percent(70) {
            rng.between(1, 8).max(missing)
        } else {
            1
        };
        let to = (sent + more).min(Lines::end());
        if to > sent && !self.send_lines(to)? {
            return Ok(format!("to {to}: false"));
        }
        if rng.percent(50) {
            return self.finish_file();
        }
        Ok(format!("to {to}"))
    }

    fn open_file(&mut self) -> Result<bool, Violation> {
        let now_ms = self.world.now_ms();
        let Some(progress) = self.of_file(|files| files.open("file", RULES, false, now_ms))? else {
            return Ok(false);
        };
        let applied = progress.applied;
        let lines = self.lines.clone();
        let offset = |place: u64| u64::try_from(lines.offset(place)).unwrap_or(u64::MAX);
        if self.file()?.attempt.is_some_and(|cut| applied == offset(cut)) {
            self.round_is_in(FILE);
        }
        let rows = self.writers()?;
        let pending = rows
            .values()
            .find(|row| row.writer.id == "source:file")
            .and_then(|row| row.pending);
        let limits = self.limits();
        let file = self.file()?;
        match (pending.map(tally_counter::Position::number), file.attempt) {
            (Some(cut), Some(attempt)) if cut == offset(attempt) => {}
            (None, _) => {
                file.attempt = None;
                file.limits = limits;
            }
            (pending, attempt) => {
                return violated(format!("the file is to be repeated to {pending:?}, not {attempt:?}"));
            }
        }
        let place = file.applied;
        self.file_sent = place;
        self.file_is_open = true;
        self.stands_at(&progress, place)?;
        Ok(true)
    }

    /// What the reader says is where it must be.
    fn stands_at(&self, progress: &Progress, place: u64) -> Result<(), Violation> {
        let offset = self.lines.offset(place);
        let expected = if place == 0 {
            Digest::default()
        } else {
            digest(self.lines.bytes(0, place))
        };
        if progress.position != u64::try_from(offset).unwrap_or(u64::MAX) || progress.digest != expected {
            return violated(format!(
                "the file resumes with {progress:?}, not at {offset} with {expected:?}"
            ));
        }
        Ok(())
    }

    fn chunk(&mut self, from: u64, to: u64, before: &Digest) -> Result<Option<Progress>, Violation> {
        let lines = Arc::clone(&self.lines);
        let last = to == Lines::end();
        let offset = u64::try_from(lines.offset(from)).unwrap_or(u64::MAX);
        let after = digest(lines.bytes(0, to));
        self.of_file(|files| files.chunk("file", offset, before, after, last, lines.bytes(from, to)))
    }

    fn send_lines(&mut self, to: u64) -> Result<bool, Violation> {
        let from = self.file_sent;
        let before = if from == 0 {
            Digest::default()
        } else {
            digest(self.lines.bytes(0, from))
        };
        let Some(progress) = self.chunk(from, to, &before)? else {
            return Ok(false);
        };
        if self.file()?.attempt.is_some_and(|cut| cut <= to) {
            self.round_is_in(FILE);
            let limits = self.limits();
            self.file()?.limits = limits;
        }
        self.file_sent = to;
        self.stands_at(&progress, to)?;
        Ok(true)
    }

    /// A round of what was sent, unless one is to be repeated first.
    fn finish_file(&mut self) -> Result<String, Violation> {
        let sent = self.file_sent;
        let declared = self.expected.now().policies.keys().cloned().collect();
        let file = self.file()?;
        if file.attempt.is_some() || sent == file.applied {
            return Ok("nothing to put".to_owned());
        }
        file.attempt = Some(sent);
        file.declared = declared;
        file.torn = false;
        let Some((progress, figures)) = self.of_file(|files| files.finish("file"))? else {
            return Ok("not put".to_owned());
        };
        self.round_is_in(FILE);
        let limits = self.limits();
        self.file()?.limits = limits;
        self.stands_at(&progress, sent)?;
        let expected = self.expected.now().sources.get("file").cloned().unwrap_or_default();
        if Outcome::ALL
            .into_iter()
            .any(|outcome| figures.of(outcome) != expected.of(outcome))
        {
            return violated(format!("the figures of the file are {figures:?}, not {expected:?}"));
        }
        Ok(format!("put to {sent}"))
    }

    /// A chunk that was sent before comes once more, and changes nothing.
    fn sent_again(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let sent = self.file_sent;
        let from = rng.below(sent);
        let before = if from == 0 {
            Digest::default()
        } else {
            digest(self.lines.bytes(0, from))
        };
        if from < sent
            && let Some(progress) = self.chunk(from, sent, &before)?
        {
            self.stands_at(&progress, sent)?;
        }
        Ok(format!("{from} to {sent} again"))
    }

    /// Another file of the same name is refused.
    fn other_file(&mut self) -> Result<String, Violation> {
        let (sent, lines) = (self.file_sent, Arc::clone(&self.lines));
        if sent == 0 || sent == Lines::end() {
            return Ok("no other".to_owned());
        }
        let Some(files) = self.files.clone() else {
            return Ok("not open".to_owned());
        };
        let offset = u64::try_from(lines.offset(sent)).unwrap_or(u64::MAX);
        let after = digest(lines.bytes(0, sent + 1));
        let bytes = lines.bytes(sent, sent + 1);
        self.file_is_open = false;
        match files.chunk("file", offset, &digest(b"other bytes"), after, false, bytes) {
            Err(FileError::Changed { .. }) => Ok("refused".to_owned()),
            other => violated(format!("another file of the same name is taken: {other:?}")),
        }
    }
}
