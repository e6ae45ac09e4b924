//! Windows of strong counters that have left the retention: found by a walk of its own, moved into `left` and removed by a batch of their own,
//! which like every other goes by the partition's version (rules 18 and 22). At leisure: readers skip what is before the boundary.
//!
//! Guards: a batch of windows has a position that no turn's batch has, and holds nothing that turns have changed meanwhile.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::atomic::Ordering;

use tally_counter::{CounterRow, Key, Position};
use tally_store::{Order, Store, StoreError, Table};

use crate::core::Core;
use crate::engine::Engine;
use crate::sweep::{Chores, leave};
use crate::{Error, entry};

use super::commit::{End, Next};
use super::part::{Known, Part, State};
use super::{PartRows, StrongPart, Version, read_row};

/// Rows of one slice of the walk.
const ROWS: usize = 2_000;
/// Counters of one batch.
const AT_ONCE: usize = 64;
/// Counters of a partition that wait; the next walk finds the others.
const WAITING: usize = 10_000;
/// The time between two walks, where a boundary has moved, and at most.
const REST_US: u64 = 60_000_000;
const DAY_US: u64 = 86_400_000_000;

/// How far the walk has come.
#[derive(Debug, Default)]
pub(super) struct Walk {
    cursor: Vec<u8>,
    under_way: bool,
    ended_us: Option<u64>,
}

impl Engine {
    /// A slice of the walk that finds what may leave, where one is due. `at_once`: without a rest since the last.
    pub(crate) fn walk_strong(&self, at_once: bool) -> Result<(), Error> {
        if !self.any_strong() {
            return Ok(());
        }
        let mut walk = self.strong.walk.lock();
        let now_us = self.world.clock.monotonic_us();
        if !walk.under_way {
            let rested_us = walk.ended_us.map(|ended_us| now_us.saturating_sub(ended_us));
            let moved = self.strong.kept_moved.load(Ordering::Relaxed);
            let rest_us = match (moved, at_once) {
                (true, true) => 0,
                (true, false) => REST_US,
                (false, _) => DAY_US,
            };
            if rested_us.is_some_and(|rested_us| rested_us < rest_us) {
                return Ok(());
            }
            self.strong.kept_moved.store(false, Ordering::Relaxed);
            walk.under_way = true;
        }
        let (found, next) = self.leaving(&walk.cursor)?;
        for (part, names) in found {
            self.let_leave(StrongPart(part), names);
        }
        walk.under_way = next.is_some();
        walk.cursor = next.unwrap_or_default();
        if !walk.under_way {
            walk.ended_us = Some(now_us);
        }
        Ok(())
    }

