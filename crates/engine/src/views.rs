//! What the engine shows of itself: what stands behind a number, the ledger, the namespaces, its figures; and the declarations that
//! change what it does.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use tally_counter::{
    Bounds, Ends, Figures, Generation, Keep, Key, Minute, Outcome, Policy, Step, WriterNumber, WriterRow,
};

use crate::engine::Engine;
use crate::entry::{self, Op};
use crate::ledger::{self, Subject};
use crate::names::Unflushed;
use crate::namespaces::DEFAULT;
use crate::plan::{Need, Plan};
use crate::view::{CellView, Explained, LedgerView, NamespaceView, Status, SubjectFigures, WriterView};
use crate::{Blocked, Error, load, strong};

impl Engine {
    /// Everything behind a number. Blocks.
    pub fn explain(&self, key: Key<'_>) -> Result<Explained, Error> {
        if self.strong_part(key).is_some() {
            return self.explain_strong(key);
        }
        let mut plan = Plan::new();
        plan.only_reads();
        let index = plan.key(key, Need::Value);
        let value = self.blocking_turn(&mut plan, &mut |turn| turn.value(index))?;
        let stored = load::counters(self.world.store.as_ref(), &self.registry, &[key])?
            .pop()
            .unwrap_or_default();
        let (namespace, known, unflushed) = {
            let core = self.core.lock();
            let namespace = core
                .namespaces
                .get(core.namespaces.of(key.as_str()))
                .map_or(DEFAULT, |namespace| &namespace.name)
                .to_owned();
            let known = core
                .find(key.as_str())
                .and_then(|id| core.table.get(id)?.head().cloned());
            (namespace, known, core.unflushed(key.as_str()))
        };
        let head = load::newest(known.as_ref(), stored.head.as_ref()).cloned();
        let generation = head.as_ref().map_or(Generation::default(), |head| head.generation);
        let cells = stored.cells.iter().map(|(writer, life, cell)| CellView {
            writer: *writer,
            life: *life,
            cell: *cell,
            summed: *life == generation.life && cell.n == generation.n && self.registry.is_summed(*writer),
        });
        let cells: Vec<CellView> = cells.collect();
        let writers = cells
            .iter()
            .filter_map(|cell| self.registry.row(cell.writer))
            .map(|row| writer_view(&row))
            .collect();
        let unflushed = not_stored(&stored, self.registry.own(), unflushed);
        let mut history = Vec::new();
        for step in Step::ALL {
            let read = self.read_step(key, step, None, Minute(u32::MAX))?;
            let windows = read
                .windows
                .values()
                .fold(0_i128, |sum, amount| sum.saturating_add(*amount));
            history.push((step, read.left, windows, read.chunks));
        }
        Ok(Explained {
            key: key.as_str().to_owned(),
            namespace,
            slot: key.slot().number(),
            value,
            generation,
            head,
            cells,
            writers,
            unflushed,
            history,
        })
    }

    /// The ledger. Blocks.
    pub fn ledger(&self) -> Result<LedgerView, Error> {
        for _ in 0..20 {
            let stamp = self.core.lock().stamp;
            let rows = ledger::read(self.world.store.as_ref())?;
            let core = self.core.lock();
            if core.stamp != stamp {
                continue;
            }
            let mut sums: BTreeMap<Subject, Figures> = BTreeMap::new();
            let own = self.registry.own();
            let mut at_cut = Vec::new();
            for row in rows.iter().filter(|row| self.registry.is_summed(row.writer)) {
                sums.entry(row.subject.clone()).or_default().absorb(&row.figures);
                if row.writer == own
                    && core
                        .closing
                        .as_ref()
                        .is_some_and(|closing| closing.cut.number() == row.position)
                {
                    at_cut.push(row.subject.clone());
                }
            }
            if let Some(closing) = &core.closing {
                let namespaces = closing
                    .namespaces
                    .iter()
                    .map(|(name, figures)| (Subject::Namespace(name.clone()), figures));
                let sources = closing
                    .open
                    .sources
                    .iter()
                    .map(|(name, figures)| (Subject::Source(name.clone()), figures));
                for (subject, figures) in namespaces
                    .chain(sources)
                    .filter(|(subject, _)| !at_cut.contains(subject))
                {
                    sums.entry(subject).or_default().absorb(figures);
                }
            }
            for namespace in core.namespaces.iter().filter(|namespace| !namespace.open.is_empty()) {
                sums.entry(Subject::Namespace(namespace.name.clone()))
                    .or_default()
                    .absorb(&namespace.open);
            }
            for (name, figures) in &core.open.sources {
                sums.entry(Subject::Source(name.clone())).or_default().absorb(figures);
            }
            drop(core);
            self.add_strong_ledger(&mut sums)?;
            return Ok(ledger_view(sums));
        }
        Err(Error::Unavailable(
            "rounds ended faster than the ledger could be read; try again".to_owned(),
        ))
    }

