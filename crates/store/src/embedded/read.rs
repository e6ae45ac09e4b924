//! Reading rows by address, by range and all of a table.

use std::ops::Bound;
use std::sync::atomic::Ordering;

use super::{Embedded, failure, row};
use crate::{Address, Addresses, Range, Row, StoreError, Table, Visit};

impl Embedded {
    pub(super) fn get_rows(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.count_reads(addresses.len());
        let mut key = Vec::new();
        let mut sorted: Vec<(usize, Address<'_>)> = addresses.iter().enumerate().collect();
        // In the order of keys, each block of a table is met once and then in the cache.
        sorted.sort_unstable_by_key(|(_, address)| *address);
        for (index, address) in sorted {
            row::write_key(address, &mut key);
            if let Some(bytes) = self.tables.of(address.table).get(&key).map_err(failure::read)? {
                let (position, value) = row::read_value(&bytes)?;
                visit(
                    index,
                    Row {
                        address,
                        position,
                        value,
                    },
                )?;
            }
        }
        Ok(())
    }

    pub(super) fn scan_ranges(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.count_reads(ranges.len());
        let (mut start, mut prefix) = (Vec::new(), Vec::new());
        for (index, range) in ranges.iter().enumerate() {
            row::write_prefix(range.table, range.slot, range.prefix, &mut prefix);
            row::write_prefix(range.table, range.slot, range.from.max(range.prefix), &mut start);
            let bounds = (Bound::Included(start.as_slice()), past(&prefix));
            self.visit_range(range.table, bounds, range.limit, |row| visit(index, row))?;
        }
        Ok(())
    }

    pub(super) fn walk_table(
        &self,
        table: Table,
        cursor: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.count_reads(1);
        let limit = limit.max(1);
        let bounds = (Bound::Included(cursor), Bound::Unbounded);
        let mut seen: usize = 0;
        let mut next = Vec::new();
        self.visit_range(table, bounds, limit, |row| {
            seen = seen.saturating_add(1);
            if seen == limit {
                // The least key after this one.
                row::write_key(row.address, &mut next);
                next.push(0);
            }
            visit(0, row)
        })?;
        Ok((seen == limit).then_some(next))
    }

    /// Visits the rows whose fjall key lies within `bounds`, at most `limit`.
    pub(super) fn visit_range(
        &self,
        table: Table,
        bounds: (Bound<&[u8]>, Bound<Vec<u8>>),
        limit: usize,
        mut visit: impl FnMut(Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (start, end) = bounds;
        let end = match &end {
            Bound::Included(key) => Bound::Included(key.as_slice()),
            Bound::Excluded(key) => Bound::Excluded(key.as_slice()),
            Bound::Unbounded => Bound::Unbounded,
        };
        if is_empty(start, end) {
            return Ok(());
        }
        for guard in self.tables.of(table).range::<&[u8], _>((start, end)).take(limit) {
            let (key, value) = guard.into_inner().map_err(failure::read)?;
            let address = row::read_key(table, &key)?;
            let (position, value) = row::read_value(&value)?;
            visit(Row {
                address,
                position,
                value,
            })?;
        }
        Ok(())
    }

    pub(super) fn count_reads(&self, count: usize) {
        self.reads.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// The end of all keys that begin with `prefix`.
pub(super) fn past(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}

fn is_empty(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end)) => start >= end,
        _ => false,
    }
}
