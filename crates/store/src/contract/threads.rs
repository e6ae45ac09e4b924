//! All methods may be called at once from several threads.

use std::sync::atomic::{AtomicBool, Ordering as Memory};

use super::Bench;
use super::kit::{at, batch, get, keys, put, range};
use crate::Order;

const THREADS: u64 = 4;
const ROUNDS: u64 = 100;

/// Threads that put the same rows in any order leave the largest positions.
pub fn puts_in_any_order_from_threads_end_at_the_largest(bench: &mut dyn Bench) {
    let store = bench.store();
    let row_keys: Vec<Vec<u8>> = (0..8_u8).map(|number| vec![number]).collect();
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let row_keys = &row_keys;
            threads.spawn(move || {
                for round in 0..ROUNDS {
                    // 37 and 100 have no common factor: each position once, far from sorted, each by one thread.
                    let position = (round * 37 % ROUNDS) * THREADS + thread;
                    let value = position.to_be_bytes();
                    let rows = row_keys.iter().map(|key| (at(key), position, &value[..]));
                    store.put(&batch(rows), Order::Any).unwrap();
                }
            });
        }
    });
    let largest = ROUNDS * THREADS - 1;
    for key in &row_keys {
        assert_eq!(get(store, at(key)), Some((largest, largest.to_be_bytes().to_vec())));
    }
}

/// Each thread grows its own rows and reads them back, while all read all and one syncs.
pub fn growing_puts_are_read_by_others(bench: &mut dyn Bench) {
    let store = bench.store();
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            threads.spawn(move || {
                let key = [b"of", &thread.to_be_bytes()[..]].concat();
                for position in 1..=ROUNDS {
                    put(store, Order::Growing, at(&key), position, &key);
                    assert_eq!(get(store, at(&key)), Some((position, key.clone())), "its own");
                    assert!(keys(store, range(b"of")).contains(&key));
                    if thread == 0 {
                        store.durable().unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(keys(store, range(b"of")).len() as u64, THREADS);
}

/// A reader beside a writer never sees a row at a smaller position than it saw before.
pub fn readers_never_see_a_position_go_back(bench: &mut dyn Bench) {
    let store = bench.store();
    let done = AtomicBool::new(false);
    put(store, Order::Any, at(b"row"), 0, &0_u64.to_be_bytes());
    std::thread::scope(|threads| {
        for _ in 1..THREADS {
            threads.spawn(|| {
                let mut seen = 0;
                while !done.load(Memory::Relaxed) {
                    let (position, value) = get(store, at(b"row")).expect("never removed");
                    assert!(position >= seen, "{position} after {seen}");
                    assert_eq!(value, position.to_be_bytes(), "whole");
                    seen = position;
                }
            });
        }
        for round in 1..ROUNDS * 10 {
            let position = if round % 3 == 0 { round / 2 } else { round };
            put(store, Order::Any, at(b"row"), position, &position.to_be_bytes());
        }
        done.store(true, Memory::Relaxed);
    });
}
