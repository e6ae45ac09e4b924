//! A counter's rows as the store has them, of its newest life, by writer.

use std::collections::BTreeMap;

use tally_counter::{Cell, Chunk, CounterRow, Head, Key, Left, Minute, Step, Window, WriterNumber, counter_prefix};
use tally_store::{Range, Row, Store, StoreError, Table};

/// What one writer has of a counter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WriterRows {
    pub(super) cell: Option<Cell>,
    pub(super) lefts: [Option<Left>; 3],
    pub(super) windows: [BTreeMap<Chunk, Window>; 3],
    /// Where each row stands.
    pub(super) places: Vec<(CounterRow, u64)>,
}

/// What the store has of a counter.
#[derive(Clone, Debug, Default)]
pub(super) struct CounterRows {
    pub(super) head: Option<Head>,
    /// The rows of the life that the head says.
    pub(super) writers: BTreeMap<WriterNumber, WriterRows>,
    /// Rows of lives that the head knows nothing of.
    pub(super) unheard: Vec<(WriterNumber, WriterRows)>,
    /// How many rows were read.
    pub(super) read: u64,
}

/// Place of a step among all.
pub(super) fn at(step: Step) -> usize {
    usize::from(step.code())
}

impl WriterRows {
    pub(super) fn left(&self, step: Step) -> Option<Left> {
        self.lefts.get(at(step)).copied().flatten()
    }

    pub(super) fn chunks(&self, step: Step) -> impl Iterator<Item = (&Chunk, &Window)> {
        self.windows.get(at(step)).into_iter().flatten()
    }

    /// The amounts by window start, without those that `left` has taken in.
    pub(super) fn amounts(&self, step: Step) -> BTreeMap<Minute, i128> {
        let boundary = self.left(step).map_or(Minute(0), |left| left.boundary);
        let mut amounts = BTreeMap::new();
        for (chunk, window) in self
            .chunks(step)
            .filter(|(chunk, _)| step.chunk_start(**chunk) >= boundary)
        {
            for (place, amount) in window.amounts() {
                amounts.insert(step.window_start(*chunk, place), amount);
            }
        }
        amounts
    }

    /// What a step says was counted.
    pub(super) fn sum(&self, step: Step) -> i128 {
        let left = self.left(step).map_or(0, |left| left.amount);
        self.amounts(step)
            .values()
            .fold(left, |sum, amount| sum.saturating_add(*amount))
    }

    fn take(&mut self, row: CounterRow, stands: Row<'_>) -> Result<(), StoreError> {
        match row {
            CounterRow::Head => return Ok(()),
            CounterRow::Cell { .. } => self.cell = Some(Cell::decode(stands.position, stands.value)?),
            CounterRow::Left { step, .. } => {
                let left = Left::decode(stands.position, stands.value)?;
                if let Some(place) = self.lefts.get_mut(at(step)) {
                    *place = Some(left);
                }
            }
            CounterRow::Window { step, chunk, .. } => {
                let window = Window::decode(stands.position, stands.value, step)?;
                if let Some(windows) = self.windows.get_mut(at(step)) {
                    windows.insert(chunk, window);
                }
            }
        }
        self.places.push((row, stands.position));
        Ok(())
    }
}

impl CounterRows {
    pub(super) fn life(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.generation.life)
    }

    /// Whether there is something that a name is for.
    pub(super) fn is_there(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.created) || self.writers.values().any(|rows| rows.cell.is_some())
    }
}

/// Reads counters, windows included where asked for. In the order of `keys`.
pub(super) fn read(store: &dyn Store, keys: &[Key<'_>], windows: bool) -> Result<Vec<CounterRows>, StoreError> {
    let mut counters = vec![CounterRows::default(); keys.len()];
    let mut lives: Vec<BTreeMap<(u64, WriterNumber), WriterRows>> = vec![BTreeMap::new(); keys.len()];
    let prefixes: Vec<Vec<u8>> = keys.iter().map(|key| prefix(*key)).collect();
    let tables: &[Table] = if windows {
        &[Table::Counters, Table::Windows]
    } else {
        &[Table::Counters]
    };
    let mut ranges = Vec::new();
    for (key, prefix) in keys.iter().zip(&prefixes) {
        ranges.extend(tables.iter().map(|table| range(*key, *table, prefix, usize::MAX)));
    }
    store.scan(&ranges, &mut |index, row| {
        let index = index.checked_div(tables.len()).unwrap_or(0);
        let (Some(counter), Some(lives)) = (counters.get_mut(index), lives.get_mut(index)) else {
            return Ok(());
        };
        counter.read = counter.read.saturating_add(1);
        match CounterRow::decode(row.address.key)?.1 {
            CounterRow::Head => counter.head = Some(Head::decode(row.value)?),
            kind @ (CounterRow::Cell { life, writer }
            | CounterRow::Left { life, writer, .. }
            | CounterRow::Window { life, writer, .. }) => lives.entry((life, writer)).or_default().take(kind, row)?,
        }
        Ok(())
    })?;
    for (counter, lives) in counters.iter_mut().zip(lives) {
        let newest = counter.life();
        for ((life, writer), rows) in lives {
            if life == newest {
                counter.writers.insert(writer, rows);
            } else if life > newest {
                counter.unheard.push((writer, rows));
            }
        }
    }
    Ok(counters)
}

/// What all rows of a counter begin with.
pub(super) fn prefix(key: Key<'_>) -> Vec<u8> {
    let mut prefix = Vec::new();
    counter_prefix(key, &mut prefix);
    prefix
}

/// A counter's rows of a table.
pub(super) fn range<'r>(key: Key<'_>, table: Table, prefix: &'r [u8], limit: usize) -> Range<'r> {
    Range {
        table,
        slot: key.slot().number(),
        prefix,
        from: &[],
        limit,
    }
}
