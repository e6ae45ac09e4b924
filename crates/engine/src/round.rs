//! A round of this node's own writer: cut at a position, `pending` before the first row, rows, durable, `applied` (rule 5). Also its
//! repeat after a start (rule 6): the same cut, where what already stands at it is left alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use tally_counter::{Figures, Policy, Position, Reader, WriterRow, planted};
use tally_store::{Order, Store};

use crate::core::{Closing, Core, Progress};
use crate::engine::Engine;
use crate::flush::{Cut, Flusher};
use crate::ledger::{self, Subject};
use crate::namespaces::{Boundaries, Kept};
use crate::put::Put;
use crate::table::Round;
use crate::{Error, namespaces};

/// So long after the last round the store may bring to disk what it collects in memory.
const REST_MS: u64 = 1_000;

/// What the node's row keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resume {
    pub(crate) kept: BTreeMap<String, Kept>,
}

impl Resume {
    pub(crate) fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        namespaces::encode_kept(&self.kept, &mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, tally_counter::Corrupt> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut reader = Reader::new("writer's resume", bytes);
        let kept = namespaces::decode_kept(&mut reader)?;
        reader.end()?;
        Ok(Self { kept })
    }
}

/// The namespaces' boundaries that a writer's row keeps: those of its applied position and those of its open round.
pub(crate) fn kept_of(row: &WriterRow) -> Result<[BTreeMap<String, Kept>; 2], tally_counter::Corrupt> {
    if row.writer.id.starts_with("source:") {
        return crate::source::kept_of(row);
    }
    let [applied, pending] = [&row.resume, &row.pending_resume].map(|resume| Resume::decode(resume));
    Ok([applied?.kept, pending?.kept])
}

impl Core {
    /// Cuts a round at the journal's end. `None` if nothing was written since the last one.
    pub(crate) fn cut(&mut self, at: Position) -> Option<Arc<Closing>> {
        if at <= self.applied || self.closing.is_some() {
            return None;
        }
        self.namespaces.move_boundaries();
        Some(self.close(at, self.namespaces.kept()))
    }

    /// Cuts the round that a crash left open once more: by the very boundaries that its row kept, though sources may have moved
    /// them on by now (rule 18).
    pub(crate) fn cut_again(&mut self, at: Position, kept: BTreeMap<String, Kept>) {
        self.namespaces.raise(&kept);
        let kept = if planted!(BoundaryMoves) {
            self.namespaces.kept()
        } else {
            kept
        };
        self.close(at, kept);
    }

    fn close(&mut self, at: Position, kept: BTreeMap<String, Kept>) -> Arc<Closing> {
        let figures = self
            .namespaces
            .iter_mut()
            .map(|namespace| (namespace.name.clone(), std::mem::take(&mut namespace.open)));
        let namespaces = figures.filter(|(_, figures)| !figures.is_empty()).collect();
        let open = std::mem::take(&mut self.open);
        let list = self.namespaces.iter().map(|namespace| {
            let kept = kept.get(&namespace.name).copied().unwrap_or_default();
            (namespace.name.clone(), namespace.policy.clone(), kept.boundaries)
        });
        let policies = Policies { list: list.collect() };
        let closing = Arc::new(Closing {
            cut: at,
            round: self.round,
            open,
            namespaces,
            policies,
            kept,
            progress: Progress::default(),
        });
        self.round = Round(self.round.0.wrapping_add(1));
        self.closing = Some(Arc::clone(&closing));
        closing
    }
}

/// What the own writer is between rounds.
pub(crate) struct Own {
    pub(crate) row: WriterRow,
    pub(crate) ledger: BTreeMap<Subject, (u64, Figures)>,
    /// The next version of a policy or document.
    pub(crate) version: u64,
    pub(crate) flusher: Flusher,
    pub(crate) sweep: crate::sweep::Sweep,
    /// The walk that compares sums, where one is under way.
    pub(crate) pass: Option<crate::verify::Pass>,
    /// What the next round is to mend.
    pub(crate) mends: Option<crate::verify::Mends>,
    /// When the store is told that nothing was written since the last round.
    pub(crate) rest_due_us: Option<u64>,
}

impl Engine {
    /// Runs a round over everything that was written until now, and waits for it. Nothing to do: nothing done.
    pub fn round(&self) -> Result<(), Error> {
        let mut own = self.own.lock();
        while let Some((closing, order)) = self.begin_round() {
            let finished = self.finish_round(&mut own, &closing, order);
            if finished.is_err() {
                closing.progress.give_up();
            }
            finished?;
            if order == Order::Growing {
                break;
            }
        }
        Ok(())
    }

    /// Cuts a round; takes up the one that failed before where there is one. A source may have put newer heads and names since that
    /// failed, so its rows no longer only grow.
    fn begin_round(&self) -> Option<(Arc<Closing>, Order)> {
        let mut core = self.core.lock();
        if planted!(RoundIsForgotten) {
            core.closing = None;
        }
        if let Some(closing) = &core.closing {
            return Some((Arc::clone(closing), Order::Any));
        }
        let at = core.tail.position();
        core.cut(at).map(|closing| (closing, Order::Growing))
    }

