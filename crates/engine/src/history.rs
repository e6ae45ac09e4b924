//! Reads windows: what the store has of all summed writers, and what the rounds under way add. `counted = left + windows`, in any
//! step (rules 15 to 18).

use std::collections::BTreeMap;

use tally_counter::{
    Chunk, CounterRow, Delta, Ends, Head, Keep, Key, Left, Minute, Position, Step, Window, WriterNumber,
    counter_prefix, planted,
};
use tally_store::{Range, Store, Table};

use crate::Error;
use crate::core::{Core, Stamp};
use crate::engine::Engine;
use crate::flush::has_left;
use crate::load;
use crate::namespaces::Boundaries;
use crate::registry::Registry;
use crate::view::HistoryView;

/// The windows of one counter and step, and what left them, by writer.
#[derive(Debug, Default)]
pub(crate) struct StepRead {
    /// The sums of summed writers, by window start.
    pub(crate) windows: BTreeMap<Minute, i128>,
    /// What left the retention, of summed writers.
    pub(crate) left: i128,
    /// How many chunks were read.
    pub(crate) chunks: usize,
    /// The windows from here on are all there: the boundary may move while they are read.
    kept_from: Minute,
}

impl StepRead {
    /// What stored rows come to.
    pub(crate) fn of_rows(rows: &[(WriterNumber, Chunk, Window)], lefts: &[(WriterNumber, Left)], step: Step) -> Self {
        let mut read = Self::default();
        let boundary_of = |writer: WriterNumber| {
            lefts
                .iter()
                .find(|(of, _)| *of == writer)
                .map_or(Minute(0), |(_, left)| left.boundary)
        };
        for (writer, chunk, window) in rows {
            read.chunks = read.chunks.saturating_add(1);
            if step.chunk_start(*chunk) < boundary_of(*writer) {
                continue;
            }
            for (place, amount) in window.amounts() {
                add(&mut read.windows, step.window_start(*chunk, place), amount);
            }
        }
        read.left = lefts.iter().fold(0, |sum, (_, left)| sum.saturating_add(left.amount));
        read
    }
}

impl Engine {
    /// The windows of a counter that begin in `from..to`. Blocks.
    pub fn history(&self, key: Key<'_>, step: Step, from: Minute, to: Minute) -> Result<HistoryView, Error> {
        let read = self.read_step(key, step, Some(from), to)?;
        let kept_from = read.kept_from;
        let windows = read
            .windows
            .into_iter()
            .filter(|(start, _)| *start >= from && *start < to && *start >= kept_from)
            .collect();
        Ok(HistoryView { windows, kept_from })
    }

    /// Windows of this step before this minute have left the retention of a counter's namespace. Looks at nothing but memory.
    pub fn kept_from(&self, key: Key<'_>, step: Step) -> Minute {
        self.core.lock().in_memory(key, step).boundary
    }

    /// Reads a step's windows whose chunk may hold starts in `from..to`, and what the rounds under way add to them.
    pub(crate) fn read_step(
        &self,
        key: Key<'_>,
        step: Step,
        from: Option<Minute>,
        to: Minute,
    ) -> Result<StepRead, Error> {
        if self.strong_part(key).is_some() {
            return self.read_strong_step(key, step, from, to);
        }
        for _ in 0..ATTEMPTS {
            let before = self.core.lock().in_memory(key, step);
            let own = self.registry.own();
            let head = stored_head(self.world.store.as_ref(), key)?;
            let life = before.life(head.as_ref());
            let (rows, lefts) = stored_windows(self.world.store.as_ref(), &self.registry, key, step, life, from, to)?;
            // What memory holds is looked at after the rows: a round that was cut meanwhile is told by its cut in them.
            let memory = self.core.lock().in_memory(key, step);
            let (before, memory) = if planted!(HistoryAcrossCut) {
                (memory, before)
            } else {
                (before, memory)
            };
            if memory.stamp != before.stamp || memory.life(head.as_ref()) != life {
                // A round ended in between, and what was read may lack what memory no longer has; or the life ended.
                continue;
            }
            let InMemory {
                closing,
                open,
                boundary,
                cut_boundary,
                off,
                ..
            } = memory;
            let mut read = StepRead::of_rows(&rows, &lefts, step);
            read.kept_from = boundary;
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
}

pub(crate) fn stored_head(store: &dyn Store, key: Key<'_>) -> Result<Option<Head>, Error> {
    let snapshots = load::point_reads(store, &[key], &[])?;
    Ok(snapshots.into_iter().next().and_then(|snapshot| snapshot.head))
}

/// The window rows of a life and step in a range, and the rows of what left, of all summed writers.
pub(crate) fn stored_windows(
    store: &dyn Store,
    registry: &Registry,
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
    let (mut rows, mut lefts) = (Vec::new(), Vec::new());
    let range = |table, prefix, from| Range {
        table,
        slot,
        prefix,
        from,
        limit: usize::MAX,
    };
    // Windows first: one that is removed meanwhile is in what left by then, and one that was taken in meanwhile is skipped.
    store.scan(&[range(Table::Windows, &prefix, &start)], &mut |_, row| {
        if let CounterRow::Window { chunk, writer, .. } = CounterRow::decode(row.address.key)?.1
            && registry.is_summed(writer)
            && step.chunk_start(chunk) < to
        {
            rows.push((writer, chunk, Window::decode(row.position, row.value, step)?));
        }
        Ok(())
    })?;
    store.scan(&[range(Table::Counters, &left_prefix, &[])], &mut |_, row| {
        if let CounterRow::Left { writer, .. } = CounterRow::decode(row.address.key)?.1
            && registry.is_summed(writer)
        {
            lefts.push((writer, Left::decode(row.position, row.value)?));
        }
        Ok(())
    })?;
    Ok((rows, lefts))
}

/// What memory holds of a counter's step.
struct InMemory {
    stamp: Stamp,
    /// The fold of the round that is on its way, with its cut.
    closing: Option<(Position, Delta)>,
    open: Option<Delta>,
    boundary: Minute,
    /// A closing round goes by the boundaries of its cut, which a source may have moved on since.
    cut_boundary: Minute,
    /// The step is not kept.
    off: bool,
}

impl InMemory {
    /// The life that is counted, by the newest head there is.
    fn life(&self, stored: Option<&Head>) -> u64 {
        let open = self.open.as_ref().and_then(|delta| delta.head.as_deref());
        let newest = open.or_else(|| self.closing.as_ref().and_then(|(_, delta)| delta.head.as_deref()));
        load::newest(newest, stored).map_or(0, |head| head.generation.life)
    }
}

impl Core {
    fn in_memory(&self, key: Key<'_>, step: Step) -> InMemory {
        let (closing, open) = self.unflushed(key.as_str());
        let namespace = self.namespaces.get(self.namespaces.of(key.as_str()));
        let of_step = |kept: Boundaries| kept.get(usize::from(step.code())).copied();
        let boundary = namespace.and_then(|namespace| of_step(namespace.boundaries));
        let boundary = boundary.unwrap_or_default();
        let cut = self
            .closing
            .as_ref()
            .and_then(|closing| closing.policies.of(key.as_str()));
        InMemory {
            stamp: self.stamp,
            closing,
            open,
            boundary,
            cut_boundary: cut.and_then(|(_, kept)| of_step(kept)).unwrap_or(boundary),
            off: namespace.is_some_and(|namespace| namespace.policy.history.keep(step) == Keep::Off),
        }
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
