//! `names` and `names_by_slot`.

use std::collections::{BTreeMap, BTreeSet};

use tally_counter::{Chunk, CounterRow, Key, Step, WriterNumber, row_key};

use super::Bench;
use super::kit::{all_names_from, names, names_from, place, put_counters, remove_counter};
use crate::{Batch, NameCursor, Order, Store, Table};

/// Names that are hard to sort or to bound: NUL, the largest code point, one that begins another, 1,024 bytes.
fn hard_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "\0",
        "\0\0",
        "a",
        "a\0",
        "a\0b",
        "a:",
        "a:1",
        "a:10",
        "a:2",
        "a;",
        "aa",
        "b",
        "{tag}x",
        "{tag}y",
        "é",
        "\u{7f}",
        "\u{80}",
        "\u{7ff}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{10ffff}\u{10ffff}",
        "\u{10ffff}a",
    ]
    .map(String::from)
    .to_vec();
    names.push("x".repeat(1_024));
    names.push("\u{10ffff}".repeat(256));
    names
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn put_hard_names(store: &dyn Store) -> Vec<String> {
    let all = hard_names();
    put_counters(store, all.iter().rev().map(String::as_str));
    sorted(all)
}

/// In the order of the names' bytes, across slots.
pub fn come_in_name_order(bench: &mut dyn Bench) {
    let all = put_hard_names(bench.store());
    assert_eq!(names(bench.store(), "", "", usize::MAX), all);
}

/// Only those that begin with the prefix.
pub fn begin_with_the_prefix(bench: &mut dyn Bench) {
    let store = bench.store();
    let all = put_hard_names(store);
    for prefix in [
        "\0",
        "a",
        "a\0",
        "a:",
        "a:1",
        "aa",
        "c",
        "{tag}",
        "é",
        "\u{10ffff}",
        "\u{10ffff}\u{10ffff}",
        "x",
        "xy",
    ] {
        let expected: Vec<&String> = all.iter().filter(|name| name.starts_with(prefix)).collect();
        assert_eq!(
            names(store, prefix, "", 99).iter().collect::<Vec<_>>(),
            expected,
            "{prefix:?}"
        );
    }
}

/// Only those after a name, which need not be there, nor begin with the prefix.
pub fn come_after(bench: &mut dyn Bench) {
    let store = bench.store();
    let all = put_hard_names(store);
    let afters = all
        .iter()
        .map(String::as_str)
        .chain(["a:0", "a:1z", "zz", "\u{1}", "\u{10ffff}z"]);
    for after in afters {
        for prefix in ["", "a", "a:", "\u{10ffff}"] {
            let expected: Vec<&String> = all
                .iter()
                .filter(|name| name.starts_with(prefix) && name.as_str() > after)
                .collect();
            assert_eq!(
                names(store, prefix, after, 99).iter().collect::<Vec<_>>(),
                expected,
                "{prefix:?} {after:?}"
            );
        }
    }
}

/// At most `limit`, the first ones; page by page all of them.
pub fn are_limited(bench: &mut dyn Bench) {
    let store = bench.store();
    let all = put_hard_names(store);
    for limit in 1..=all.len() + 1 {
        let mut pages: Vec<String> = Vec::new();
        loop {
            let after = pages.last().cloned().unwrap_or_default();
            let page = names(store, "", &after, limit);
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            pages.extend(page);
        }
        assert_eq!(pages, all, "limit {limit}");
    }
    assert!(names(store, "", "", 0).is_empty());
}

/// In slot order, within a slot in the order of the hash, each once.
pub fn come_in_slot_order(bench: &mut dyn Bench) {
    let store = bench.store();
    assert_eq!(names_from(store, NameCursor::default(), 5), (vec![], None));
    let mut all = put_hard_names(store);
    all.sort_by_key(|name| (place(name), name.len(), name.clone()));
    for limit in [1, 2, 5, 23, 24, 25, 1_000] {
        assert_eq!(
            all_names_from(store, NameCursor::default(), limit),
            all,
            "limit {limit}"
        );
    }
}

/// A cursor is a place, not a state: any is good, inclusive, at any time.
pub fn walk_on_from_any_cursor(bench: &mut dyn Bench) {
    let store = bench.store();
    let all = put_hard_names(store);
    let places = all.iter().map(|name| place(name));
    let beside = all.iter().flat_map(|name| {
        let NameCursor { slot, hash } = place(name);
        [
            NameCursor {
                slot,
                hash: hash.saturating_add(1),
            },
            NameCursor { slot, hash: 0 },
            NameCursor {
                slot: slot + 1,
                hash: 0,
            },
        ]
    });
    let last = NameCursor {
        slot: 16_383,
        hash: u32::MAX,
    };
    for cursor in places.chain(beside).chain([last]) {
        let met: BTreeSet<String> = all_names_from(store, cursor, 3).into_iter().collect();
        let expected: BTreeSet<String> = all.iter().filter(|name| place(name) >= cursor).cloned().collect();
        assert_eq!(met, expected, "{cursor:?}");
    }
}

