//! `put`: a row with a smaller position never replaces one with a larger, however writes arrive.

use std::collections::BTreeSet;

use super::Bench;
use super::kit::{T, at, batch, get, keys, put, range};
use crate::{Address, Addresses, Batch, Order, Table};

const BOTH: [Order; 2] = [Order::Any, Order::Growing];

/// Reads see every row that an earlier `put` of the same process returned `Ok` for.
pub fn reads_see_what_was_put(bench: &mut dyn Bench) {
    let store = bench.store();
    for (order, key) in BOTH.into_iter().zip([b"a", b"b"]) {
        assert_eq!(get(store, at(key)), None);
        put(store, order, at(key), 3, b"value");
        assert_eq!(get(store, at(key)), Some((3, b"value".to_vec())));
        assert_eq!(keys(store, range(key)), [key]);
    }
}

/// Values from empty to a megabyte, positions from zero to just below 2^63, keys to 2,000 bytes.
pub fn values_and_positions_of_any_size(bench: &mut dyn Bench) {
    let store = bench.store();
    let positions = [0, 1, 127, 128, 16_383, 16_384, u32::MAX.into(), 1 << 50, (1 << 63) - 1];
    for (index, position) in positions.into_iter().enumerate() {
        let key = vec![b'k'; index * 250 + 1];
        let value = vec![0xff; [0, 1, 20, 127, 128, 4_096, 65_536, 1 << 20, 3][index]];
        for order in BOTH {
            put(store, order, at(&key), position, &value);
            assert_eq!(get(store, at(&key)), Some((position, value.clone())), "at {position}");
        }
    }
}

/// No rows, no addresses and no ranges are fine everywhere.
pub fn nothing_is_allowed(bench: &mut dyn Bench) {
    let store = bench.store();
    for order in BOTH {
        store.put(&Batch::new(), order).unwrap();
    }
    store.remove(&Batch::new()).unwrap();
    store
        .get(&Addresses::new(), &mut |_, _| unreachable!("no rows"))
        .unwrap();
    store.scan(&[], &mut |_, _| unreachable!("no rows")).unwrap();
    store.scan(&[range(b"")], &mut |_, _| unreachable!("no rows")).unwrap();
    store.durable().unwrap();
}

/// With `Order::Any` a row with a smaller position changes nothing.
pub fn a_smaller_position_never_replaces(bench: &mut dyn Bench) {
    let store = bench.store();
    for order in BOTH {
        put(store, order, at(b"row"), 10, b"a");
        for (position, value) in [(9, &b"z"[..]), (0, b"zz"), (9, b"")] {
            put(store, Order::Any, at(b"row"), position, value);
            assert_eq!(get(store, at(b"row")), Some((10, b"a".to_vec())));
        }
    }
}

/// A larger position replaces, whatever the value; a shorter value leaves nothing of a longer one.
pub fn a_larger_position_replaces(bench: &mut dyn Bench) {
    let store = bench.store();
    let mut position = 0;
    for order in BOTH {
        for value in [&b"zzz"[..], b"a", b""] {
            position += 100;
            put(store, order, at(b"row"), position, value);
            assert_eq!(get(store, at(b"row")), Some((position, value.to_vec())));
        }
    }
}

/// With `Order::Any`, at equal positions the larger value stands, by its bytes, whichever came first.
pub fn at_equal_positions_the_larger_value_stands(bench: &mut dyn Bench) {
    let store = bench.store();
    let ascending: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"b", b"\xff"];
    for (small, large) in ascending.iter().zip(&ascending[1..]) {
        for (first, second, key) in [(small, large, b"up"), (large, small, b"do")] {
            let key = [key, *small].concat();
            put(store, Order::Any, at(&key), 5, first);
            put(store, Order::Any, at(&key), 5, second);
            assert_eq!(get(store, at(&key)), Some((5, large.to_vec())), "{small:?} {large:?}");
        }
    }
}

