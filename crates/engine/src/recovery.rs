//! A start: claim the writer, take the journal, replay, repeat the open round to the same cut (rules 1, 3 and 6). A journal that
//! was lost is a new epoch; one that cannot be read is an error that says where.

use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use tally_counter::{Policy, StartId, WriterId, WriterRow, planted};
use tally_store::Order;

use crate::core::{Budget, Core, Token};
use crate::damage;
use crate::declared;
use crate::declared::Newest;
use crate::engine::{Engine, Settings, Wanted};
use crate::entry::{Entry, Op};
use crate::figures::EngineFigures;
use crate::flush::Flusher;
use crate::journal::{self, JournalError};
use crate::loss::after_loss;
use crate::nodes::Nodes;
use crate::registry::Registry;
use crate::round::{Own, Resume};
use crate::strong::Strong;
use crate::sweep::Sweep;
use crate::waiters::Waiters;
use crate::{Error, World};

impl From<JournalError> for Error {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Failed(text) => Self::Failed(text),
            JournalError::Corrupt(text) => Self::Corrupt(text),
            JournalError::Newer(text) => Self::Invalid(text),
        }
    }
}

impl Engine {
    /// Opens the journal, claims the writer, replays the journal and repeats an open round.
    pub fn open(settings: Settings, world: World) -> Result<Self, Error> {
        let registry = Registry::open(std::sync::Arc::clone(&world.store))?;
        let start = StartId(world.random.next());
        let id = format!("node:{}", settings.node);
        let row = if let Some(row) = registry.newest(&id) {
            registry.claim(&row, start)?
        } else {
            let writer = WriterId {
                id: id.clone(),
                epoch: 1,
            };
            let row = registry.create(writer, start, None)?;
            if settings.is_shared() {
                row
            } else {
                declared::with_all(world.store.as_ref(), &registry, row)?
            }
        };
        let row = after_loss(&world, &registry, row, start, settings.cut_damage)?;
        registry.set_own(row.number);
        world.store.durable()?;
        let seed = u64::try_from(world.random.next() & u128::from(u64::MAX)).unwrap_or(0);
        let budget = Budget::of(&settings);
        let mut core = Core::new(seed, row.applied, budget);
        core.foreign = registry.foreign();
        declared::read(world.store.as_ref(), &row, settings.is_shared(), &mut core)?;
        core.namespaces
            .raise(&Resume::decode(&row.resume).map_err(corrupt)?.kept);
        let ledger = crate::round::own_ledger(world.store.as_ref(), &row)?;
        if !planted!(BoundaryLost) {
            raise(&mut core, &registry)?;
        }
        let replayed = Self::replay(&world, &row, settings.cut_damage, &mut core)?;
        // What sources have moved stays moved, whether or not they are opened again; also in namespaces that only the journal knows.
        if !planted!(BoundaryLost) {
            raise(&mut core, &registry)?;
        }
        if planted!(LedgerAtAnswer) {
            damage::forget_figures(&mut core);
        }
        if planted!(ExpiryAtReplay) {
            damage::end_all_due(&mut core, world.clock.now_ms());
        }
        let position = replayed.end.unwrap_or(row.applied).max(row.applied);
        let hasher = core.hasher.clone();
        let mut writer = journal::Writer::new(
            std::sync::Arc::clone(&world.disk),
            row.number.0,
            settings.journal_segment_bytes,
            replayed.segments,
            replayed.next_segment,
        );
        core.room = writer.prepare()?;
        let own_applied = row.applied.number();
        let own = Own {
            version: row.policies,
            row,
            ledger,
            flusher: Flusher::new(budget.cache_bytes, hasher.clone()),
            sweep: Sweep::default(),
            pass: None,
            mends: None,
            rest_due_us: None,
        };
        let strong = Strong::new(&settings, std::sync::Arc::clone(&world.store), seed, own.row.start);
        let engine = Self {
            settings,
            world,
            core: Mutex::new(core),
            journal: Mutex::new(writer),
            spare: Mutex::new(Vec::new()),
            registry,
            own: Mutex::new(own),
            synced: AtomicU64::new(position.number()),
            applied: AtomicU64::new(own_applied),
            waiters: Waiters::default(),
            sync_us: AtomicU64::new(0),
            figures: EngineFigures::default(),
            hasher,
            threads: Mutex::new(Vec::new()),
            wanted: Wanted::default(),
            verifier: crate::verify::Verifier::default(),
            node: id,
            nodes: Nodes::default(),
            newest: Newest::default(),
            strong,
        };
        engine.repeat()?;
        // Nothing is counted before this node goes by what the others have declared.
        engine.adopt()?;
        Ok(engine)
    }

