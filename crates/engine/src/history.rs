//! Reads windows: what the store has of all summed writers, and what the rounds under way add. `counted = left + windows`, in any
//! step (rules 15 to 18).

use std::collections::BTreeMap;

use tally_counter::{
    Chunk, CounterRow, Delta, Ends, Generation, Head, Key, Left, Minute, Step, Window, WriterNumber, counter_prefix,
};
use tally_store::{Range, Table};

use crate::Error;
use crate::engine::Engine;
use crate::flush::has_left;
use crate::load;
use crate::view::{Extent, HistoryView};

/// The windows of one counter and step, and what left them, by writer.
#[derive(Debug, Default)]
pub(crate) struct StepRead {
    /// The sums of summed writers, by window start.
    pub(crate) windows: BTreeMap<Minute, i128>,
    /// What left the retention, of summed writers.
    pub(crate) left: i128,
    /// How many chunks were read.
    pub(crate) chunks: usize,
}

impl Engine {
    /// The windows of a counter that begin in `from..to`. Blocks.
    pub fn history(&self, key: Key<'_>, step: Step, from: Minute, to: Minute) -> Result<HistoryView, Error> {
        let kept_from = self.kept_from(key, step);
        let read = self.read_step(key, step, Some(from), to)?;
        let windows = read
            .windows
            .into_iter()
            .filter(|(start, _)| *start >= from && *start < to && *start >= kept_from)
            .collect();
        Ok(HistoryView { windows, kept_from })
    }

    /// Where a counter's windows of a step begin and end; `None` if it has none. Blocks.
    pub fn extent(&self, key: Key<'_>, step: Step) -> Result<Option<Extent>, Error> {
        let kept_from = self.kept_from(key, step);
        let read = self.read_step(key, step, None, Minute(u32::MAX))?;
        let mut starts = read.windows.into_keys().filter(|start| *start >= kept_from);
        let first = starts.next();
        Ok(first.map(|first| Extent {
            first,
            last: starts.next_back().unwrap_or(first),
        }))
    }

    fn kept_from(&self, key: Key<'_>, step: Step) -> Minute {
        let core = self.core.lock();
        let namespace = core.namespaces.get(core.namespaces.of(key.as_str()));
        namespace
            .and_then(|namespace| namespace.boundaries.get(usize::from(step.code())).copied())
            .unwrap_or_default()
    }

    /// Reads a step's windows whose chunk may hold starts in `from..to`, and what the rounds under way add to them.
    pub(crate) fn read_step(
        &self,
        key: Key<'_>,
        step: Step,
        from: Option<Minute>,
        to: Minute,
    ) -> Result<StepRead, Error> {
        for _ in 0..ATTEMPTS {
            let (stamp, closing, open, boundary, off, cut_boundary) = {
                let core = self.core.lock();
                let (closing, open) = core.unflushed(key.as_str());
                let namespace = core.namespaces.get(core.namespaces.of(key.as_str()));
                let boundary = namespace
                    .and_then(|namespace| namespace.boundaries.get(usize::from(step.code())).copied())
                    .unwrap_or_default();
                let off =
                    namespace.is_some_and(|namespace| namespace.policy.history.keep(step) == tally_counter::Keep::Off);
                // A closing round goes by the boundaries of its cut, which a source may have moved on since.
                let at_cut = core
                    .closing
                    .as_ref()
                    .and_then(|closing| closing.policies.of(key.as_str()));
                let at_cut = at_cut.and_then(|(_, kept)| kept.get(usize::from(step.code())).copied());
                (core.stamp, closing, open, boundary, off, at_cut.unwrap_or(boundary))
            };
            let own = self.registry.own();
            let head = self.stored_head(key)?;
            let newest = open.as_ref().and_then(|delta| delta.head.as_deref());
            let newest = newest.or_else(|| closing.as_ref().and_then(|(_, delta)| delta.head.as_deref()));
            let generation = load::newest(newest, head.as_ref()).map_or(Generation::default(), |head| head.generation);
            let mut read = StepRead::default();
            let (rows, lefts) = self.stored_windows(key, step, generation.life, from, to)?;
            if self.core.lock().stamp != stamp {
                // A round ended in between: what was read may lack what memory no longer has.
                continue;
            }
            let boundary_of = |writer: WriterNumber| {
                lefts
                    .iter()
                    .find(|(of, _)| *of == writer)
                    .map_or(Minute(0), |(_, left)| left.boundary)
            };
            for (writer, chunk, window) in &rows {
                read.chunks = read.chunks.saturating_add(1);
                if step.chunk_start(*chunk) < boundary_of(*writer) {
                    continue;
                }
                for (place, amount) in window.amounts() {
                    add(&mut read.windows, step.window_start(*chunk, place), amount);
                }
            }
            read.left = lefts.iter().fold(0, |sum, (_, left)| sum.saturating_add(left.amount));
            let ends = open.as_ref().map(|delta| delta.ends).unwrap_or_default();
            if let Some((cut, delta)) = closing.filter(|_| ends != Ends::Life) {
                let stored = |minute: Minute| {
                    let (chunk, _) = step.place(minute);
                    let row = rows.iter().find(|(writer, at, _)| *writer == own && *at == chunk);
                    let left = lefts.iter().find(|(writer, _)| *writer == own);
                    if has_left(step, minute, cut_boundary) {
                        left.is_some_and(|(_, left)| left.position == cut)
                    } else {
                        row.is_some_and(|(.., window)| window.position == cut)
                    }
                };
                add_delta(&mut read, &delta, step, cut_boundary, &|minute| off || stored(minute));
            }
            if let Some(delta) = open {
                add_delta(&mut read, &delta, step, boundary, &|_| off);
            }
            return Ok(read);
        }
        Err(Error::Unavailable(
            "rounds ended faster than the history could be read; try again".to_owned(),
        ))
    }

