//! The loss of power: what was durable stays, of the rest any part, row by row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::random::Random;
use super::rows::{Versions, Write};
use super::state::State;
use crate::Table;

impl State {
    pub(super) fn crash(&mut self, seed: u64) {
        let mut random = Random::new(seed);
        let share = random.share();
        let cuts = self.swap_cuts(&mut random);
        let rows = Arc::make_mut(&mut self.rows);
        for place in std::mem::take(&mut self.unsynced) {
            let Some(versions) = rows.get_mut(&place) else { continue };
            let partition = (place.table, place.table.partition(place.slot));
            let cut = cuts.get(&partition).copied().unwrap_or(0);
            versions.crash(|write| match write {
                Write::Swap { serial, .. } => *serial < cut,
                _ => random.happens(share),
            });
            if versions.is_nothing() {
                rows.remove(&place);
            }
        }
        self.late.retain(|_| random.happens(share));
    }

    /// For each partition the serial number of the first swap that is lost: serial writes are lost from the end.
    fn swap_cuts(&self, random: &mut Random) -> BTreeMap<(Table, u16), u64> {
        let mut serials: BTreeMap<(Table, u16), BTreeSet<u64>> = BTreeMap::new();
        for place in &self.unsynced {
            let swaps = self.rows.get(place).into_iter().flat_map(Versions::swaps);
            let partition = (place.table, place.table.partition(place.slot));
            serials.entry(partition).or_default().extend(swaps);
        }
        let cut = |serials: BTreeSet<u64>| {
            let survive = random.below((serials.len() as u64).saturating_add(1));
            serials
                .into_iter()
                .nth(usize::try_from(survive).unwrap_or(0))
                .unwrap_or(u64::MAX)
        };
        let (partitions, serials): (Vec<_>, Vec<_>) = serials.into_iter().unzip();
        partitions.into_iter().zip(serials.into_iter().map(cut)).collect()
    }
}
