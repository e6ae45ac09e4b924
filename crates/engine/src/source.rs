//! Writers beside the node's own: a file, or a partition of a topic. Such a log is its own journal; its cells reach the store in
//! rounds of its own, cut at its own positions, and after a crash it is read again from the applied one.

use std::collections::{BTreeMap, HashMap};

use tally_counter::{
    Delta, Figures, Key, Minute, Outcome, Position, Reader, StartId, WriterId, WriterRow, planted, put_bytes,
};
use tally_store::{Order, Store};

use crate::Error;
use crate::engine::Engine;
use crate::flush::{CHUNK, Cut, Flusher, Item};
use crate::ledger::{self, Subject};
use crate::namespaces::{self, Kept, Namespace};
use crate::round::{Policies, flush_error};

/// What a stretch of a log adds up to.
#[derive(Debug, Default)]
pub struct Fold {
    deltas: HashMap<Box<str>, Delta>,
    source: Figures,
    /// Adds by the namespace's index in `prefixes`, so that no name is built per add.
    adds: HashMap<Box<str>, Figures>,
    bytes: usize,
}

impl Fold {
    /// An add of an event: its key, amount, and time in Unix milliseconds.
    pub fn add(&mut self, key: Key<'_>, amount: i64, time_ms: u64) {
        let minute = Minute::of_ms(time_ms);
        let delta = if let Some(delta) = self.deltas.get_mut(key.as_str()) {
            delta
        } else {
            self.bytes = self
                .bytes
                .saturating_add(key.as_str().len())
                .saturating_add(size_of::<Delta>() + 48);
            self.deltas.entry(key.as_str().into()).or_default()
        };
        delta.add(amount.into(), minute);
        self.note_adds(key.prefix().unwrap_or(""), Outcome::Counted, 1);
    }

    /// Adds of an event that were not counted, to the namespace of this key.
    pub fn not_counted(&mut self, key: Key<'_>, outcome: Outcome) {
        self.note_adds(key.prefix().unwrap_or(""), outcome, 1);
    }

    fn note_adds(&mut self, prefix: &str, outcome: Outcome, count: u64) {
        match self.adds.get_mut(prefix) {
            Some(figures) => figures.note(outcome, count),
            None => self.adds.entry(prefix.into()).or_default().note(outcome, count),
        }
    }

    /// What became of an event.
    pub fn event(&mut self, outcome: Outcome) {
        self.source.note(outcome, 1);
    }

    /// An event that was rejected: why (a short text out of few), and which.
    pub fn reject(&mut self, reason: &str, which: &str) {
        self.source.reject(reason, which);
    }

    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no event came.
    pub fn is_empty(&self) -> bool {
        self.source.is_empty() && self.deltas.is_empty()
    }

    /// The figures of its events.
    pub fn figures(&self) -> &Figures {
        &self.source
    }
}

/// A source's writer, claimed by this process. The caller keeps to one log and one history.
pub struct SourceWriter {
    row: WriterRow,
    source: String,
    ledger: BTreeMap<Subject, (u64, Figures)>,
    resume: Vec<u8>,
}

impl SourceWriter {
    /// Up to where the store has its log: go on from here.
    pub fn applied(&self) -> Position {
        self.row.applied
    }

    /// Where the round is cut that a crash left open: the log is folded from [`SourceWriter::applied`] to exactly here first.
    pub fn repeat_to(&self) -> Option<Position> {
        self.row.pending
    }

    /// What the caller kept with the cut of the open round; `None` where there is none.
    pub fn repeat_resume(&self) -> Option<Vec<u8>> {
        self.row.pending?;
        decode_resume(&self.row.pending_resume).ok().map(|(_, caller)| caller)
    }

    /// What the caller kept with the applied position; empty at first.
    pub fn resume(&self) -> &[u8] {
        &self.resume
    }

