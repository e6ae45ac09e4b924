//! `swap`: the conditional write. Its outcome may be unknown; then it is settled by repeating it.

use super::Bench;
use super::kit::{batch, get};
use crate::{Address, Addresses, Condition, Store, Swap, Swapped, Table};

fn writer(key: &[u8]) -> Address<'_> {
    Address {
        table: Table::Writers,
        slot: 3,
        key,
    }
}

/// Repeats the swap until its outcome is known.
fn settle(store: &dyn Store, conditions: &[Condition<'_>], rows: &[(Address<'_>, u64, &[u8])]) -> Swapped {
    let rows = batch(rows.iter().copied());
    loop {
        match store
            .swap(Swap {
                conditions,
                rows: &rows,
                gone: &Addresses::new(),
            })
            .expect("swap")
        {
            Swapped::Unknown => {}
            known => return known,
        }
    }
}

/// One row that had one value gets another. `true` when it did, now or in an earlier try.
fn change(store: &dyn Store, key: &[u8], from: Option<&[u8]>, to: &[u8]) -> bool {
    match settle(
        store,
        &[Condition {
            address: writer(key),
            value: from,
        }],
        &[(writer(key), 1, to)],
    ) {
        Swapped::Refused(found) => found == [Some(to.to_vec())],
        outcome => outcome == Swapped::Applied,
    }
}

fn value(store: &dyn Store, key: &[u8]) -> Option<Vec<u8>> {
    get(store, writer(key)).map(|(_, value)| value)
}

/// It must not be there; it must have a value: both are conditions, and an empty value is a value.
pub fn applies_when_the_conditions_hold(bench: &mut dyn Bench) {
    let store = bench.store();
    assert!(change(store, b"w", None, b""));
    assert_eq!(value(store, b"w"), Some(vec![]));
    assert!(change(store, b"w", Some(b""), b"one"));
    assert!(change(store, b"w", Some(b"one"), b"two"));
    assert_eq!(value(store, b"w"), Some(b"two".to_vec()));
}

/// When one does not hold nothing is put, and the answer is what the rows hold.
pub fn is_refused_with_what_is_there(bench: &mut dyn Bench) {
    let store = bench.store();
    assert!(change(store, b"a", None, b"one"));
    for expected in [None, Some(&b""[..]), Some(b"on"), Some(b"one\0")] {
        let conditions = [
            Condition {
                address: writer(b"none"),
                value: None,
            },
            Condition {
                address: writer(b"a"),
                value: expected,
            },
        ];
        let outcome = settle(
            store,
            &conditions,
            &[(writer(b"a"), 9, b"two"), (writer(b"none"), 9, b"two")],
        );
        assert_eq!(
            outcome,
            Swapped::Refused(vec![None, Some(b"one".to_vec())]),
            "{expected:?}"
        );
        assert_eq!(
            (value(store, b"a"), value(store, b"none")),
            (Some(b"one".to_vec()), None)
        );
    }
}

