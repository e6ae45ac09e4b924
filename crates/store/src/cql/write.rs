//! Putting and removing rows: grouped by partition, in unlogged batches of one partition each, several under way at once. The
//! timestamps are the positions, so that order and repeats mean nothing.

use std::ops::Range;

use futures::stream::{self, StreamExt, TryStreamExt};
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch as CqlBatch, BatchType};
use scylla::statement::prepared::PreparedStatement;

use super::retry::retried;
use super::{Cql, partition};
use crate::{Batch, Row, StoreError, Table};

/// So many rows are one batch: decision 12 has what smaller ones cost.
const BATCH_ROWS: usize = 100;
/// So many bytes of keys and values are one batch, unless one row alone has more: far below what a node takes at once.
const BATCH_BYTES: usize = 64 << 10;

/// Rows that go together: their table, and of each its partition, key and row.
type Together<'b, 'r> = (Table, Vec<(i32, &'b [u8], Row<'r>)>);

/// Rows on their way, those of one partition beside each other.
struct Grouped<'r> {
    rows: Vec<(Table, i32, Row<'r>, Range<usize>)>,
    keys: Vec<u8>,
}

impl<'r> Grouped<'r> {
    fn new(store: &Cql, rows: &'r Batch) -> Self {
        let mut grouped = Self {
            rows: Vec::with_capacity(rows.len()),
            keys: Vec::with_capacity(rows.size_bytes()),
        };
        for row in rows.rows() {
            let start = grouped.keys.len();
            let address = row.address;
            partition::put_key(address.table, address.slot, address.key, &mut grouped.keys);
            let place = store.partitions.number(store.partitions.of(address));
            grouped
                .rows
                .push((address.table, place, row, start..grouped.keys.len()));
        }
        grouped.rows.sort_by_key(|(table, place, ..)| (*table, *place));
        grouped
    }

    fn batches(&self) -> impl Iterator<Item = Together<'_, 'r>> + '_ {
        let partitions = self
            .rows
            .chunk_by(|one, other| (one.0, one.1) == (other.0, other.1))
            .flat_map(|rows| rows.chunks(BATCH_ROWS));
        partitions.flat_map(|rows| {
            let mut batches: Vec<Together<'_, 'r>> = Vec::new();
            let mut bytes = usize::MAX;
            for (table, place, row, key) in rows {
                let key = self.keys.get(key.clone()).unwrap_or_default();
                let more = key.len().saturating_add(row.value.len());
                bytes = bytes.saturating_add(more);
                if bytes > BATCH_BYTES {
                    batches.push((*table, Vec::with_capacity(rows.len())));
                    bytes = more;
                }
                if let Some((_, batch)) = batches.last_mut() {
                    batch.push((*place, key, *row));
                }
            }
            batches
        })
    }
}

impl Cql {
    pub(super) fn put_rows(&self, rows: &Batch) -> Result<(), StoreError> {
        let grouped = Grouped::new(self, rows);
        let mut batches = Vec::new();
        for (table, batch) in grouped.batches() {
            let statement = self.statements.of(table)?.put.as_ref().ok_or_else(only_by_swap)?;
            let values = batch
                .into_iter()
                .map(|(place, key, row)| Ok((place, key, row.value, timestamp(row.position)?)))
                .collect::<Result<Vec<_>, StoreError>>()?;
            batches.push((statement, values));
        }
        self.send_all(batches)
    }

    pub(super) fn remove_rows(&self, rows: &Batch) -> Result<(), StoreError> {
        let grouped = Grouped::new(self, rows);
        let mut batches = Vec::new();
        for (table, batch) in grouped.batches() {
            let statement = self.statements.of(table)?.remove.as_ref().ok_or_else(only_by_swap)?;
            let values = batch
                .into_iter()
                .map(|(place, key, row)| Ok((timestamp(row.position)?, place, key)))
                .collect::<Result<Vec<_>, StoreError>>()?;
            batches.push((statement, values));
        }
        self.send_all(batches)
    }

    fn send_all<V: SerializeRow>(&self, batches: Vec<(&PreparedStatement, Vec<V>)>) -> Result<(), StoreError> {
        self.wait(async {
            let sent = batches.iter().map(|(statement, values)| self.send(statement, values));
            stream::iter(sent)
                .buffer_unordered(self.requests_at_once)
                .try_for_each(|()| std::future::ready(Ok(())))
                .await
        })
    }

    /// Sends rows of one partition.
    async fn send<V: SerializeRow>(&self, statement: &PreparedStatement, values: &[V]) -> Result<(), StoreError> {
        if let [only] = values {
            return retried(async || self.session.execute_unpaged(statement, only).await.map(drop)).await;
        }
        let mut batch = CqlBatch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        for _ in values {
            batch.append_statement(statement.clone());
        }
        retried(async || self.session.batch(&batch, values).await.map(drop)).await
    }
}

/// A position as a write timestamp.
fn timestamp(position: u64) -> Result<i64, StoreError> {
    i64::try_from(position).map_err(|_| StoreError::Refused(format!("the position {position} is beyond 2^63")))
}

fn only_by_swap() -> StoreError {
    StoreError::Refused("writers' rows and strong counters are written by conditional writes only".into())
}
