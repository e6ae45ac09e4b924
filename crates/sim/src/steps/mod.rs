//! What a run does, step by step: each kind with parameters of its own stream of randomness, so that a run with some steps left
//! out still does the others as before.

mod deed;
mod deeds;
mod faults;
mod files;
mod histories;
mod others;
mod several;
mod sources;
mod sweep;
mod tokens;
mod upkeep;
mod verify;

use crate::random::Rng;
use crate::run::Run;
use crate::violation::Violation;
use deed::Deed;

pub(crate) use deed::add_one;

/// The kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Blind,
    Valued,
    Several,
    Lonely,
    Crowd,
    Set,
    Delete,
    Expire,
    Token,
    Event,
    Commit,
    Round,
    Tidy,
    Sweep,
    SweepAll,
    Verify,
    Declare,
    SourcePut,
    SourceTwin,
    FilePut,
    Read,
    Check,
    Clock,
    Crash,
    CrashSoon,
    DiskFull,
    DiskFails,
    DiskSlow,
    DiskStuck,
    TakenOver,
    CopyJournal,
    LoseJournal,
}

/// How often each is taken, in a thousand and some.
const WEIGHTS: [(Kind, u64); 31] = [
    (Kind::Blind, 160),
    (Kind::Valued, 120),
    (Kind::Several, 80),
    (Kind::Lonely, 10),
    (Kind::Crowd, 10),
    (Kind::Set, 60),
    (Kind::Delete, 60),
    (Kind::Expire, 60),
    (Kind::Token, 80),
    (Kind::Event, 30),
    (Kind::Commit, 80),
    (Kind::Round, 50),
    (Kind::Tidy, 30),
    (Kind::Sweep, 40),
    (Kind::Verify, 10),
    (Kind::Declare, 10),
    (Kind::SourcePut, 80),
    (Kind::SourceTwin, 10),
    (Kind::FilePut, 40),
    (Kind::Read, 50),
    (Kind::Check, 10),
    (Kind::Clock, 40),
    (Kind::Crash, 10),
    (Kind::CrashSoon, 20),
    (Kind::DiskFull, 10),
    (Kind::DiskFails, 10),
    (Kind::DiskSlow, 6),
    (Kind::DiskStuck, 8),
    (Kind::TakenOver, 6),
    (Kind::CopyJournal, 3),
    (Kind::LoseJournal, 3),
];

impl Kind {
    /// One by its weight.
    pub(crate) fn any(rng: &mut Rng) -> Self {
        let sum = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut place = rng.below(sum);
        for (kind, weight) in WEIGHTS {
            if place < weight {
                return kind;
            }
            place -= weight;
        }
        Self::Read
    }

    /// Whether it would wait for a write or sync.
    fn waits_for_disk(self) -> bool {
        use Kind::{
            Check, Commit, CopyJournal, Declare, DiskFull, FilePut, Lonely, LoseJournal, Round, SourcePut, SourceTwin,
            TakenOver, Verify,
        };
        matches!(
            self,
            Commit
                | Round
                | Lonely
                | Declare
                | SourcePut
                | SourceTwin
                | FilePut
                | Check
                | DiskFull
                | TakenOver
                | Verify
                | CopyJournal
                | LoseJournal
        )
    }
}

impl Run {
    /// Does a step; answers what is to be in the trace.
    pub(crate) fn perform(&mut self, rng: &mut Rng, kind: Kind) -> Result<String, Violation> {
        if self.stuck && kind.waits_for_disk() {
            return Ok("waits".to_owned());
        }
        let now_ms = self.world.now_ms();
        match kind {
            Kind::Blind => self.deed(&Deed::blind(rng, now_ms)),
            Kind::Valued => self.deed(&Deed::valued(rng, now_ms)),
            Kind::Several => self.several(rng),
            Kind::Lonely => self.lonely(rng),
            Kind::Crowd => self.crowd(rng),
            Kind::Set => self.deed(&Deed::set(rng, now_ms)),
            Kind::Delete => self.deed(&Deed::delete(rng)),
            Kind::Expire => self.deed(&Deed::expire(rng, now_ms)),
            Kind::Token => self.token(rng),
            Kind::Event => self.event(rng),
            Kind::Commit => self.upkeep("commit", tally_engine::Engine::commit),
            Kind::Round => self.upkeep("round", tally_engine::Engine::round),
            Kind::Tidy => self.tidy(),
            Kind::Sweep => self.sweep(rng),
            Kind::SweepAll => self.sweep_all(),
            Kind::Verify => self.verify(rng),
            Kind::Declare => self.declare(rng),
            Kind::SourcePut => self.source_put(rng),
            Kind::SourceTwin => self.source_twin(rng),
            Kind::FilePut => self.file_put(rng),
            Kind::Read => self.read(rng),
            Kind::Check => self.check().map(|()| String::new()),
            Kind::Clock => Ok(self.move_clock(rng)),
            Kind::Crash => Ok(self.crash_now(rng)),
            Kind::CrashSoon => Ok(self.crash_soon(rng)),
            Kind::DiskFull => self.disk_full(rng),
            Kind::DiskFails => Ok(self.disk_fails(rng)),
            Kind::DiskSlow => Ok(self.disk_slow(rng)),
            Kind::DiskStuck => self.disk_stuck(rng),
            Kind::TakenOver => self.taken_over(rng),
            Kind::CopyJournal => self.copy_journal(),
            Kind::LoseJournal => self.lose_journal(rng),
        }
    }
}