    /// The figures of its events up to the applied position.
    pub fn figures(&self) -> Figures {
        self.ledger
            .get(&Subject::Source(self.source.clone()))
            .map(|(_, figures)| figures.clone())
            .unwrap_or_default()
    }
}

/// What a source's row keeps: the namespaces' boundaries, then the caller's bytes.
fn encode_resume(kept: &BTreeMap<String, Kept>, caller: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    namespaces::encode_kept(kept, &mut out);
    put_bytes(&mut out, caller);
    out
}

/// The namespaces' boundaries that a source's row keeps: those of its applied position and those of its open round.
pub(crate) fn kept_of(row: &WriterRow) -> Result<[BTreeMap<String, Kept>; 2], tally_counter::Corrupt> {
    Ok([decode_resume(&row.resume)?.0, decode_resume(&row.pending_resume)?.0])
}

fn decode_resume(bytes: &[u8]) -> Result<(BTreeMap<String, Kept>, Vec<u8>), tally_counter::Corrupt> {
    if bytes.is_empty() {
        return Ok((BTreeMap::new(), Vec::new()));
    }
    let mut reader = Reader::new("source's resume", bytes);
    let kept = namespaces::decode_kept(&mut reader)?;
    let caller = reader.bytes()?.to_vec();
    reader.end()?;
    Ok((kept, caller))
}

impl Engine {
    /// Claims the writer of a source; registers it where it is new. Blocks.
    pub fn open_source(&self, source: &str) -> Result<SourceWriter, Error> {
        let id = format!("source:{source}");
        let start = StartId(self.world.random.next());
        // The sweep claims writers, too.
        let mut own = self.own.lock();
        let row = match self.registry.newest(&id) {
            Some(row) => self.registry.claim(&row, start)?,
            None => self.registry.create(WriterId { id, epoch: 1 }, start, None)?,
        };
        self.world.store.durable()?;
        own.sweep.settled.insert(row.number);
        drop(own);
        if self.is_shared() {
            // Another node may have counted it, and swept it, up to boundaries that are later than ours.
            self.refresh_writers()?;
        }
        let (kept, resume) = decode_resume(&row.resume).map_err(|error| Error::Corrupt(error.to_string()))?;
        let ledger = ledger::of_writer(self.world.store.as_ref(), row.number)?;
        let mut core = self.core.lock();
        core.foreign = self.registry.foreign();
        core.namespaces.raise(&kept);
        // What was loaded before knew nothing of this writer's cells.
        core.stamp.others_moved();
        drop(core);
        Ok(SourceWriter {
            row,
            source: source.to_owned(),
            ledger,
            resume,
        })
    }

    /// Whether a source has a writer already.
    pub fn knows_source(&self, source: &str) -> bool {
        self.registry.newest(&format!("source:{source}")).is_some()
    }

