//! Random operations against a plain map, by seed, reopening in between. A failure prints its seed; the environment
//! variable `TALLY_CONTRACT_SEED` runs that one alone.

use std::collections::{BTreeMap, BTreeSet};

use super::Bench;
use super::kit::{T, all_names_from, get, names, place, put_counters, remove_counter, walk};
use crate::model::Random;
use crate::{Address, Batch, NameCursor, Order, Range, Row, Store};

const SEEDS: u64 = 4;
const STEPS: u64 = 300;

type Key = (u16, Vec<u8>);

/// Puts of both orders, removals, reads of all kinds, syncs and reopenings, compared with a map after each step.
pub fn operations_agree_with_a_map(bench: &mut dyn Bench) {
    for seed in seeds() {
        println!("TALLY_CONTRACT_SEED={seed}");
        run(bench, &mut Random::new(seed), u16::try_from(seed % 100 * 100).unwrap());
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("TALLY_CONTRACT_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (0..SEEDS).collect(),
    }
}

/// Slots from `base` on are this run's own, so that runs may share a store.
fn run(bench: &mut dyn Bench, random: &mut Random, base: u16) {
    let mut map: BTreeMap<Key, (u64, Vec<u8>)> = BTreeMap::new();
    let mut position = 0;
    for _ in 0..STEPS {
        position += 1;
        let store = bench.store();
        match random.below(10) {
            0..=2 => put_growing(store, random, base, position, &mut map),
            3 | 4 => put_any(store, random, base, position, &mut map),
            5 => remove_some(store, random, base, position, &mut map),
            6 => compare_some(store, random, base, &map),
            7 | 8 => compare_scan(store, random, base, &map),
            _ => {
                store.durable().unwrap();
                bench.reopen();
            }
        }
    }
    let rows: BTreeMap<Key, (u64, Vec<u8>)> = walk(bench.store(), T, 7)
        .into_iter()
        .filter(|(slot, ..)| (base..base + 100).contains(slot))
        .map(|(slot, key, position, value)| ((slot, key), (position, value)))
        .collect();
    assert_eq!(rows, map);
}

fn some_key(random: &mut Random, base: u16) -> Key {
    let slot = base + u16::try_from(random.below(3)).unwrap();
    let key = (0..=random.below(3))
        .map(|_| [0, b'a', b'b', 0xff][usize::try_from(random.below(4)).unwrap()])
        .collect();
    (slot, key)
}

fn address((slot, key): &Key) -> Address<'_> {
    Address {
        table: T,
        slot: *slot,
        key,
    }
}

fn some_value(random: &mut Random) -> Vec<u8> {
    let length = [0, 1, 3, 12, 200][usize::try_from(random.below(5)).unwrap()];
    vec![u8::try_from(random.below(256)).unwrap(); length]
}

fn put_growing(
    store: &dyn Store,
    random: &mut Random,
    base: u16,
    position: u64,
    map: &mut BTreeMap<Key, (u64, Vec<u8>)>,
) {
    let keys: BTreeSet<Key> = (0..random.below(20)).map(|_| some_key(random, base)).collect();
    let mut rows = Batch::new();
    for key in keys {
        let value = some_value(random);
        rows.push(Row {
            address: address(&key),
            position,
            value: &value,
        });
        map.insert(key, (position, value));
    }
    store.put(&rows, Order::Growing).unwrap();
}

fn put_any(store: &dyn Store, random: &mut Random, base: u16, position: u64, map: &mut BTreeMap<Key, (u64, Vec<u8>)>) {
    let mut rows = Batch::new();
    for _ in 0..random.below(20) {
        let key = some_key(random, base);
        // Beyond a removal a back end may hide what is older, so only rows that are there get older writes.
        let position = if map.contains_key(&key) {
            random.below(position + 1)
        } else {
            position
        };
        let value = some_value(random);
        rows.push(Row {
            address: address(&key),
            position,
            value: &value,
        });
        let wins = map
            .get(&key)
            .is_none_or(|(stands, standing)| (position, &value) > (*stands, standing));
        if wins {
            map.insert(key, (position, value));
        }
    }
    store.put(&rows, Order::Any).unwrap();
}