    /// The namespaces: `default` and the declared ones.
    pub fn namespaces(&self) -> Vec<NamespaceView> {
        let core = self.core.lock();
        let view = |namespace: &crate::namespaces::Namespace| NamespaceView {
            name: namespace.name.clone(),
            declared: namespace.declared,
            policy: namespace.policy.clone(),
        };
        core.namespaces.iter().map(view).collect()
    }

    /// Declares a namespace or changes its policy, and waits until that is durable. Blocks.
    pub fn declare(&self, namespace: &str, policy: Policy) -> Result<(), Error> {
        if namespace.is_empty() || namespace.len() > 256 || namespace.contains([':', '\0']) {
            return Err(Error::Invalid(
                "a namespace's name has 1 to 256 bytes, none of them a `:`".to_owned(),
            ));
        }
        self.check_history(namespace, &policy)?;
        self.check_consistency(namespace, &policy)?;
        let encoded = policy.encoded();
        self.write_op(
            &Op::Policy {
                namespace,
                policy: &encoded,
                adopted: false,
            },
            |core| core.apply_policy(namespace, policy.clone(), false),
        )
    }

    /// Which steps are kept is fixed by the first add: otherwise windows would not add up to what was counted.
    fn check_history(&self, namespace: &str, policy: &Policy) -> Result<(), Error> {
        let current = self.core.lock();
        if current.namespaces.len() >= MAX_NAMESPACES && current.namespaces.named(namespace).is_none() {
            return Err(Error::Exhausted(format!(
                "there are {MAX_NAMESPACES} namespaces already, and no more may be declared"
            )));
        }
        let index = current.namespaces.named(namespace).unwrap_or(0);
        let now = current
            .namespaces
            .get(index)
            .map(|namespace| namespace.policy.history)
            .unwrap_or_default();
        drop(current);
        let changed = Step::ALL
            .into_iter()
            .find(|step| (now.keep(*step) == Keep::Off) != (policy.history.keep(*step) == Keep::Off));
        let Some(step) = changed else { return Ok(()) };
        let used = if namespace == DEFAULT {
            !self.list("", "", 1)?.is_empty()
        } else {
            !self.list(&format!("{namespace}:"), "", 1)?.is_empty()
        };
        if used {
            return Err(Error::Conflict(format!(
                "{namespace} has counters already, so history of {} can no longer be turned on or off: windows would not add up to the totals",
                step.word()
            )));
        }
        Ok(())
    }

    /// Who may write is fixed by the first add: strong counters and others are kept apart.
    fn check_consistency(&self, namespace: &str, policy: &Policy) -> Result<(), Error> {
        let is_strong = strong::is_strong(policy);
        if policy.bounds != Bounds::default() {
            if !is_strong {
                return Err(Error::Invalid(
                    "min and max are kept by strong counters only: set consistency to strong".to_owned(),
                ));
            }
            if !policy.bounds.allow(0) {
                return Err(Error::Invalid(
                    "min and max must allow 0, which each counter begins with".to_owned(),
                ));
            }
        }
        let was = {
            let core = self.core.lock();
            let known = core.namespaces.named(namespace);
            let known = known.and_then(|index| core.namespaces.get(index));
            known.is_some_and(|known| strong::is_strong(&known.policy))
        };
        if was == is_strong {
            return Ok(());
        }
        if namespace == DEFAULT {
            return Err(Error::Conflict(
                "default cannot be strong: it takes all keys without a namespace of their own; declare one".to_owned(),
            ));
        }
        // Also those that only the journal and the memory have.
        self.round()?;
        let prefix = format!("{namespace}:");
        let mut used = false;
        self.world.store.names(prefix.as_bytes(), b"", 1, &mut |_, _| {
            used = true;
            Ok(())
        })?;
        if used {
            return Err(Error::Conflict(format!(
                "{namespace} has counters already, so its consistency can no longer be changed"
            )));
        }
        Ok(())
    }

