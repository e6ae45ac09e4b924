//! A file as a source: its own log, whose positions are byte offsets behind whole lines. What its bytes add up to is folded here and
//! brought to the store in rounds; after a crash it is read again from the applied position, by the same rules up to the cut
//! of a round that was left open. Guards that a chunk which comes twice, late or from another file changes nothing.

use tally_counter::{Corrupt, Key, Outcome, Position, Reader, planted, put_bytes, put_varint};
use tally_engine::{Engine, Fold, SourceWriter};

use crate::files::FileError;
use crate::limits::Limits;
use crate::{Adds, Event, Lateness, Line, Rules, Splitter};

/// The hash of all bytes before a position, as the client states it: what tells a file from another of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest(pub String);

/// How far a file has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Folded up to here: the next chunk begins here.
    pub position: u64,
    /// The hash of the bytes before `position`; empty where nothing was read yet.
    pub digest: Digest,
    /// In the store, durable, up to here.
    pub applied: u64,
}

/// What is kept with a round's cut: all that the fold depends on beside the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Resume {
    digest: Digest,
    newest_ms: Option<u64>,
    /// The time of events that carry none, before any that does.
    opened_ms: u64,
    backfill: bool,
    rules: String,
    limits: Limits,
}

/// A file whose writer this process holds.
pub(crate) struct File {
    writer: SourceWriter,
    /// By what the bytes are folded now; while a round is repeated, what its row says.
    resume: Resume,
    rules: Rules,
    /// What the newest run asked for, from the next cut on.
    next: Option<(String, Rules, bool)>,
    fold: Fold,
    /// Bytes in the fold.
    folded_bytes: u64,
    splitter: Splitter,
    lateness: Lateness,
    digest: Digest,
    event: Event,
    adds: Adds,
    /// The writer was taken over or its round failed: it must be opened again.
    pub(crate) broken: bool,
}

/// Bytes of a file that one round brings to the store.
const ROUND_BYTES: u64 = 32 << 20;
/// Memory that one fold may take before its round.
const FOLD_BYTES: usize = 64 << 20;

impl File {
    /// Claims the writer of `source` and stands where the store has it.
    pub(crate) fn open(engine: &Engine, source: &str, max_line_bytes: usize, now_ms: u64) -> Result<Self, FileError> {
        let writer = engine.open_source(source)?;
        let kept = Resume::decode(writer.resume(), now_ms)?;
        let repeated = writer
            .repeat_resume()
            .map(|bytes| Resume::decode(&bytes, now_ms))
            .transpose()?;
        let newest_ms = if planted!(LatenessByClock) {
            Some(now_ms)
        } else {
            kept.newest_ms
        };
        let (digest, lateness) = (kept.digest.clone(), Lateness::resume(newest_ms));
        // The open round goes by its own rules and limits; where it began in time stands with the applied position.
        let resume = repeated.unwrap_or_else(|| Resume {
            limits: Limits::now(engine),
            ..kept
        });
        let rules = Rules::parse(&resume.rules).unwrap_or_default();
        let splitter = Splitter::new(writer.applied().number(), max_line_bytes);
        Ok(Self {
            writer,
            resume,
            rules,
            next: None,
            fold: Fold::default(),
            folded_bytes: 0,
            splitter,
            lateness,
            digest,
            event: Event::default(),
            adds: Adds::default(),
            broken: false,
        })
    }

    /// The rules and whether lateness is lifted, from the next cut on.
    pub(crate) fn adopt(&mut self, engine: &Engine, text: &str, rules: Rules, backfill: bool) -> Result<(), FileError> {
        if self.resume.rules == text && self.resume.backfill == backfill {
            return Ok(());
        }
        self.next = Some((text.to_owned(), rules, backfill));
        if self.writer.repeat_to().is_none() {
            self.put(engine)?;
            self.turn_over();
        }
        Ok(())
    }

