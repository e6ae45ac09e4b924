//! Turns the fold of a round into rows. For each counter: read what the writer has stored (or remember it from the round before), add the
//! round's amounts, write the sum with the round's cut. What stands at the cut already is left alone, so that a repeat
//! writes the same again (rules 5, 6 and 15 to 18). Names and heads go before cells (rules 11 and 14).

use std::collections::HashMap;

use tally_counter::{
    Cell, Chunk, CounterRow, Delta, Generation, Head, Keep, Key, Left, Minute, Policy, Position, Step, Window,
    WriterNumber, row_key,
};
use tally_store::{Addresses, Batch, Order, Store, StoreError, Table};

use crate::census::Census;
use crate::load;
use crate::namespaces::Boundaries;

/// How many counters' rows are read and put at once.
pub(crate) const CHUNK: usize = 2_048;
/// How many counters' stored rows are remembered from round to round.
const CACHED_COUNTERS: usize = 200_000;

/// Whose round it is, and where it is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) writer: WriterNumber,
    pub(crate) at: Position,
}

/// One counter of a round.
pub(crate) struct Item<'a> {
    pub(crate) key: Key<'a>,
    pub(crate) delta: &'a Delta,
    /// The newest head, where the memory has one that the store may lack and the delta is not of its log.
    pub(crate) head: Option<Head>,
    pub(crate) policy: &'a Policy,
    pub(crate) boundaries: Boundaries,
}

/// What a writer has stored for a counter.
#[derive(Clone, Debug, Default)]
struct Stored {
    head: Option<Head>,
    cell: Option<Cell>,
    windows: Vec<(Step, Chunk, Window)>,
    lefts: Vec<(Step, Left)>,
}

/// Writes rounds. One at a time in a process.
pub(crate) struct Flusher {
    cache: HashMap<Box<str>, Stored>,
    pub(crate) census: Census,
    /// Rows put since the start.
    pub(crate) rows: u64,
}

/// Rows on their way: names and heads, which go first, then the rest.
#[derive(Default)]
struct Rows {
    first: Batch,
    second: Batch,
    /// Names of counters whose life ended, with the life.
    gone: Batch,
}

impl Flusher {
    pub(crate) fn new() -> Self {
        Self {
            cache: HashMap::new(),
            census: Census::default(),
            rows: 0,
        }
    }

    /// Forgets what it remembers of a counter: somebody else wrote its head.
    pub(crate) fn forget(&mut self, key: &str) {
        self.cache.remove(key);
    }

