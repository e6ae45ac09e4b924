//! The rows of one partition as a store of its own: what reads and puts counters, windows, tokens and ledger elsewhere does so here
//! unchanged. Puts and removals are collected, to go into one conditional batch; names go to the real store at once, since
//! they must be there before the first cell (rule 14), and are taken away after the batch.
//!
//! Beside each name stands an empty head in [`Table::Counters`], which is what walks over all names in slot order go by.

use parking_lot::Mutex;
use tally_counter::{Corrupt, CounterRow, Head, Key, row_key};
use tally_store::{Addresses, Batch, NameCursor, Order, Range, Row, Store, StoreError, Swap, Swapped, Table, Visit};

use super::version::{self, Version};

/// What keys of all rows but versions begin with.
const ROW: u8 = 2;

/// One partition's rows.
pub(crate) struct PartRows<'a> {
    store: &'a dyn Store,
    /// The first of its slots, where rows without one stand.
    slot: u16,
    collected: Mutex<Collected>,
}

/// What is to go into the next batch, and what is to be done after it.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) rows: Batch,
    pub(super) gone: Addresses,
    /// Names whose counters end with the batch, with their lives.
    pub(super) names_gone: Batch,
    pub(super) named: bool,
}

impl<'a> PartRows<'a> {
    pub(crate) fn new(store: &'a dyn Store, slot: u16) -> Self {
        Self {
            store,
            slot,
            collected: Mutex::default(),
        }
    }

    /// The rows of the partition of this number.
    pub(crate) fn of(store: &'a dyn Store, part: u16) -> Self {
        Self::new(store, super::first_slot(part))
    }

    pub(super) fn take(&self) -> Collected {
        std::mem::take(&mut *self.collected.lock())
    }

    /// The version as it stands, with its bytes; read so that no batch can be on its way that was acknowledged.
    pub(crate) fn version(&self) -> Result<(Version, Option<Vec<u8>>), StoreError> {
        let bytes = self.one(version::KEY)?;
        if bytes.as_deref() == Some(super::copy::UNDER_WAY) {
            return Err(StoreError::Unavailable(
                "these strong counters are being copied into this store: bring that tally copy to its end".to_owned(),
            ));
        }
        let version = bytes.as_deref().map(Version::decode).transpose()?;
        Ok((version.unwrap_or_default(), bytes))
    }

    /// Which batch this node applied last.
    pub(super) fn applied(&self, node: u32) -> Result<Option<u128>, StoreError> {
        let bytes = self.one(&version::applied_key(node))?;
        Ok(bytes.as_deref().and_then(version::batch))
    }

    fn one(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut addresses = Addresses::new();
        addresses.push_with(Table::Strong, self.slot, |out| out.extend_from_slice(key));
        let mut found = None;
        self.store.get(&addresses, &mut |_, row| {
            found = Some(row.value.to_vec());
            Ok(())
        })?;
        Ok(found)
    }

    fn slot_of(&self, table: Table, slot: u16) -> u16 {
        match table {
            Table::Counters | Table::Windows => slot,
            _ => self.slot,
        }
    }

    /// The row in the partition's own table.
    fn put_one(&self, row: Row<'_>, into: &mut Batch) -> Result<(), StoreError> {
        let table = row.address.table;
        let code = code(table)?;
        into.push_with(
            Table::Strong,
            self.slot_of(table, row.address.slot),
            row.position,
            |out| put_key(code, row.address.key, out),
            |out| out.extend_from_slice(row.value),
        );
        Ok(())
    }

    fn put_names(&self, rows: &Batch) -> Result<(), StoreError> {
        let mut both = Batch::new();
        for row in rows.rows() {
            both.push(row);
            let head = Head {
                created: true,
                ..Head::default()
            };
            marker(&row, &mut both, |out| head.encode(out))?;
        }
        self.store.put(&both, Order::Any)
    }

    /// Takes the names of counters away that ended with the batch.
    pub(super) fn bury(&self, names: &Batch) -> Result<(), StoreError> {
        let mut both = Batch::new();
        for row in names.rows() {
            both.push(row);
            marker(&row, &mut both, |_| {})?;
        }
        self.store.remove(&both)
    }
}

/// The empty head of a name. Its position is the name's: the life.
fn marker(name: &Row<'_>, into: &mut Batch, value: impl FnOnce(&mut Vec<u8>)) -> Result<(), StoreError> {
    let key = Key::new(name.address.key).map_err(|error| StoreError::Refused(error.to_string()))?;
    into.push_with(
        Table::Counters,
        key.slot().number(),
        name.position,
        |out| row_key(key, CounterRow::Head, out),
        value,
    );
    Ok(())
}

fn code(table: Table) -> Result<u8, StoreError> {
    match table {
        Table::Counters => Ok(0),
        Table::Windows => Ok(1),
        Table::Tokens => Ok(2),
        Table::Ledger => Ok(3),
        _ => Err(StoreError::Refused(format!(
            "a partition of strong counters has no {table:?}"
        ))),
    }
}