    /// Brings a source's fold to the store: a round of its writer, cut at `cut`, the log's place after the last event of the fold.
    /// `resume`: what the caller wants to find again with that position. When this returns `Ok`, all of it is durable. After an
    /// error the writer must be opened again, and the log read from its applied position. Blocks.
    pub fn put_source(
        &self,
        writer: &mut SourceWriter,
        fold: &Fold,
        cut: Position,
        resume: &[u8],
    ) -> Result<(), Error> {
        if writer.row.pending.is_some_and(|pending| pending != cut) {
            return Err(Error::Invalid(format!(
                "the open round of {} must be repeated to the same cut first",
                writer.source
            )));
        }
        if cut <= writer.row.applied {
            return Err(Error::Invalid(format!(
                "{} is applied up to {} already",
                writer.source, writer.row.applied
            )));
        }
        if let Some(key) = self.first_strong(fold) {
            return Err(Error::Conflict(format!(
                "the rules of {} count into {key:?}, which is a strong counter; only adds of their own can change those, and nothing of this part of the source was counted",
                writer.source
            )));
        }
        let mut own = self.own.lock();
        if self.registry.row(writer.row.number).map(|row| row.start) != Some(writer.row.start) {
            return Err(Error::Failed(format!(
                "the writer of {} was taken over by a later start; open it again, and go on from its applied position",
                writer.source
            )));
        }
        // Until this is through, what the row holds is in doubt.
        own.sweep.settled.remove(&writer.row.number);
        // Heads that this fold goes by may be in the journal only: they must be as durable as what is counted under them.
        let written = self.core.lock().tail.position();
        if !planted!(SourceUnsynced) {
            self.sync_to(written)?;
        }
        let (policies, kept) = self.source_policies(writer, fold)?;
        let repeats = writer.row.pending.is_some();
        if writer.row.pending.is_none() {
            let pending = WriterRow {
                pending: Some(cut),
                pending_resume: encode_resume(&kept, resume),
                ..writer.row.clone()
            };
            writer.row = self.registry.change(&writer.row, pending)?;
            self.world.store.durable()?;
        }
        let round = Cut {
            writer: writer.row.number,
            at: cut,
        };
        let put = self.put_rows_of(&mut own.flusher, writer, round, fold, &policies);
        // Whatever became of it, some of the rows may be in the store.
        self.forget_values(fold);
        put?;
        if repeats {
            // Names of an earlier try may have arrived after they were counted.
            own.flusher.census.restart();
        }
        let store: &dyn Store = self.world.store.as_ref();
        let resume_row = writer.row.pending_resume.clone();
        let applied = WriterRow {
            applied: cut,
            pending: None,
            resume: resume_row,
            pending_resume: Vec::new(),
            ..writer.row.clone()
        };
        writer.row = self.registry.change(&writer.row, applied)?;
        writer.resume = resume.to_vec();
        store.durable()?;
        own.sweep.settled.insert(writer.row.number);
        Ok(())
    }

