//! Turns the fold of a round into rows. For each counter: read what the writer has stored (or remember it from the round before), add the
//! round's amounts, write the sum with the round's cut. What stands at the cut already is left alone, so that a repeat
//! writes the same again (rules 5, 6 and 15 to 18). Names go first, then heads, then cells (rules 11 and 14).

mod cache;
mod windows;

use foldhash::quality::FixedState;
use tally_counter::{
    Cell, Chunk, CounterRow, Delta, Generation, Head, Key, Left, Policy, Position, Step, Window, WriterNumber, planted,
    row_key,
};
use tally_store::{Addresses, Batch, Order, Store, StoreError, Table};

use crate::census::Census;
use crate::load;
use crate::namespaces::Boundaries;
use cache::Cache;
use windows::{build_history, read_lefts, read_windows};

pub(crate) use windows::has_left;

/// How many counters' rows are read and put at once.
pub(crate) const CHUNK: usize = 2_048;

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
    /// It changed in the round before, too: what is stored is worth remembering.
    pub(crate) again: bool,
    /// What memory knows of it: whether it is in the store, and its value as of the cut. Only of counters that never had a head.
    pub(crate) known: Option<(bool, i128)>,
}

/// What a writer has stored for a counter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stored {
    head: Option<Head>,
    cell: Option<Cell>,
    windows: Vec<(Step, Chunk, Window)>,
    lefts: Vec<(Step, Left)>,
}

impl Stored {
    /// What memory knows to be stored: with one writer and no head, the cell's total is the value without what the round adds.
    fn known(item: &Item<'_>) -> Option<Self> {
        let (is_stored, value) = item.known.filter(|_| item.delta.head.is_none())?;
        let total = value.checked_sub(item.delta.total)?;
        let cell = Cell {
            position: Position::ZERO,
            n: 0,
            total,
            counted: total,
        };
        Some(Self {
            cell: is_stored.then_some(cell),
            ..Self::default()
        })
    }
}

/// Writes rounds. One at a time in a process.
pub(crate) struct Flusher {
    cache: Cache,
    pub(crate) census: Census,
    /// No other writer has ever put a row.
    pub(crate) alone: bool,
    /// Other processes may put heads: those that are remembered are read again.
    pub(crate) shared: bool,
    /// Rows put since the start.
    pub(crate) rows: u64,
}

/// Rows on their way, in their order. A batch may be applied in part: what must be there before something else is one of its own.
#[derive(Default)]
struct Rows {
    names: Batch,
    /// Names of counters that are new for certain.
    fresh: Batch,
    heads: Batch,
    /// Cells, windows and what left the retention.
    amounts: Batch,
    /// Names of counters whose life ended, with the life.
    gone: Batch,
}

impl Flusher {
    /// `cache_bytes`: what it may remember of the rows it wrote.
    pub(crate) fn new(cache_bytes: usize, hasher: FixedState) -> Self {
        Self {
            cache: Cache::new(cache_bytes, hasher),
            census: Census::default(),
            alone: false,
            shared: false,
            rows: 0,
        }
    }

    /// Forgets all that it remembers.
    pub(crate) fn forget_all(&mut self) {
        self.cache.clear();
    }

    /// Forgets what it remembers of a counter: somebody else wrote its head.
    pub(crate) fn forget(&mut self, key: &str) {
        self.cache.take(key);
    }

