//! Mending that is cut off after any of its writes is mended by the next try.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tally_store::{Addresses, Batch, Model, NameCursor, Order, Range, Store, StoreError, Swap, Swapped, Table, Visit};

use super::bench::{BEGIN_MS, Bench, HOUR_MS, VALUES, add, fill, get};
use super::kinds::DAMAGES;

/// A store of which nothing arrives any more after so many writes.
struct Breaking {
    store: Arc<Model>,
    writes: AtomicI64,
}

impl Breaking {
    fn write(&self) -> Result<(), StoreError> {
        if self.writes.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        Err(StoreError::Unavailable("cut off".to_owned()))
    }
}

impl Store for Breaking {
    fn put(&self, rows: &Batch, order: Order) -> Result<(), StoreError> {
        // A batch may be applied in part.
        for row in rows.rows() {
            self.write()?;
            let mut one = Batch::new();
            one.push(row);
            self.store.put(&one, order)?;
        }
        Ok(())
    }

    fn remove(&self, rows: &Batch) -> Result<(), StoreError> {
        self.write()?;
        self.store.remove(rows)
    }

    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.get(addresses, visit)
    }

    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
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
        self.write()?;
        self.store.swap(swap)
    }

    fn durable(&self) -> Result<(), StoreError> {
        self.store.durable()
    }
}

#[test]
fn mending_that_is_cut_off_anywhere_is_mended_by_the_next_try() {
    let mut cuts = 0;
    let whole = Bench::new();
    fill(&whole.open());
    for (what, work, ..) in DAMAGES {
        for writes in 0.. {
            let bench = whole.copy();
            work(bench.store.as_ref());
            let breaking = Arc::new(Breaking {
                store: Arc::clone(&bench.store),
                writes: AtomicI64::new(i64::MAX),
            });
            let engine = bench.open_on(breaking.clone());
            // To a cell that is gone the round that comes first would write another.
            let added = if what.ends_with("is gone") { "reset" } else { "plain" };
            add(&engine, added, 1, BEGIN_MS + 5 * HOUR_MS);
            breaking.writes.store(writes, Ordering::Relaxed);
            let whole = engine.verify(true).is_ok();
            engine.commit().unwrap();
            drop(engine);
            let engine = bench.open();
            let pass = engine.verify(true).unwrap();
            assert_eq!(
                pass.found(),
                pass.mended(),
                "{what}, cut off after {writes} writes: {pass:?}"
            );
            assert_eq!(
                engine.verify(false).unwrap().drifts,
                [],
                "{what}, cut off after {writes} writes"
            );
            for (name, value) in VALUES {
                let value = value + i128::from(name == added);
                assert_eq!(
                    get(&engine, name),
                    Some(value),
                    "{what}, cut off after {writes} writes: {name}"
                );
            }
            if whole {
                break;
            }
            cuts += 1;
        }
    }
    assert!(cuts > 100, "{cuts}");
}