    pub(crate) fn stored_head(&self, key: Key<'_>) -> Result<Option<Head>, Error> {
        let snapshots = load::point_reads(self.world.store.as_ref(), &[key], &[])?;
        Ok(snapshots.into_iter().next().and_then(|snapshot| snapshot.head))
    }

    /// The window rows of a life and step in a range, and the rows of what left, of all summed writers.
    fn stored_windows(
        &self,
        key: Key<'_>,
        step: Step,
        life: u64,
        from: Option<Minute>,
        to: Minute,
    ) -> Result<StoredWindows, Error> {
        let slot = key.slot().number();
        let mut counter = Vec::new();
        counter_prefix(key, &mut counter);
        let mut prefix = counter.clone();
        CounterRow::window_prefix(life, step, &mut prefix);
        let mut start = prefix.clone();
        if let Some(from) = from {
            start.extend(step.place(from).0.0.to_be_bytes());
        }
        let mut left_prefix = counter;
        CounterRow::left_prefix(life, step, &mut left_prefix);
        let ranges = [
            Range {
                table: Table::Windows,
                slot,
                prefix: &prefix,
                from: &start,
                limit: usize::MAX,
            },
            Range {
                table: Table::Counters,
                slot,
                prefix: &left_prefix,
                from: &[],
                limit: usize::MAX,
            },
        ];
        let (mut rows, mut lefts) = (Vec::new(), Vec::new());
        self.world.store.scan(&ranges, &mut |_, row| {
            match CounterRow::decode(row.address.key)?.1 {
                CounterRow::Window { chunk, writer, .. }
                    if self.registry.is_summed(writer) && step.chunk_start(chunk) < to =>
                {
                    rows.push((writer, chunk, Window::decode(row.value, step)?));
                }
                CounterRow::Left { writer, .. } if self.registry.is_summed(writer) => {
                    lefts.push((writer, Left::decode(row.value)?));
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok((rows, lefts))
    }
}

/// The window rows of a step, and what left it, by writer.
type StoredWindows = (Vec<(WriterNumber, Chunk, Window)>, Vec<(WriterNumber, Left)>);

/// How often a read is tried again because a round ended meanwhile.
const ATTEMPTS: usize = 20;

fn add_delta(read: &mut StepRead, delta: &Delta, step: Step, boundary: Minute, skip: &dyn Fn(Minute) -> bool) {
    for (minute, amount) in delta.minutes.iter() {
        if skip(minute) {
            continue;
        }
        let (chunk, place) = step.place(minute);
        if has_left(step, minute, boundary) {
            read.left = read.left.saturating_add(amount);
        } else {
            add(&mut read.windows, step.window_start(chunk, place), amount);
        }
    }
}

fn add(windows: &mut BTreeMap<Minute, i128>, start: Minute, amount: i128) {
    let sum = windows.entry(start).or_default();
    *sum = sum.saturating_add(amount);
}