    /// The counters of a stretch of all partitions that have windows before their boundaries, by partition; where to go on.
    #[expect(clippy::type_complexity, reason = "a map and a cursor, for one caller")]
    fn leaving(&self, cursor: &[u8]) -> Result<(BTreeMap<u16, BTreeSet<Box<str>>>, Option<Vec<u8>>), Error> {
        let store = self.world.store.as_ref();
        let mut oldest: BTreeMap<(u16, Box<str>), [Option<tally_counter::Minute>; 3]> = BTreeMap::new();
        let next = store.walk(Table::Strong, cursor, ROWS, &mut |_, row| {
            let part = Table::Strong.partition(row.address.slot);
            let Some(row) = read_row(row)?.filter(|row| row.address.table == Table::Windows) else {
                return Ok(());
            };
            let (key, kind) = CounterRow::decode(row.address.key)?;
            if let CounterRow::Window { step, chunk, .. } = kind {
                let start = step.chunk_start(chunk);
                let met = oldest.entry((part, key.as_str().into())).or_default();
                if let Some(oldest) = met.get_mut(usize::from(step.code())) {
                    *oldest = Some(oldest.map_or(start, |oldest| oldest.min(start)));
                }
            }
            Ok(())
        })?;
        let mut versions: BTreeMap<u16, Version> = BTreeMap::new();
        let mut found: BTreeMap<u16, BTreeSet<Box<str>>> = BTreeMap::new();
        for ((part, name), oldest) in oldest {
            let version = match versions.entry(part) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(PartRows::of(store, part).version()?.0),
            };
            let Ok(key) = Key::new(name.as_bytes()) else { continue };
            let boundaries = version.boundaries(&self.namespace_of(key));
            let leaves = oldest
                .iter()
                .zip(boundaries)
                .any(|(oldest, boundary)| oldest.is_some_and(|oldest| oldest < boundary));
            if leaves {
                found.entry(part).or_default().insert(name);
            }
        }
        Ok((found, next))
    }

    /// These counters wait for a batch of their windows.
    fn let_leave(&self, part: StrongPart, names: BTreeSet<Box<str>>) {
        let mut state = self.strong.part(part).state.lock();
        let room = WAITING.saturating_sub(state.leaving.len());
        state.leaving.extend(names.into_iter().take(room));
        if !state.queued && !state.busy {
            state.queued = true;
            self.strong.enqueue(part);
        }
    }

    /// Moves some windows that wait for it out of a partition. What is not done is found again.
    pub(super) fn leave_part(&self, part: &Part) {
        if part.state.lock().leaving.is_empty() {
            return;
        }
        if let Err(error) = self.leave_some(part) {
            tracing::debug!(%error, "windows of strong counters stay until the next walk");
        }
    }

    fn leave_some(&self, part: &Part) -> Result<(), Error> {
        let mut writing = part.writing.lock();
        let rows = PartRows::new(self.world.store.as_ref(), part.slot);
        if part.state.lock().known.is_none() {
            super::part::open(part, &rows, &mut writing, self.registry.own().0)?;
        }
        let Some((known, names, at)) = self.begin_leaving(part)? else {
            return Ok(());
        };
        let mut chores = Chores::default();
        let noted = self.note_leaving(&rows, &known, &names, at, &mut chores);
        let end = match noted {
            Ok(()) if chores.windows.is_empty() => End::Read,
            Ok(()) => {
                let next = Next {
                    position: at,
                    kept: known.version.kept.clone(),
                };
                self.send(&rows, part.slot, &known, &next, rows.take())
            }
            Err(_) => End::Read,
        };
        let done = matches!(end, End::Newest(_));
        self.end_leaving(part, &mut writing, end, &chores);
        noted?;
        if done {
            let count = |rows: usize| u64::try_from(rows).unwrap_or(u64::MAX);
            self.figures
                .swept_rows
                .fetch_add(count(chores.windows.len()), Ordering::Relaxed);
            self.figures
                .folded_windows
                .fetch_add(chores.folded_windows, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes some of those that wait, and a position for their batch: behind all that turns have taken, and before all that they will.
    #[expect(
        clippy::type_complexity,
        reason = "three things that go into one batch, for one caller"
    )]
    fn begin_leaving(&self, part: &Part) -> Result<Option<(Known, Vec<Box<str>>, Position)>, Error> {
        let now_ms = self.world.clock.now_ms();
        let mut core = part.core.lock();
        let mut state = part.state.lock();
        let Some(known) = state.known.clone() else {
            return Ok(None);
        };
        let mut names = Vec::new();
        while names.len() < AT_ONCE
            && let Some(name) = state.leaving.pop_first()
        {
            names.push(name);
        }
        let at = nothing(&mut core, now_ms)?;
        // The next batch of turns is cut behind it.
        nothing(&mut core, now_ms)?;
        state.busy = true;
        Ok(Some((known, names, at)))
    }

    fn note_leaving(
        &self,
        rows: &PartRows<'_>,
        known: &Known,
        names: &[Box<str>],
        at: Position,
        chores: &mut Chores,
    ) -> Result<(), Error> {
        for name in names {
            let Ok(key) = Key::new(name.as_bytes()) else { continue };
            let boundaries = known.version.boundaries(&self.namespace_of(key));
            leave(rows, key, boundaries, at, chores)?;
        }
        rows.put(&chores.lefts, Order::Any).map_err(Error::from)?;
        rows.remove(&chores.windows).map_err(Error::from)
    }

    fn end_leaving(&self, part: &Part, writing: &mut super::part::Writing, end: End, chores: &Chores) {
        let mut core = part.core.lock();
        let mut state = part.state.lock();
        state.busy = false;
        let again = match end {
            End::Newest(known) => {
                state.known = Some(known);
                for name in &chores.folded {
                    writing.flusher.forget(name);
                }
                state.leaving.extend(chores.again.iter().cloned());
                Vec::new()
            }
            End::Read => Vec::new(),
            // Another node was first, or nobody knows: what turns took on it is taken again.
            _ => {
                writing.flusher.forget_all();
                Part::forget(&mut core, &mut state);
                std::mem::take(&mut state.waiting)
            }
        };
        self.go_on(part, &mut state);
        drop((state, core));
        super::commit::settle(&again, &super::Settled::Again);
    }

    /// Has what waits for a partition be committed.
    pub(super) fn go_on(&self, part: &Part, state: &mut State) {
        if !state.waiting.is_empty() || !state.leaving.is_empty() {
            state.queued = true;
            self.strong.enqueue(StrongPart(part.number));
        }
    }
}

/// An entry that says nothing, for its position.
fn nothing(core: &mut Core, now_ms: u64) -> Result<Position, Error> {
    entry::begin(core.tail.entry(), now_ms);
    let position = core.tail.finish().map_err(|error| Error::Failed(error.to_string()))?;
    position.ok_or_else(|| StoreError::Refused("an entry was not begun".to_owned()).into())
}