    /// Folds the journal from the applied position; cuts the open round where it was cut.
    fn replay(world: &World, row: &WriterRow, cut_damage: bool, core: &mut Core) -> Result<journal::Replay, Error> {
        let mut applied_entries = 0_u64;
        let pending = row.pending;
        let pending_kept = Resume::decode(&row.pending_resume).map_err(corrupt)?.kept;
        let replayed = journal::replay(
            &world.disk,
            row.number.0,
            row.applied,
            cut_damage,
            &mut |position, content| {
                if position.number() != core.tail.position().number().saturating_add(1) {
                    return Err(JournalError::Corrupt(format!(
                        "the journal begins at entry {position}, but the store has everything only up to {}: a segment is missing",
                        core.tail.position()
                    )));
                }
                let is_own = planted!(ReplayMeetsOwnToken) && damage::own_token_stands(world, content);
                let applied = if is_own { Ok(()) } else { apply(core, content) };
                applied.map_err(|error| JournalError::Corrupt(format!("journal entry {position}: {error}")))?;
                core.tail = journal::Tail::new(position);
                applied_entries = applied_entries.saturating_add(1);
                if pending == Some(position) && !planted!(RepeatedToLaterCut) {
                    core.cut_again(position, pending_kept.clone());
                }
                Ok(())
            },
        )?;
        if applied_entries > 0 {
            tracing::info!(entries = applied_entries, from = %row.applied, to = %core.tail.position(), "replayed the journal");
        }
        Ok(replayed)
    }

    /// Repeats the round that was open, to the same cut.
    fn repeat(&self) -> Result<(), Error> {
        let closing = self.core.lock().closing.clone();
        let mut own = self.own.lock();
        match closing {
            Some(closing) => {
                tracing::info!(cut = %closing.cut, "repeating the round that was open");
                self.finish_round(&mut own, &closing, Order::Any)
            }
            None => Ok(()),
        }
    }
}

/// Raises the boundaries to what all writers' rows keep: no row of any may ever be written before them.
pub(crate) fn raise(core: &mut Core, registry: &Registry) -> Result<(), Error> {
    for number in registry.numbers() {
        let Some(row) = registry.row(number) else { continue };
        for kept in crate::round::kept_of(&row).map_err(corrupt)? {
            core.namespaces.raise(&kept);
        }
    }
    Ok(())
}

/// How many adds of an entry wait for memory together.
const ADDS_AT_ONCE: usize = 32;

/// An add that was read back.
struct Ahead<'a> {
    hash: u64,
    name: &'a [u8],
    amount: i64,
    time_ms: u64,
}

/// The effect of adds that follow each other; leaves none.
fn apply_adds(core: &mut Core, adds: &mut Vec<Ahead<'_>>) {
    core.table.prefetch(adds.iter().map(|add| add.hash));
    for add in adds.drain(..) {
        let id = core.counter(add.hash, add.name);
        core.apply_add(id, add.amount, add.time_ms);
    }
}

/// The effect of an entry that was read back.
fn apply(core: &mut Core, content: &[u8]) -> Result<(), tally_counter::Corrupt> {
    let mut entry = Entry::decode(content)?;
    let now_ms = entry.now_ms;
    let mut met = std::collections::BTreeSet::new();
    let mut adds = Vec::new();
    while let Some(op) = entry.next()? {
        if let Op::Add { key, amount, time_ms } = op {
            if planted!(OnePositionOneByOne) && !met.insert(key.as_str()) {
                continue;
            }
            let time_ms = time_ms.filter(|_| !planted!(EntryWithoutTime));
            let add = Ahead {
                hash: core.hash(key.as_bytes()),
                name: key.as_str().as_bytes(),
                amount,
                time_ms: time_ms.unwrap_or(now_ms),
            };
            adds.push(add);
            if adds.len() == ADDS_AT_ONCE {
                apply_adds(core, &mut adds);
            }
            continue;
        }
        apply_adds(core, &mut adds);
        match op {
            Op::Add { .. } => {}
            Op::Head { key, ends, head } => {
                let id = core.counter(core.hash(key.as_bytes()), key.as_bytes());
                core.apply_head(id, ends, head);
            }
            Op::Token { token, payload, answer } => {
                core.apply_token(
                    token,
                    Token {
                        time_ms: now_ms,
                        payload,
                        answer: answer.into(),
                    },
                );
            }
            Op::Adds {
                namespace,
                outcome,
                count,
            } => core.apply_adds(namespace, outcome, count),
            Op::Event { source, outcome } => core.apply_event(source, outcome, None),
            Op::Rejected { source, reason, which } => {
                core.apply_event(source, tally_counter::Outcome::Rejected, Some((reason, which)));
            }
            Op::Policy {
                namespace,
                policy,
                adopted,
            } => {
                let policy = Policy::decode(namespace, policy)?;
                core.apply_policy(namespace, policy, adopted);
            }
            Op::Document { name, text, adopted } => core.apply_document(name, text, adopted),
        }
    }
    apply_adds(core, &mut adds);
    Ok(())
}

pub(crate) fn corrupt(error: tally_counter::Corrupt) -> Error {
    Error::Corrupt(error.to_string())
}
