//! What a run does, step by step: each kind with parameters of its own stream of randomness, so that a run with some steps left
//! out still does the others as before.

mod adds;
mod faults;
mod resets;
mod sources;
mod sweep;
mod tokens;
mod upkeep;

use crate::random::Rng;
use crate::run::Run;
use crate::violation::Violation;

/// The kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Blind,
    Valued,
    Several,
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
    Declare,
    SourcePut,
    SourceTwin,
    Read,
    Check,
    Clock,
    Crash,
    CrashSoon,
    DiskFull,
    DiskFails,
}

/// How often each is taken, in a hundred and some.
const WEIGHTS: [(Kind, u64); 22] = [
    (Kind::Blind, 16),
    (Kind::Valued, 12),
    (Kind::Several, 8),
    (Kind::Set, 6),
    (Kind::Delete, 6),
    (Kind::Expire, 6),
    (Kind::Token, 8),
    (Kind::Event, 3),
    (Kind::Commit, 8),
    (Kind::Round, 5),
    (Kind::Tidy, 3),
    (Kind::Sweep, 4),
    (Kind::Declare, 1),
    (Kind::SourcePut, 8),
    (Kind::SourceTwin, 1),
    (Kind::Read, 5),
    (Kind::Check, 1),
    (Kind::Clock, 4),
    (Kind::Crash, 1),
    (Kind::CrashSoon, 2),
    (Kind::DiskFull, 1),
    (Kind::DiskFails, 1),
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
}

impl Run {
    /// Does a step; answers what is to be in the trace.
    pub(crate) fn perform(&mut self, rng: &mut Rng, kind: Kind) -> Result<String, Violation> {
        match kind {
            Kind::Blind => self.blind(rng),
            Kind::Valued => self.valued(rng),
            Kind::Several => self.several(rng),
            Kind::Set => self.set(rng),
            Kind::Delete => self.delete(rng),
            Kind::Expire => self.expire(rng),
            Kind::Token => self.token(rng),
            Kind::Event => self.event(rng),
            Kind::Commit => self.upkeep("commit", tally_engine::Engine::commit),
            Kind::Round => self.upkeep("round", tally_engine::Engine::round),
            Kind::Tidy => self.tidy(),
            Kind::Sweep => self.sweep(rng),
            Kind::SweepAll => self.sweep_all(),
            Kind::Declare => self.declare(rng),
            Kind::SourcePut => self.source_put(rng),
            Kind::SourceTwin => self.source_twin(rng),
            Kind::Read => self.read(rng),
            Kind::Check => self.check().map(|()| String::new()),
            Kind::Clock => Ok(self.move_clock(rng)),
            Kind::Crash => Ok(self.crash_now(rng)),
            Kind::CrashSoon => Ok(self.crash_soon(rng)),
            Kind::DiskFull => self.disk_full(rng),
            Kind::DiskFails => Ok(self.disk_fails(rng)),
        }
    }
}