fn put_key(code: u8, key: &[u8], out: &mut Vec<u8>) {
    out.extend([ROW, code]);
    out.extend_from_slice(key);
}

/// A row of the partition as the table's that it stands for.
fn read(row: Row<'_>) -> Result<Row<'_>, StoreError> {
    let corrupt = Corrupt {
        what: "strong row's key",
        at: 0,
    };
    let Some(([ROW, code], key)) = row.address.key.split_first_chunk::<2>() else {
        return Err(corrupt.into());
    };
    let table = match code {
        0 => Table::Counters,
        1 => Table::Windows,
        2 => Table::Tokens,
        3 => Table::Ledger,
        _ => return Err(corrupt.into()),
    };
    Ok(Row {
        address: tally_store::Address {
            table,
            slot: row.address.slot,
            key,
        },
        ..row
    })
}

/// A row of the table as of the table that it stands for; `None`: it is about versions.
pub(crate) fn read_row(row: Row<'_>) -> Result<Option<Row<'_>>, StoreError> {
    match row.address.key.first() {
        Some(&ROW) => read(row).map(Some),
        _ => Ok(None),
    }
}

/// What the keys of the ledger's rows begin with in a partition.
pub(super) const LEDGER: &[u8] = &[ROW, 3];

/// A row of a partition's ledger.
pub(super) fn read_ledger(row: Row<'_>) -> Result<crate::ledger::LedgerRow, StoreError> {
    Ok(crate::ledger::decode(read(row)?)?)
}

impl Store for PartRows<'_> {
    fn put(&self, rows: &Batch, _: Order) -> Result<(), StoreError> {
        let mut collected = self.collected.lock();
        let mut names = Batch::new();
        for row in rows.rows() {
            if row.address.table == Table::Names {
                names.push(row);
            } else {
                self.put_one(row, &mut collected.rows)?;
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        collected.named = true;
        self.put_names(&names)
    }

    fn remove(&self, rows: &Batch) -> Result<(), StoreError> {
        let mut collected = self.collected.lock();
        for row in rows.rows() {
            let table = row.address.table;
            if table == Table::Names {
                collected.named = true;
                collected.names_gone.push(row);
            } else {
                let code = code(table)?;
                let slot = self.slot_of(table, row.address.slot);
                let key = |out: &mut Vec<u8>| put_key(code, row.address.key, out);
                collected.gone.push_with(Table::Strong, slot, key);
            }
        }
        Ok(())
    }

    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut own = Addresses::new();
        for address in addresses.iter() {
            let code = code(address.table)?;
            let slot = self.slot_of(address.table, address.slot);
            own.push_with(Table::Strong, slot, |out| put_key(code, address.key, out));
        }
        self.store.get(&own, &mut |index, row| visit(index, read(row)?))
    }

    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut keys = Vec::with_capacity(ranges.len());
        for range in ranges {
            let code = code(range.table)?;
            let (mut prefix, mut from) = (Vec::new(), Vec::new());
            put_key(code, range.prefix, &mut prefix);
            if !range.from.is_empty() {
                put_key(code, range.from, &mut from);
            }
            keys.push((prefix, from));
        }
        let own: Vec<Range<'_>> = ranges
            .iter()
            .zip(&keys)
            .map(|(range, (prefix, from))| Range {
                table: Table::Strong,
                slot: self.slot_of(range.table, range.slot),
                prefix,
                from,
                limit: range.limit,
            })
            .collect();
        self.store.scan(&own, &mut |index, row| visit(index, read(row)?))
    }

    fn names(&self, prefix: &[u8], after: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.names(prefix, after, limit, visit)
    }

    fn names_by_slot(
        &self,
        cursor: NameCursor,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<NameCursor>, StoreError> {
        self.store.names_by_slot(cursor, limit, visit)
    }

    /// Only of tables whose rows have no slot.
    fn walk(
        &self,
        table: Table,
        cursor: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (mut seen, mut last) = (0_usize, Vec::new());
        let range = Range {
            table,
            slot: self.slot,
            prefix: &[],
            from: cursor,
            limit: limit.max(1),
        };
        self.scan(&[range], &mut |_, row| {
            seen = seen.saturating_add(1);
            last.clear();
            last.extend_from_slice(row.address.key);
            visit(0, row)
        })?;
        if seen < limit.max(1) {
            return Ok(None);
        }
        last.push(0);
        Ok(Some(last))
    }

    fn swap(&self, _: Swap<'_>) -> Result<Swapped, StoreError> {
        Err(StoreError::Refused(
            "a partition is changed by its own batch only".to_owned(),
        ))
    }

    fn durable(&self) -> Result<(), StoreError> {
        self.store.durable()
    }
}