    fn turn_over(&mut self) {
        if let Some((text, rules, backfill)) = self.next.take() {
            self.resume.rules = text;
            self.resume.backfill = backfill;
            self.rules = rules;
        }
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            position: self.splitter.position(),
            digest: self.digest.clone(),
            applied: self.writer.applied().number(),
        }
    }

    /// Folds a chunk that begins at the position where the file stands; any other changes nothing.
    pub(crate) fn chunk(&mut self, engine: &Engine, chunk: &Chunk<'_>) -> Result<(), FileError> {
        if chunk.from != self.splitter.position() && !planted!(RedeliveredCounts) {
            return Ok(());
        }
        if chunk.from > 0 && *chunk.before != self.digest && !planted!(FileNotCompared) {
            return Err(FileError::Changed { position: chunk.from });
        }
        let consumed = self.fold_lines(engine, chunk)?;
        if consumed != chunk.bytes.len() && !chunk.last {
            return Err(FileError::Invalid(
                "a chunk must end with a whole line, unless it is the last one".to_owned(),
            ));
        }
        if consumed == chunk.bytes.len() {
            self.digest = chunk.after.clone();
        } else if consumed > 0 {
            return Err(FileError::Invalid(
                "the last line is not whole: send it alone, or when it is".to_owned(),
            ));
        }
        if self.folded_bytes >= ROUND_BYTES || self.fold.bytes() >= FOLD_BYTES {
            self.put(engine)?;
        }
        Ok(())
    }

    fn fold_lines(&mut self, engine: &Engine, chunk: &Chunk<'_>) -> Result<usize, FileError> {
        let mut splitter = self.splitter;
        let mut lines = splitter.lines(chunk.bytes, chunk.last);
        for line in lines.by_ref() {
            // Blank lines may stand before the cut of an open round: the first line that ends behind it is beyond it.
            if let Some(cut) = self.writer.repeat_to().filter(|cut| cut.number() < line.position) {
                self.repeat(engine, cut.number())?;
            }
            self.line(line);
        }
        let consumed = lines.consumed();
        self.splitter = splitter;
        self.folded_bytes = self.folded_bytes.saturating_add(u64::try_from(consumed).unwrap_or(0));
        // Or nothing but blank lines followed in this chunk.
        if let Some(cut) = self
            .writer
            .repeat_to()
            .filter(|cut| cut.number() <= self.splitter.position())
        {
            self.repeat(engine, cut.number())?;
        }
        Ok(consumed)
    }

    fn line(&mut self, line: Line<'_>) {
        let Ok(content) = line.content else {
            self.fold.reject("line too long", &format!("byte {}", line.position));
            return;
        };
        let judged = self.rules.structured(content, &mut self.event, &mut self.adds);
        let behind_ms = self.lateness.observe(self.event.time_ms());
        match judged {
            Err(_) if planted!(BrokenNotReceived) => {}
            Err(rejected) => {
                let which = rejected
                    .id
                    .unwrap_or_else(|| format!("the line before byte {}", line.position));
                self.fold.reject(&rejected.reason, &which);
            }
            Ok(Outcome::Counted) => self.count(behind_ms),
            Ok(outcome) => self.fold.event(outcome),
        }
    }

    /// All adds of an event, or none: it is late if it is for any of its namespaces.
    fn count(&mut self, behind_ms: u64) {
        let late = |key: &str| Lateness::is_late(behind_ms, self.resume.limits.lateness_ms(key));
        let is_late = behind_ms > 0 && !self.resume.backfill && self.adds.iter().any(|(key, _)| late(key));
        let time_ms = self
            .event
            .time_ms()
            .or(self.lateness.newest_ms())
            .unwrap_or(self.resume.opened_ms);
        for (key, amount) in self.adds.iter() {
            // The rules have checked it.
            let Ok(key) = Key::new(key.as_bytes()) else { continue };
            if is_late {
                self.fold.not_counted(key, Outcome::Late);
            } else {
                self.fold.add(key, amount, time_ms);
            }
        }
        self.fold.event(if is_late { Outcome::Late } else { Outcome::Counted });
    }

    /// Ends the repeat of the round that was left open, at its cut; from here on by what the newest run asked for.
    fn repeat(&mut self, engine: &Engine, cut: u64) -> Result<(), FileError> {
        self.put_at(engine, cut)?;
        self.turn_over();
        Ok(())
    }

    /// Brings what is folded to the store. Durable when it returns.
    pub(crate) fn put(&mut self, engine: &Engine) -> Result<(), FileError> {
        let position = self.splitter.position();
        if self.writer.repeat_to().is_some() || position == self.writer.applied().number() {
            return Ok(());
        }
        self.resume.digest = self.digest.clone();
        self.put_at(engine, position)
    }

    fn put_at(&mut self, engine: &Engine, cut: u64) -> Result<(), FileError> {
        let cut = Position::new(cut).map_err(|error| FileError::Invalid(error.to_string()))?;
        self.resume.newest_ms = self.lateness.newest_ms();
        let put = engine.put_source(&mut self.writer, &self.fold, cut, &self.resume.encoded());
        self.broken = put.is_err();
        put?;
        self.fold = Fold::default();
        self.folded_bytes = 0;
        // Policies that changed since then hold from this cut on (rule 7).
        self.resume.limits = Limits::now(engine);
        Ok(())
    }

    /// The figures of its events that are durable.
    pub(crate) fn figures(&self) -> tally_counter::Figures {
        self.writer.figures()
    }
}

/// A stretch of a file.
pub(crate) struct Chunk<'c> {
    pub(crate) from: u64,
    /// The hash of all bytes before it.
    pub(crate) before: &'c Digest,
    /// The hash of all bytes before its end.
    pub(crate) after: Digest,
    /// Nothing follows: a last line without newline counts if it is whole.
    pub(crate) last: bool,
    pub(crate) bytes: &'c [u8],
}

impl Resume {
    fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, self.digest.0.as_bytes());
        put_varint(
            &mut out,
            self.newest_ms.map_or(0, |ms| u128::from(ms).saturating_add(1)),
        );
        put_varint(&mut out, self.opened_ms.into());
        out.push(u8::from(self.backfill));
        put_bytes(&mut out, self.rules.as_bytes());
        self.limits.encode(&mut out);
        out
    }

    fn decode(bytes: &[u8], now_ms: u64) -> Result<Self, Corrupt> {
        if bytes.is_empty() {
            return Ok(Self {
                opened_ms: now_ms,
                ..Self::default()
            });
        }
        let mut reader = Reader::new("file's resume", bytes);
        let digest = Digest(reader.text()?.to_owned());
        let newest_ms = reader.varint::<u64>()?.checked_sub(1);
        let opened_ms = reader.varint()?;
        let backfill = reader.byte()? != 0;
        let rules = reader.text()?.to_owned();
        let limits = Limits::read(&mut reader)?;
        reader.end()?;
        Ok(Self {
            digest,
            newest_ms,
            opened_ms,
            backfill,
            rules,
            limits,
        })
    }
}
