//! The engine's outside: turns, loads, syncs. It holds the lock for as long as a turn takes and never over I/O.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

use parking_lot::{Condvar, Mutex};
use tally_counter::{Position, planted};

use crate::core::Core;
use crate::declared::Newest;
use crate::figures::EngineFigures;
use crate::journal;
use crate::load;
use crate::nodes::Nodes;
use crate::plan::Plan;
use crate::registry::Registry;
use crate::resolve::{install, resolve};
use crate::round::Own;
use crate::strong::{self, Strong};
use crate::turn::Turn;
use crate::waiters::Waiters;
use crate::{Blocked, Error, World};

/// Rounds that may end between a read and its turn before they wait for it.
pub(crate) const OUTDATED: u32 = 3;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's data directory, for messages.
    pub dir: PathBuf,
    /// The node's id, its own on a store that several share.
    pub node: String,
    /// A segment of the journal, in bytes.
    pub journal_segment_bytes: u64,
    /// Adds at level `memory` are synced at the latest after this.
    pub journal_interval_ms: u64,
    /// What the journal may hold that the store has not yet: past it a round begins, at twice that adds wait.
    pub journal_limit_bytes: u64,
    /// The operator has decided to go on without what cannot be read of the journal.
    pub cut_damage: bool,
    /// The longest time between rounds.
    pub round_interval_ms: u64,
    /// The hot table's memory.
    pub hot_budget_bytes: u64,
    /// How long a token is remembered.
    pub token_window_ms: u64,
    /// How many tokens a scope holds.
    pub token_limit: u64,
    /// The pause between two walks over all tokens: none where a walk costs little.
    pub token_walk_pause_ms: u64,
    /// The time between heartbeats on a store that several nodes share; 0: the store is this node's alone.
    pub heartbeat_interval_ms: u64,
    /// How old what is known of other nodes' counts may be when a counter is read.
    pub read_age_ms: u64,
}

impl Settings {
    /// Whether other nodes may share the store.
    pub(crate) fn is_shared(&self) -> bool {
        self.heartbeat_interval_ms > 0
    }

    /// The largest entry of the journal: what one request, EXEC or pipeline may write.
    pub fn entry_limit_bytes(&self) -> u64 {
        self.journal_segment_bytes / 8
    }

    /// What may wait for a commit. With the largest entry this is three eighths of a segment, so that what was admitted before a
    /// full disk was noticed always fits into the segment that is there.
    fn waiting_limit_bytes(&self) -> u64 {
        self.journal_segment_bytes / 4
    }
}

/// What a turn did.
#[derive(Clone, Copy, Debug)]
pub struct Turned<R> {
    /// What the work answered.
    pub answer: R,
    /// The entry it wrote, if it wrote: acknowledged at level `disk` when [`Engine::poll_synced`] says so.
    pub position: Option<Position>,
}

/// The engine. Shared by all threads.
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) world: World,
    pub(crate) core: Mutex<Core>,
    pub(crate) journal: Mutex<journal::Writer>,
    pub(crate) spare: Mutex<Vec<u8>>,
    pub(crate) registry: Registry,
    /// The own writer's side of rounds; held for as long as one takes.
    pub(crate) own: Mutex<Own>,
    pub(crate) synced: AtomicU64,
    /// Up to where the store has this node's adds.
    pub(crate) applied: AtomicU64,
    pub(crate) waiters: Waiters,
    /// How long a sync takes of late, in microseconds.
    pub(crate) sync_us: AtomicU64,
    pub(crate) figures: EngineFigures,
    pub(crate) hasher: foldhash::quality::FixedState,
    pub(crate) threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    pub(crate) wanted: Wanted,
    pub(crate) verifier: crate::verify::Verifier,
    pub(crate) node: String,
    pub(crate) nodes: Nodes,
    pub(crate) newest: Newest,
    pub(crate) strong: Strong,
}

/// What the engine's threads are asked for.
#[derive(Default)]
pub(crate) struct Wanted {
    /// Somebody waits for a sync up to this position.
    pub(crate) sync_to: AtomicU64,
    pub(crate) state: Mutex<WantedState>,
    /// Wakes the thread that syncs the journal, and only that one.
    pub(crate) sync: Condvar,
    /// Wakes the thread that writes rounds.
    pub(crate) round: Condvar,
    /// Wakes the others when they are to end.
    pub(crate) end: Condvar,
}

#[derive(Default)]
pub(crate) struct WantedState {
    /// A round is wanted before its time.
    pub(crate) round: bool,
    /// The threads end.
    pub(crate) stop: bool,
}