    /// Everything after the cut. May be called again for the same round after an error.
    pub(crate) fn finish_round(&self, own: &mut Own, closing: &Closing, order: Order) -> Result<(), Error> {
        let started_us = self.world.clock.monotonic_us();
        // The journal has synced all that the rows will say (rule 5).
        if planted!(TokenWithoutCell) {
            let writer = own.row.number;
            let at = closing.cut;
            self.put(Cut { writer, at }, closing, Order::Any).tokens()?;
        }
        if !planted!(CutBeyondSynced) {
            self.sync_to(closing.cut)?;
        }
        // Unless an earlier try failed after its last change: a row never goes back to what it was, or a change that comes late
        // would find what it looks for.
        if own.row.applied != closing.cut {
            self.put_round(own, closing, order)?;
        }
        if !planted!(AppliedBeforeDurable) {
            self.world.store.durable()?;
        }
        self.end_round(own, closing, started_us)
    }

    fn put_round(&self, own: &mut Own, closing: &Closing, order: Order) -> Result<(), Error> {
        let cut = Cut {
            writer: own.row.number,
            at: closing.cut,
        };
        if planted!(RowBeforePending) {
            self.put_rows(own, cut, closing, order)?;
        }
        if own.row.pending != Some(closing.cut) {
            let resume = Resume {
                kept: closing.kept.clone(),
            };
            let pending = WriterRow {
                pending: Some(closing.cut),
                pending_resume: resume.encoded(),
                ..own.row.clone()
            };
            own.row = self.registry.change(&own.row, pending)?;
        }
        // Also when an earlier try has moved the row: it may have failed before this.
        self.world.store.durable()?;
        let version = self.put_rows(own, cut, closing, order)?;
        self.put_mends(own, cut)?;
        if order == Order::Any {
            // Names of an earlier try may have arrived after they were counted.
            own.flusher.census.restart();
        }
        if !planted!(AppliedBeforeDurable) {
            self.world.store.durable()?;
        }
        let row = WriterRow {
            applied: closing.cut,
            pending: None,
            resume: own.row.pending_resume.clone(),
            pending_resume: Vec::new(),
            policies: version,
            ..own.row.clone()
        };
        own.row = self.registry.change(&own.row, row)?;
        Ok(())
    }

    fn put<'a>(&'a self, cut: Cut, closing: &'a Closing, order: Order) -> Put<'a> {
        Put {
            core: &self.core,
            waiters: &self.waiters,
            store: self.world.store.as_ref(),
            cut,
            closing,
            order,
        }
    }

    fn put_rows(&self, own: &mut Own, cut: Cut, closing: &Closing, order: Order) -> Result<u64, Error> {
        let store: &dyn Store = self.world.store.as_ref();
        let version = self.put_declared(own, closing)?;
        own.flusher.alone = !self.is_shared() && (self.registry.numbers().len() == 1 || planted!(ThoughtAlone));
        own.flusher.shared = self.is_shared();
        let put = self.put(cut, closing, order);
        put.tokens()?;
        put.counters(&mut own.flusher)?;
        ledger::put_round(store, cut, closing, &mut own.ledger, order)?;
        Ok(version)
    }

    fn end_round(&self, own: &mut Own, closing: &Closing, started_us: u64) -> Result<(), Error> {
        let mut core = self.core.lock();
        let ended: Vec<Box<str>> = closing
            .open
            .fold
            .ended()
            .filter_map(|id| core.table.get(id).map(|counter| counter.key().into()))
            .collect();
        core.closing = None;
        core.stamp.round_ended();
        core.applied = closing.cut;
        drop(core);
        self.applied
            .fetch_max(closing.cut.number(), std::sync::atomic::Ordering::Release);
        self.waiters.applied(closing.cut);
        own.sweep.ended(ended);
        self.relieve();
        own.rest_due_us = Some(self.next_us(REST_MS));
        let took_us = self.world.clock.monotonic_us().saturating_sub(started_us);
        self.figures
            .round(took_us / 1_000, closing.open.fold.len(), own.flusher.rows);
        self.cut_journal(closing.cut)
    }
}

/// Policies and boundaries, as of a cut.
#[derive(Clone, Debug)]
pub(crate) struct Policies {
    pub(crate) list: Vec<(String, Policy, Boundaries)>,
}

impl Policies {
    /// Those of a key's namespace.
    pub(crate) fn of(&self, key: &str) -> Option<(&Policy, Boundaries)> {
        let prefix = key.split_once(':').map(|(prefix, _)| prefix);
        let found = prefix.and_then(|prefix| self.list.iter().find(|(name, ..)| name == prefix));
        found
            .or(self.list.first())
            .map(|(_, policy, boundaries)| (policy, *boundaries))
    }
}

pub(crate) fn flush_error(error: crate::flush::FlushError) -> Error {
    match error {
        crate::flush::FlushError::Store(error) => error.into(),
        beyond @ crate::flush::FlushError::Beyond(..) => Error::Failed(beyond.to_string()),
    }
}

/// The figures of the own writer as the store has them.
pub(crate) fn own_ledger(store: &dyn Store, row: &WriterRow) -> Result<BTreeMap<Subject, (u64, Figures)>, Error> {
    Ok(ledger::of_writer(store, row.number)?)
}
