//! A round of this node's own writer: cut at a position, `pending` before the first row, rows, durable, `applied` (rule 5). Also its
//! repeat after a start (rule 6): the same cut, where what already stands at it is left alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use tally_counter::{Figures, Key, Policy, Position, Reader, WriterRow, planted};
use tally_store::{Batch, Order, Row, Store, Table};

use crate::core::{Closing, Core};
use crate::engine::Engine;
use crate::flush::{CHUNK, Cut, Flusher, Item};
use crate::ledger::{self, Subject};
use crate::namespaces::{Boundaries, Kept};
use crate::table::{CounterId, Round};
use crate::{Error, namespaces, token};

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
}

impl Engine {
    /// Runs a round over everything that was written until now, and waits for it. Nothing to do: nothing done.
    pub fn round(&self) -> Result<(), Error> {
        let mut own = self.own.lock();
        while let Some((closing, order)) = self.begin_round() {
            self.finish_round(&mut own, &closing, order)?;
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
            self.put_tokens(
                Cut {
                    writer: own.row.number,
                    at: closing.cut,
                },
                closing,
                Order::Any,
            )?;
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

    fn put_rows(&self, own: &mut Own, cut: Cut, closing: &Closing, order: Order) -> Result<u64, Error> {
        let store: &dyn Store = self.world.store.as_ref();
        let version = self.put_policies(own, closing)?;
        self.put_tokens(cut, closing, order)?;
        let policies = &closing.policies;
        let mut order_of: Vec<(u16, u32, usize)> = Vec::new();
        let deltas: Vec<(CounterId, &tally_counter::Delta)> = closing.open.deltas.iter().collect();
        let names: Vec<Box<str>> = self.names_of(&deltas);
        for (index, name) in names.iter().enumerate() {
            let slot = tally_counter::Slot::of(name.as_bytes()).number();
            order_of.push((slot, tally_counter::slot_hash(name.as_bytes()), index));
        }
        // In the order of the store's keys: neighbours share its blocks.
        order_of.sort_unstable();
        for chunk in order_of.chunks(CHUNK) {
            let mut items = Vec::with_capacity(chunk.len());
            for (.., index) in chunk {
                let Some((name, (_, delta))) = names.get(*index).zip(deltas.get(*index)) else {
                    continue;
                };
                let Ok(key) = Key::new(name.as_bytes()) else { continue };
                let Some((policy, boundaries)) = policies.of(name) else {
                    continue;
                };
                items.push(Item {
                    key,
                    delta,
                    head: None,
                    policy,
                    boundaries,
                });
            }
            own.flusher.put(store, cut, &items, order, true).map_err(flush_error)?;
        }
        put_ledger(store, cut, closing, &mut own.ledger, order)?;
        Ok(version)
    }

    fn names_of(&self, deltas: &[(CounterId, &tally_counter::Delta)]) -> Vec<Box<str>> {
        let mut names = Vec::with_capacity(deltas.len());
        for chunk in deltas.chunks(CHUNK) {
            let core = self.core.lock();
            names.extend(chunk.iter().map(|(id, _)| {
                core.table
                    .get(*id)
                    .map_or_else(Box::default, |counter| counter.key().into())
            }));
        }
        names
    }

    fn put_tokens(&self, cut: Cut, closing: &Closing, order: Order) -> Result<(), Error> {
        let mut rows = Batch::new();
        for (key, used) in &closing.open.tokens {
            rows.push_with(
                Table::Tokens,
                token::slot(key),
                cut.at.number(),
                |out| token::put_row_key(out, key, cut.writer),
                |out| token::encode(used, out),
            );
        }
        Ok(self.world.store.put(&rows, order)?)
    }

    /// Policies and documents that changed, each as a new version; answers the newest version there is.
    fn put_policies(&self, own: &mut Own, closing: &Closing) -> Result<u64, Error> {
        let open = &closing.open;
        if open.policies.is_empty() && open.documents.is_empty() {
            return Ok(own.row.policies);
        }
        let version = own.row.policies.saturating_add(1);
        own.version = version;
        let mut rows = Batch::new();
        let policies = open
            .policies
            .iter()
            .map(|(name, policy)| (b'p', name, policy.as_slice()));
        let documents = open.documents.iter().map(|(name, text)| (b'd', name, text.as_bytes()));
        for (kind, name, value) in policies.chain(documents) {
            let mut key = vec![kind];
            key.extend_from_slice(name.as_bytes());
            key.push(0);
            key.extend(version.to_be_bytes());
            rows.push(Row {
                address: tally_store::Address {
                    table: Table::Policies,
                    slot: 0,
                    key: &key,
                },
                position: version,
                value,
            });
        }
        self.world.store.put(&rows, Order::Any)?;
        Ok(version)
    }

    fn end_round(&self, own: &mut Own, closing: &Closing, started_us: u64) -> Result<(), Error> {
        let mut core = self.core.lock();
        let ended: Vec<Box<str>> = closing
            .open
            .deltas
            .iter()
            .filter(|(_, delta)| delta.ends == tally_counter::Ends::Life)
            .filter_map(|(id, _)| core.table.get(id).map(|counter| counter.key().into()))
            .collect();
        core.closing = None;
        core.stamp = core.stamp.saturating_add(1);
        core.applied = closing.cut;
        drop(core);
        own.sweep.ended(ended);
        self.relieve();
        let took_us = self.world.clock.monotonic_us().saturating_sub(started_us);
        self.figures.round(took_us / 1_000, own.flusher.rows);
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

/// Writes the figures of a round's subjects: what was stored plus what the round adds; what stands at the cut is left alone.
pub(crate) fn put_figures(
    store: &dyn Store,
    cut: Cut,
    added: &BTreeMap<Subject, Figures>,
    stored: &mut BTreeMap<Subject, (u64, Figures)>,
    order: Order,
) -> Result<(), Error> {
    let mut rows = Batch::new();
    let mut next = Vec::new();
    for (subject, figures) in added {
        let (position, mut sum) = stored.get(subject).cloned().unwrap_or_default();
        if position == cut.at.number() && !planted!(RepeatAddsAgain) {
            continue;
        }
        sum.absorb(figures);
        let value = sum.encoded(cut.at);
        rows.push_with(
            Table::Ledger,
            0,
            cut.at.number(),
            |out| subject.put_key(out, cut.writer),
            |out| out.extend_from_slice(&value),
        );
        next.push((subject.clone(), (cut.at.number(), sum)));
    }
    store.put(&rows, order)?;
    stored.extend(next);
    Ok(())
}

fn put_ledger(
    store: &dyn Store,
    cut: Cut,
    closing: &Closing,
    stored: &mut BTreeMap<Subject, (u64, Figures)>,
    order: Order,
) -> Result<(), Error> {
    let namespaces = closing
        .namespaces
        .iter()
        .map(|(name, figures)| (Subject::Namespace(name.clone()), figures.clone()));
    let sources = closing
        .open
        .sources
        .iter()
        .map(|(name, figures)| (Subject::Source(name.clone()), figures.clone()));
    put_figures(store, cut, &namespaces.chain(sources).collect(), stored, order)
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
