//! What of one counter's rows may go: windows before the boundary, whose amounts move into `left`, and rows of lives before the one that
//! its stored head says. Only reads; guards that each row goes at the position it was read at (rule 14).

use std::collections::BTreeMap;

use tally_counter::{
    CounterRow, Head, Key, Left, Minute, Position, Step, Window, WriterNumber, counter_prefix, planted, row_key,
};
use tally_store::{Batch, Range, Row, Store, StoreError, Table};

use crate::Error;
use crate::engine::Engine;
use crate::namespaces::Boundaries;
use crate::round::Own;

/// What is to be done about some counters.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    /// Rows of what left, to be put first.
    pub(crate) lefts: Batch,
    /// Windows to be removed then.
    pub(crate) windows: Batch,
    /// Cells and rows of what left of ended lives, to be removed last: they show that there may be windows of these lives, too.
    pub(super) rows: Batch,
    /// The counters whose `left` moves.
    pub(crate) folded: Vec<Box<str>>,
    /// How many rows of windows that takes in.
    pub(crate) folded_windows: u64,
    /// Heads that nothing stands behind.
    pub(super) tombstones: Vec<(Box<str>, Head)>,
    /// Counters of which more may go.
    pub(crate) again: Vec<Box<str>>,
}

/// So many rows of windows of a counter and step are read at a time.
const WINDOWS: usize = 4_096;

/// The rows of a counter in [`Table::Counters`], those of its newest life and whether there are others.
#[derive(Default)]
struct Found {
    head: Option<Head>,
    lefts: Vec<(Step, WriterNumber, Left)>,
    live: bool,
    dead: Batch,
}

impl Found {
    fn life(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.generation.life)
    }
}

/// Windows of one writer before the boundary.
#[derive(Default)]
struct Before {
    sum: i128,
    taken: u64,
    newest: Position,
    rows: Batch,
}

impl Engine {
    /// Notes what of a counter's rows may go.
    pub(super) fn look_at(
        &self,
        own: &mut Own,
        key: Key<'_>,
        boundaries: Boundaries,
        chores: &mut Chores,
    ) -> Result<(), Error> {
        let store = self.world.store.as_ref();
        let found = rows_of(store, key)?;
        let whole = found.life() == 0 || dead_windows(store, key, found.life(), &mut chores.windows)?;
        if !whole {
            chores.again.push(key.as_str().into());
        } else if !found.dead.is_empty() {
            found.dead.rows().for_each(|row| chores.rows.push(row));
        }
        for (step, boundary) in Step::ALL.into_iter().zip(boundaries) {
            if boundary > Minute(0) {
                self.fold(own, key, &found, (step, boundary), chores)?;
            }
        }
        let head = found.head.filter(|head| !head.created && !found.live);
        if let Some(head) = head.filter(|_| whole && store.forgets()) {
            if found.dead.is_empty() {
                chores.tombstones.push((key.as_str().into(), head));
            } else {
                chores.again.push(key.as_str().into());
            }
        }
        Ok(())
    }

    /// Windows of a step before the boundary, of writers that are whole.
    fn fold(
        &self,
        own: &mut Own,
        key: Key<'_>,
        found: &Found,
        until: (Step, Minute),
        chores: &mut Chores,
    ) -> Result<(), Error> {
        let store = self.world.store.as_ref();
        let whole = &mut |writer| self.whole_up_to(own, writer);
        fold(store, key, found, until, whole, chores)
    }
}

/// Notes the windows of a counter before these boundaries, where one writer is whole up to `at`.
pub(crate) fn leave(
    store: &dyn Store,
    key: Key<'_>,
    boundaries: Boundaries,
    at: Position,
    chores: &mut Chores,
) -> Result<(), Error> {
    let found = rows_of(store, key)?;
    for (step, boundary) in Step::ALL.into_iter().zip(boundaries) {
        if boundary > Minute(0) {
            fold(store, key, &found, (step, boundary), &mut |_| Ok(Some(at)), chores)?;
        }
    }
    Ok(())
}

/// Windows of a step before the boundary: into `left` of their writers, as of the position up to which each is whole.
fn fold(
    store: &dyn Store,
    key: Key<'_>,
    found: &Found,
    (step, boundary): (Step, Minute),
    whole: &mut dyn FnMut(WriterNumber) -> Result<Option<Position>, Error>,
    chores: &mut Chores,
) -> Result<(), Error> {
    let (life, slot) = (found.life(), key.slot().number());
    let left_of = |writer: WriterNumber| {
        let left = found
            .lefts
            .iter()
            .find(|(of, whose, _)| (*of, *whose) == (step, writer));
        left.map(|(.., left)| *left)
    };
    let (until, before) = windows_before(store, key, (life, step), boundary, &|writer| {
        left_of(writer).map_or(Minute(0), |left| left.boundary)
    })?;
    let taken_before = chores.windows.len();
    let mut folds = false;
    for (writer, before) in before {
        let Some(at) = whole(writer)? else {
            continue;
        };
        let old = left_of(writer);
        let newest = old.map_or(Position::ZERO, |left| left.position).max(before.newest);
        if newest > at {
            return Err(Error::Corrupt(format!(
                "counter {key:?}: its history of writer {} is at {newest}, the writer only at {at}",
                writer.0
            )));
        }
        before.rows.rows().for_each(|row| chores.windows.push(row));
        if before.taken == 0 {
            continue;
        }
        let left = Left {
            position: at,
            boundary: until,
            amount: old.map_or(0, |left| left.amount).saturating_add(before.sum),
        };
        let row = CounterRow::Left { life, step, writer };
        chores.lefts.push_with(
            Table::Counters,
            slot,
            at.number(),
            |out| row_key(key, row, out),
            |out| left.encode(out),
        );
        chores.folded_windows = chores.folded_windows.saturating_add(before.taken);
        folds = true;
    }
    if folds {
        chores.folded.push(key.as_str().into());
    }
    if until < boundary && chores.windows.len() > taken_before {
        chores.again.push(key.as_str().into());
    }
    Ok(())
}

