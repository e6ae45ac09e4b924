//! `durable`: what was put, removed and swapped before it is there after a reopening.

use super::Bench;
use super::kit::{at, batch, counter, get, keys, names, put, range, remove};
use crate::{Address, Addresses, Batch, Condition, Order, Store, Swap, Swapped, Table};

/// Rows of every kind of put.
pub fn durable_rows_are_there_after_a_reopening(bench: &mut dyn Bench) {
    let row_keys: Vec<Vec<u8>> = (0..2_000_u32).map(|number| number.to_be_bytes().to_vec()).collect();
    for (position, order) in [(1, Order::Growing), (2, Order::Any), (3, Order::Growing)] {
        let rows = row_keys.iter().map(|key| (at(key), position, &key[..]));
        bench.store().put(&batch(rows), order).unwrap();
        let mut rows = Batch::new();
        counter(&format!("name of {position}"), position, &mut rows);
        bench.store().put(&rows, order).unwrap();
        bench.store().durable().unwrap();
        bench.reopen();
        for key in &row_keys {
            assert_eq!(get(bench.store(), at(key)), Some((position, key.clone())));
        }
    }
    assert_eq!(
        names(bench.store(), "name", "", 9),
        ["name of 1", "name of 2", "name of 3"]
    );
    assert_eq!(keys(bench.store(), range(b"")), row_keys);
}

/// Removals and swaps are synced as well.
pub fn durable_swaps_and_removals_too(bench: &mut dyn Bench) {
    let store = bench.store();
    put(store, Order::Any, at(b"gone"), 5, b"value");
    put(store, Order::Any, at(b"stays"), 5, b"value");
    store.durable().unwrap();
    remove(store, at(b"gone"), 5);
    let writer = Address {
        table: Table::Writers,
        slot: 0,
        key: b"w",
    };
    let rows = batch([(writer, 1, &b"claimed"[..])]);
    let conditions = [Condition {
        address: writer,
        value: None,
    }];
    while store
        .swap(Swap {
            conditions: &conditions,
            rows: &rows,
            gone: &Addresses::new(),
        })
        .unwrap()
        == Swapped::Unknown
    {}
    store.durable().unwrap();
    bench.reopen();
    let store = bench.store();
    assert_eq!(get(store, at(b"gone")), None);
    assert_eq!(get(store, at(b"stays")), Some((5, b"value".to_vec())));
    assert_eq!(get(store, writer), Some((1, b"claimed".to_vec())));
}

/// What was put since may be there or not, row by row; but a row is one of those that were put, whole, and not older than
/// the durable one.
pub fn what_is_not_durable_is_whole_or_older(bench: &mut dyn Bench) {
    let row_keys: Vec<Vec<u8>> = (0..100_u8).map(|number| vec![number]).collect();
    let put_all = |store: &dyn Store, position: u64| {
        let value = position.to_be_bytes().repeat(5);
        let rows = row_keys.iter().map(|key| (at(key), position, &value[..]));
        store.put(&batch(rows), Order::Growing).unwrap();
    };
    for base in [10, 20, 30] {
        put_all(bench.store(), base);
        bench.store().durable().unwrap();
        put_all(bench.store(), base + 1);
        put_all(bench.store(), base + 2);
        bench.reopen();
        for key in &row_keys {
            let (position, value) = get(bench.store(), at(key)).expect("durable");
            assert!((base..=base + 2).contains(&position), "{position} after {base}");
            assert_eq!(value, position.to_be_bytes().repeat(5));
        }
    }
}

/// With nothing new, after a reopening, and many times.
pub fn durable_is_asked_for_again_and_again(bench: &mut dyn Bench) {
    for position in 1..50 {
        bench.store().durable().unwrap();
        put(bench.store(), Order::Growing, at(b"row"), position, b"value");
        bench.store().durable().unwrap();
        if position % 10 == 0 {
            bench.reopen();
            assert_eq!(
                get(bench.store(), at(b"row")).map(|(position, _)| position),
                Some(position)
            );
        }
    }
}
