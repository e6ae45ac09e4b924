//! What a read found, collected under the lock and visited without it.

use std::ops::Bound;

use tally_counter::{CounterRow, slot_hash};

use super::rows::Place;
use super::state::State;
use crate::{Address, Batch, NameCursor, Range, Row, StoreError, Table, Visit};

/// How a read ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ends {
    Well,
    /// With an error after this many rows.
    After(usize),
}

#[derive(Debug, Default)]
pub(super) struct Found {
    rows: Batch,
    indexes: Vec<usize>,
}

impl Found {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn push(&mut self, index: usize, row: Row<'_>) {
        self.indexes.push(index);
        self.rows.push(row);
    }

    pub(super) fn visit(&self, ends: Ends, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let limit = match ends {
            Ends::Well => usize::MAX,
            Ends::After(rows) => rows,
        };
        for (index, row) in self.indexes.iter().zip(self.rows.rows()).take(limit) {
            visit(*index, row)?;
        }
        match ends {
            Ends::Well => Ok(()),
            Ends::After(_) => Err(StoreError::Unavailable("the model fails this read".into())),
        }
    }

    pub(super) fn get(&mut self, state: &State, index: usize, address: Address<'_>) {
        if let Some((position, value)) = state.stands(&Place::of(address)) {
            self.push(
                index,
                Row {
                    address,
                    position,
                    value,
                },
            );
        }
    }

    pub(super) fn scan(&mut self, state: &State, index: usize, range: &Range<'_>) {
        let start = Place::at(range.table, range.slot, range.from.max(range.prefix));
        let found = state
            .rows_from(Bound::Included(start))
            .take_while(|row| row.address.table == range.table && row.address.key.starts_with(range.prefix))
            .take_while(|row| range.table == Table::Names || row.address.slot == range.slot)
            .take(range.limit);
        for row in found {
            self.push(index, row);
        }
    }

    pub(super) fn names(&mut self, state: &State, prefix: &[u8], after: &[u8], limit: usize) {
        let start = if after >= prefix && !after.is_empty() {
            Bound::Excluded(Place::at(Table::Names, 0, after))
        } else {
            Bound::Included(Place::at(Table::Names, 0, prefix))
        };
        let found = state
            .rows_from(start)
            .take_while(|row| row.address.table == Table::Names && row.address.key.starts_with(prefix))
            .take(limit);
        for row in found {
            self.push(0, row);
        }
    }

    pub(super) fn names_by_slot(
        &mut self,
        state: &State,
        cursor: NameCursor,
        limit: usize,
    ) -> Result<Option<NameCursor>, StoreError> {
        let start = Place::at(Table::Counters, cursor.slot, &cursor.hash.to_be_bytes());
        let mut last: Option<(NameCursor, Vec<u8>)> = None;
        for row in state
            .rows_from(Bound::Included(start))
            .take_while(|row| row.address.table == Table::Counters)
        {
            let (name, _) = CounterRow::decode(row.address.key)?;
            let name = name.as_bytes();
            let place = NameCursor {
                slot: row.address.slot,
                hash: slot_hash(name),
            };
            if last
                .as_ref()
                .is_some_and(|(last_place, last_name)| *last_place == place && last_name == name)
            {
                continue;
            }
            if self.len() >= limit.max(1) && last.as_ref().is_some_and(|(last_place, _)| *last_place != place) {
                return Ok(Some(place));
            }
            let address = Address {
                table: Table::Names,
                slot: place.slot,
                key: name,
            };
            self.push(
                0,
                Row {
                    address,
                    position: 0,
                    value: &[],
                },
            );
            last = Some((place, name.to_vec()));
        }
        Ok(None)
    }

    pub(super) fn walk(&mut self, state: &State, table: Table, cursor: &[u8], limit: usize) -> Option<Vec<u8>> {
        let (slot, key) = cursor.split_first_chunk::<2>().unwrap_or((&[0, 0], &[]));
        let start = Place::at(table, u16::from_be_bytes(*slot), key);
        let mut rows = state
            .rows_from(Bound::Included(start))
            .take_while(|row| row.address.table == table);
        for row in rows.by_ref().take(limit.max(1)) {
            self.push(0, row);
        }
        let next = Place::of(rows.next()?.address);
        Some([&next.slot.to_be_bytes(), &*next.key].concat())
    }
}
