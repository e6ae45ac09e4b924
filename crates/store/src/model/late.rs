//! Writes on their way: they arrive at the beginning of some later call, or at [`super::Model::settle`].

use std::sync::Arc;

use super::rows::{Place, Write};
use super::state::State;
use crate::Swap;

/// At each call, so many thousandths of what is on its way late arrive.
pub(super) const ARRIVES: u16 = 150;
/// At most this many are on their way; one more lets the oldest arrive.
const MAX_LATE: usize = 1_024;

#[derive(Clone, Debug)]
pub(super) enum Late {
    Row(Place, Write),
    Swap(LateSwap),
}

/// A swap, owned.
#[derive(Clone, Debug)]
pub(super) struct LateSwap {
    pub(super) conditions: Vec<(Place, Option<Arc<[u8]>>)>,
    pub(super) rows: Vec<(Place, u64, Arc<[u8]>)>,
    pub(super) gone: Vec<Place>,
}

impl LateSwap {
    pub(super) fn of(swap: Swap<'_>) -> Self {
        Self {
            conditions: swap
                .conditions
                .iter()
                .map(|condition| (Place::of(condition.address), condition.value.map(Arc::from)))
                .collect(),
            rows: swap
                .rows
                .rows()
                .map(|row| (Place::of(row.address), row.position, Arc::from(row.value)))
                .collect(),
            gone: swap.gone.iter().map(Place::of).collect(),
        }
    }
}

impl State {
    pub(super) fn settle(&mut self) {
        self.arrive(1_000);
    }

    pub(super) fn send_late(&mut self, late: Late) {
        if self.forgetful {
            return;
        }
        if self.late.len() >= MAX_LATE {
            let oldest = self.late.remove(0);
            self.arrived(oldest);
        }
        self.late.push(late);
    }

    /// Lets so many thousandths of what is late arrive, in any order.
    pub(super) fn arrive(&mut self, thousandths: u16) {
        let mut index = 0;
        while index < self.late.len() {
            if self.random.happens(thousandths) {
                // Takes the last one's place: order is nobody's promise.
                let late = self.late.swap_remove(index);
                self.arrived(late);
            } else {
                index = index.saturating_add(1);
            }
        }
    }

    fn arrived(&mut self, late: Late) {
        match late {
            Late::Row(place, write) => self.apply(place, write),
            Late::Swap(swap) => {
                self.try_swap(&swap);
            }
        }
    }
}