fn prefix_of(key: Key<'_>) -> Vec<u8> {
    let mut prefix = Vec::new();
    counter_prefix(key, &mut prefix);
    prefix
}

fn rows_of(store: &dyn Store, key: Key<'_>) -> Result<Found, StoreError> {
    let prefix = prefix_of(key);
    let range = Range {
        table: Table::Counters,
        slot: key.slot().number(),
        prefix: &prefix,
        from: &[],
        limit: usize::MAX,
    };
    let mut found = Found::default();
    store.scan(&[range], &mut |_, row| {
        match CounterRow::decode(row.address.key)?.1 {
            // The head is a counter's first row.
            CounterRow::Head => found.head = Some(Head::decode(row.value)?),
            CounterRow::Cell { life, .. } | CounterRow::Left { life, .. }
                if life < found.life().saturating_add(u64::from(planted!(LiveLifeSwept))) =>
            {
                found.dead.push(Row { value: &[], ..row });
            }
            CounterRow::Left { life, step, writer } => {
                found.live = true;
                // A life after the head's: its head was not put yet.
                if life == found.life() {
                    found.lefts.push((step, writer, Left::decode(row.position, row.value)?));
                }
            }
            _ => found.live = true,
        }
        Ok(())
    })?;
    Ok(found)
}

/// Windows of lives before this one, oldest first; whether these are all.
fn dead_windows(store: &dyn Store, key: Key<'_>, life: u64, dead: &mut Batch) -> Result<bool, StoreError> {
    let prefix = prefix_of(key);
    let range = Range {
        table: Table::Windows,
        slot: key.slot().number(),
        prefix: &prefix,
        from: &[],
        limit: WINDOWS,
    };
    let mut rows = 0_usize;
    store.scan(&[range], &mut |_, row| {
        if let CounterRow::Window { life: of, .. } = CounterRow::decode(row.address.key)?.1
            && of < life
        {
            rows = rows.saturating_add(1);
            dead.push(Row { value: &[], ..row });
        }
        Ok(())
    })?;
    Ok(rows < WINDOWS)
}

/// The windows of a life and step before a boundary, by writer; those that its `left` has taken in already are only to be removed.
/// Answers the boundary that these are all before: an earlier one where there are too many for once.
fn windows_before(
    store: &dyn Store,
    key: Key<'_>,
    (life, step): (u64, Step),
    boundary: Minute,
    taken_in: &dyn Fn(WriterNumber) -> Minute,
) -> Result<(Minute, BTreeMap<WriterNumber, Before>), StoreError> {
    let mut prefix = prefix_of(key);
    CounterRow::window_prefix(life, step, &mut prefix);
    let range = |limit| Range {
        table: Table::Windows,
        slot: key.slot().number(),
        prefix: &prefix,
        from: &[],
        limit,
    };
    let mut found = windows_of(store, range(WINDOWS), step, boundary)?;
    if found.until < boundary && found.all.first().is_none_or(|first| first.start >= found.until) {
        // One chunk of more writers than that: then all at once.
        found = windows_of(store, range(usize::MAX), step, boundary)?;
    }
    let mut before = BTreeMap::<WriterNumber, Before>::new();
    for (window, row) in found.all.iter().zip(found.rows.rows()) {
        if window.start < found.until {
            let taken_in = window.start < taken_in(window.writer);
            before.entry(window.writer).or_default().take(window, row, taken_in);
        }
    }
    Ok((found.until, before))
}

/// A row of windows before the boundary.
struct OneWindow {
    writer: WriterNumber,
    start: Minute,
    position: Position,
    sum: i128,
}

/// Rows of windows before the boundary, and up to where these are all.
struct Windows {
    all: Vec<OneWindow>,
    rows: Batch,
    until: Minute,
}

fn windows_of(store: &dyn Store, range: Range<'_>, step: Step, boundary: Minute) -> Result<Windows, StoreError> {
    let (mut read, mut last) = (0_usize, Minute(0));
    let (mut all, mut rows) = (Vec::new(), Batch::new());
    store.scan(&[range], &mut |_, row| {
        let CounterRow::Window { chunk, writer, .. } = CounterRow::decode(row.address.key)?.1 else {
            return Ok(());
        };
        read = read.saturating_add(1);
        last = step.chunk_start(chunk);
        if last < boundary {
            let window = Window::decode(row.position, row.value, step)?;
            // Within 128 bits: sums of fewer than 2^64 adds of 64 bits.
            let sum = window
                .amounts()
                .fold(0_i128, |sum, (_, amount)| sum.saturating_add(amount));
            all.push(OneWindow {
                writer,
                start: last,
                position: window.position,
                sum,
            });
            rows.push(Row { value: &[], ..row });
        }
        Ok(())
    })?;
    // The last chunk may go on behind the end of what was read.
    let until = if read < range.limit {
        boundary
    } else {
        boundary.min(last)
    };
    Ok(Windows { all, rows, until })
}

impl Before {
    fn take(&mut self, window: &OneWindow, row: Row<'_>, taken_in: bool) {
        self.newest = self.newest.max(window.position);
        self.rows.push(row);
        if !taken_in {
            self.sum = self.sum.saturating_add(window.sum);
            self.taken = self.taken.saturating_add(1);
        }
    }
}