/// A batch may name one row several times: the rank decides, or for growing ones the last, which is the same.
pub fn a_row_twice_in_one_batch(bench: &mut dyn Bench) {
    let store = bench.store();
    let rows: [(Address<'_>, u64, &[u8]); 4] = [
        (at(b"any"), 2, b"b"),
        (at(b"any"), 4, b"a"),
        (at(b"any"), 4, b"c"),
        (at(b"any"), 3, b"z"),
    ];
    store.put(&batch(rows), Order::Any).unwrap();
    assert_eq!(get(store, at(b"any")), Some((4, b"c".to_vec())));
    let rows: [(Address<'_>, u64, &[u8]); 3] = [(at(b"gr"), 2, b"z"), (at(b"gr"), 3, b"y"), (at(b"gr"), 4, b"x")];
    store.put(&batch(rows), Order::Growing).unwrap();
    assert_eq!(get(store, at(b"gr")), Some((4, b"x".to_vec())));
}

/// The same batches in every order, each of them twice, end the same.
pub fn again_and_in_any_order(bench: &mut dyn Bench) {
    let store = bench.store();
    let writes: [(u64, &[u8]); 4] = [(1, b"one"), (2, b"two"), (3, b"b"), (3, b"a")];
    for order in 0..256_usize {
        let key = [b"row", &order.to_be_bytes()[..]].concat();
        let picks = [
            order & 3,
            order >> 2 & 3,
            order >> 4 & 3,
            order >> 6 & 3,
            0,
            1,
            2,
            3,
            order & 3,
        ];
        for pick in picks {
            let (position, value) = writes[pick];
            put(store, Order::Any, at(&key), position, value);
        }
        assert_eq!(get(store, at(&key)), Some((3, b"b".to_vec())), "order {order:o}");
    }
}

/// Batches are as large as the caller likes.
pub fn large_batches(bench: &mut dyn Bench) {
    let store = bench.store();
    let row_keys: Vec<Vec<u8>> = (0..40_000_u32)
        .map(|number| number.wrapping_mul(2_654_435_769).to_be_bytes().to_vec())
        .collect();
    for (round, order) in BOTH.into_iter().enumerate() {
        let position = round as u64 + 1;
        let rows = row_keys.iter().map(|key| (at(key), position, &key[..]));
        store.put(&batch(rows), order).unwrap();
        let mut addresses = Addresses::new();
        for key in &row_keys {
            addresses.push_with(T, 7, |out| out.extend_from_slice(key));
        }
        let mut found = BTreeSet::new();
        store
            .get(&addresses, &mut |index, row| {
                assert_eq!((row.position, row.value), (position, &row_keys[index][..]));
                assert!(found.insert(index), "once");
                Ok(())
            })
            .unwrap();
        assert_eq!(found.len(), row_keys.len());
    }
}

/// The same key in another slot or another table is another row.
pub fn tables_and_slots_are_apart(bench: &mut dyn Bench) {
    let store = bench.store();
    let mut rows = Batch::new();
    let mut expected = Vec::new();
    for table in [Table::Windows, Table::Tokens, Table::Ledger, Table::Policies] {
        for slot in [0, 1, 255, 256, 16_383] {
            let value = format!("{table:?}{slot}");
            rows.push_with(table, slot, 1, window_key, |out| {
                out.extend_from_slice(value.as_bytes());
            });
            expected.push((table, slot, value));
        }
    }
    store.put(&rows, Order::Any).unwrap();
    let mut key = Vec::new();
    window_key(&mut key);
    for (table, slot, value) in expected {
        assert_eq!(
            get(store, Address { table, slot, key: &key }),
            Some((1, value.into_bytes()))
        );
    }
}

/// A key that is valid in the windows' table too.
fn window_key(out: &mut Vec<u8>) {
    use tally_counter::{Chunk, CounterRow, Key, Step, WriterNumber, row_key};
    let window = CounterRow::Window {
        life: 1,
        step: Step::Hour,
        chunk: Chunk(1),
        writer: WriterNumber(1),
    };
    row_key(Key::new(b"name").unwrap(), window, out);
}