impl Engine {
    /// Takes a turn: `work` runs once, holding the engine, and never waits. Everything it writes is one journal entry.
    pub fn turn<R>(&self, plan: &mut Plan, work: &mut dyn FnMut(&mut Turn<'_>) -> R) -> Result<Turned<R>, Blocked> {
        let now_ms = self.world.clock.now_ms();
        plan.hash(&self.hasher);
        let mut core = self.core.lock();
        if let Some(part) = strong::place(&core.namespaces, plan)? {
            return Err(Blocked::Strong(part));
        }
        self.admit(&mut core, plan)?;
        // Only what others count is as old as its last reading.
        let now_us = if core.others > 0 || plan.fresh {
            self.world.clock.monotonic_us()
        } else {
            0
        };
        install(&mut core, plan, &self.registry, now_us);
        let age_us = self.settings.read_age_ms.saturating_mul(1_000);
        if resolve(&mut core, plan, now_ms, now_us, age_us) {
            plan.read_at = Some(core.read_at());
            return Err(Blocked::Load);
        }
        let mut turn = Turn {
            core: &mut core,
            plan,
            settings: &self.settings,
            registry: &self.registry,
            now_ms,
        };
        turn.expire_due();
        let answer = work(&mut turn);
        let position = turn.finish().map_err(Blocked::Stopped)?;
        drop(core);
        Ok(Turned { answer, position })
    }

    /// Whether a turn may be taken at all.
    fn admit(&self, core: &mut Core, plan: &Plan) -> Result<(), Blocked> {
        if let Some(why) = &core.stopped {
            return Err(Blocked::Stopped(why.clone()));
        }
        let entry_bytes = u64::try_from(plan.entry_bytes()).unwrap_or(u64::MAX);
        if entry_bytes > self.settings.entry_limit_bytes() {
            return Err(Blocked::TooLarge {
                limit_bytes: self.settings.entry_limit_bytes(),
            });
        }
        if plan.writes {
            self.admit_write(core)?;
        }
        // Reads go on: what they bring into memory is clean, and goes first.
        if !core.make_room(plan.bytes.len(), plan.keys.len()) && plan.writes {
            self.want_round();
            return Err(Blocked::Full(
                "the hot table is full of counts that are not in the store yet (setting memory)",
            ));
        }
        Ok(())
    }

    fn admit_write(&self, core: &Core) -> Result<(), Blocked> {
        if !core.room && !planted!(FullDiskIgnored) {
            return Err(Blocked::DiskFull);
        }
        let waiting_bytes = u64::try_from(core.tail.waiting_bytes()).unwrap_or(u64::MAX);
        if waiting_bytes > self.settings.waiting_limit_bytes() && !planted!(NoLimitOnWaiting) {
            self.want_sync(core.tail.position());
            return Err(Blocked::Full(
                "more waits for the journal's sync than may (a quarter of the setting journal_segment)",
            ));
        }
        if core.journal_bytes > self.settings.journal_limit_bytes.saturating_mul(2) {
            self.want_round();
            return Err(Blocked::Full(
                "the journal holds twice what the setting journal_limit allows: the store does not keep up",
            ));
        }
        Ok(())
    }

    /// Reads what the plans need and the memory lacks, all in one read of the store. Blocks.
    pub fn load(&self, plans: &mut [Plan]) -> Result<(), Error> {
        let outdated = plans.iter().any(|plan| plan.outdated >= OUTDATED);
        // Where a read takes longer than the time between two rounds, none would ever be of use: rounds wait for this one.
        let held = outdated.then(|| self.own.lock());
        let read_us = self.world.clock.monotonic_us();
        let loaded = load::plans(self.world.store.as_ref(), &self.registry, plans, read_us)?;
        drop(held);
        self.figures.loaded(loaded);
        Ok(())
    }

    /// How many rounds the store has refused so far: to be taken before a write that is to be acknowledged by
    /// [`Engine::poll_applied`].
    pub fn refused_rounds(&self) -> u64 {
        self.waiters.refused_rounds()
    }

    /// Ready when the store has everything up to `position`; an error when it has refused a round since `refused` (rounds go on being
    /// tried, so that what was written is applied later). Those who wait share rounds.
    pub fn poll_applied(&self, position: Position, refused: u64, waker: &Waker) -> Poll<Result<(), Error>> {
        if self.applied.load(Ordering::Acquire) >= position.number() {
            return Poll::Ready(Ok(()));
        }
        let poll = self.waiters.poll_applied(position, refused, waker, &self.applied);
        if poll.is_pending() {
            self.want_round();
        }
        poll
    }

    /// Why the store refused the last round, if it did.
    pub fn store_failure(&self) -> Option<String> {
        self.waiters.store_failure()
    }

    /// Ready when a round or sync has lifted a limit since `seen` (an earlier answer; 0 at first); answers the new mark.
    pub fn poll_relieved(&self, seen: u64, waker: &Waker) -> Poll<u64> {
        self.waiters.poll_relieved(seen, waker)
    }

    /// Whether the engine has failed and the process must stop: why. Wakes `waker` when it does.
    pub fn poll_failed(&self, waker: &Waker) -> Poll<Error> {
        self.waiters.poll_failed(waker)
    }

    pub(crate) fn relieve(&self) {
        self.waiters.relieve();
    }

    pub(crate) fn want_round(&self) {
        let mut state = self.wanted.state.lock();
        if !state.round {
            state.round = true;
            self.wanted.round.notify_one();
        }
    }
}

/// The hash of a request's payload that stands with its token: XXH3, 64 bits.
pub fn payload_hash(payload: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(payload)
}
