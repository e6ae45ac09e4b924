//! History that is read while other things happen.

use std::sync::{Arc, Mutex};

use tally_counter::{Key, Minute, Step};
use tally_store::{Addresses, Batch, Model, NameCursor, Order, Range, Store, StoreError, Swap, Swapped, Table, Visit};

use crate::kit::{Bench, DAY_MS, NOON_MS, OWN_ROWS_ARE_IN, blind};

/// A store at whose next scan something else happens, as another thread would do it.
struct Interrupted {
    store: Arc<Model>,
    at_scan: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Store for Interrupted {
    fn put(&self, rows: &Batch, order: Order) -> Result<(), StoreError> {
        self.store.put(rows, order)
    }
    fn remove(&self, rows: &Batch) -> Result<(), StoreError> {
        self.store.remove(rows)
    }
    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.get(addresses, visit)
    }
    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let interrupts = self.at_scan.lock().unwrap().take();
        if let Some(interrupts) = interrupts {
            interrupts();
        }
        self.store.scan(ranges, visit)
    }
    fn names(&self, prefix: &[u8], after: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.names(prefix, after, limit, visit)
    }
    fn names_by_slot(
        &self,
        cursor: NameCursor,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<NameCursor>, StoreError> {
        self.store.names_by_slot(cursor, limit, visit)
    }
    fn walk(
        &self,
        table: Table,
        cursor: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.walk(table, cursor, limit, visit)
    }
    fn swap(&self, swap: Swap<'_>) -> Result<Swapped, StoreError> {
        self.store.swap(swap)
    }
    fn durable(&self) -> Result<(), StoreError> {
        self.store.durable()
    }
}

#[test]
fn history_that_is_read_while_a_round_is_put_counts_nothing_twice() {
    for operation in 0..=OWN_ROWS_ARE_IN {
        let bench = Bench::new(1);
        let store = Arc::new(Interrupted {
            store: bench.store.clone(),
            at_scan: Mutex::new(None),
        });
        let engine = Arc::new(bench.open_on(store.clone()));
        blind(&engine, "x", 5, Some(NOON_MS));
        let (rounds, model) = (engine.clone(), bench.store.clone());
        *store.at_scan.lock().unwrap() = Some(Box::new(move || {
            model.fail_from(Some(model.operations() + operation));
            assert!(rounds.round().is_err());
            model.fail_from(None);
        }));
        let history = engine.history(Key::new(b"x").unwrap(), Step::Minute, Minute(0), Minute(u32::MAX));
        let sum: i128 = history.unwrap().windows.iter().map(|(_, amount)| amount).sum();
        assert_eq!(sum, 5, "operation {operation}");
    }
}

#[test]
fn history_says_from_where_on_it_is_whole_though_the_boundary_moves_while_it_is_read() {
    let bench = Bench::new(1);
    let store = Arc::new(Interrupted {
        store: bench.store.clone(),
        at_scan: Mutex::new(None),
    });
    let engine = Arc::new(bench.open_on(store.clone()));
    blind(&engine, "x", 5, Some(NOON_MS));
    engine.round().unwrap();
    // Its minute is out of the retention by then.
    blind(&engine, "x", 7, Some(NOON_MS + 20 * DAY_MS));
    let sweeps = engine.clone();
    *store.at_scan.lock().unwrap() = Some(Box::new(move || {
        sweeps.round().unwrap();
        for _ in 0..20 {
            sweeps.tidy().unwrap();
        }
    }));
    let history = engine.history(Key::new(b"x").unwrap(), Step::Minute, Minute(0), Minute(u32::MAX));
    let history = history.unwrap();
    let first = Minute::of_ms(NOON_MS).unwrap();
    let is_there = history.windows.iter().any(|(minute, _)| *minute == first);
    assert!(is_there || history.kept_from > first, "{history:?}");
}
