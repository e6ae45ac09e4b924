//! Sources: claimed, folded from the applied position to some cut, put; opened again after every error, with the open round repeated
//! first; and two that claim the same one.

use tally_counter::Position;
use tally_engine::Error;

use crate::random::Rng;
use crate::run::{Run, SOURCES, Source, Trouble};
use crate::violation::{Violation, violated};

impl Run {
    fn source(&mut self, index: usize) -> Result<&mut Source, Violation> {
        match self.sources.get_mut(index) {
            Some(source) => Ok(source),
            None => violated("there is no such source"),
        }
    }

    /// Claims a source's writer where it is not claimed, and holds what it says against the map.
    fn open_source(&mut self, index: usize) -> Result<bool, Violation> {
        let name = self.source(index)?.log.name.clone();
        let Some(writer) = self.call(|engine| engine.open_source(&name))? else {
            return Ok(false);
        };
        let source = self.source(index)?;
        let (applied, repeat) = (writer.applied().number(), writer.repeat_to().map(Position::number));
        let resume = writer.resume().to_vec();
        source.writer = Some(writer);
        match source.attempt {
            Some(cut) if applied == cut && repeat.is_none() => self.round_is_in(index),
            Some(cut) if applied == source.applied && repeat == Some(cut) => {}
            _ if applied == source.applied && repeat.is_none() => source.attempt = None,
            attempt => {
                return violated(format!(
                    "{name} is at {applied}, to be repeated to {repeat:?}; it was at {}, put to {attempt:?}",
                    source.applied
                ));
            }
        }
        let source = self.source(index)?;
        let expected = if source.applied == 0 {
            Vec::new()
        } else {
            source.applied.to_le_bytes().to_vec()
        };
        if resume != expected {
            return violated(format!("{name} resumes with {resume:?}, not {expected:?}"));
        }
        self.check_source_figures(index)?;
        Ok(true)
    }

    fn check_source_figures(&mut self, index: usize) -> Result<(), Violation> {
        let name = self.source(index)?.log.name.clone();
        let expected = self.expected.now().sources.get(&name).cloned().unwrap_or_default();
        let source = self.source(index)?;
        let Some(writer) = &source.writer else { return Ok(()) };
        let figures = writer.figures();
        let same = tally_counter::Outcome::ALL
            .into_iter()
            .all(|outcome| figures.of(outcome) == expected.of(outcome));
        if source.attempt.is_none() && !same {
            return violated(format!("the figures of {name} are {figures:?}, not {expected:?}"));
        }
        Ok(())
    }

    pub(super) fn source_put(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let index = rng.index(SOURCES);
        let more = rng.between(1, 9);
        if self.source(index)?.writer.is_none() && !self.open_source(index)? {
            return Ok("not open".to_owned());
        }
        let declared = self.expected.now().policies.keys().cloned().collect();
        let source = self.source(index)?;
        if source.attempt.is_none() {
            source.declared = declared;
            source.torn = false;
        }
        let cut = source.attempt.unwrap_or(source.applied + more);
        source.attempt = Some(cut);
        let fold = source.log.fold(source.applied, cut);
        let Some(mut writer) = source.writer.take() else {
            return Ok("not open".to_owned());
        };
        let Ok(position) = Position::new(cut) else {
            return violated("a source of no end");
        };
        let written = self.expected.last();
        let put = self.call(|engine| engine.put_source(&mut writer, &fold, position, &cut.to_le_bytes()))?;
        if put.is_some() {
            self.round_is_in(index);
            self.must_be_synced(written)?;
            self.source(index)?.writer = Some(writer);
        }
        Ok(format!("s{index} to {cut}: {}", put.is_some()))
    }

    /// A round that goes by heads of the journal is put only when the journal has them.
    fn must_be_synced(&self, written: u64) -> Result<(), Violation> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let status = engine.status();
        if status.journal_synced < written {
            return violated(format!(
                "a source's round is put, the journal is synced up to {} only",
                status.journal_synced
            ));
        }
        Ok(())
    }

    /// Two starts claim one source: the older one must be refused from then on.
    pub(super) fn source_twin(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let index = rng.index(SOURCES);
        if self.source(index)?.attempt.is_some() || self.source(index)?.writer.is_none() {
            return Ok("no twin".to_owned());
        }
        let Some(mut older) = self.source(index)?.writer.take() else {
            return Ok("no twin".to_owned());
        };
        if !self.open_source(index)? {
            return Ok("not open".to_owned());
        }
        let source = self.source(index)?;
        let cut = source.applied + 1;
        let fold = source.log.fold(source.applied, cut);
        let Ok(position) = Position::new(cut) else {
            return violated("a source of no end");
        };
        let Some(engine) = self.engine.clone() else {
            return Ok(String::new());
        };
        match engine.put_source(&mut older, &fold, position, &[]) {
            Ok(()) => violated(format!("the older writer of s{index} puts a round")),
            Err(Error::Failed(why)) if why.contains("taken over") => Ok(format!("s{index} refused")),
            Err(error) => match self.judge(&error)? {
                Trouble::Dead | Trouble::Later => Ok("refused".to_owned()),
            },
        }
    }
}
