//! Copies what one store has into another. Guards: the copy is a merge. Rows keep their positions, writers get numbers of the other
//! store (rule 10), and a node's writer is sealed there under a name of its own, so that a copy that runs twice, goes on after a
//! crash, or goes back to where the counts came from changes nothing. Strong counters are taken over by partitions
//! (`strong/copy.rs`). Does not: read journals; the nodes are to be stopped first.

use std::collections::BTreeMap;
use std::sync::Arc;

use tally_counter::{CounterRow, Head, Position, WriterId, WriterNumber, WriterRow, WriterState, row_key};
use tally_store::{Addresses, Batch, Order, Row, STRONG_PARTITIONS, Store, StoreError, Table};

use crate::Error;
use crate::registry::Registry;
use crate::strong::copy as strong;

/// Rows that are copied at once.
const ROWS: usize = 2_000;
/// The tables whose rows are copied, names before cells (rule 14).
const TABLES: [Table; 6] = [
    Table::Policies,
    Table::Names,
    Table::Counters,
    Table::Windows,
    Table::Tokens,
    Table::Ledger,
];
const SLOTS: u64 = 16_384;

/// A store, and the id that tells it from every other one.
#[derive(Clone, Copy)]
pub struct CopyEnd<'s> {
    /// The store.
    pub store: &'s Arc<dyn Store>,
    /// Its id.
    pub id: &'s str,
}

/// Where a copy is: enough to go on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyPlace {
    /// Which table.
    pub table: usize,
    /// Where in it.
    pub cursor: Vec<u8>,
}

/// How far a copy has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyProgress {
    /// Rows read in this run.
    pub rows: u64,
    /// In thousandths of the whole, about.
    pub thousandths: u64,
    /// Where it goes on.
    pub place: CopyPlace,
}

/// Copies everything from `place` on. `told` hears of each step after it is in the other store.
pub fn copy(
    from: CopyEnd<'_>,
    to: CopyEnd<'_>,
    place: CopyPlace,
    told: &mut dyn FnMut(&CopyProgress) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut strong = strong::Plan::of(from, to)?;
    let numbers = writers(from, to)?;
    to.store.durable()?;
    let rows = walk(from.store.as_ref(), &numbers, place, told, &mut |rows| {
        to.store.put(rows, Order::Any)
    })?;
    // Behind the names, as cells are.
    let strong = strong.copy(from, to, &mut of_strong(rows, told))?;
    to.store.durable()?;
    Ok(rows.saturating_add(strong))
}

/// Reads both and compares: every row is in the other store, or a newer one of it.
pub fn verify_copy(
    from: CopyEnd<'_>,
    to: CopyEnd<'_>,
    told: &mut dyn FnMut(&CopyProgress) -> Result<(), Error>,
) -> Result<u64, Error> {
    let numbers = writers(from, to)?;
    let mut lacking = 0_u64;
    let rows = walk(from.store.as_ref(), &numbers, CopyPlace::default(), told, &mut |rows| {
        lacking = lacking.saturating_add(absent(to.store.as_ref(), rows, There::SameOrNewer)?);
        Ok(())
    })?;
    if lacking > 0 {
        return Err(Error::Corrupt(format!(
            "{lacking} of {rows} rows are not in the copy as they are here: copy again"
        )));
    }
    let strong = strong::verify(from, to, &mut of_strong(rows, told))?;
    Ok(rows.saturating_add(strong))
}

/// Tells of rows of strong counters that were read, of which partition the last ones.
fn of_strong(
    before: u64,
    told: &mut dyn FnMut(&CopyProgress) -> Result<(), Error>,
) -> impl FnMut(u64, u16) -> Result<(), Error> {
    move |rows, part| {
        let (tables, strong) = (steps(TABLES.len()), u64::from(part).saturating_mul(1_000));
        let within = strong / u64::from(STRONG_PARTITIONS);
        told(&CopyProgress {
            rows: before.saturating_add(rows),
            thousandths: tables.saturating_mul(1_000).saturating_add(within) / tables.saturating_add(1),
            place: CopyPlace {
                table: TABLES.len(),
                cursor: Vec::new(),
            },
        })
    }
}

