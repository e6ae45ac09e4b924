//! What makes rows something else, behind the back of everything that looks after them.

use tally_counter::{Cell, CounterRow, Key, Left, Minute, Position, Step, Window, WriterNumber, row_key};
use tally_store::{Address, Addresses, Batch, Condition, Order, Row, Store, Swap, Swapped, Table};

use super::bench::{BEGIN_MS, HOUR_MS};

pub(super) fn stands(store: &dyn Store, address: Address<'_>) -> Option<(u64, Vec<u8>)> {
    let mut addresses = Addresses::new();
    addresses.push_with(address.table, address.slot, |out| out.extend_from_slice(address.key));
    let mut found = None;
    store
        .get(&addresses, &mut |_, row| {
            found = Some((row.position, row.value.to_vec()));
            Ok(())
        })
        .unwrap();
    found
}

/// Makes a row something else where it stands, or takes it away.
pub(super) fn damage(store: &dyn Store, address: Address<'_>, work: impl FnOnce(u64, &[u8]) -> Option<(u64, Vec<u8>)>) {
    let (position, old) = stands(store, address).unwrap();
    let mut rows = Batch::new();
    let mut gone = Addresses::new();
    let damaged = work(position, &old);
    if damaged.is_none() && address.table == Table::Strong {
        gone.push_with(address.table, address.slot, |out| out.extend_from_slice(address.key));
    } else if let Some((position, value)) = &damaged {
        rows.push(Row {
            address,
            position: *position,
            value,
        });
    } else {
        rows.push(Row {
            address,
            position,
            value: &[],
        });
        return store.remove(&rows).unwrap();
    }
    let conditions = [Condition {
        address,
        value: Some(&old),
    }];
    let swap = Swap {
        conditions: &conditions,
        rows: &rows,
        gone: &gone,
    };
    assert_eq!(store.swap(swap).unwrap(), Swapped::Applied);
}

pub(super) fn counter_row(name: &str, row: CounterRow) -> (Table, u16, Vec<u8>) {
    let key = Key::new(name.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    row_key(key, row, &mut bytes);
    let table = if matches!(row, CounterRow::Window { .. }) {
        Table::Windows
    } else {
        Table::Counters
    };
    (table, key.slot().number(), bytes)
}

pub(super) fn damage_row(
    store: &dyn Store,
    name: &str,
    row: CounterRow,
    work: impl FnOnce(u64, &[u8]) -> Option<(u64, Vec<u8>)>,
) {
    let (table, slot, key) = counter_row(name, row);
    damage(store, Address { table, slot, key: &key }, work);
}

pub(super) fn change_cell(store: &dyn Store, name: &str, (life, writer): (u64, u32), change: impl Fn(&mut Cell)) {
    let row = CounterRow::Cell {
        life,
        writer: WriterNumber(writer),
    };
    damage_row(store, name, row, |position, old| {
        let mut cell = Cell::decode(position, old).unwrap();
        change(&mut cell);
        let mut value = Vec::new();
        cell.encode(&mut value);
        Some((cell.position.number(), value))
    });
}

pub(super) fn window_row((life, writer): (u64, u32), step: Step, hours: u64) -> CounterRow {
    let minute = Minute::of_ms(BEGIN_MS + hours * HOUR_MS).unwrap();
    CounterRow::Window {
        life,
        step,
        chunk: step.place(minute).0,
        writer: WriterNumber(writer),
    }
}

/// Adds these amounts to the first windows of a chunk.
pub(super) fn change_window(store: &dyn Store, name: &str, row: CounterRow, amounts: &[i128]) {
    let CounterRow::Window { step, .. } = row else {
        unreachable!()
    };
    damage_row(store, name, row, |position, old| {
        let mut window = Window::decode(position, old, step).unwrap();
        let places: Vec<u8> = window.amounts().map(|(place, _)| place).collect();
        for (place, amount) in places.into_iter().zip(amounts) {
            window.add(place, *amount).unwrap();
        }
        Some((position, window.encoded(step)))
    });
}

pub(super) fn put_left(store: &dyn Store, name: &str, (life, writer): (u64, u32), step: Step, amount: i128) {
    let (table, slot, key) = counter_row(
        name,
        CounterRow::Left {
            life,
            step,
            writer: WriterNumber(writer),
        },
    );
    let left = Left {
        position: Position::new(1).unwrap(),
        boundary: Minute(0),
        amount,
    };
    let mut rows = Batch::new();
    rows.push_with(
        table,
        slot,
        1,
        |out| out.extend_from_slice(&key),
        |out| left.encode(out),
    );
    store.put(&rows, Order::Any).unwrap();
}

pub(super) fn name_address(name: &str) -> Address<'_> {
    let slot = Key::new(name.as_bytes()).unwrap().slot().number();
    Address {
        table: Table::Names,
        slot,
        key: name.as_bytes(),
    }
}

pub(super) fn remove_all(store: &dyn Store, name: &str, tables: &[Table]) {
    let key = Key::new(name.as_bytes()).unwrap();
    let prefix = super::super::rows::prefix(key);
    let ranges: Vec<_> = tables
        .iter()
        .map(|table| super::super::rows::range(key, *table, &prefix, usize::MAX))
        .collect();
    let mut gone = Batch::new();
    store
        .scan(&ranges, &mut |_, row| {
            gone.push(Row { value: &[], ..row });
            Ok(())
        })
        .unwrap();
    store.remove(&gone).unwrap();
}

pub(super) const SOURCE: (u64, u32) = (0, 2);
pub(super) const OWN: (u64, u32) = (0, 1);
