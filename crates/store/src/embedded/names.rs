//! Names in name order, from their own table, and in slot order, from the counters' rows, whose keys sort by slot and hash.

use std::ops::Bound;

use tally_counter::{CounterRow, Key, SLOTS, slot_hash};

use super::{Embedded, failure, read, row};
use crate::{Address, NameCursor, Row, StoreError, Table, Visit};

/// How many more rows of one counter are stepped over before it is cheaper to seek past them.
const STEPS_BEFORE_SEEK: usize = 8;
/// Greater than the first byte of every kind of row.
const PAST_ROWS: u8 = u8::MAX;

impl Embedded {
    pub(super) fn names_in_order(
        &self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.count_reads(1);
        let start = if after >= prefix && !after.is_empty() {
            Bound::Excluded(after)
        } else {
            Bound::Included(prefix)
        };
        self.visit_range(Table::Names, (start, read::past(prefix)), limit, |row| visit(0, row))
    }

    pub(super) fn names_from(
        &self,
        cursor: NameCursor,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<NameCursor>, StoreError> {
        let mut seek = cursor.slot.to_be_bytes().to_vec();
        seek.extend(cursor.hash.to_be_bytes());
        let mut walk = NameWalk {
            last: None,
            name: Vec::new(),
            found: 0,
            limit: limit.max(1),
        };
        loop {
            self.count_reads(1);
            let mut steps: usize = 0;
            let mut seek_again = false;
            for guard in self.tables.of(Table::Counters).range::<&[u8], _>(seek.as_slice()..) {
                let key = guard.key().map_err(failure::read)?;
                let address = row::read_key(Table::Counters, &key)?;
                let (name, _) = CounterRow::decode(address.key)?;
                if walk.is_repeat(address.slot, name) {
                    steps = steps.saturating_add(1);
                    if steps < STEPS_BEFORE_SEEK {
                        continue;
                    }
                    let slot = address.slot;
                    row::write_prefix(Table::Counters, slot, &[], &mut seek);
                    tally_counter::counter_prefix(name, &mut seek);
                    seek.push(PAST_ROWS);
                    seek_again = true;
                    break;
                }
                steps = 0;
                if let Some(next) = walk.answer(address.slot, name, visit)? {
                    return Ok(Some(next));
                }
            }
            if !seek_again {
                return Ok(None);
            }
        }
    }
}

/// Where a walk over names is.
struct NameWalk {
    last: Option<NameCursor>,
    name: Vec<u8>,
    found: usize,
    limit: usize,
}

impl NameWalk {
    fn is_repeat(&self, slot: u16, name: Key<'_>) -> bool {
        self.last.is_some_and(|last| last.slot == slot) && self.name == name.as_bytes()
    }

    /// Answers a name not met before, or says that it is for the next call.
    fn answer(&mut self, slot: u16, name: Key<'_>, visit: &mut Visit<'_>) -> Result<Option<NameCursor>, StoreError> {
        let place = NameCursor {
            slot,
            hash: slot_hash(name.as_bytes()),
        };
        if self.found >= self.limit && self.last != Some(place) {
            return Ok(Some(place));
        }
        debug_assert!(slot < SLOTS, "slots are below 16,384");
        self.last = Some(place);
        self.name.clear();
        self.name.extend_from_slice(name.as_bytes());
        self.found = self.found.saturating_add(1);
        let address = Address {
            table: Table::Names,
            slot,
            key: name.as_bytes(),
        };
        visit(
            0,
            Row {
                address,
                position: 0,
                value: &[],
            },
        )?;
        Ok(None)
    }
}