    /// Puts the rows of some counters. `cached`: the writer is this node's own, whose rows are remembered.
    pub(crate) fn put(
        &mut self,
        store: &dyn Store,
        cut: Cut,
        items: &[Item<'_>],
        order: Order,
        cached: bool,
    ) -> Result<(), FlushError> {
        let mut stored = self.read(store, cut.writer, items, cached)?;
        read_windows(store, cut.writer, items, &mut stored)?;
        read_lefts(store, cut.writer, items, &mut stored)?;
        let mut rows = Rows::default();
        for (item, stored) in items.iter().zip(&mut stored) {
            build(item, stored, cut, &mut rows)
                .map_err(|error| FlushError::Beyond(item.key.as_str().to_owned(), error))?;
        }
        self.census.note(store, &rows.first, &rows.gone)?;
        if let Err(error) = put_rows(store, &rows, order) {
            self.census.restart();
            return Err(error.into());
        }
        let count = rows.first.len().saturating_add(rows.second.len());
        self.rows = self.rows.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if cached {
            self.remember(items, stored);
        }
        Ok(())
    }

    fn remember(&mut self, items: &[Item<'_>], stored: Vec<Stored>) {
        if self.cache.len().saturating_add(items.len()) > CACHED_COUNTERS {
            self.cache.clear();
        }
        for (item, mut stored) in items.iter().zip(stored) {
            let life = stored.head.as_ref().map_or(0, |head| head.generation.life);
            if generation(item, stored.head.as_ref()).life != life {
                // A source has put a later life's head already: what was written is of the life before.
                continue;
            }
            // Of each step the newest chunk: the one that the next add will fall into.
            stored
                .windows
                .sort_by_key(|(step, chunk, _)| (*step, std::cmp::Reverse(*chunk)));
            stored.windows.dedup_by_key(|(step, ..)| *step);
            self.cache.insert(item.key.as_str().into(), stored);
        }
    }

    fn read(
        &mut self,
        store: &dyn Store,
        writer: WriterNumber,
        items: &[Item<'_>],
        cached: bool,
    ) -> Result<Vec<Stored>, StoreError> {
        let mut stored: Vec<Option<Stored>> = items
            .iter()
            .map(|item| {
                if cached {
                    self.cache.remove(item.key.as_str())
                } else {
                    None
                }
            })
            .collect();
        let missing: Vec<usize> = stored
            .iter()
            .enumerate()
            .filter(|(_, stored)| stored.is_none())
            .map(|(index, _)| index)
            .collect();
        let keys: Vec<Key<'_>> = missing
            .iter()
            .filter_map(|index| items.get(*index))
            .map(|item| item.key)
            .collect();
        let snapshots = load::point_reads(store, &keys, &[writer])?;
        for (index, snapshot) in missing.into_iter().zip(snapshots) {
            let Some((item, place)) = items.get(index).zip(stored.get_mut(index)) else {
                continue;
            };
            let life = generation(item, snapshot.head.as_ref()).life;
            let cell = snapshot
                .cells
                .iter()
                .find(|(_, of, _)| *of == life)
                .map(|(.., cell)| *cell);
            *place = Some(Stored {
                head: snapshot.head,
                cell,
                windows: Vec::new(),
                lefts: Vec::new(),
            });
        }
        Ok(stored.into_iter().map(Option::unwrap_or_default).collect())
    }
}

/// Names and heads first (rules 11 and 14).
fn put_rows(store: &dyn Store, rows: &Rows, order: Order) -> Result<(), StoreError> {
    store.put(&rows.first, order)?;
    store.put(&rows.second, order)?;
    store.remove(&rows.gone)
}

/// Why a round could not be put.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlushError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("counter {0:?}: {1}")]
    Beyond(String, tally_counter::Beyond),
}

/// The generation in force at the cut.
fn generation(item: &Item<'_>, stored: Option<&Head>) -> Generation {
    let own = item.delta.head.as_deref();
    let head = own.or_else(|| load::newest(item.head.as_ref(), stored));
    head.map_or(Generation::default(), |head| head.generation)
}

/// Reads the chunks that the round adds to. A counter that the writer has no cell of has no windows of it either.
fn read_windows(
    store: &dyn Store,
    writer: WriterNumber,
    items: &[Item<'_>],
    stored: &mut [Stored],
) -> Result<(), StoreError> {
    let mut addresses = Addresses::new();
    let mut owners = Vec::new();
    for (index, (item, stored)) in items.iter().zip(stored.iter()).enumerate() {
        if stored.cell.is_none() {
            continue;
        }
        let life = generation(item, stored.head.as_ref()).life;
        for (step, chunk) in chunks(item) {
            if stored.windows.iter().any(|(of, at, _)| (*of, *at) == (step, chunk)) {
                continue;
            }
            addresses.push_with(Table::Windows, item.key.slot().number(), |out| {
                row_key(
                    item.key,
                    CounterRow::Window {
                        life,
                        step,
                        chunk,
                        writer,
                    },
                    out,
                );
            });
            owners.push((index, step, chunk));
        }
    }
    store.get(&addresses, &mut |at, row| {
        let Some((index, step, chunk)) = owners.get(at) else {
            return Ok(());
        };
        let window = Window::decode(row.value, *step)?;
        if let Some(stored) = stored.get_mut(*index) {
            stored.windows.push((*step, *chunk, window));
        }
        Ok(())
    })
}

/// Reads what left the retention, of the steps where the round adds to that.
fn read_lefts(
    store: &dyn Store,
    writer: WriterNumber,
    items: &[Item<'_>],
    stored: &mut [Stored],
) -> Result<(), StoreError> {
    let mut addresses = Addresses::new();
    let mut owners = Vec::new();
    for (index, (item, stored)) in items.iter().zip(stored.iter()).enumerate() {
        let life = generation(item, stored.head.as_ref()).life;
        for (step, boundary) in Step::ALL.into_iter().zip(item.boundaries) {
            let leaves = item
                .delta
                .minutes
                .iter()
                .any(|(minute, _)| has_left(step, minute, boundary));
            if leaves && !stored.lefts.iter().any(|(of, _)| *of == step) {
                addresses.push_with(Table::Counters, item.key.slot().number(), |out| {
                    row_key(item.key, CounterRow::Left { life, step, writer }, out);
                });
                owners.push((index, step));
            }
        }
    }
    store.get(&addresses, &mut |at, row| {
        let Some((index, step)) = owners.get(at) else {
            return Ok(());
        };
        let left = Left::decode(row.value)?;
        if let Some(stored) = stored.get_mut(*index) {
            stored.lefts.push((*step, left));
        }
        Ok(())
    })
}

/// Whether an add at this minute no longer has a window: its chunk lies before the boundary.
pub(crate) fn has_left(step: Step, minute: Minute, boundary: Minute) -> bool {
    step.chunk_start(step.place(minute).0) < boundary
}

/// The chunks that a counter's round adds to, each once.
fn chunks(item: &Item<'_>) -> Vec<(Step, Chunk)> {
    let mut chunks = Vec::new();
    for (step, boundary) in Step::ALL.into_iter().zip(item.boundaries) {
        if item.policy.history.keep(step) == Keep::Off {
            continue;
        }
        for (minute, _) in item.delta.minutes.iter() {
            let chunk = step.place(minute).0;
            if !has_left(step, minute, boundary)
                && chunks.last() != Some(&(step, chunk))
                && !chunks.contains(&(step, chunk))
            {
                chunks.push((step, chunk));
            }
        }
    }
    chunks
}

/// Appends a counter's rows, and makes `stored` what the store has after them.
fn build(item: &Item<'_>, stored: &mut Stored, cut: Cut, rows: &mut Rows) -> Result<(), tally_counter::Beyond> {
    let Item { key, delta, .. } = item;
    let slot = key.slot().number();
    let mut generation = generation(item, stored.head.as_ref());
    if let Some(head) = delta.head.as_deref().or(item.head.as_ref()) {
        rows.first.push_with(
            Table::Counters,
            slot,
            head.generation.revision,
            |out| row_key(*key, CounterRow::Head, out),
            |out| head.encode(out),
        );
        if stored.head.as_ref().is_none_or(|old| old.generation < head.generation) {
            if stored.head.as_ref().map_or(0, |old| old.generation.life) < head.generation.life {
                stored.windows.clear();
                stored.lefts.clear();
                stored.cell = stored.cell.filter(|cell| cell.position == cut.at);
            }
            stored.head = Some(head.clone());
        }
    }
    if delta.head.is_none()
        && let Some(head) = &stored.head
    {
        if head.born_of(cut.writer) >= cut.at {
            // The life of all this had ended, with everything of this round seen (rule 12).
            return Ok(());
        }
        if head.seen_of(cut.writer) >= cut.at {
            // A SET had seen it: it is counted in the life, and no longer in the total.
            generation.n = stored.cell.map_or(generation.n.saturating_sub(1), |cell| cell.n);
        } else if let Some(cell) = stored
            .cell
            .filter(|cell| cell.position == cut.at && cell.n < generation.n)
        {
            // A SET had not seen it: the cell came late, after that had looked. It counts again, from this SET on.
            let again = Cell {
                n: generation.n,
                total: delta.total,
                ..cell
            };
            push_cell(item, (generation.life, cut.writer), again, &mut rows.second);
            stored.cell = Some(again);
        }
    }
    let created = delta.head.as_ref().is_some_and(|head| head.created);
    // A cell of this very round may have survived a crash that its name did not.
    let first = stored.cell.is_none_or(|cell| cell.position == cut.at);
    if (delta.touched && first) || created {
        rows.first.push_with(
            Table::Names,
            slot,
            generation.life,
            |out| out.extend_from_slice(key.as_bytes()),
            |_| {},
        );
    } else if delta.ends == tally_counter::Ends::Life && !delta.touched {
        let ended = generation.life.saturating_sub(1);
        rows.gone.push_with(
            Table::Names,
            slot,
            ended,
            |out| out.extend_from_slice(key.as_bytes()),
            |_| {},
        );
    }
    if let Some(cell) = delta.next_cell(stored.cell.as_ref(), generation, cut.at)? {
        push_cell(item, (generation.life, cut.writer), cell, &mut rows.second);
        stored.cell = Some(cell);
    }
    build_history(item, stored, cut, generation.life, &mut rows.second)
}

fn push_cell(item: &Item<'_>, (life, writer): (u64, WriterNumber), cell: Cell, rows: &mut Batch) {
    rows.push_with(
        Table::Counters,
        item.key.slot().number(),
        cell.position.number(),
        |out| row_key(item.key, CounterRow::Cell { life, writer }, out),
        |out| cell.encode(out),
    );
}

fn build_history(
    item: &Item<'_>,
    stored: &mut Stored,
    cut: Cut,
    life: u64,
    rows: &mut Batch,
) -> Result<(), tally_counter::Beyond> {
    let slot = item.key.slot().number();
    for (step, boundary) in Step::ALL.into_iter().zip(item.boundaries) {
        if item.policy.history.keep(step) == Keep::Off {
            continue;
        }
        let mut left_amount = None;
        let mut changed: Vec<Chunk> = Vec::new();
        for (minute, amount) in item.delta.minutes.iter() {
            let (chunk, place) = step.place(minute);
            if has_left(step, minute, boundary) {
                left_amount = Some(left_amount.unwrap_or(0_i128).saturating_add(amount));
                continue;
            }
            let index = place_of(stored, step, chunk);
            let Some((.., window)) = stored.windows.get_mut(index) else {
                continue;
            };
            if window.position > cut.at {
                return Err(tally_counter::Beyond {
                    stored: window.position,
                    cut: cut.at,
                });
            }
            let fresh = changed.contains(&chunk);
            if window.position == cut.at && !fresh {
                continue;
            }
            let overflow = tally_counter::Beyond {
                stored: window.position,
                cut: cut.at,
            };
            window.add(place, amount).ok_or(overflow)?;
            window.position = cut.at;
            if !fresh {
                changed.push(chunk);
            }
        }
        for chunk in changed {
            let row = CounterRow::Window {
                life,
                step,
                chunk,
                writer: cut.writer,
            };
            let index = place_of(stored, step, chunk);
            let Some((.., window)) = stored.windows.get(index) else {
                continue;
            };
            rows.push_with(
                Table::Windows,
                slot,
                cut.at.number(),
                |out| row_key(item.key, row, out),
                |out| window.encode(step, out),
            );
        }
        if let Some(amount) = left_amount {
            build_left(item, stored, cut, (life, step), amount, rows);
        }
    }
    Ok(())
}

fn build_left(
    item: &Item<'_>,
    stored: &mut Stored,
    cut: Cut,
    (life, step): (u64, Step),
    amount: i128,
    rows: &mut Batch,
) {
    let old = stored.lefts.iter().find(|(of, _)| *of == step).map(|(_, left)| *left);
    if old.is_some_and(|left| left.position >= cut.at) {
        return;
    }
    // Windows between an older boundary and the newest are still rows of their own: only a sweep takes them in and moves it.
    let kept = old.map_or(Minute(0), |left| left.boundary);
    let left = Left {
        position: cut.at,
        boundary: kept,
        amount: old.map_or(0, |left| left.amount).saturating_add(amount),
    };
    let row = CounterRow::Left {
        life,
        step,
        writer: cut.writer,
    };
    rows.push_with(
        Table::Counters,
        item.key.slot().number(),
        cut.at.number(),
        |out| row_key(item.key, row, out),
        |out| left.encode(out),
    );
    stored.lefts.retain(|(of, _)| *of != step);
    stored.lefts.push((step, left));
}

/// The place of a chunk among what is stored; an empty one where there is none.
fn place_of(stored: &mut Stored, step: Step, chunk: Chunk) -> usize {
    let found = stored
        .windows
        .iter()
        .position(|(of, at, _)| (*of, *at) == (step, chunk));
    found.unwrap_or_else(|| {
        stored.windows.push((step, chunk, Window::new(Position::ZERO)));
        stored.windows.len().saturating_sub(1)
    })
}