/// Names that share slot and hash are answered together, past the limit where need be.
pub fn of_one_place_come_together(bench: &mut dyn Bench) {
    let store = bench.store();
    assert_eq!(place(TWINS[0]), place(TWINS[1]));
    put_counters(store, TWINS.into_iter().chain(["{t}other", "another"]));
    let mut cursor = Some(NameCursor::default());
    let mut met = Vec::new();
    while let Some(from) = cursor {
        let (page, next) = names_from(store, from, 1);
        let twins = page.iter().filter(|name| TWINS.contains(&name.as_str())).count();
        assert!(twins == 0 || twins == 2, "{page:?}");
        met.extend(page);
        cursor = next;
    }
    assert_eq!(met.len(), 4);
    assert_eq!(names_from(store, place(TWINS[0]), 1).0.len(), 2);
}

/// Two names in one slot (by their hash tag) with the same 32-bit hash.
const TWINS: [&str; 2] = ["{t}2e3ae2", "{t}a3ad70"];

/// A counter is one name, however many rows it has, with neighbours that have few.
pub fn of_counters_with_many_rows_come_once(bench: &mut dyn Bench) {
    let store = bench.store();
    let all: Vec<String> = (0..40).map(|number| format!("{{same}}{number}")).collect();
    put_counters(store, all.iter().map(String::as_str));
    let mut rows = Batch::new();
    for name in all.iter().step_by(3) {
        let key = Key::new(name.as_bytes()).unwrap();
        for number in 0..50 {
            let cell = CounterRow::Cell {
                life: u64::from(number),
                writer: WriterNumber(number * 100),
            };
            let left = CounterRow::Left {
                life: 3,
                step: Step::Hour,
                writer: WriterNumber(number),
            };
            let window = CounterRow::Window {
                life: 1,
                step: Step::Hour,
                chunk: Chunk(number),
                writer: WriterNumber(1),
            };
            for (table, row) in [
                (Table::Counters, cell),
                (Table::Counters, left),
                (Table::Windows, window),
            ] {
                rows.push_with(table, key.slot().number(), 1, |out| row_key(key, row, out), |_| {});
            }
        }
    }
    store.put(&rows, Order::Any).unwrap();
    for limit in [1, 4, 100] {
        let met = all_names_from(store, NameCursor::default(), limit);
        assert_eq!(sorted(met), sorted(all.clone()), "limit {limit}");
    }
}

/// The walk needs no state: whatever is put or removed between two steps, names that stay are met.
pub fn that_stay_are_met_whatever_else_changes(bench: &mut dyn Bench) {
    let store = bench.store();
    let stay: Vec<String> = (0..200).map(|number| format!("stay:{number}")).collect();
    let mut come_and_go: BTreeMap<String, u64> = BTreeMap::new();
    put_counters(store, stay.iter().map(String::as_str));
    for limit in [1, 3, 10] {
        let mut met = BTreeSet::new();
        let mut cursor = Some(NameCursor::default());
        let mut step = 0;
        while let Some(from) = cursor {
            let (page, next) = names_from(store, from, limit);
            for name in &page {
                assert!(
                    name.starts_with("stay:") || come_and_go.contains_key(name),
                    "{name} never was"
                );
            }
            met.extend(page);
            cursor = next;
            step += 1;
            let name = format!("go:{}", step % 17);
            match come_and_go.get(&name) {
                Some(1) => {
                    remove_counter(store, &name, 1);
                    come_and_go.insert(name, 2);
                }
                Some(_) => {}
                None => {
                    put_counters(store, [name.as_str()]);
                    come_and_go.insert(name, 1);
                }
            }
        }
        assert!(stay.iter().all(|name| met.contains(name)), "limit {limit}");
    }
}

/// A removed counter's name is no longer answered in name order.
pub fn that_were_removed_are_gone(bench: &mut dyn Bench) {
    let store = bench.store();
    put_counters(store, ["a", "b", "c"]);
    remove_counter(store, "b", 1);
    assert_eq!(names(store, "", "", 9), ["a", "c"]);
    let met = all_names_from(store, NameCursor::default(), 1);
    assert!(met.contains(&"a".into()) && met.contains(&"c".into()));
}
