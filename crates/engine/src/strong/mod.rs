//! Strong counters: one serial history each, over all nodes. Their rows stand in 16 partitions, each with one version; whatever a group
//! of turns does is one conditional batch on that version (rules 22 and 23, decision 16). A node keeps what it knows of a partition in
//! a hot table of its own, takes turns on it at once, and answers when the batch that holds them is durable: or, where another
//! node was first, forgets what it knew and has the turns taken again.
//!
//! Guards: an answer is given only for what is durable; what an answer says was so at some moment between question and answer.
//! Does not: pass requests on, nor count what a source says.

mod commit;
pub(crate) mod copy;
mod part;
mod retention;
mod rows;
#[cfg(test)]
mod tests;
mod ticket;
mod version;
mod views;

use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};
use tally_counter::{Consistency, Key, Slot, StartId, WriterNumber};
use tally_store::{STRONG_PARTITIONS, Table};

use crate::core::Budget;
use crate::engine::Engine;
use crate::namespaces::Namespaces;
use crate::plan::Plan;
use crate::registry::Registry;
use crate::{Blocked, Settings};

use part::Part;
pub use part::StrongTurned;
pub(crate) use rows::{PartRows, read_row};
pub use ticket::{Settled, Ticket};
pub(crate) use version::Version;

/// The writer of all strong cells: numbers of logs begin with 1.
pub(crate) const WRITER: WriterNumber = WriterNumber(0);
/// The part of the hot table's memory that strong counters may take on top of it.
const SHARE: u64 = 8;
/// Threads that commit where each commit waits for a cluster.
const THREADS_ON_A_CLUSTER: usize = 16;

/// Which partition a plan's counters are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StrongPart(pub(crate) u16);

impl StrongPart {
    /// The partition of a counter.
    pub fn of(key: Key<'_>) -> Self {
        Self(Table::Strong.partition(key.slot().number()))
    }
}

/// All partitions, and those that wait for a commit.
pub(crate) struct Strong {
    /// Made when they are first asked for: most servers have no strong counters.
    parts: Vec<OnceLock<Part>>,
    registry: Registry,
    budget: Budget,
    seed: u64,
    /// What this start's batches begin with: a paused predecessor writes the same row of what it applied last.
    start: u64,
    queue: Mutex<Queue>,
    changed: Condvar,
    ended: Condvar,
    /// Names came or went since they were counted.
    names_moved: AtomicBool,
    /// From where windows are kept has moved since the last walk.
    kept_moved: AtomicBool,
    walk: Mutex<retention::Walk>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<u16>,
    stop: bool,
}

impl Strong {
    pub(crate) fn new(
        settings: &Settings,
        store: std::sync::Arc<dyn tally_store::Store>,
        seed: u64,
        start: StartId,
    ) -> Self {
        let share = Settings {
            hot_budget_bytes: settings.hot_budget_bytes / SHARE / u64::from(STRONG_PARTITIONS),
            ..settings.clone()
        };
        let budget = Budget::of(&share);
        Self {
            parts: (0..STRONG_PARTITIONS).map(|_| OnceLock::new()).collect(),
            registry: Registry::of_one(store, WRITER),
            budget,
            seed,
            start: half(start.0),
            queue: Mutex::default(),
            changed: Condvar::new(),
            ended: Condvar::new(),
            names_moved: AtomicBool::new(false),
            kept_moved: AtomicBool::new(false),
            walk: Mutex::default(),
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "a number is made by `Table::partition`, which has no others"
    )]
    fn part(&self, part: StrongPart) -> &Part {
        let place = self.parts.get(usize::from(part.0)).expect("a partition's number");
        place.get_or_init(|| Part::new(part.0, self.budget, self.seed))
    }

    /// The first slot of each partition.
    fn slots() -> impl Iterator<Item = u16> {
        (0..STRONG_PARTITIONS).map(first_slot)
    }

    /// Waits a while; `true`: the engine stops.
    fn pause(&self, pause: std::time::Duration) -> bool {
        let mut queue = self.queue.lock();
        if !queue.stop {
            self.ended.wait_for(&mut queue, pause);
        }
        queue.stop
    }

    /// The id of a batch of this start.
    fn batch(&self, random: u128) -> u128 {
        u128::from(self.start) << 64 | u128::from(half(random))
    }

    /// Whether a batch is of this start.
    fn is_own(&self, batch: Option<u128>) -> bool {
        batch.is_some_and(|batch| batch >> 64 == u128::from(self.start))
    }

