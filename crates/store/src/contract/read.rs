//! `get`, `scan` and `walk`.

use std::collections::BTreeSet;

use super::Bench;
use super::kit::{T, at, batch, get, keys, put, range, remove, scan, walk};
use crate::{Address, Addresses, Batch, Order, Range, Store, StoreError, Table};

/// `visit` is called for each row that is there, with its index, and not for others.
pub fn get_names_the_address_it_answers(bench: &mut dyn Bench) {
    let store = bench.store();
    put(store, Order::Any, at(b"a"), 1, b"A");
    put(store, Order::Any, at(b"c"), 3, b"C");
    let mut addresses = Addresses::new();
    for key in [b"c", b"b", b"a", b"c"] {
        addresses.push_with(T, 7, |out| out.extend_from_slice(key));
    }
    let mut found = BTreeSet::new();
    store
        .get(&addresses, &mut |index, row| {
            assert!(
                found.insert((index, row.address.key.to_vec(), row.position, row.value.to_vec())),
                "once each"
            );
            Ok(())
        })
        .unwrap();
    let c = (b"c".to_vec(), 3, b"C".to_vec());
    let expected = [(0, c.clone()), (2, (b"a".to_vec(), 1, b"A".to_vec())), (3, c)];
    assert_eq!(
        found,
        expected
            .into_iter()
            .map(|(index, (key, position, value))| (index, key, position, value))
            .collect()
    );
}

/// What `visit` answers ends the read and is the read's answer; and `visit` may use the store.
pub fn an_error_of_the_visitor_ends_the_read(bench: &mut dyn Bench) {
    let store = bench.store();
    let row_keys = [b"a", b"b", b"c"];
    let mut addresses = Addresses::new();
    for key in row_keys {
        put(store, Order::Any, at(key), 1, b"value");
        addresses.push_with(T, 7, |out| out.extend_from_slice(key));
    }
    let mut visited = 0;
    let mut stop = |_: usize, row: crate::Row<'_>| {
        visited += 1;
        assert!(get(store, row.address).is_some(), "a visitor may read");
        Err(StoreError::Corrupt("of the visitor".into()))
    };
    assert!(matches!(store.get(&addresses, &mut stop), Err(StoreError::Corrupt(_))));
    assert!(matches!(
        store.scan(&[range(b"")], &mut stop),
        Err(StoreError::Corrupt(_))
    ));
    assert!(matches!(store.walk(T, b"", 9, &mut stop), Err(StoreError::Corrupt(_))));
    assert_eq!(visited, 3);
}

const KEYS: [&[u8]; 12] = [
    b"\0",
    b"\0\0",
    b"a",
    b"a\0",
    b"aa",
    b"ab",
    b"a\xff",
    b"a\xff\xff",
    b"b",
    b"\xff",
    b"\xff\xff",
    b"\xff\xff\0",
];

fn put_keys(store: &dyn Store) {
    // Not in their order.
    let rows = KEYS.iter().rev().map(|key| (at(key), 1, &b"value"[..]));
    store.put(&batch(rows), Order::Any).unwrap();
}

/// All rows whose key begins with the prefix, in the order of their bytes.
pub fn scans_go_by_prefix_in_key_order(bench: &mut dyn Bench) {
    let store = bench.store();
    put_keys(store);
    for prefix in [
        &b""[..],
        b"\0",
        b"\0\0",
        b"\0\0\0",
        b"a",
        b"aa",
        b"a\xff",
        b"b",
        b"c",
        b"\xff",
        b"\xff\xff",
        b"\xff\xff\xff",
    ] {
        let expected: Vec<&[u8]> = KEYS.into_iter().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(keys(store, range(prefix)), expected, "{prefix:?}");
    }
}

/// Only keys at or after `from`, which may lie before, within or past the prefix.
pub fn scans_begin_at_from(bench: &mut dyn Bench) {
    let store = bench.store();
    put_keys(store);
    for prefix in [&b""[..], b"a", b"a\xff", b"\xff"] {
        for from in [
            &b""[..],
            b"\0\0",
            b"a",
            b"a\x01",
            b"ab",
            b"ac",
            b"a\xff\xff\xff",
            b"b",
            b"\xff",
            b"\xff\xff\xff",
        ] {
            let expected: Vec<&[u8]> = KEYS
                .into_iter()
                .filter(|key| key.starts_with(prefix) && *key >= from)
                .collect();
            assert_eq!(
                keys(store, Range { from, ..range(prefix) }),
                expected,
                "{prefix:?} from {from:?}"
            );
        }
    }
}

/// At most `limit` rows, the first ones; none for zero.
pub fn scans_are_limited(bench: &mut dyn Bench) {
    let store = bench.store();
    put_keys(store);
    for limit in 0..14 {
        let expected: Vec<&[u8]> = KEYS.into_iter().filter(|key| *key >= &b"a"[..]).take(limit).collect();
        assert_eq!(
            keys(
                store,
                Range {
                    limit,
                    from: b"a",
                    ..range(b"")
                }
            ),
            expected,
            "{limit}"
        );
    }
}

