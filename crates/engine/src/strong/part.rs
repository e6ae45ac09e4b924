//! One partition as this node knows it: a hot table over its version, turns on it, and who waits for the next batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tally_counter::{Figures, Policy};

use crate::core::{Budget, Core};
use crate::engine::{Engine, OUTDATED};
use crate::flush::Flusher;
use crate::journal::Tail;
use crate::ledger::{self, Subject};
use crate::plan::{Need, Plan};
use crate::resolve::{install, resolve};
use crate::turn::Turn;
use crate::{Blocked, Error, load};

use super::version::Version;
use super::{PartRows, StrongPart, Ticket, WRITER};

/// Bytes of entries of one batch, about: a cluster takes a batch as one write of its log.
const BATCH_BYTES: usize = 512 << 10;
/// Counters of one batch.
const BATCH_COUNTERS: usize = 4_096;
/// Turns that wait for one partition, those that only read among them: who gives up waiting leaves a ticket behind.
pub(super) const WAITING_TURNS: usize = 1 << 16;

/// One partition.
pub(crate) struct Part {
    pub(super) number: u16,
    /// The first of its slots.
    pub(super) slot: u16,
    pub(super) core: Mutex<Core>,
    /// Locked after `core`, where both are.
    pub(super) state: Mutex<State>,
    /// Held by whoever makes a batch.
    pub(super) writing: Mutex<Writing>,
}

#[derive(Default)]
pub(super) struct State {
    /// What the hot table is based on; `None`: it is to be read first.
    pub(super) known: Option<Known>,
    /// Turns that were taken since the last batch was cut.
    pub(super) waiting: Vec<Arc<Ticket>>,
    /// Counters with windows that are to leave.
    pub(super) leaving: BTreeSet<Box<str>>,
    /// It waits for a commit already.
    pub(super) queued: bool,
    /// A batch is on its way.
    pub(super) busy: bool,
    /// The version of the policies that the hot table has.
    policies: u64,
}

/// A version with its row's bytes.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) version: Version,
    pub(super) bytes: Option<Vec<u8>>,
    /// Which batch this node had applied last when the version was read, or has since.
    pub(super) applied: Option<u128>,
}

/// What makes rows.
pub(super) struct Writing {
    pub(super) flusher: Flusher,
    pub(super) ledger: std::collections::BTreeMap<Subject, (u64, Figures)>,
    pub(super) sweep: crate::sweep::Sweep,
}

/// The policies that are in force.
pub(super) struct Policies {
    version: u64,
    /// Where the partition had others.
    list: Option<Vec<(String, Policy)>>,
}

/// What a turn on strong counters did.
#[derive(Debug)]
pub struct StrongTurned<R> {
    /// What the work answered: to be given only once the ticket says [`super::Settled::Done`].
    pub answer: R,
    /// What to wait with; `None`: all of it is durable already.
    pub ticket: Option<Arc<Ticket>>,
}

impl Part {
    pub(super) fn new(number: u16, budget: Budget, seed: u64) -> Self {
        let core = Core::new(seed, tally_counter::Position::ZERO, budget);
        let flusher = Flusher::new(budget.cache_bytes, core.hasher.clone());
        Self {
            number,
            slot: super::first_slot(number),
            core: Mutex::new(core),
            state: Mutex::default(),
            writing: Mutex::new(Writing {
                flusher,
                ledger: std::collections::BTreeMap::new(),
                sweep: crate::sweep::Sweep::default(),
            }),
        }
    }

    /// Forgets what it knows: another node was first, or nobody knows what the store has. How many tokens there are stays: they are
    /// counted only now and then.
    pub(super) fn forget(core: &mut Core, state: &mut State) {
        state.known = None;
        state.policies = 0;
        let mut stamp = core.stamp;
        stamp.others_moved();
        let (hasher, budget, counts) = (core.hasher.clone(), core.budget, core.counts);
        let mut token_counts = std::mem::take(&mut core.token_counts);
        let closing = core.closing.take();
        let closing = closing.iter().flat_map(|closing| closing.open.tokens.keys());
        for key in core.open.tokens.keys().chain(closing) {
            if let Some(count) = token_counts.get_mut(crate::token::scope(key)) {
                *count = count.saturating_sub(1);
            }
        }
        *core = Core::with_hasher(hasher, tally_counter::Position::ZERO, budget);
        core.stamp = stamp;
        core.counts = counts;
        core.token_counts = token_counts;
    }
}