    /// Puts the rows of some counters. `cached`: the writer is this node's own, whose rows are remembered. Answers the totals that the
    /// cells have now, in the items' order, of counters that never had a head.
    pub(crate) fn put(
        &mut self,
        store: &dyn Store,
        cut: Cut,
        items: &[Item<'_>],
        order: Order,
        cached: bool,
    ) -> Result<Vec<Option<i128>>, FlushError> {
        // A repeat may find rows whose names did not get there, and names whose rows did not.
        let alone = cached && self.alone && order == Order::Growing;
        let mut stored = self.read(store, cut.writer, items, cached, alone)?;
        read_windows(store, cut.writer, items, &mut stored)?;
        read_lefts(store, cut.writer, items, &mut stored)?;
        let mut rows = Rows::default();
        let fresh = alone && self.census.is_spotless();
        for (item, stored) in items.iter().zip(&mut stored) {
            build(item, stored, cut, fresh, &mut rows)
                .map_err(|error| FlushError::Beyond(item.key.as_str().to_owned(), error))?;
        }
        self.census.note(store, &rows.names, &rows.gone)?;
        self.census.note_fresh(&rows.fresh);
        if let Err(error) = put_rows(store, &rows, order) {
            self.census.restart();
            return Err(error.into());
        }
        let count = [&rows.names, &rows.fresh, &rows.heads, &rows.amounts]
            .map(Batch::len)
            .iter()
            .sum::<usize>();
        self.rows = self.rows.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        let totals = stored
            .iter()
            .map(|stored| stored.cell.filter(|_| stored.head.is_none()).map(|cell| cell.total))
            .collect();
        if cached {
            self.remember(items, stored);
        }
        Ok(totals)
    }

    fn remember(&mut self, items: &[Item<'_>], stored: Vec<Stored>) {
        for (item, mut stored) in items.iter().zip(stored).filter(|(item, _)| item.again) {
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
            self.cache.put(item.key.as_str(), &stored);
        }
    }

    fn read(
        &mut self,
        store: &dyn Store,
        writer: WriterNumber,
        items: &[Item<'_>],
        cached: bool,
        alone: bool,
    ) -> Result<Vec<Stored>, StoreError> {
        let mut stored: Vec<Option<Stored>> = items
            .iter()
            .map(|item| {
                let remembered = if cached {
                    self.cache.take(item.key.as_str())
                } else {
                    None
                };
                remembered.or_else(|| Stored::known(item).filter(|_| alone))
            })
            .collect();
        if self.shared {
            forget_ended(store, items, &mut stored)?;
        }
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

/// Forgets what is remembered of counters whose head is another one now. Cells and windows of the own writer are nobody else's to write.
fn forget_ended(store: &dyn Store, items: &[Item<'_>], stored: &mut [Option<Stored>]) -> Result<(), StoreError> {
    let mut addresses = Addresses::new();
    let mut asked = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if stored.get(index).is_some_and(Option::is_some) {
            let slot = item.key.slot().number();
            addresses.push_with(Table::Counters, slot, |out| row_key(item.key, CounterRow::Head, out));
            asked.push(index);
        }
    }
    let mut heads: Vec<Option<Head>> = vec![None; asked.len()];
    store.get(&addresses, &mut |at, row| {
        if let Some(head) = heads.get_mut(at) {
            *head = Some(Head::decode(row.value)?);
        }
        Ok(())
    })?;
    for (index, head) in asked.into_iter().zip(heads) {
        let Some(place) = stored.get_mut(index) else { continue };
        if place.as_ref().is_some_and(|stored| stored.head != head) {
            *place = None;
        }
    }
    Ok(())
}

/// Names first, then heads (rules 11 and 14): a counter that is cut off half-way has a name, whatever else it has.
fn put_rows(store: &dyn Store, rows: &Rows, order: Order) -> Result<(), StoreError> {
    let mut batches = [&rows.names, &rows.fresh, &rows.heads, &rows.amounts];
    if planted!(NameAfterCell) {
        batches.rotate_left(2);
    }
    for batch in batches {
        store.put(batch, order)?;
    }
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

/// Appends a counter's rows, and makes `stored` what the store has after them.
fn build(
    item: &Item<'_>,
    stored: &mut Stored,
    cut: Cut,
    fresh: bool,
    rows: &mut Rows,
) -> Result<(), tally_counter::Beyond> {
    let Item { key, delta, .. } = item;
    let slot = key.slot().number();
    let mut generation = generation(item, stored.head.as_ref());
    let head = delta.head.as_deref().or(item.head.as_ref());
    let created = head.is_some_and(|head| head.created);
    if let Some(head) = head {
        rows.heads.push_with(
            Table::Counters,
            slot,
            head.generation.revision,
            |out| row_key(*key, CounterRow::Head, out),
            |out| head.encode(out),
        );
        if created {
            // Also where a source puts a head that memory has: the name may be gone since, and comes again only with this node's round.
            push_name(*key, head.generation.life, &mut rows.names);
        }
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
        if head.born_of(cut.writer) >= cut.at && !planted!(BornIgnored) {
            // The life of all this had ended, with everything of this round seen (rule 12).
            return Ok(());
        }
        if head.seen_of(cut.writer) >= cut.at && !planted!(SeenIgnored) {
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
            push_cell(item, (generation.life, cut.writer), again, &mut rows.amounts);
            stored.cell = Some(again);
        }
    }
    // A cell of this very round may have survived a crash that its name did not.
    let first = stored.cell.is_none_or(|cell| cell.position == cut.at);
    if created {
        // Named with its head.
    } else if delta.touched && first {
        let names = if fresh && stored.head.is_none() && stored.cell.is_none() {
            &mut rows.fresh
        } else {
            &mut rows.names
        };
        push_name(*key, generation.life, names);
    } else if delta.ends == tally_counter::Ends::Life && !delta.touched {
        let ended = generation.life.saturating_sub(u64::from(!planted!(GoneNameTakesNew)));
        push_name(*key, ended, &mut rows.gone);
    }
    if let Some(mut cell) = delta.next_cell(stored.cell.as_ref(), generation, cut.at)? {
        if planted!(RowsBeforeTheCut)
            && cut.at.number() > stored.cell.map_or(0, |cell| cell.position.number()).saturating_add(1)
        {
            cell.position = Position::new(cut.at.number().saturating_sub(1)).unwrap_or_default();
        }
        push_cell(item, (generation.life, cut.writer), cell, &mut rows.amounts);
        stored.cell = Some(cell);
    }
    build_history(item, stored, cut, generation.life, &mut rows.amounts)
}

fn push_name(key: Key<'_>, life: u64, rows: &mut Batch) {
    let slot = key.slot().number();
    let name = |out: &mut Vec<u8>| out.extend_from_slice(key.as_bytes());
    rows.push_with(Table::Names, slot, life, name, |_| {});
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
