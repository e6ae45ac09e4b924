//! What the model holds and what it does with each call.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::faults::Faults;
use super::found::Ends;
use super::late::{ARRIVES, Late, LateSwap};
use super::random::Random;
use super::rows::{Place, Versions, Write};
use crate::{Batch, Order, Row, StoreError, Swap, Swapped};

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) faults: Faults,
    /// Nothing comes late, and nothing is left of a removed row.
    pub(super) forgetful: bool,
    pub(super) operations: u64,
    pub(super) reads: u64,
    pub(super) rests: u64,
    pub(super) faulted: u64,
    pub(super) broken_words: u64,
    pub(super) fail_from: Option<u64>,
    pub(super) late: Vec<Late>,
    // Shared with snapshots until one of them writes.
    pub(super) rows: Arc<BTreeMap<Place, Versions>>,
    pub(super) unsynced: BTreeSet<Place>,
    swaps: u64,
    pub(super) random: Random,
}

/// How a write or sync goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    Well,
    /// Applied in part, with an error that may be tried again.
    Partly,
    /// Applied in part, the last thing before the end.
    Last,
}

impl State {
    pub(super) fn new(faults: Faults, seed: u64) -> Self {
        Self {
            faults,
            forgetful: false,
            operations: 0,
            reads: 0,
            rests: 0,
            faulted: 0,
            broken_words: 0,
            fail_from: None,
            late: Vec::new(),
            rows: Arc::default(),
            unsynced: BTreeSet::new(),
            swaps: 0,
            random: Random::new(seed),
        }
    }

    pub(super) fn stands(&self, place: &Place) -> Option<(u64, &Arc<[u8]>)> {
        self.rows.get(place)?.live()
    }

