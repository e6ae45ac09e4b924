//! A run: one engine after another on one world, step by step, beside the map of what must be. Guards that whatever an engine
//! answers, and whatever a crash leaves, is what the map says.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tally_counter::{WriterNumber, WriterRow};
use tally_engine::{Blocked, Engine, Error, Plan, Settings, SourceWriter};
use tally_ingest::Files;
use tally_store::{Faults, Store, Table};

use crate::file::{Limits, Lines};
use crate::log::Log;
use crate::model::Expected;
use crate::random::Rng;
use crate::steps::Kind;
use crate::trace::Trace;
use crate::violation::{Violation, violated};
use crate::world::{Crash, Image, SimWorld};

/// A source, and how far it is.
pub(crate) struct Source {
    pub(crate) log: Log,
    pub(crate) writer: Option<SourceWriter>,
    /// Up to where its events are in the map.
    pub(crate) applied: u64,
    /// The cut of a round whose outcome is not known, or that is to be repeated.
    pub(crate) attempt: Option<u64>,
    /// The namespaces that were declared when that round was cut: it goes by them, however late it is repeated.
    pub(crate) declared: BTreeSet<String>,
    /// The power was lost since that round was begun: of its rows in the store any may be gone until it is repeated.
    pub(crate) torn: bool,
    /// Of a file: the latenesses that its fold goes by.
    pub(crate) limits: Limits,
}

/// How a call that did not do its work is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The process has to end.
    Dead,
    /// It was refused for now.
    Later,
}

/// A run under way.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) world: SimWorld,
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) engine: Option<Arc<Engine>>,
    pub(crate) expected: Expected,
    pub(crate) sources: Vec<Source>,
    /// The reader of files of the engine that runs.
    pub(crate) files: Option<Arc<Files>>,
    pub(crate) file_is_open: bool,
    /// How many lines this reader was sent.
    pub(crate) file_sent: u64,
    pub(crate) lines: Arc<Lines>,
    pub(crate) trace: Trace,
    pub(crate) crashes: u64,
    /// How the process ended the last time.
    pub(crate) last_crash: Option<Crash>,
    /// Faults of all kinds but the store's, which counts its own.
    pub(crate) faulted: u64,
    /// In how many steps of a hundred others are at work.
    pub(crate) interruptions: u64,
    /// Where others are at work during this step: what they do follows from this.
    pub(crate) interrupted: Option<Rng>,
    /// The disk answers nothing: what waits for it is not called.
    pub(crate) stuck: bool,
    /// Adds that were taken since the disk is stuck.
    pub(crate) taken_while_stuck: u64,
    /// How many journals were lost: each begins an epoch.
    pub(crate) epochs: u32,
    /// What was copied of the disk: its epoch, its last entry, and the files.
    pub(crate) copy: Option<(u32, u64, Image)>,
    /// How many tokens were remembered.
    pub(crate) remembered: u64,
    /// Rows that a paused predecessor has put late, against its word.
    pub(crate) excused_words: u64,
    /// What cannot be known any more without asking what a crash took away: the run ends here, well.
    pub(crate) abandoned: bool,
}

/// In how many steps of a hundred others are at work.
const INTERRUPTIONS: u64 = 25;
/// How many sources there are that are logs of their own; behind them comes the file.
pub(crate) const SOURCES: usize = 3;
/// Which source is the file.
pub(crate) const FILE: usize = SOURCES;
/// How often something refused for now is tried again before it is left.
pub(crate) const PATIENCE: usize = 200;
/// How often a start may fail before it must succeed.
const STARTS: usize = 400;

