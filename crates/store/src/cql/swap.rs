//! The conditional write: one lightweight transaction over rows of one partition.

use std::sync::atomic::Ordering;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::response::query_result::QueryResult;
use scylla::statement::batch::{Batch as CqlBatch, BatchType};
use scylla::value::{CqlValue, Row as CqlRow};

use super::{Cql, failure, partition};
use crate::{Address, Addresses, Condition, Row, Store, StoreError, Swap, Swapped};

/// How long one who contends for a row waits before it is told so, times 1 to `MOST_TURNS`.
const TURN: Duration = Duration::from_millis(5);
const MOST_TURNS: u32 = 16;

/// What is bound to the statements of a conditional write.
type Values = Vec<Option<CqlValue>>;

impl Cql {
    pub(super) fn swap_rows(&self, swap: Swap<'_>) -> Result<Swapped, StoreError> {
        let (batch, values) = self.transaction(swap)?;
        match self.wait(send(&self.session, batch, values))? {
            Some(true) => Ok(Swapped::Applied),
            Some(false) => Ok(Swapped::Refused(self.stands(swap.conditions)?)),
            None => {
                self.wait(async {
                    tokio::time::sleep(self.turn_away()).await;
                    Ok(())
                })?;
                Ok(Swapped::Unknown)
            }
        }
    }

    /// Not at once and not all at the same time: those who contend for a row would only do so again.
    fn turn_away(&self) -> Duration {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) % MOST_TURNS;
        TURN.saturating_mul(turn.saturating_add(1))
    }

    fn transaction(&self, swap: Swap<'_>) -> Result<(CqlBatch, Vec<Values>), StoreError> {
        let first = swap.conditions.first().ok_or_else(|| refused("it has no condition"))?;
        let place = self.partitions.of(first.address);
        let table = first.address.table;
        let here = |address: Address<'_>| address.table == table && self.partitions.of(address) == place;
        let statements = self.statements.conditional(table)?;
        let rows: Vec<Row<'_>> = swap.rows.rows().collect();
        let mut addresses = swap
            .conditions
            .iter()
            .map(|condition| condition.address)
            .chain(rows.iter().map(|row| row.address))
            .chain(swap.gone.iter());
        if !addresses.all(here) {
            return Err(refused("it is not within one partition"));
        }
        let mut batch = CqlBatch::new(BatchType::Unlogged);
        let mut values = Vec::new();
        let place = CqlValue::Int(self.partitions.number(place));
        for row in &rows {
            let position = i64::try_from(row.position).map_err(|_| refused("a position is beyond 2^63"))?;
            let mut bound = vec![
                Some(CqlValue::BigInt(position)),
                Some(CqlValue::Blob(row.value.to_vec())),
                Some(place.clone()),
                Some(key(row.address)),
            ];
            match swap
                .conditions
                .iter()
                .find(|condition| condition.address == row.address)
            {
                Some(condition) => {
                    bound.push(value(condition));
                    batch.append_statement(statements.swap.clone());
                }
                None => batch.append_statement(statements.along.clone()),
            }
            values.push(bound);
        }
        for address in swap.gone.iter() {
            batch.append_statement(statements.erase.clone());
            values.push(vec![Some(place.clone()), Some(key(address))]);
        }
        for condition in swap.conditions {
            if !rows.iter().any(|row| row.address == condition.address) {
                batch.append_statement(statements.hold.clone());
                let bound = [
                    value(condition),
                    Some(place.clone()),
                    Some(key(condition.address)),
                    value(condition),
                ];
                values.push(bound.to_vec());
            }
        }
        Ok((batch, values))
    }

    /// What the conditions' rows hold now.
    fn stands(&self, conditions: &[Condition<'_>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut addresses = Addresses::new();
        for condition in conditions {
            let Address { table, slot, key } = condition.address;
            addresses.push_with(table, slot, |out| out.extend_from_slice(key));
        }
        let mut found = vec![None; conditions.len()];
        self.get(&addresses, &mut |index, row| {
            if let Some(place) = found.get_mut(index) {
                *place = Some(row.value.to_vec());
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// Whether it was applied; `None`: nobody knows.
async fn send(session: &Session, batch: CqlBatch, values: Vec<Values>) -> Result<Option<bool>, StoreError> {
    match session.batch(&batch, values).await {
        Ok(answer) => applied(answer).map(Some),
        Err(error) if failure::is_unknown(&error) => Ok(None),
        Err(error) => Err(failure::of(&error)),
    }
}

/// The first column of the first row, in Cassandra and in ScyllaDB.
fn applied(answer: QueryResult) -> Result<bool, StoreError> {
    let rows = answer.into_rows_result().map_err(|error| failure::rows(&error))?;
    let row = rows
        .first_row::<CqlRow>()
        .map_err(|error| StoreError::Corrupt(format!("the answer to a conditional write: {error}")))?;
    match row.columns.into_iter().next().flatten() {
        Some(CqlValue::Boolean(applied)) => Ok(applied),
        _ => Err(StoreError::Corrupt(
            "the answer to a conditional write does not say whether it was applied".into(),
        )),
    }
}

fn key(address: Address<'_>) -> CqlValue {
    let mut key = Vec::new();
    partition::put_key(address.table, address.slot, address.key, &mut key);
    CqlValue::Blob(key)
}

fn value(condition: &Condition<'_>) -> Option<CqlValue> {
    condition.value.map(|value| CqlValue::Blob(value.to_vec()))
}

fn refused(why: &str) -> StoreError {
    StoreError::Refused(format!("a conditional write cannot be sent: {why}"))
}
