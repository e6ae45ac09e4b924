//! Names in name order, merged from their shards, and in slot order, from the counters' rows, whose keys sort by slot and hash.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use futures::stream::{self, StreamExt, TryStreamExt};
use tally_counter::{CounterRow, slot_hash};

use super::read::{STRETCH_ROWS, Stretch, each};
use super::walk::Buckets;
use super::{Cql, partition};
use crate::{Address, NameCursor, Row, StoreError, Table, Visit};

/// Names of a shard beyond its share of the limit that are asked for at once, so that most shards are asked only once.
const SPARE: usize = 8;
/// Rows of counters that are asked for at once, beyond the names that are wanted.
const SPARE_ROWS: usize = 16;

/// A shard's names on their way.
struct Shard {
    stretch: Stretch,
    names: VecDeque<(Vec<u8>, u64)>,
    ended: bool,
}

impl Shard {
    async fn fill(mut self, store: &Cql) -> Result<Self, StoreError> {
        let answer = store.stretch(&self.stretch).await?;
        each(&answer, |name, _, position| {
            self.names.push_back((name.to_vec(), position));
            Ok(())
        })?;
        self.ended = answer.rows_num() < self.stretch.asked();
        if let Some((last, _)) = self.names.back() {
            self.stretch.from = [last, &[0][..]].concat();
        }
        Ok(self)
    }
}

impl Cql {
    pub(super) fn names_in_order(
        &self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        if limit == 0 {
            return Ok(());
        }
        let mut shards = self.first_names(prefix, after, limit)?;
        let mut least: BinaryHeap<Reverse<(Vec<u8>, u64, usize)>> = BinaryHeap::new();
        let take = |least: &mut BinaryHeap<_>, shards: &mut Vec<Shard>, index: usize| {
            let Some(shard) = shards.get_mut(index) else {
                return Ok(());
            };
            if shard.names.is_empty() && !shard.ended {
                let unfilled = Shard {
                    stretch: shard.stretch.clone(),
                    names: VecDeque::new(),
                    ended: false,
                };
                *shard = self.wait(unfilled.fill(self))?;
            }
            if let Some((name, position)) = shard.names.pop_front() {
                least.push(Reverse((name, position, index)));
            }
            Ok::<(), StoreError>(())
        };
        for index in 0..shards.len() {
            take(&mut least, &mut shards, index)?;
        }
        let mut left = limit;
        while let Some(Reverse((name, position, index))) = least.pop() {
            let address = partition::read_key(Table::Names, &name)?;
            visit(
                0,
                Row {
                    address,
                    position,
                    value: &[],
                },
            )?;
            left = left.saturating_sub(1);
            if left == 0 {
                break;
            }
            take(&mut least, &mut shards, index)?;
        }
        Ok(())
    }

    /// The first names of all shards.
    fn first_names(&self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Shard>, StoreError> {
        let count = self.partitions.count(Table::Names);
        let from = if after >= prefix && !after.is_empty() {
            [after, &[0]].concat()
        } else {
            prefix.to_vec()
        };
        let share = limit / usize::from(count);
        let share = share.saturating_add(share / 4).saturating_add(SPARE).min(STRETCH_ROWS);
        let shards = (0..count).map(|place| Shard {
            stretch: Stretch {
                table: Table::Names,
                place,
                from: from.clone(),
                to: partition::past(prefix),
                limit: share,
            },
            names: VecDeque::new(),
            ended: false,
        });
        self.wait(async {
            stream::iter(shards.map(|shard| shard.fill(self)))
                .buffered(self.requests_at_once)
                .try_collect()
                .await
        })
    }

    pub(super) fn names_from(
        &self,
        cursor: NameCursor,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<NameCursor>, StoreError> {
        let limit = limit.max(1);
        let mut from = cursor.slot.to_be_bytes().to_vec();
        from.extend(cursor.hash.to_be_bytes());
        let place = self.partitions.of_slot(Table::Counters, cursor.slot);
        let mut buckets = Buckets::new(Table::Counters, place, &from);
        let (mut found, mut last, mut last_name) = (0_usize, None, Vec::new());
        let mut next = None;
        while next.is_none() {
            let asked = limit.saturating_sub(found).saturating_add(SPARE_ROWS);
            let Some((_, answer)) = buckets.next(self, asked)? else {
                return Ok(None);
            };
            each(&answer, |key, _, _| {
                let address = partition::read_key(Table::Counters, key)?;
                let (name, _) = CounterRow::decode(address.key)?;
                let name = name.as_bytes();
                let here = NameCursor {
                    slot: address.slot,
                    hash: slot_hash(name),
                };
                if next.is_some() || (last == Some(here) && last_name == name) {
                    return Ok(());
                }
                if found >= limit && last != Some(here) {
                    next = Some(here);
                    return Ok(());
                }
                last = Some(here);
                last_name.clear();
                last_name.extend_from_slice(name);
                found = found.saturating_add(1);
                let address = Address {
                    table: Table::Names,
                    slot: here.slot,
                    key: name,
                };
                visit(
                    0,
                    Row {
                        address,
                        position: 0,
                        value: &[],
                    },
                )
            })?;
        }
        Ok(next)
    }
}
