//! What threatens one history (rules 1 and 3): a successor that claims the writer in the midst of a round, whose predecessor then wakes
//! up and goes on; and a journal that is lost, or put back from an older copy.

use std::sync::{Arc, Mutex, PoisonError};

use tally_engine::{Engine, Error, Turned};
use tally_store::Store;

use super::deed::{Answer, Deed};
use crate::keys::KEYS;
use crate::random::Rng;
use crate::run::Run;
use crate::violation::{Violation, violated};
use crate::world::{Crash, Place};

/// What the successor did while its predecessor was paused.
struct Successor {
    engine: Arc<Engine>,
    /// Where its journal began.
    start: u64,
    deeds: Vec<(Deed, Turned<Answer>)>,
}

type Slot = Arc<Mutex<Option<Result<Successor, Error>>>>;

impl Run {
    /// A round is paused at one of its writes; another engine starts on the same store and journal, and counts. Then the paused one
    /// wakes up.
    pub(super) fn taken_over(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let Some(paused) = self.engine.clone() else {
            return Ok(String::new());
        };
        // A back end that does not compare, or that forgets, is one that only one process can open.
        if self.faults.growing_is_blind || self.world.model.forgets() {
            return Ok("one process only".to_owned());
        }
        let (slot, at) = (Slot::default(), rng.below(7));
        self.pause_at(rng, at, Arc::clone(&slot));
        let woken = paused.round();
        self.world.meanwhile.end();
        let successor = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(successor) = successor else {
            if let Err(error) = woken {
                self.judge(&error)?;
            }
            return Ok("not paused".to_owned());
        };
        self.faulted += 1;
        drop(paused);
        self.excused_words = self.world.model.broken_words();
        match (&successor, &woken) {
            (Ok(_), Ok(())) => {
                return violated("a round whose writer was taken over ended well");
            }
            // It finds its row claimed, or in its way what the successor has counted since.
            (_, Err(Error::Failed(why))) if why.contains("taken over") || why.contains("another history") => {}
            (_, Err(error)) => {
                self.judge(error)?;
            }
            (Err(_), Ok(())) => {}
        }
        self.succeed(successor, rng)
    }

    /// At the put with this number of the round to come, another engine starts.
    fn pause_at(&self, rng: &mut Rng, at: u64, slot: Slot) {
        let (settings, outside) = (self.settings.clone(), self.world.outside());
        let (mut rng, mut puts) = (Rng::new(rng.number()), at);
        self.world.meanwhile.begin(Box::new(move |place| {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if place != Place::Put || slot.is_some() {
                return;
            }
            let Some(rest) = puts.checked_sub(1) else {
                let opened = Engine::open(settings.clone(), outside.clone());
                *slot = Some(opened.map(|engine| Successor::count(engine, &mut rng, outside.clock.now_ms())));
                return;
            };
            puts = rest;
        }));
    }

    fn succeed(&mut self, successor: Result<Successor, Error>, rng: &mut Rng) -> Result<String, Violation> {
        let successor = match successor {
            Ok(successor) => successor,
            Err(error) => {
                self.judge(&error)?;
                // It may have claimed the writer: the older one is at its end either way.
                self.crash(Crash::Kill, rng);
                return Ok("the successor does not start".to_owned());
            }
        };
        self.forget_sources();
        self.engine = Some(successor.engine);
        self.expected.restarted(successor.start)?;
        self.trace.note(format!("successor @{}", successor.start));
        for (deed, turned) in successor.deeds {
            self.judge_deed(&deed, &turned)?;
            self.trace.note(format!("  it: {deed:?} {:?}", turned.answer.said));
        }
        self.after_start()?;
        Ok("taken over".to_owned())
    }

    /// The journal's files are copied.
    pub(super) fn copy_journal(&mut self) -> Result<String, Violation> {
        if self.call(Engine::commit)?.is_none() {
            return Ok("not synced".to_owned());
        }
        let Some(engine) = &self.engine else {
            return Ok(String::new());
        };
        let synced = engine.status().journal_synced;
        self.copy = Some((self.epochs, synced, self.world.disk.image()));
        Ok(format!("@{synced}"))
    }

    /// Everything is in the store; then the journal is lost, or an older copy of it put back: a new epoch begins, and nothing else has
    /// changed.
    pub(super) fn lose_journal(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        if self.call(Engine::round)?.is_none() || self.expected.last() == 0 {
            return Ok("not all in the store".to_owned());
        }
        let Some(engine) = &self.engine else {
            return Ok(String::new());
        };
        if engine.status().journal_applied != self.expected.last() {
            return Ok("not all in the store".to_owned());
        }
        self.faulted += 1;
        let usable = |(epoch, _, _): &(u32, u64, _)| *epoch == self.epochs;
        let copy = self.copy.take().filter(|copy| usable(copy) && rng.percent(60));
        let is_old = copy.as_ref().is_none_or(|(_, last, _)| *last < self.expected.last());
        self.crash(Crash::Kill, rng);
        self.world.disk.put_back(copy.map(|(_, _, image)| image));
        if is_old {
            self.epochs += 1;
            self.expected.begins_anew();
        }
        Ok(format!("older: {is_old}"))
    }
}

impl Successor {
    fn count(engine: Engine, rng: &mut Rng, now_ms: u64) -> Self {
        let mut deeds = Vec::new();
        let start = engine.status().journal_position;
        for _ in 0..rng.below(3) {
            let deed = Deed::blind(rng, now_ms);
            if let Some(turned) = KEYS.contains(&deed.key).then(|| deed.amid(&engine)).flatten() {
                deeds.push((deed, turned));
            }
        }
        if rng.percent(50) {
            // Refused or not: what it did not bring to the store is in its journal.
            let _refused = engine.round().is_err();
        }
        Self {
            engine: Arc::new(engine),
            start,
            deeds,
        }
    }
}