    /// A named document that is kept with the policies, such as the rules; waits until it is durable. Blocks.
    pub fn put_document(&self, name: &str, text: &str) -> Result<(), Error> {
        let op = Op::Document {
            name,
            text,
            adopted: false,
        };
        self.write_op(&op, |core| core.apply_document(name, text, false))
    }

    /// The newest version of a document.
    pub fn document(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.core.lock().documents.get(name).cloned())
    }

    fn write_op(&self, op: &Op<'_>, apply: impl FnOnce(&mut crate::core::Core)) -> Result<(), Error> {
        let now_ms = self.world.clock.now_ms();
        let position = {
            let mut core = self.core.lock();
            if let Some(why) = &core.stopped {
                return Err(Error::Unavailable(why.clone()));
            }
            if !core.room {
                return Err(Error::Unavailable(Blocked::DiskFull.to_string()));
            }
            let out = core.tail.entry();
            entry::begin(out, now_ms);
            entry::put(out, op);
            apply(&mut core);
            core.tail.finish().map_err(|error| Error::Failed(error.to_string()))?
        };
        position.map_or(Ok(()), |position| self.wait_synced(position))?;
        self.round()
    }

    /// How the engine is.
    pub fn status(&self) -> Status {
        let store_bytes = self.world.store.size_bytes().unwrap_or(0);
        let core = self.core.lock();
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let load = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
        Status {
            node: self.node.clone(),
            hot_counters: bytes(core.table.len()),
            hot_bytes: bytes(core.hot_bytes()),
            hot_budget_bytes: self.settings.hot_budget_bytes,
            journal_position: core.tail.position().number(),
            journal_synced: load(&self.synced),
            journal_applied: core.applied.number(),
            journal_bytes: core.journal_bytes,
            store_bytes,
            dirty_counters: bytes(core.open.fold.len()),
            adds: core.counts.adds,
            lookups: core.counts.lookups,
            lookup_hits: core.counts.hits,
            store_reads: load(&self.figures.counters_loaded),
            rounds: load(&self.figures.rounds),
            last_round_ms: load(&self.figures.last_round_ms),
            round_rows: load(&self.figures.round_rows),
            journal_syncs: self.syncs(),
            cells_loaded: load(&self.figures.cells_loaded),
            counters_loaded: load(&self.figures.counters_loaded),
            swept_rows: load(&self.figures.swept_rows),
            folded_windows: load(&self.figures.folded_windows),
            strong: self.figures.strong.now(),
            takes_adds: core.room && core.stopped.is_none(),
        }
    }
}

/// What the rounds under way add to the stored cells: to the total, and to what the life has counted.
fn not_stored(stored: &load::Snapshot, own: WriterNumber, (closing, open): Unflushed) -> Option<(i128, i128)> {
    let ends = open.as_ref().map(|delta| delta.ends).unwrap_or_default();
    let is_stored = |cut| {
        stored
            .cells
            .iter()
            .any(|(writer, _, cell)| *writer == own && cell.position == cut)
    };
    let closing = closing.filter(|(cut, _)| !is_stored(*cut)).map(|(_, delta)| {
        let total = if ends == Ends::Nothing { delta.total } else { 0 };
        let counted = if ends == Ends::Life { 0 } else { delta.counted };
        (total, counted)
    });
    let open = open.map(|delta| (delta.total, delta.counted));
    closing
        .into_iter()
        .chain(open)
        .reduce(|sum, more| (sum.0.saturating_add(more.0), sum.1.saturating_add(more.1)))
}

/// The most namespaces there may be.
const MAX_NAMESPACES: usize = 10_000;

fn ledger_view(sums: BTreeMap<Subject, Figures>) -> LedgerView {
    let mut view = LedgerView::default();
    for (subject, figures) in sums {
        match subject {
            Subject::Source(name) => view.sources.push(SubjectFigures { name, figures }),
            Subject::Namespace(name) => view.namespaces.push(SubjectFigures { name, figures }),
        }
    }
    debug_assert!(
        view.sources
            .iter()
            .all(|source| source.figures.of(Outcome::Counted) <= source.figures.received())
    );
    view
}

fn writer_view(row: &WriterRow) -> WriterView {
    WriterView {
        number: row.number,
        writer: row.writer.clone(),
        state: row.state,
        applied: row.applied,
        pending: row.pending,
    }
}
