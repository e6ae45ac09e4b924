//! Reading rows by address, by range, and all of a table.

use futures::stream::{self, StreamExt, TryStreamExt};
use scylla::response::query_result::QueryRowsResult;

use super::retry::asked;
use super::walk::Buckets;
use super::{Cql, failure, partition};
use crate::{Address, Addresses, Range, Row, StoreError, Table, Visit};

/// Keys of one partition that are asked for at once.
const KEYS_AT_ONCE: usize = 100;
/// Answers that are held before their rows are visited.
const ANSWERS_AT_ONCE: usize = 64;
/// Rows of one answer at most.
pub(super) const STRETCH_ROWS: usize = 2_000;

/// A row as it comes: key, value, position.
type Columns<'r> = (&'r [u8], Option<&'r [u8]>, Option<i64>);

/// A row that is asked for.
struct Wanted {
    table: Table,
    place: u16,
    key: Vec<u8>,
    index: usize,
}

impl Cql {
    pub(super) fn get_rows(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut wanted: Vec<Wanted> = addresses
            .iter()
            .enumerate()
            .map(|(index, address)| {
                let mut key = Vec::with_capacity(address.key.len().saturating_add(2));
                partition::put_key(address.table, address.slot, address.key, &mut key);
                Wanted {
                    table: address.table,
                    place: self.partitions.of(address),
                    key,
                    index,
                }
            })
            .collect();
        wanted.sort_unstable_by(|one, other| {
            (one.table, one.place, &one.key).cmp(&(other.table, other.place, &other.key))
        });
        let groups: Vec<&[Wanted]> = wanted
            .chunk_by(|one, other| (one.table, one.place) == (other.table, other.place))
            .flat_map(|group| group.chunks(KEYS_AT_ONCE))
            .collect();
        for some in groups.chunks(ANSWERS_AT_ONCE) {
            let answers: Vec<QueryRowsResult> = self.wait(async {
                stream::iter(some.iter().map(|group| self.ask(group)))
                    .buffered(self.requests_at_once)
                    .try_collect()
                    .await
            })?;
            for (group, answer) in some.iter().zip(&answers) {
                let Some(first) = group.first() else { continue };
                each(answer, |key, value, position| {
                    let start = group.partition_point(|wanted| wanted.key.as_slice() < key);
                    let same = group.get(start..).unwrap_or_default();
                    for wanted in same.iter().take_while(|wanted| wanted.key == key) {
                        let address = partition::read_key(first.table, key)?;
                        visit(
                            wanted.index,
                            Row {
                                address,
                                position,
                                value,
                            },
                        )?;
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    async fn ask(&self, group: &[Wanted]) -> Result<QueryRowsResult, StoreError> {
        let Some(first) = group.first() else {
            return Err(StoreError::Refused("nothing is asked for".into()));
        };
        let mut keys: Vec<&[u8]> = group.iter().map(|wanted| wanted.key.as_slice()).collect();
        keys.dedup();
        let statement = &self.statements.of(first.table)?.get;
        let values = (self.partitions.number(first.place), keys);
        asked(async || self.session.execute_unpaged(statement, &values).await)
            .await?
            .into_rows_result()
            .map_err(|error| failure::rows(&error))
    }

    pub(super) fn scan_ranges(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut first = 0_usize;
        for some in ranges.chunks(ANSWERS_AT_ONCE) {
            let stretches: Vec<Stretch> = some.iter().map(|range| self.stretch_of(range)).collect();
            let answers: Vec<QueryRowsResult> = self.wait(async {
                stream::iter(stretches.iter().map(|stretch| self.stretch(stretch)))
                    .buffered(self.requests_at_once)
                    .try_collect()
                    .await
            })?;
            for (at, (mut stretch, mut answer)) in stretches.into_iter().zip(answers).enumerate() {
                let index = first.saturating_add(at);
                while let Some(next) = stretch.visit(&answer, &mut |row| visit(index, row))? {
                    stretch = next;
                    answer = self.wait(self.stretch(&stretch))?;
                }
            }
            first = first.saturating_add(some.len());
        }
        Ok(())
    }

    fn stretch_of(&self, range: &Range<'_>) -> Stretch {
        let (mut prefix, mut from) = (Vec::new(), Vec::new());
        partition::put_key(range.table, range.slot, range.prefix, &mut prefix);
        partition::put_key(range.table, range.slot, range.from.max(range.prefix), &mut from);
        let key = Address {
            table: range.table,
            slot: range.slot,
            key: range.prefix,
        };
        Stretch {
            table: range.table,
            place: self.partitions.of(key),
            to: partition::past(&prefix),
            from,
            limit: range.limit,
        }
    }

    /// The first rows of a stretch.
    pub(super) async fn stretch(&self, stretch: &Stretch) -> Result<QueryRowsResult, StoreError> {
        let statement = &self.statements.of(stretch.table)?.stretch;
        let limit = i32::try_from(stretch.asked().max(1)).unwrap_or(i32::MAX);
        let values = (self.partitions.number(stretch.place), &stretch.from, &stretch.to, limit);
        asked(async || self.session.execute_unpaged(statement, &values).await)
            .await?
            .into_rows_result()
            .map_err(|error| failure::rows(&error))
    }

    pub(super) fn walk_table(
        &self,
        table: Table,
        cursor: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (place, from) = match cursor.split_first_chunk::<2>() {
            Some((place, key)) => (u16::from_be_bytes(*place), key),
            None => (0, cursor),
        };
        let mut left = limit.max(1);
        let mut buckets = Buckets::new(table, place, from);
        while let Some((place, answer)) = buckets.next(self, left)? {
            let mut cursor = Vec::new();
            each(&answer, |key, value, position| {
                if left == 0 {
                    return Ok(());
                }
                left = left.saturating_sub(1);
                if left == 0 {
                    // The least key after this one.
                    cursor = [&place.to_be_bytes(), key, &[0]].concat();
                }
                let address = partition::read_key(table, key)?;
                visit(
                    0,
                    Row {
                        address,
                        position,
                        value,
                    },
                )
            })?;
            if left == 0 {
                return Ok(Some(cursor));
            }
        }
        Ok(None)
    }
}

/// Rows of one partition between two keys.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) table: Table,
    pub(super) place: u16,
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
    pub(super) limit: usize,
}

impl Stretch {
    /// How many rows are asked for at once.
    pub(super) fn asked(&self) -> usize {
        self.limit.min(STRETCH_ROWS)
    }

    /// Visits an answer's rows; what is left to be asked for then.
    fn visit(
        mut self,
        answer: &QueryRowsResult,
        visit: &mut dyn FnMut(Row<'_>) -> Result<(), StoreError>,
    ) -> Result<Option<Self>, StoreError> {
        if self.limit == 0 {
            return Ok(None);
        }
        let mut last = Vec::new();
        each(answer, |key, value, position| {
            last.clear();
            last.extend_from_slice(key);
            let address = partition::read_key(self.table, key)?;
            visit(Row {
                address,
                position,
                value,
            })
        })?;
        let is_full = answer.rows_num() >= self.asked();
        self.limit = self.limit.saturating_sub(answer.rows_num());
        last.push(0);
        self.from = last;
        Ok((is_full && self.limit > 0).then_some(self))
    }
}

/// Key, value and position of each row.
pub(super) fn each(
    answer: &QueryRowsResult,
    mut visit: impl FnMut(&[u8], &[u8], u64) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let rows = answer.rows::<Columns<'_>>().map_err(|error| failure::columns(&error))?;
    for row in rows {
        let (key, value, position) = row.map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let (Some(value), Some(position)) = (value, position) else {
            continue;
        };
        let position = u64::try_from(position)
            .map_err(|_| StoreError::Corrupt(format!("a row has the timestamp {position}: not written by Tally")))?;
        visit(key, value, position)?;
    }
    Ok(())
}