impl Engine {
    /// Takes a turn on strong counters: `work` may run again where another node was first. `Blocked::Load`: call
    /// [`Engine::load_strong`] first.
    pub fn strong_turn<R>(
        &self,
        part: StrongPart,
        plan: &mut Plan,
        work: &mut dyn FnMut(&mut Turn<'_>) -> R,
    ) -> Result<StrongTurned<R>, Blocked> {
        let now_ms = self.world.clock.now_ms();
        let here = self.strong.part(part);
        let policies = self.strong_policies(plan, here)?;
        for key in &mut plan.keys {
            // Bounds go by the value, and a batch by what is stored.
            key.need = key.need.max(Need::Value);
        }
        let mut core = here.core.lock();
        plan.hash(&core.hasher);
        admit(&mut core, here, plan, policies)?;
        install(&mut core, plan, &self.strong.registry, 0);
        if resolve(&mut core, plan, now_ms, 0, 0) {
            plan.read_at = Some(core.read_at());
            return Err(Blocked::Load);
        }
        let mut turn = Turn {
            core: &mut core,
            plan,
            settings: &self.settings,
            registry: &self.strong.registry,
            now_ms,
        };
        turn.expire_due();
        let answer = work(&mut turn);
        let position = turn.finish().map_err(Blocked::Stopped)?;
        let ticket = self.wait_for_batch(part, here, position.is_some());
        drop(core);
        Ok(StrongTurned { answer, ticket })
    }

    /// The policies, where the partition has older ones; refuses what no turn may be taken for.
    pub(super) fn strong_policies(&self, plan: &Plan, here: &Part) -> Result<Policies, Blocked> {
        let known = here.state.lock().policies;
        let core = self.core.lock();
        if let Some(why) = &core.stopped {
            return Err(Blocked::Stopped(why.clone()));
        }
        if plan.writes && !core.room {
            return Err(Blocked::DiskFull);
        }
        let version = core.namespaces.version();
        let list = || {
            let policies = core.namespaces.iter();
            policies.map(|namespace| (namespace.name.clone(), namespace.policy.clone()))
        };
        Ok(Policies {
            version,
            list: (version != known).then(|| list().collect()),
        })
    }

    /// Who wrote waits for the batch, and who read for what was read; where other nodes write, too, for a look whether it was the newest.
    fn wait_for_batch(&self, part: StrongPart, here: &Part, wrote: bool) -> Option<Arc<Ticket>> {
        let mut state = here.state.lock();
        if !wrote && !self.is_shared() && !state.busy && state.waiting.is_empty() {
            return None;
        }
        let ticket = Arc::new(Ticket::default());
        state.waiting.push(Arc::clone(&ticket));
        if !state.queued && !state.busy {
            state.queued = true;
            self.strong.enqueue(part);
        }
        Some(ticket)
    }

    /// Reads what the plans need of a partition, and before it, where that is not known, the partition's version. Blocks.
    pub fn load_strong(&self, part: StrongPart, plans: &mut [Plan]) -> Result<(), Error> {
        let here = self.strong.part(part);
        let rows = PartRows::new(self.world.store.as_ref(), here.slot);
        let is_known = || here.state.lock().known.is_some();
        if !is_known() {
            let mut writing = here.writing.lock();
            if !is_known() {
                open(here, &rows, &mut writing, self.registry.own().0)?;
            }
        }
        // Where a read takes longer than a batch, none would ever be of use: batches wait for this one.
        let outdated = plans.iter().any(|plan| plan.outdated >= OUTDATED);
        let held = outdated.then(|| here.writing.lock());
        let read_us = self.world.clock.monotonic_us();
        let loaded = load::plans(&rows, &self.strong.registry, plans, read_us)?;
        drop(held);
        self.figures.loaded(loaded);
        Ok(())
    }
}

/// Whether a turn may be taken.
pub(super) fn admit(core: &mut Core, here: &Part, plan: &mut Plan, policies: Policies) -> Result<(), Blocked> {
    let mut state = here.state.lock();
    let State {
        known,
        policies: seen,
        waiting,
        ..
    } = &mut *state;
    if waiting.len() >= WAITING_TURNS {
        return Err(Blocked::Full("too many wait for one partition of strong counters"));
    }
    let Some(known) = known else {
        plan.forget_read();
        plan.read_at = Some(core.read_at());
        return Err(Blocked::Load);
    };
    if policies.version > *seen {
        let Some(list) = policies.list else {
            // What it had was forgotten since they were looked at, and read anew.
            plan.forget_read();
            plan.read_at = Some(core.read_at());
            return Err(Blocked::Load);
        };
        *seen = policies.version;
        for (name, policy) in list {
            core.namespaces.put(&name, policy, true);
        }
        core.namespaces.raise(&known.version.kept);
    }
    drop(state);
    let heavy = core.tail.waiting_bytes() > BATCH_BYTES || core.open.fold.len() > BATCH_COUNTERS;
    if plan.writes && heavy {
        return Err(Blocked::Full(
            "more waits for one partition of strong counters than one batch may hold",
        ));
    }
    if !core.make_room(plan.bytes.len(), plan.keys.len()) && plan.writes {
        return Err(Blocked::Full(
            "the memory of strong counters is full of counts that are not in the store yet (setting memory)",
        ));
    }
    Ok(())
}

/// Reads what a partition is.
pub(super) fn open(here: &Part, rows: &PartRows<'_>, writing: &mut Writing, node: u32) -> Result<(), Error> {
    let (version, bytes) = rows.version()?;
    // Behind the version: what was applied in between is not of a batch on it.
    let applied = rows.applied(node)?;
    let ledger = ledger::of_writer(rows, WRITER)?;
    writing.ledger = ledger;
    writing.flusher.forget_all();
    let mut core = here.core.lock();
    core.applied = version.position;
    core.tail = Tail::new(version.position);
    here.state.lock().known = Some(Known {
        version,
        bytes,
        applied,
    });
    Ok(())
}