/// Several rows of one partition are put together or not at all.
pub fn puts_all_rows_or_none(bench: &mut dyn Bench) {
    let store = bench.store();
    let absent = |key| Condition {
        address: writer(key),
        value: None,
    };
    let rows: [(Address<'_>, u64, &[u8]); 3] = [
        (writer(b"a"), 1, b"A"),
        (writer(b"b"), 1, b"B"),
        (writer(b"c"), 1, b"C"),
    ];
    settle(store, &[absent(b"a"), absent(b"c")], &rows);
    for (key, expected) in [(b"a", b"A"), (b"b", b"B"), (b"c", b"C")] {
        assert_eq!(value(store, key), Some(expected.to_vec()));
    }
    let rows: [(Address<'_>, u64, &[u8]); 2] = [(writer(b"d"), 1, b"D"), (writer(b"a"), 1, b"X")];
    assert!(matches!(
        settle(store, &[absent(b"d"), absent(b"a")], &rows),
        Swapped::Refused(_)
    ));
    assert_eq!((value(store, b"d"), value(store, b"a")), (None, Some(b"A".to_vec())));
}

/// What is put is put whatever the positions, and read back with them.
pub fn ignores_positions(bench: &mut dyn Bench) {
    let store = bench.store();
    settle(
        store,
        &[Condition {
            address: writer(b"w"),
            value: None,
        }],
        &[(writer(b"w"), 9, b"z")],
    );
    settle(
        store,
        &[Condition {
            address: writer(b"w"),
            value: Some(b"z"),
        }],
        &[(writer(b"w"), 3, b"a")],
    );
    assert_eq!(get(store, writer(b"w")), Some((3, b"a".to_vec())));
}

/// A condition may be on a row that is not put, and a row may be put without a condition on it.
pub fn conditions_may_be_on_other_rows(bench: &mut dyn Bench) {
    let store = bench.store();
    assert!(change(store, b"gate", None, b"open"));
    let open = [Condition {
        address: writer(b"gate"),
        value: Some(b"open"),
    }];
    settle(store, &open, &[(writer(b"w"), 1, b"one")]);
    assert_eq!(
        (value(store, b"gate"), value(store, b"w")),
        (Some(b"open".to_vec()), Some(b"one".to_vec()))
    );
    assert!(change(store, b"gate", Some(b"open"), b"shut"));
    let outcome = settle(store, &open, &[(writer(b"w"), 1, b"two")]);
    assert_eq!(outcome, Swapped::Refused(vec![Some(b"shut".to_vec())]));
    assert_eq!(value(store, b"w"), Some(b"one".to_vec()));
}

/// The same swap again is refused by what it put itself, and so is settled.
pub fn a_repeat_is_settled(bench: &mut dyn Bench) {
    let store = bench.store();
    let absent = [Condition {
        address: writer(b"w"),
        value: None,
    }];
    settle(store, &absent, &[(writer(b"w"), 1, b"mine")]);
    let again = settle(store, &absent, &[(writer(b"w"), 1, b"mine")]);
    assert_eq!(again, Swapped::Refused(vec![Some(b"mine".to_vec())]));
}

/// Rows of slots of one partition are put and removed together, or not at all.
pub fn removes_rows_along(bench: &mut dyn Bench) {
    let store = bench.store();
    let strong = |slot, key| Address {
        table: Table::Strong,
        slot,
        key,
    };
    let held = |value| {
        [Condition {
            address: strong(256, b"version"),
            value,
        }]
    };
    let first: [(Address<'_>, u64, &[u8]); 3] = [
        (strong(256, b"version"), 1, b"1"),
        (strong(300, b"a"), 1, b"A"),
        (strong(511, b"b"), 1, b"B"),
    ];
    settle(store, &held(None), &first);
    let mut gone = Addresses::new();
    gone.push_with(Table::Strong, 300, |out| out.push(b'a'));
    let next: [(Address<'_>, u64, &[u8]); 2] = [(strong(256, b"version"), 2, b"2"), (strong(511, b"c"), 2, b"C")];
    let rows = batch(next.iter().copied());
    let swap = |conditions: &[Condition<'_>]| loop {
        let swap = Swap {
            conditions,
            rows: &rows,
            gone: &gone,
        };
        match store.swap(swap).expect("swap") {
            Swapped::Unknown => {}
            known => return known,
        }
    };
    assert_eq!(swap(&held(Some(b"0"))), Swapped::Refused(vec![Some(b"1".to_vec())]));
    assert_eq!(get(store, strong(300, b"a")), Some((1, b"A".to_vec())));
    swap(&held(Some(b"1")));
    assert_eq!(get(store, strong(256, b"version")), Some((2, b"2".to_vec())));
    assert_eq!(get(store, strong(300, b"a")), None);
    assert_eq!(get(store, strong(511, b"b")), Some((1, b"B".to_vec())));
    assert_eq!(get(store, strong(511, b"c")), Some((2, b"C".to_vec())));
}

/// Swaps on the same row from several threads are one history: each is applied once, on what the one before left.
pub fn is_serial_between_threads(bench: &mut dyn Bench) {
    const THREADS: u8 = 4;
    const SWAPS: u8 = 25;
    let store = bench.store();
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            threads.spawn(move || {
                for number in 0..SWAPS {
                    append(store, &[thread, number]);
                }
            });
        }
    });
    let history = value(store, b"log").expect("it was written");
    for thread in 0..THREADS {
        let own: Vec<u8> = history
            .chunks(2)
            .filter(|entry| entry[0] == thread)
            .map(|entry| entry[1])
            .collect();
        assert_eq!(own, (0..SWAPS).collect::<Vec<_>>(), "each once, in its thread's order");
    }
}

/// Appends an entry that no one else appends, once.
fn append(store: &dyn Store, entry: &[u8]) {
    loop {
        let before = value(store, b"log");
        let after = [before.as_deref().unwrap_or_default(), entry].concat();
        let conditions = [Condition {
            address: writer(b"log"),
            value: before.as_deref(),
        }];
        match settle(store, &conditions, &[(writer(b"log"), 1, &after)]) {
            Swapped::Applied => return,
            Swapped::Refused(found) => {
                let found = found.into_iter().flatten().next().unwrap_or_default();
                if found.chunks(2).any(|other| other == entry) {
                    return;
                }
            }
            Swapped::Unknown => unreachable!("settled"),
        }
    }
}