fn steps(tables: usize) -> u64 {
    u64::try_from(tables).unwrap_or(1)
}

/// What counts as a row that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum There {
    /// As it is here.
    Same,
    /// That, or a newer one.
    SameOrNewer,
}

/// How many of these rows a store lacks.
pub(crate) fn absent(store: &dyn Store, rows: &Batch, there: There) -> Result<u64, StoreError> {
    let wanted: Vec<Row<'_>> = rows.rows().collect();
    let mut addresses = Addresses::new();
    for row in &wanted {
        let address = row.address;
        addresses.push_with(address.table, address.slot, |out| out.extend_from_slice(address.key));
    }
    let mut found = 0_usize;
    store.get(&addresses, &mut |index, row| {
        let is_there = wanted.get(index).is_some_and(|wanted| {
            let (has, asked) = ((row.position, row.value), (wanted.position, wanted.value));
            has == asked || (there == There::SameOrNewer && has > asked)
        });
        found = found.saturating_add(usize::from(is_there));
        Ok(())
    })?;
    Ok(u64::try_from(wanted.len().saturating_sub(found)).unwrap_or(u64::MAX))
}

fn walk(
    from: &dyn Store,
    numbers: &Numbers,
    place: CopyPlace,
    told: &mut dyn FnMut(&CopyProgress) -> Result<(), Error>,
    each: &mut dyn FnMut(&Batch) -> Result<(), StoreError>,
) -> Result<u64, Error> {
    let mut progress = CopyProgress {
        rows: 0,
        thousandths: 0,
        place,
    };
    let mut rows = Batch::new();
    while let Some(table) = TABLES.get(progress.place.table) {
        rows.clear();
        let mut slot = 0;
        let next = from.walk(*table, &progress.place.cursor, ROWS, &mut |_, row| {
            slot = row.address.slot;
            progress.rows = progress.rows.saturating_add(1);
            translate(row, numbers, &mut rows)
        })?;
        each(&rows)?;
        let within = u64::from(slot).saturating_mul(1_000) / SLOTS;
        // And the strong counters behind them.
        let tables = steps(TABLES.len()).saturating_add(1);
        match next {
            Some(cursor) => progress.place.cursor = cursor,
            None => {
                progress.place = CopyPlace {
                    table: progress.place.table.saturating_add(1),
                    cursor: Vec::new(),
                };
            }
        }
        let done = steps(progress.place.table).saturating_mul(1_000);
        let within = if progress.place.cursor.is_empty() { 0 } else { within };
        progress.thousandths = done.saturating_add(within) / tables;
        told(&progress)?;
    }
    Ok(progress.rows)
}

/// What writers are called in the other store.
type Numbers = BTreeMap<WriterNumber, WriterNumber>;

/// Registers the writers in the other store, or finds them there.
fn writers(from: CopyEnd<'_>, to: CopyEnd<'_>) -> Result<Numbers, Error> {
    let mut numbers = Numbers::new();
    let there = Registry::open(Arc::clone(to.store))?;
    for row in Registry::open(Arc::clone(from.store))?.all() {
        let is_node = row.writer.id.starts_with("node:");
        if is_node && row.state.is_unsealed() && row.pending.is_some() {
            return Err(Error::Unavailable(format!(
                "the node {} has stopped within a round: start it once more and stop it, so that the round is whole",
                row.writer.id
            )));
        }
        let writer = WriterId {
            id: name_there(&row.writer.id, from.id, to.id),
            epoch: row.writer.epoch,
        };
        let copied = WriterRow {
            state: if is_node && row.state == WriterState::Active {
                WriterState::Sealed
            } else {
                row.state
            },
            writer: writer.clone(),
            ..row.clone()
        };
        let known = match there.of(&writer) {
            Some(known) => known,
            None => there.create(writer, row.start, None)?,
        };
        let number = known.number;
        if known.applied < copied.applied {
            let start = known.start;
            there.change(
                &known,
                WriterRow {
                    number,
                    start,
                    ..copied
                },
            )?;
        }
        numbers.insert(row.number, number);
    }
    Ok(numbers)
}