impl Run {
    pub(crate) fn new(seed: u64, faults: Faults, settings: Settings, trace: Trace) -> Self {
        let lines = Arc::new(Lines::new(seed));
        let source = |index| Source {
            log: if index == FILE {
                Log::of_file(index, Arc::clone(&lines))
            } else {
                Log::new(seed, index)
            },
            writer: None,
            applied: 0,
            attempt: None,
            declared: BTreeSet::new(),
            torn: false,
            limits: Limits::default(),
        };
        Self {
            seed,
            world: SimWorld::new(seed, faults),
            settings,
            faults,
            engine: None,
            expected: Expected::default(),
            sources: (0..=FILE).map(source).collect(),
            files: None,
            file_is_open: false,
            file_sent: 0,
            lines,
            trace,
            crashes: 0,
            last_crash: None,
            faulted: 0,
            interruptions: INTERRUPTIONS,
            interrupted: None,
            stuck: false,
            taken_while_stuck: 0,
            epochs: 1,
            copy: None,
            remembered: 0,
            excused_words: 0,
            abandoned: false,
        }
    }

    /// Takes one step; whatever it finds broken, a panic of the engine included, is a violation.
    pub(crate) fn step(&mut self, part: u64, kind: Kind) -> Result<(), Violation> {
        let mut rng = Rng::of_part(self.seed, part);
        catch_unwind(AssertUnwindSafe(|| self.take(&mut rng, kind))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            violated(format!("a panic: {}", text.unwrap_or("of no text")))
        })
    }

    fn take(&mut self, rng: &mut Rng, kind: Kind) -> Result<(), Violation> {
        if self.engine.is_none() {
            self.start(rng)?;
        }
        self.interrupted = rng.percent(self.interruptions).then(|| Rng::new(rng.number()));
        if self.interrupted.is_some() {
            self.tokens_may_go();
        }
        let said = self.perform(rng, kind)?;
        self.trace.note(format!(
            "{kind:?} {said} @{} #{}",
            self.expected.last(),
            self.world.power.operations()
        ));
        self.after(rng)
    }

    /// After a step: what was acknowledged, and whether the process has ended.
    fn after(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let status = engine.status();
        if status.journal_position != self.expected.last() {
            return violated(format!(
                "the journal's last position is {}, {} was written",
                status.journal_position,
                self.expected.last()
            ));
        }
        self.expected.acknowledged(status.journal_synced)?;
        if self.world.disk.has_failed() && !self.world.power.is_off() {
            self.must_have_stopped()?;
            let crash = if rng.percent(50) { Crash::Kill } else { Crash::Power };
            self.crash(crash, rng);
        } else if self.world.power.is_off() {
            let crash = if rng.percent(30) { Crash::Kill } else { Crash::Power };
            self.crash(crash, rng);
        }
        Ok(())
    }

    /// After a failed write or sync nothing may be acknowledged any more.
    fn must_have_stopped(&mut self) -> Result<(), Violation> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let mut plan = Plan::new();
        match engine.turn(&mut plan, &mut |_| ()) {
            Err(Blocked::Stopped(_)) => {}
            other => return violated(format!("the disk failed, and a turn answers {other:?}")),
        }
        if engine.commit().is_ok() {
            return violated("the disk failed, and a commit succeeds");
        }
        Ok(())
    }

    /// The process ends here.
    pub(crate) fn crash(&mut self, crash: Crash, rng: &mut Rng) {
        self.engine = None;
        self.forget_sources();
        for source in &mut self.sources {
            source.torn |= crash == Crash::Power;
        }
        self.world.restart(crash, rng.number());
        self.stuck = false;
        self.crashes += 1;
        self.last_crash = Some(crash);
        self.trace.note(format!("{crash:?}"));
    }

    /// Whoever read sources for the engine before is gone.
    pub(crate) fn forget_sources(&mut self) {
        for source in &mut self.sources {
            source.writer = None;
        }
        self.files = None;
        self.file_is_open = false;
    }

    /// Starts an engine on what the last one left, and holds what it says against the map.
    fn start(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        for _ in 0..STARTS {
            match Engine::open(self.settings.clone(), self.world.outside()) {
                Ok(engine) => {
                    let engine = Arc::new(engine);
                    let status = engine.status();
                    self.trace.note(format!("start @{}", status.journal_position));
                    self.engine = Some(engine);
                    self.expected.restarted(status.journal_position)?;
                    return self.after_start();
                }
                Err(error) => match self.judge(&error)? {
                    Trouble::Dead => {
                        let crash = if rng.percent(30) { Crash::Kill } else { Crash::Power };
                        self.crash(crash, rng);
                    }
                    Trouble::Later => {}
                },
            }
        }
        violated(format!("{STARTS} starts failed"))
    }

    pub(crate) fn after_start(&mut self) -> Result<(), Violation> {
        let rows = self.writers()?;
        let newest = rows.values().map(|row| row.writer.epoch).max();
        if newest != Some(self.epochs) {
            return violated(format!("the newest epoch is {newest:?}, not {}: {rows:?}", self.epochs));
        }
        self.check_words()
    }

    /// A source's open round is in the store, whole.
    pub(crate) fn round_is_in(&mut self, index: usize) {
        let Some(source) = self.sources.get_mut(index) else {
            return;
        };
        let Some(cut) = source.attempt.take() else {
            return;
        };
        let effects = source
            .log
            .effects(source.applied, cut, &source.declared, &source.limits);
        source.applied = cut;
        self.expected.durable(effects);
    }

    /// The rows of all writers, as they stand.
    pub(crate) fn writers(&self) -> Result<BTreeMap<WriterNumber, WriterRow>, Violation> {
        let store = self.world.model.snapshot();
        store.set_faults(Faults::none());
        store.fail_from(None);
        let mut rows = BTreeMap::new();
        let walked = store.walk(Table::Writers, &[], usize::MAX, &mut |_, row| {
            if let Ok(row) = WriterRow::decode(row.value) {
                rows.insert(row.number, row);
            }
            Ok(())
        });
        match walked {
            Ok(_) => Ok(rows),
            Err(error) => violated(error.to_string()),
        }
    }

    /// The store's callers keep their word about the order of what they put.
    fn check_words(&self) -> Result<(), Violation> {
        match self.world.model.broken_words().saturating_sub(self.excused_words) {
            0 => Ok(()),
            broken => violated(format!("{broken} rows were put as growing and did not grow")),
        }
    }

    /// Whether something may be refused for now.
    pub(crate) fn may_refuse(&self) -> bool {
        self.faults != Faults::none() || self.world.disk.is_full() || self.stuck
    }

    /// Whether an error may come, and what follows from it.
    pub(crate) fn judge(&self, error: &Error) -> Result<Trouble, Violation> {
        if self.world.power.is_off() || self.world.disk.has_failed() {
            return Ok(Trouble::Dead);
        }
        match error {
            Error::Unavailable(_) if self.may_refuse() => Ok(Trouble::Later),
            other => violated(format!("without cause: {other:?}")),
        }
    }

    /// A call of the engine, others at work; `None` where it was refused or the process has to end.
    pub(crate) fn call<T>(&mut self, call: impl FnOnce(&Engine) -> Result<T, Error>) -> Result<Option<T>, Violation> {
        let Some(engine) = self.engine.clone() else {
            return Ok(None);
        };
        let others = self.others_begin(true);
        let answer = call(&engine);
        self.others_end(others)?;
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => self.judge(&error).map(|_| None),
        }
    }

    /// A call that changes nothing, tried until it is answered, while the engine's own upkeep goes on.
    pub(crate) fn ask<T>(&self, call: impl Fn(&Engine) -> Result<T, Error>) -> Result<Option<T>, Violation> {
        let others = self.others_begin(false);
        // What may be answered is known for one moment only.
        let slow_ms = self.world.disk.slow_down(0);
        let answer = self.ask_alone(call);
        self.world.disk.slow_down(slow_ms);
        self.upkeep_end(others)?;
        answer
    }

    /// The same with nobody else at work.
    pub(crate) fn ask_alone<T>(&self, call: impl Fn(&Engine) -> Result<T, Error>) -> Result<Option<T>, Violation> {
        for _ in 0..PATIENCE {
            let Some(engine) = &self.engine else { return Ok(None) };
            match call(engine) {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) => {
                    if self.judge(&error)? == Trouble::Dead {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(None)
    }
}