/// Each row comes with the index of its range; ranges may overlap and each has its own limit.
pub fn scans_name_the_range_they_answer(bench: &mut dyn Bench) {
    let store = bench.store();
    put_keys(store);
    let ranges = [
        range(b"b"),
        Range {
            limit: 2,
            ..range(b"a")
        },
        range(b"nothing"),
        range(b"aa"),
        range(b"b"),
    ];
    let mut found: [Vec<Vec<u8>>; 5] = Default::default();
    for (index, key, _) in scan(store, &ranges) {
        found[index].push(key);
    }
    let expected: [&[&[u8]]; 5] = [&[b"b"], &[b"a", b"a\0"], &[], &[b"aa"], &[b"b"]];
    assert_eq!(
        found,
        expected.map(|keys| keys.iter().map(|key| key.to_vec()).collect::<Vec<_>>())
    );
}

/// The rows of the slots and tables beside are not part of a range.
pub fn scans_stay_in_their_slot(bench: &mut dyn Bench) {
    let store = bench.store();
    for slot in [0, 1, 255, 256, 16_383] {
        for table in [Table::Tokens, Table::Ledger] {
            let address = Address {
                table,
                slot,
                key: format!("key of {slot}").as_bytes(),
            }
            .key
            .to_vec();
            put(
                store,
                Order::Any,
                Address {
                    table,
                    slot,
                    key: &address,
                },
                1,
                b"",
            );
        }
    }
    for slot in [0, 1, 255, 256, 16_383] {
        for prefix in [&b""[..], b"key"] {
            let one = Range { slot, ..range(prefix) };
            assert_eq!(keys(store, one), [format!("key of {slot}").into_bytes()]);
        }
    }
    assert!(keys(store, Range { slot: 2, ..range(b"") }).is_empty());
}

fn put_many(store: &dyn Store, row_keys: &[Vec<u8>]) {
    let mut rows = Batch::new();
    for (index, key) in row_keys.iter().enumerate() {
        let slot = u16::try_from(index % 5).unwrap();
        rows.push_with(T, slot, 1, |out| out.extend_from_slice(key), |out| out.push(9));
    }
    store.put(&rows, Order::Any).unwrap();
}

fn many_keys() -> Vec<Vec<u8>> {
    (0..300_u16)
        .map(|number| number.wrapping_mul(40_503).to_be_bytes().to_vec())
        .collect()
}

/// A walk meets every row once, whatever its limit, and nothing of other tables.
pub fn walks_meet_every_row_once(bench: &mut dyn Bench) {
    let store = bench.store();
    let row_keys = many_keys();
    assert!(walk(store, T, 10).is_empty());
    put_many(store, &row_keys);
    put(
        store,
        Order::Any,
        Address {
            table: Table::Ledger,
            slot: 0,
            key: b"other",
        },
        1,
        b"",
    );
    for limit in [1, 7, 299, 300, 301, 10_000] {
        let rows = walk(store, T, limit);
        assert_eq!(rows.len(), row_keys.len(), "limit {limit}");
        let met: BTreeSet<Vec<u8>> = rows.into_iter().map(|(_, key, _, _)| key).collect();
        assert_eq!(met, row_keys.iter().cloned().collect());
    }
}

/// A cursor is good after a reopening too.
pub fn walks_go_on_after_a_reopening(bench: &mut dyn Bench) {
    let row_keys = many_keys();
    put_many(bench.store(), &row_keys);
    bench.store().durable().unwrap();
    let mut met = BTreeSet::new();
    let mut cursor = Some(Vec::new());
    while let Some(from) = cursor {
        cursor = bench
            .store()
            .walk(T, &from, 40, &mut |_, row| {
                assert!(met.insert(row.address.key.to_vec()), "once");
                Ok(())
            })
            .unwrap();
        bench.reopen();
    }
    assert_eq!(met, row_keys.into_iter().collect());
}

/// Rows that are there during the whole walk are met, though others come and go.
pub fn walks_under_writes_meet_what_stays(bench: &mut dyn Bench) {
    let store = bench.store();
    let row_keys = many_keys();
    put_many(store, &row_keys);
    let mut met = BTreeSet::new();
    let mut cursor = Some(Vec::new());
    let mut step: u16 = 0;
    while let Some(from) = cursor {
        cursor = store
            .walk(T, &from, 20, &mut |_, row| {
                met.insert(row.address.key.to_vec());
                Ok(())
            })
            .unwrap();
        step += 1;
        let key = [&step.wrapping_mul(7_919).to_be_bytes()[..], b"extra"].concat();
        put(
            store,
            Order::Any,
            Address {
                table: T,
                slot: step % 5,
                key: &key,
            },
            1,
            b"",
        );
        if step.is_multiple_of(2) {
            remove(
                store,
                Address {
                    table: T,
                    slot: step % 5,
                    key: &key,
                },
                1,
            );
        }
    }
    assert!(row_keys.iter().all(|key| met.contains(key)));
}