    fn first_strong<'f>(&self, fold: &'f Fold) -> Option<&'f str> {
        let core = self.core.lock();
        let mut keys = fold.deltas.keys().map(|key| &**key);
        keys.find(|key| core.namespaces.is_strong(key.as_bytes()))
    }

    /// All rows of a round, durable when this returns.
    fn put_rows_of(
        &self,
        flusher: &mut Flusher,
        writer: &mut SourceWriter,
        cut: Cut,
        fold: &Fold,
        policies: &Policies,
    ) -> Result<(), Error> {
        self.put_fold(flusher, cut, fold, policies)?;
        let store: &dyn Store = self.world.store.as_ref();
        let subjects = subjects(writer, fold, policies);
        ledger::put_figures(store, cut, &subjects, &mut writer.ledger, Order::Any)?;
        Ok(store.durable()?)
    }

    /// Policies and boundaries as of this round's cut; a repeat goes by those that its row kept.
    fn source_policies(&self, writer: &SourceWriter, fold: &Fold) -> Result<(Policies, BTreeMap<String, Kept>), Error> {
        let mut core = self.core.lock();
        if writer.row.pending.is_some() {
            let (kept, _) =
                decode_resume(&writer.row.pending_resume).map_err(|error| Error::Corrupt(error.to_string()))?;
            core.namespaces.raise(&kept);
            // A namespace that was declared since then had no part in this round.
            let of_cut = |one: &Namespace| {
                let kept = kept.get(&one.name)?;
                Some((one.name.clone(), one.policy.clone(), kept.boundaries))
            };
            let list = core.namespaces.iter().filter_map(of_cut).collect();
            return Ok((Policies { list }, kept));
        }
        for (key, delta) in &fold.deltas {
            let Some(newest) = delta.minutes.iter().map(|(minute, _)| minute).max() else {
                continue;
            };
            let index = core.namespaces.of(key);
            if let Some(namespace) = core.namespaces.get_mut(index) {
                namespace.newest = namespace.newest.max(newest);
            }
        }
        core.namespaces.move_boundaries();
        let list = core
            .namespaces
            .iter()
            .map(|one| (one.name.clone(), one.policy.clone(), one.boundaries))
            .collect();
        Ok((Policies { list }, core.namespaces.kept_of_all()))
    }

    fn put_fold(&self, flusher: &mut Flusher, cut: Cut, fold: &Fold, policies: &Policies) -> Result<(), Error> {
        let mut entries: Vec<(u16, u32, &str, &Delta)> = fold
            .deltas
            .iter()
            .map(|(key, delta)| {
                (
                    tally_counter::Slot::of(key.as_bytes()).number(),
                    tally_counter::slot_hash(key.as_bytes()),
                    &**key,
                    delta,
                )
            })
            .collect();
        entries.sort_unstable_by_key(|(slot, hash, key, _)| (*slot, *hash, *key));
        for chunk in entries.chunks(CHUNK) {
            let heads = self.unflushed_heads(chunk.iter().map(|(.., key, _)| *key))?;
            let mut items = Vec::with_capacity(chunk.len());
            for ((.., name, delta), head) in chunk.iter().zip(heads) {
                let Ok(key) = Key::new(name.as_bytes()) else { continue };
                let Some((policy, boundaries)) = policies.of(name) else {
                    continue;
                };
                if head.is_some() {
                    flusher.forget(name);
                }
                items.push(Item {
                    key,
                    delta,
                    head,
                    policy,
                    boundaries,
                    again: false,
                    known: None,
                });
            }
            flusher
                .put(self.world.store.as_ref(), cut, &items, Order::Any, false)
                .map_err(flush_error)?;
        }
        Ok(())
    }

    /// The heads that memory has of some counters: the store may lack the newest. They are in the journal when this returns: what is
    /// counted under a head must not outlive it.
    fn unflushed_heads<'k>(
        &self,
        keys: impl Iterator<Item = &'k str>,
    ) -> Result<Vec<Option<tally_counter::Head>>, Error> {
        let core = self.core.lock();
        let heads = keys.map(|key| {
            let counter = core.find(key).and_then(|id| core.table.get(id))?;
            counter.head().cloned()
        });
        let heads: Vec<Option<tally_counter::Head>> = heads.collect();
        let written = core.tail.position();
        drop(core);
        if heads.iter().any(Option::is_some) && !planted!(SourceUnsynced) {
            self.sync_to(written)?;
        }
        Ok(heads)
    }

    /// What memory knew of the counters of a fold is old now: the next read asks the store.
    fn forget_values(&self, fold: &Fold) {
        for chunk in fold.deltas.keys().collect::<Vec<_>>().chunks(CHUNK) {
            let mut core = self.core.lock();
            for key in chunk {
                if let Some(id) = core.find(key).filter(|_| !planted!(ValueRemembered)) {
                    core.table.set_loaded(id, false);
                }
            }
            core.stamp.others_moved();
        }
    }
}

/// The figures of a fold, of its source and of the namespaces of its cut.
fn subjects(writer: &SourceWriter, fold: &Fold, policies: &Policies) -> BTreeMap<Subject, Figures> {
    let mut subjects: BTreeMap<Subject, Figures> = BTreeMap::new();
    for (prefix, figures) in &fold.adds {
        let declared = policies.list.iter().any(|(name, ..)| name.as_str() == &**prefix);
        let name = if declared { prefix } else { namespaces::DEFAULT };
        subjects
            .entry(Subject::Namespace(name.to_owned()))
            .or_default()
            .absorb(figures);
    }
    if !fold.source.is_empty() {
        subjects.insert(Subject::Source(writer.source.clone()), fold.source.clone());
    }
    subjects
}

/// What a source's row keeps, from any bytes: encoded and decoded again it is the same.
#[cfg(feature = "fuzz")]
pub(crate) fn fuzz_resume(bytes: &[u8]) {
    if let Ok((kept, caller)) = decode_resume(bytes) {
        assert_eq!(decode_resume(&encode_resume(&kept, &caller)), Ok((kept, caller)));
    }
}