fn remove_some(
    store: &dyn Store,
    random: &mut Random,
    base: u16,
    position: u64,
    map: &mut BTreeMap<Key, (u64, Vec<u8>)>,
) {
    let mut rows = Batch::new();
    for _ in 0..random.below(10) {
        let key = some_key(random, base);
        let position = random.below(position);
        rows.push(Row {
            address: address(&key),
            position,
            value: b"ignored",
        });
        if map.get(&key).is_some_and(|(stands, _)| *stands <= position) {
            map.remove(&key);
        }
    }
    store.remove(&rows).unwrap();
}

fn compare_some(store: &dyn Store, random: &mut Random, base: u16, map: &BTreeMap<Key, (u64, Vec<u8>)>) {
    for _ in 0..20 {
        let key = some_key(random, base);
        assert_eq!(get(store, address(&key)), map.get(&key).cloned(), "{key:?}");
    }
}

fn compare_scan(store: &dyn Store, random: &mut Random, base: u16, map: &BTreeMap<Key, (u64, Vec<u8>)>) {
    let (slot, mut prefix) = some_key(random, base);
    prefix.truncate(usize::try_from(random.below(3)).unwrap());
    let from = some_key(random, base).1;
    let limit = usize::try_from(random.below(20)).unwrap();
    let mut found = Vec::new();
    store
        .scan(
            &[Range {
                table: T,
                slot,
                prefix: &prefix,
                from: &from,
                limit,
            }],
            &mut |_, row| {
                found.push((row.address.key.to_vec(), row.position, row.value.to_vec()));
                Ok(())
            },
        )
        .unwrap();
    let expected: Vec<_> = map
        .iter()
        .filter(|((at, key), _)| *at == slot && key.starts_with(&prefix) && *key >= from)
        .take(limit)
        .map(|((_, key), (position, value))| (key.clone(), *position, value.clone()))
        .collect();
    assert_eq!(
        found, expected,
        "slot {slot} prefix {prefix:?} from {from:?} limit {limit}"
    );
}

/// Counters come and go; both orders of names agree with a set.
pub fn names_agree_with_a_map(bench: &mut dyn Bench) {
    for seed in seeds() {
        println!("TALLY_CONTRACT_SEED={seed}");
        let mut random = Random::new(seed);
        let mut there = BTreeSet::new();
        let mut ever = BTreeSet::new();
        for _ in 0..60 {
            let name = format!(
                "{seed}:{}{}",
                ["", "{x}", "é"][usize::try_from(random.below(3)).unwrap()],
                random.below(1_000)
            );
            if ever.insert(name.clone()) {
                put_counters(bench.store(), [name.as_str()]);
                there.insert(name);
            }
            if random.below(4) == 0
                && let Some(name) = there.pop_first()
            {
                remove_counter(bench.store(), &name, 1);
            }
            if random.below(20) == 0 {
                bench.store().durable().unwrap();
                bench.reopen();
            }
            compare_names(bench.store(), &mut random, &format!("{seed}:"), &there, &ever);
        }
    }
}

fn compare_names(
    store: &dyn Store,
    random: &mut Random,
    prefix: &str,
    there: &BTreeSet<String>,
    ever: &BTreeSet<String>,
) {
    assert_eq!(
        names(store, prefix, "", usize::MAX),
        there.iter().cloned().collect::<Vec<_>>()
    );
    let limit = usize::try_from(random.below(5)).unwrap() + 1;
    let met: Vec<String> = all_names_from(store, NameCursor::default(), limit);
    assert!(met.is_sorted_by_key(|name| place(name)));
    let met: BTreeSet<String> = met.into_iter().filter(|name| name.starts_with(prefix)).collect();
    assert!(met.is_superset(there) && met.is_subset(ever));
}
