//! `remove`: a newer write stays, an older one that comes late may come back and be swept again.

use super::Bench;
use super::kit::{at, batch, get, keys, put, range, remove};
use crate::Order;

/// A row that stands at the given position or below goes; reads no longer see it.
pub fn what_stands_at_the_position_goes(bench: &mut dyn Bench) {
    let store = bench.store();
    for (key, stands, at_position) in [(b"a", 5, 5), (b"b", 5, 9), (b"c", 0, 0)] {
        put(store, Order::Any, at(key), stands, b"value");
        remove(store, at(key), at_position);
        assert_eq!(get(store, at(key)), None);
    }
    assert!(keys(store, range(b"")).is_empty(), "scans do not see them either");
}

/// A row that stands at a larger position stays as it is.
pub fn a_newer_write_stays(bench: &mut dyn Bench) {
    let store = bench.store();
    put(store, Order::Any, at(b"row"), 5, b"value");
    remove(store, at(b"row"), 4);
    assert_eq!(get(store, at(b"row")), Some((5, b"value".to_vec())));
    let other = batch([
        (at(b"row"), 4, &b"the value of a removal means nothing"[..]),
        (at(b"none"), 4, b""),
    ]);
    store.remove(&other).unwrap();
    assert_eq!(get(store, at(b"row")), Some((5, b"value".to_vec())));
}

/// Removing what is not there, or twice, is fine.
pub fn what_is_not_there_may_be_removed(bench: &mut dyn Bench) {
    let store = bench.store();
    remove(store, at(b"row"), 9);
    put(store, Order::Any, at(b"row"), 10, b"value");
    for _ in 0..2 {
        remove(store, at(b"row"), 10);
        assert_eq!(get(store, at(b"row")), None);
    }
}

/// An older write that comes late stays hidden or comes back as it was, and can be swept again.
pub fn a_late_older_write_is_hidden_or_comes_back(bench: &mut dyn Bench) {
    let store = bench.store();
    put(store, Order::Any, at(b"row"), 5, b"new");
    remove(store, at(b"row"), 5);
    put(store, Order::Any, at(b"row"), 3, b"old");
    let stands = get(store, at(b"row"));
    assert!(stands.is_none() || stands == Some((3, b"old".to_vec())), "{stands:?}");
    remove(store, at(b"row"), 5);
    assert_eq!(get(store, at(b"row")), None);
}

/// A write beyond the removal is a new row.
pub fn a_newer_write_brings_the_row_back(bench: &mut dyn Bench) {
    let store = bench.store();
    for (key, order) in [(b"a", Order::Any), (b"b", Order::Growing)] {
        put(store, order, at(key), 5, b"long value");
        remove(store, at(key), 5);
        put(store, order, at(key), 6, b"new");
        assert_eq!(get(store, at(key)), Some((6, b"new".to_vec())));
        assert_eq!(keys(store, range(key)), [key]);
    }
}