    /// This partition waits for a commit.
    fn enqueue(&self, part: StrongPart) {
        self.queue.lock().waiting.push_back(part.0);
        self.changed.notify_one();
    }

    /// Whether names came or went since this was asked last.
    pub(crate) fn names_moved(&self) -> bool {
        self.names_moved.swap(false, Ordering::Relaxed)
    }

    /// No more commits than those that wait.
    pub(crate) fn stop(&self) {
        self.queue.lock().stop = true;
        self.changed.notify_all();
        self.ended.notify_all();
    }
}

/// Where the rows of a partition stand that have no slot.
fn first_slot(number: u16) -> u16 {
    number.saturating_mul(tally_counter::SLOTS / STRONG_PARTITIONS)
}

/// Half of some random bits.
fn half(random: u128) -> u64 {
    u64::try_from(random & u128::from(u64::MAX)).unwrap_or(0)
}

/// Where the plan's counters are: `None`: none of them is strong.
pub(crate) fn place(namespaces: &Namespaces, plan: &Plan) -> Result<Option<StrongPart>, Blocked> {
    if !namespaces.any_strong() {
        return Ok(None);
    }
    let mut found: Option<Option<StrongPart>> = None;
    for planned in &plan.keys {
        let name = Plan::name(&plan.bytes, planned);
        let here = namespaces
            .is_strong(name)
            .then(|| StrongPart(Table::Strong.partition(Slot::of(name).number())));
        match found {
            None => found = Some(here),
            Some(other) if other == here => {}
            Some(Some(_)) if here.is_some() => return Err(Blocked::Mixed(SPANS)),
            Some(_) => return Err(Blocked::Mixed(MIXES)),
        }
    }
    Ok(found.flatten())
}

const SPANS: &str = "these strong counters are not of one partition, and one request cannot change them together; give them the same {hash tag}, or send them one by one; nothing was applied";
const MIXES: &str =
    "strong counters and others cannot be in one request or transaction; send them apart; nothing was applied";

impl Engine {
    /// Which partition a counter is in, if its namespace is strong.
    pub fn strong_part(&self, key: Key<'_>) -> Option<StrongPart> {
        let core = self.core.lock();
        core.namespaces.is_strong(key.as_bytes()).then(|| StrongPart::of(key))
    }

    /// Whether any of the plan's counters is strong.
    pub fn is_strong(&self, plan: &Plan) -> bool {
        let core = self.core.lock();
        let names = plan.keys.iter().map(|key| Plan::name(&plan.bytes, key));
        names.into_iter().any(|name| core.namespaces.is_strong(name))
    }

    /// Whether any namespace is strong.
    pub fn any_strong(&self) -> bool {
        self.core.lock().namespaces.any_strong()
    }

    /// Counters by their partition, those that are not strong under `None`; their places in `keys` are kept.
    pub(crate) fn by_part(&self, keys: &[String]) -> BTreeMap<Option<u16>, Vec<usize>> {
        let core = self.core.lock();
        let mut parts: BTreeMap<Option<u16>, Vec<usize>> = BTreeMap::new();
        for (index, key) in keys.iter().enumerate() {
            let strong = core.namespaces.is_strong(key.as_bytes());
            let part = strong.then(|| Table::Strong.partition(Slot::of(key.as_bytes()).number()));
            parts.entry(part).or_default().push(index);
        }
        parts
    }

    /// How many threads commit strong counters: on one disk a single one, whose sync takes all that wait.
    pub(crate) fn strong_threads(&self) -> usize {
        if self.is_shared() { THREADS_ON_A_CLUSTER } else { 1 }
    }

    /// Commits what waits until the engine stops.
    pub(crate) fn commit_strong_on(&self) {
        let most = if self.is_shared() { 1 } else { usize::MAX };
        loop {
            let some: Vec<u16> = {
                let mut queue = self.strong.queue.lock();
                while queue.waiting.is_empty() {
                    if queue.stop {
                        return;
                    }
                    self.strong.changed.wait(&mut queue);
                }
                let count = queue.waiting.len().min(most);
                queue.waiting.drain(..count).collect()
            };
            self.commit_parts(&some);
        }
    }

    /// Commits what waits now, on this thread: for those that have no threads.
    pub fn commit_strong(&self) {
        let some: Vec<u16> = self.strong.queue.lock().waiting.drain(..).collect();
        self.commit_parts(&some);
    }
}

/// Whether the policy says that its counters are strong.
pub(crate) fn is_strong(policy: &tally_counter::Policy) -> bool {
    policy.consistency == Consistency::Strong
}
