//! Short ways to say what the checks say often.

use tally_counter::{CounterRow, Key, WriterNumber, row_key};

use crate::{Address, Addresses, Batch, NameCursor, Order, Range, Row, Store, Table};

/// Position and value.
pub(super) type Stands = Option<(u64, Vec<u8>)>;

/// The table of most checks: its keys are any bytes.
pub(super) const T: Table = Table::Tokens;

pub(super) fn batch<'a>(rows: impl IntoIterator<Item = (Address<'a>, u64, &'a [u8])>) -> Batch {
    let mut batch = Batch::new();
    for (address, position, value) in rows {
        batch.push(Row {
            address,
            position,
            value,
        });
    }
    batch
}

pub(super) fn at(key: &[u8]) -> Address<'_> {
    Address { table: T, slot: 7, key }
}

pub(super) fn put(store: &dyn Store, order: Order, address: Address<'_>, position: u64, value: &[u8]) {
    store.put(&batch([(address, position, value)]), order).expect("put");
}

pub(super) fn remove(store: &dyn Store, address: Address<'_>, position: u64) {
    store.remove(&batch([(address, position, &[][..])])).expect("remove");
}

pub(super) fn get(store: &dyn Store, address: Address<'_>) -> Stands {
    let mut addresses = Addresses::new();
    addresses.push_with(address.table, address.slot, |out| out.extend_from_slice(address.key));
    let mut stands = None;
    store
        .get(&addresses, &mut |index, row| {
            assert_eq!((index, row.address), (0, address), "the row that was asked for");
            assert!(stands.is_none(), "a row is answered once");
            stands = Some((row.position, row.value.to_vec()));
            Ok(())
        })
        .expect("get");
    stands
}

/// Index of the range, key and position of each row.
pub(super) fn scan(store: &dyn Store, ranges: &[Range<'_>]) -> Vec<(usize, Vec<u8>, u64)> {
    let mut rows = Vec::new();
    store
        .scan(ranges, &mut |index, row| {
            assert_eq!(
                (row.address.table, row.address.slot),
                (ranges[index].table, ranges[index].slot)
            );
            rows.push((index, row.address.key.to_vec(), row.position));
            Ok(())
        })
        .expect("scan");
    rows
}

pub(super) fn range(prefix: &[u8]) -> Range<'_> {
    Range {
        table: T,
        slot: 7,
        prefix,
        from: &[],
        limit: usize::MAX,
    }
}

/// The keys of one range.
pub(super) fn keys(store: &dyn Store, range: Range<'_>) -> Vec<Vec<u8>> {
    scan(store, &[range]).into_iter().map(|(_, key, _)| key).collect()
}

/// All rows of a table by walking it with this limit.
pub(super) fn walk(store: &dyn Store, table: Table, limit: usize) -> Vec<(u16, Vec<u8>, u64, Vec<u8>)> {
    let mut rows = Vec::new();
    let mut cursor = Some(Vec::new());
    while let Some(from) = cursor {
        let before = rows.len();
        cursor = store
            .walk(table, &from, limit, &mut |_, row| {
                assert_eq!(row.address.table, table);
                rows.push((
                    row.address.slot,
                    row.address.key.to_vec(),
                    row.position,
                    row.value.to_vec(),
                ));
                Ok(())
            })
            .expect("walk");
        assert!(rows.len() - before <= limit, "no more than the limit");
    }
    rows
}

/// The rows of a new counter: its name, its head and one cell.
pub(super) fn counter(name: &str, position: u64, out: &mut Batch) {
    let key = Key::new(name.as_bytes()).expect("a valid name");
    let slot = key.slot().number();
    out.push_with(
        Table::Names,
        slot,
        position,
        |out| out.extend_from_slice(key.as_bytes()),
        |_| {},
    );
    for row in [
        CounterRow::Head,
        CounterRow::Cell {
            life: 1,
            writer: WriterNumber(1),
        },
    ] {
        out.push_with(
            Table::Counters,
            slot,
            position,
            |out| row_key(key, row, out),
            |out| out.push(1),
        );
    }
}

pub(super) fn put_counters<'a>(store: &dyn Store, names: impl IntoIterator<Item = &'a str>) {
    let mut rows = Batch::new();
    for name in names {
        counter(name, 1, &mut rows);
    }
    store.put(&rows, Order::Growing).expect("put");
}

pub(super) fn remove_counter(store: &dyn Store, name: &str, position: u64) {
    let mut rows = Batch::new();
    counter(name, position, &mut rows);
    store.remove(&rows).expect("remove");
}

pub(super) fn names(store: &dyn Store, prefix: &str, after: &str, limit: usize) -> Vec<String> {
    let mut names = Vec::new();
    store
        .names(prefix.as_bytes(), after.as_bytes(), limit, &mut |_, row| {
            names.push(name_of(row));
            Ok(())
        })
        .expect("names");
    names
}

/// One step of a walk in slot order.
pub(super) fn names_from(store: &dyn Store, cursor: NameCursor, limit: usize) -> (Vec<String>, Option<NameCursor>) {
    let mut names = Vec::new();
    let next = store
        .names_by_slot(cursor, limit, &mut |_, row| {
            names.push(name_of(row));
            Ok(())
        })
        .expect("names_by_slot");
    assert!(
        next.is_none() || names.len() >= limit,
        "fewer than the limit only at the end"
    );
    assert!(next.is_none_or(|next| next > cursor), "the walk goes on");
    (names, next)
}

pub(super) fn all_names_from(store: &dyn Store, from: NameCursor, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut cursor = Some(from);
    while let Some(from) = cursor {
        let (names, next) = names_from(store, from, limit);
        all.extend(names);
        cursor = next;
    }
    all
}

/// Where a name stands in slot order.
pub(super) fn place(name: &str) -> NameCursor {
    let key = Key::new(name.as_bytes()).expect("a valid name");
    NameCursor {
        slot: key.slot().number(),
        hash: tally_counter::slot_hash(name.as_bytes()),
    }
}

fn name_of(row: Row<'_>) -> String {
    let name = String::from_utf8(row.address.key.to_vec()).expect("names are UTF-8");
    assert_eq!(row.address.table, Table::Names);
    assert_eq!(row.address.slot, place(&name).slot, "the slot is the name's");
    name
}