    /// The rows that are there, in the order of their places.
    pub(super) fn rows_from(&self, start: Bound<Place>) -> impl Iterator<Item = Row<'_>> {
        self.rows
            .range((start, Bound::Unbounded))
            .filter_map(|(place, versions)| {
                let (position, value) = versions.live()?;
                Some(Row {
                    address: place.address(),
                    position,
                    value,
                })
            })
    }

    pub(super) fn begin_read(&mut self) -> Result<(), StoreError> {
        if self.fail_from.is_some_and(|operation| self.operations > operation) {
            return Err(broken_down());
        }
        self.arrive(ARRIVES);
        Ok(())
    }

    pub(super) fn end_read(&mut self, found: usize) -> Ends {
        if !self.random.happens(self.faults.reads_fail) {
            return Ends::Well;
        }
        self.faulted = self.faulted.saturating_add(1);
        let rows = self.random.below((found as u64).saturating_add(1));
        Ends::After(usize::try_from(rows).unwrap_or(0))
    }

    pub(super) fn put(&mut self, rows: &Batch, order: Order) -> Result<(), StoreError> {
        let goes = self.begin_write(self.faults.writes_fail)?;
        for row in rows.rows() {
            assert!(
                !row.address.table.is_conditional(),
                "rows of {:?} are touched only by swaps",
                row.address.table
            );
            let place = Place::of(row.address);
            let value: Arc<[u8]> = row.value.into();
            let position = row.position;
            if order == Order::Growing && self.breaks_word(&place, position, &value) {
                self.broken_words = self.broken_words.saturating_add(1);
            }
            let late = Write::Put {
                position,
                value: Arc::clone(&value),
            };
            let write = if order == Order::Growing && self.faults.growing_is_blind {
                Write::Blind { position, value }
            } else {
                late.clone()
            };
            self.write_row(place, write, late, goes);
        }
        goes.answer()
    }

    pub(super) fn remove(&mut self, rows: &Batch) -> Result<(), StoreError> {
        let goes = self.begin_write(self.faults.writes_fail)?;
        for row in rows.rows() {
            assert!(
                !row.address.table.is_conditional(),
                "rows of {:?} are touched only by swaps",
                row.address.table
            );
            let forgotten = self.random.happens(self.faults.removals_forgotten) || self.forgetful;
            let write = Write::Remove {
                position: row.position,
                forgotten,
            };
            self.write_row(Place::of(row.address), write.clone(), write, goes);
        }
        goes.answer()
    }

    pub(super) fn swap(&mut self, swap: Swap<'_>) -> Result<Swapped, StoreError> {
        let goes = self.begin_write(self.faults.swaps_unknown)?;
        assert_one_partition(swap);
        let owned = LateSwap::of(swap);
        if goes == Goes::Well {
            let applied = self.try_swap(&owned);
            return Ok(if applied {
                Swapped::Applied
            } else {
                Swapped::Refused(self.values_of(&owned))
            });
        }
        match self.random.below(3) {
            0 => {
                self.try_swap(&owned);
            }
            1 => self.send_late(Late::Swap(owned)),
            _ => {}
        }
        if goes == Goes::Last {
            Err(broken_down())
        } else {
            Ok(Swapped::Unknown)
        }
    }

    pub(super) fn durable(&mut self) -> Result<(), StoreError> {
        let goes = self.begin_write(self.faults.syncs_fail)?;
        if goes == Goes::Well || self.random.below(2) == 0 {
            let rows = Arc::make_mut(&mut self.rows);
            for place in std::mem::take(&mut self.unsynced) {
                let Some(versions) = rows.get_mut(&place) else { continue };
                versions.make_durable();
                if versions.is_nothing() {
                    rows.remove(&place);
                }
            }
        }
        goes.answer()
    }

    fn begin_write(&mut self, fails: u16) -> Result<Goes, StoreError> {
        let operation = self.operations;
        self.operations = operation.saturating_add(1);
        match self.fail_from {
            Some(last) if operation > last => return Err(broken_down()),
            Some(last) if operation == last => return Ok(Goes::Last),
            _ => {}
        }
        self.arrive(ARRIVES);
        Ok(if self.random.happens(fails) {
            self.faulted = self.faulted.saturating_add(1);
            Goes::Partly
        } else {
            Goes::Well
        })
    }

    /// Writes a row, or leaves it out and sends it late or never; sometimes writes it and sends it late as well.
    fn write_row(&mut self, place: Place, write: Write, late: Write, goes: Goes) {
        if goes == Goes::Well {
            if self.random.happens(self.faults.writes_repeat) {
                self.faulted = self.faulted.saturating_add(1);
                self.send_late(Late::Row(place.clone(), late));
            }
            self.apply(place, write);
            return;
        }
        match self.random.below(4) {
            0 | 1 => self.apply(place, write),
            2 => self.send_late(Late::Row(place, late)),
            _ => {}
        }
    }

    fn breaks_word(&self, place: &Place, position: u64, value: &Arc<[u8]>) -> bool {
        self.stands(place)
            .is_some_and(|(stands_at, standing)| stands_at > position || (stands_at == position && standing != value))
    }

    pub(super) fn apply(&mut self, place: Place, write: Write) {
        Arc::make_mut(&mut self.rows)
            .entry(place.clone())
            .or_default()
            .write(write);
        self.unsynced.insert(place);
    }

    /// Applies it if all conditions hold, and says so.
    pub(super) fn try_swap(&mut self, swap: &LateSwap) -> bool {
        let holds =
            |(place, value): &(Place, Option<Arc<[u8]>>)| self.stands(place).map(|(_, value)| value) == value.as_ref();
        if !swap.conditions.iter().all(holds) {
            return false;
        }
        let serial = self.swaps;
        self.swaps = serial.saturating_add(1);
        for (place, position, value) in &swap.rows {
            let write = Write::Swap {
                serial,
                position: *position,
                value: Some(Arc::clone(value)),
            };
            self.apply(place.clone(), write);
        }
        for place in &swap.gone {
            let write = Write::Swap {
                serial,
                position: 0,
                value: None,
            };
            self.apply(place.clone(), write);
        }
        true
    }

    fn values_of(&self, swap: &LateSwap) -> Vec<Option<Vec<u8>>> {
        let value = |place| self.stands(place).map(|(_, value)| value.to_vec());
        swap.conditions.iter().map(|(place, _)| value(place)).collect()
    }
}

impl Goes {
    fn answer(self) -> Result<(), StoreError> {
        match self {
            Self::Well => Ok(()),
            Self::Partly => Err(StoreError::Unavailable(
                "the model fails this call, some of it may be applied".into(),
            )),
            Self::Last => Err(broken_down()),
        }
    }
}

fn broken_down() -> StoreError {
    StoreError::Failed("the model broke down, as it was told to".into())
}

fn assert_one_partition(swap: Swap<'_>) {
    let addresses = swap
        .conditions
        .iter()
        .map(|condition| condition.address)
        .chain(swap.rows.rows().map(|row| row.address))
        .chain(swap.gone.iter());
    let mut partitions = addresses.map(|address| (address.table, address.table.partition(address.slot)));
    let first = partitions.next();
    assert!(
        partitions.all(|partition| Some(partition) == first),
        "a swap stays within one partition"
    );
}