/// A node's writer is another store's own: there it is known by where it came from, and at home by its own name again. A source is the
/// same log everywhere.
fn name_there(id: &str, from: &str, to: &str) -> String {
    if let Some(own) = id
        .strip_prefix("copy:")
        .and_then(|rest| rest.strip_prefix(to)?.strip_prefix(':'))
    {
        return own.to_owned();
    }
    if id.starts_with("node:") {
        return format!("copy:{from}:{id}");
    }
    id.to_owned()
}

/// Appends the row as it is to stand in the other store. Rows of writers that no row names are of no sum, and left out.
fn translate(row: Row<'_>, numbers: &Numbers, out: &mut Batch) -> Result<(), StoreError> {
    let address = row.address;
    let key: Option<Vec<u8>> = match address.table {
        Table::Counters | Table::Windows => counter_key(address.key, numbers)?,
        Table::Tokens | Table::Ledger => last_number(address.key, numbers),
        // Each node adopts what was declared for itself.
        Table::Policies if crate::declared::is_copy(address.key) => None,
        _ => Some(address.key.to_vec()),
    };
    let Some(key) = key else { return Ok(()) };
    let value = head_value(row, numbers)?;
    out.push_with(
        address.table,
        address.slot,
        row.position,
        |bytes| bytes.extend_from_slice(&key),
        |bytes| bytes.extend_from_slice(value.as_deref().unwrap_or(row.value)),
    );
    Ok(())
}

fn counter_key(key: &[u8], numbers: &Numbers) -> Result<Option<Vec<u8>>, StoreError> {
    let (name, kind) = CounterRow::decode(key)?;
    let there = |writer: WriterNumber| numbers.get(&writer).copied();
    let kind = match kind {
        CounterRow::Head => Some(CounterRow::Head),
        CounterRow::Cell { life, writer } => there(writer).map(|writer| CounterRow::Cell { life, writer }),
        CounterRow::Left { life, step, writer } => there(writer).map(|writer| CounterRow::Left { life, step, writer }),
        CounterRow::Window {
            life,
            step,
            chunk,
            writer,
        } => there(writer).map(|writer| CounterRow::Window {
            life,
            step,
            chunk,
            writer,
        }),
    };
    Ok(kind.map(|kind| {
        let mut out = Vec::with_capacity(key.len());
        row_key(name, kind, &mut out);
        out
    }))
}

/// A key that ends with a writer's number.
fn last_number(key: &[u8], numbers: &Numbers) -> Option<Vec<u8>> {
    let (rest, number) = key.split_last_chunk::<4>()?;
    let there = numbers.get(&WriterNumber(u32::from_be_bytes(*number)))?;
    Some([rest, &there.0.to_be_bytes()].concat())
}

/// A head's value names writers.
fn head_value(row: Row<'_>, numbers: &Numbers) -> Result<Option<Vec<u8>>, StoreError> {
    if row.address.table != Table::Counters || CounterRow::decode(row.address.key)?.1 != CounterRow::Head {
        return Ok(None);
    }
    let head = Head::decode(row.value)?;
    let there = |seen: &[(WriterNumber, Position)]| {
        let mut seen: Vec<(WriterNumber, Position)> = seen
            .iter()
            .filter_map(|(writer, position)| Some((*numbers.get(writer)?, *position)))
            .collect();
        seen.sort_unstable();
        seen
    };
    let head = Head {
        seen: there(&head.seen),
        born: there(&head.born),
        ..head
    };
    Ok(Some(head.encoded()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_itself_at_home_and_a_copy_elsewhere() {
        assert_eq!(name_there("node:local", "a", "b"), "copy:a:node:local");
        assert_eq!(name_there("copy:a:node:local", "b", "a"), "node:local");
        assert_eq!(name_there("copy:a:node:local", "b", "c"), "copy:a:node:local");
        assert_eq!(name_there("source:x", "a", "b"), "source:x");
    }
}
