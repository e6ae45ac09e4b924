//! Others at work in the midst of a call: clients take turns at its reads and writes, the journal is synced, a round is run. What they
//! did is held against the map when the call has returned: nothing else was written meanwhile, so the order is theirs.

use std::sync::{Arc, Mutex, PoisonError};

use tally_engine::{Engine, Error, Turned};

use super::deed::{Answer, Deed};
use crate::keys::KEYS;
use crate::random::Rng;
use crate::run::Run;
use crate::violation::Violation;
use crate::world::{Place, SimClock};

/// What somebody did, as it happened.
#[derive(Debug)]
pub(crate) enum Happened {
    Deed(Deed, Turned<Answer>),
    Upkeep(&'static str, Result<(), Error>),
}

/// What happened during one call.
pub(crate) type Happenings = Arc<Mutex<Vec<Happened>>>;

/// How many things happen in one call at most.
const MOST: usize = 6;

struct Others {
    engine: Arc<Engine>,
    clock: Arc<SimClock>,
    rng: Rng,
    /// The counters that clients may touch.
    keys: Vec<&'static str>,
    /// Nothing that waits for the disk may be called.
    stuck: bool,
    happened: Happenings,
}

impl Others {
    fn come(&mut self, place: Place) {
        let happened = Arc::clone(&self.happened);
        let mut happened = happened.lock().unwrap_or_else(PoisonError::into_inner);
        if happened.len() >= MOST || !self.rng.percent(25) {
            return;
        }
        if self.rng.percent(70) {
            let now_ms = tally_engine::Clock::now_ms(self.clock.as_ref());
            let deed = Deed::any(&mut self.rng, now_ms, &self.keys);
            let taken = deed.and_then(|deed| deed.amid(&self.engine).map(|turned| Happened::Deed(deed, turned)));
            happened.extend(taken);
        } else if place != Place::Disk && !self.stuck {
            happened.push(self.upkeep());
        }
    }

    /// Only what waits for nothing that the call may hold: that a round could be run is told by the names' being counted.
    fn upkeep(&mut self) -> Happened {
        match self.rng.below(4) {
            0 if self.engine.counted().is_some() => Happened::Upkeep("round", self.engine.round()),
            1 if self.engine.counted().is_some() => Happened::Upkeep("tidy", self.engine.tidy()),
            _ => Happened::Upkeep("commit", self.engine.commit()),
        }
    }
}

impl Run {
    /// Lets others be at work from now on, if this step is one that is interrupted. `clients`: whether they may change counters.
    pub(crate) fn others_begin(&self, clients: bool) -> Option<Happenings> {
        let (mut rng, engine) = (self.interrupted.clone()?, self.engine.clone()?);
        let happened = Happenings::default();
        let uncertain = self.uncertain();
        let keys = KEYS.into_iter().filter(|key| clients && !uncertain.contains_key(key));
        let mut others = Others {
            engine,
            clock: Arc::clone(&self.world.clock),
            keys: keys.collect(),
            stuck: self.stuck,
            happened: Arc::clone(&happened),
            rng: Rng::new(rng.number() ^ self.world.power.operations()),
        };
        self.world.meanwhile.begin(Box::new(move |place| others.come(place)));
        Some(happened)
    }

    /// Nobody is at work any more; what they did is held against the map.
    pub(crate) fn others_end(&mut self, happened: Option<Happenings>) -> Result<(), Violation> {
        self.world.meanwhile.end();
        let Some(happened) = happened else { return Ok(()) };
        let happened = std::mem::take(&mut *happened.lock().unwrap_or_else(PoisonError::into_inner));
        for one in happened {
            match one {
                Happened::Deed(deed, turned) => {
                    self.judge_deed(&deed, &turned)?;
                    self.trace.note(format!("  amid: {deed:?} {:?}", turned.answer.said));
                }
                Happened::Upkeep(name, done) => {
                    self.trace.note(format!("  amid: {name} {}", done.is_ok()));
                    if let Err(error) = done {
                        self.judge(&error)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The same where only the engine's own upkeep was at work, which changes nothing that can be read.
    pub(crate) fn upkeep_end(&self, happened: Option<Happenings>) -> Result<(), Violation> {
        self.world.meanwhile.end();
        let Some(happened) = happened else { return Ok(()) };
        for one in happened.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Happened::Upkeep(_, Err(error)) = one {
                self.judge(error)?;
            }
        }
        Ok(())
    }
}
