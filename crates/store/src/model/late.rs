//! Writes on their way: they arrive at the beginning of some later call, or at [`super::Model::settle`].

use std::sync::Arc;

use super::rows::{Place, Write};
use crate::Swap;

/// At most this many are on their way; one more lets the oldest arrive.
pub(super) const MAX_LATE: usize = 1_024;

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
        }
    }
}
