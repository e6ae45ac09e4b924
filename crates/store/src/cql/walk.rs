//! A walk over a table's partitions in their order. Where they are empty, more and more of them are asked for at once.

use std::collections::VecDeque;

use futures::stream::{self, StreamExt, TryStreamExt};
use scylla::response::query_result::QueryRowsResult;

use super::Cql;
use super::partition::PAST_ALL;
use super::read::{Stretch, each};
use crate::{StoreError, Table};

/// So many partitions are asked for at once, at most.
const WIDEST: u16 = 64;

/// Where the walk is.
pub(super) struct Buckets {
    table: Table,
    place: u16,
    from: Vec<u8>,
    width: u16,
    answers: VecDeque<(Stretch, QueryRowsResult)>,
}

impl Buckets {
    /// From a key of a partition on.
    pub(super) fn new(table: Table, place: u16, from: &[u8]) -> Self {
        Self {
            table,
            place,
            from: from.to_vec(),
            width: 1,
            answers: VecDeque::new(),
        }
    }

    /// The next rows that there are, at most about `limit`, with their partition.
    pub(super) fn next(&mut self, store: &Cql, limit: usize) -> Result<Option<(u16, QueryRowsResult)>, StoreError> {
        loop {
            while let Some((stretch, answer)) = self.answers.pop_front() {
                if answer.rows_num() >= stretch.asked() {
                    self.go_on_within(stretch.place, &answer)?;
                }
                if answer.rows_num() > 0 {
                    return Ok(Some((stretch.place, answer)));
                }
            }
            if self.place >= store.partitions.count(self.table) {
                return Ok(None);
            }
            self.ask(store, limit)?;
        }
    }

    /// A partition has more: what was asked for beyond it comes after that.
    fn go_on_within(&mut self, place: u16, answer: &QueryRowsResult) -> Result<(), StoreError> {
        self.answers.clear();
        self.place = place;
        self.width = 1;
        each(answer, |key, _, _| {
            self.from.clear();
            self.from.extend_from_slice(key);
            Ok(())
        })?;
        self.from.push(0);
        Ok(())
    }

    fn ask(&mut self, store: &Cql, limit: usize) -> Result<(), StoreError> {
        let end = self
            .place
            .saturating_add(self.width)
            .min(store.partitions.count(self.table));
        let stretches = (self.place..end).map(|place| Stretch {
            table: self.table,
            place,
            from: std::mem::take(&mut self.from),
            to: PAST_ALL.to_vec(),
            limit: limit.max(1),
        });
        let stretches: Vec<Stretch> = stretches.collect();
        let answers: Vec<QueryRowsResult> = store.wait(async {
            stream::iter(stretches.iter().map(|stretch| store.stretch(stretch)))
                .buffered(store.requests_at_once)
                .try_collect()
                .await
        })?;
        let found: usize = answers.iter().map(QueryRowsResult::rows_num).sum();
        self.width = if found == 0 {
            self.width.saturating_mul(2).min(WIDEST)
        } else if found > limit {
            (self.width / 2).max(1)
        } else {
            self.width
        };
        self.place = end;
        self.answers.extend(stretches.into_iter().zip(answers));
        Ok(())
    }
}
