//! The hot table against the store: a counter that memory knows is base and cells of the store and what the open round adds. Reckoned
//! here by itself, not by the code that loads counters.

use std::collections::BTreeMap;

use tally_counter::{Generation, Key, WriterNumber};

use super::pass::{Findings, Frame};
use super::{Check, Log, PassView};
use crate::Error;
use crate::core::Core;
use crate::engine::Engine;
use crate::load::{self, Snapshot};
use crate::registry::Registry;
use crate::table::{Counter, CounterId};

impl Engine {
    /// The counters of page `next` of the table. The caller holds rounds back, so that the store stands still; adds go on, and
    /// are in the open round.
    pub(super) fn look_at_memory(
        &self,
        next: &mut u32,
        view: &mut PassView,
        frame: &Frame,
        findings: &mut Findings,
    ) -> Result<bool, Error> {
        let (names, ended) = next_loaded(&self.core.lock(), next);
        let keys: Vec<Key<'_>> = names.iter().filter_map(|name| Key::new(name.as_bytes()).ok()).collect();
        let snapshots = load::counters(self.world.store.as_ref(), &self.registry, &keys)?;
        let mut core = self.core.lock();
        for (key, snapshot) in keys.iter().zip(&snapshots) {
            view.hot = view.hot.saturating_add(1);
            view.rows = view.rows.saturating_add(1);
            let name = key.as_str();
            let Some(id) = core.find(name) else { continue };
            if is_coming(snapshot, &frame.logs) {
                continue;
            }
            // Memory has others' part as it was last seen: as it is read here, from now on.
            if core.others > 0 && !core.see_now(id, snapshot, self.world.clock.monotonic_us(), &self.registry) {
                continue;
            }
            let Some(detail) = differs(&core, id, snapshot, &self.registry) else {
                continue;
            };
            let mended = view.repairs.then(|| {
                forget(&mut core, id);
                "forgotten by memory: the next read goes by the store".to_owned()
            });
            findings.push(Check::Hot, name, detail, mended);
        }
        Ok(ended)
    }
}

/// The names of counters that memory knows the value of, of page `next` of the table; whether the table's end was reached.
fn next_loaded(core: &Core, next: &mut u32) -> (Vec<String>, bool) {
    let Some(ids) = core.table.page(*next) else {
        return (Vec::new(), true);
    };
    *next = next.saturating_add(1);
    let counters = ids.into_iter().filter_map(|id| core.table.get(id));
    let names = counters
        .filter(Counter::loaded)
        .map(|counter| counter.key().to_owned())
        .collect();
    (names, false)
}

/// Whether a source's round that is cut off has reached this counter: its cell may have come late, after memory read the others, and
/// memory forgets the value when the round is repeated.
fn is_coming(snapshot: &Snapshot, logs: &BTreeMap<WriterNumber, Log>) -> bool {
    let mut cells = snapshot.cells.iter();
    cells.any(|(writer, _, cell)| logs.get(writer).is_some_and(|log| log.pending == Some(cell.position)))
}

/// What memory and store do not agree about.
fn differs(core: &Core, id: CounterId, snapshot: &Snapshot, registry: &Registry) -> Option<String> {
    let counter = core.table.get(id).filter(Counter::loaded)?;
    let (open, _) = core.deltas(id);
    let open = open.as_ref();
    let known = counter.head();
    let stored = snapshot.head.as_ref();
    if open.is_none_or(|delta| delta.head.is_none()) && known != stored {
        return Some(format!("memory has the head {known:?}, the store {stored:?}"));
    }
    let generation = known.map_or(Generation::default(), |head| head.generation);
    let cells = snapshot
        .cells
        .iter()
        .filter(|(writer, life, _)| *life == generation.life && registry.is_summed(*writer));
    let (mut value, mut exists) = (
        known.map_or(0, |head| i128::from(head.base)),
        known.is_some_and(|head| head.created),
    );
    for (_, _, cell) in cells {
        exists = true;
        if cell.n == generation.n {
            value = value.saturating_add(cell.total);
        }
    }
    if let Some(delta) = open {
        value = value.saturating_add(delta.total);
        exists |= delta.touched;
    }
    if exists != counter.exists() {
        let (memory, store) = (word(counter.exists()), word(exists));
        return Some(format!("memory says that it {memory}, the store that it {store}"));
    }
    (exists && value != counter.value()).then(|| {
        format!(
            "memory has {}, the store and the open round add up to {value}",
            counter.value()
        )
    })
}

fn word(exists: bool) -> &'static str {
    if exists { "exists" } else { "does not exist" }
}

/// The next read goes by the store. A head that the open round wrote stays.
fn forget(core: &mut Core, id: CounterId) {
    core.table.set_loaded(id, false);
    if core.entries(id).0.is_none() {
        core.table.set_head(id, None);
    }
    core.stamp.others_moved();
}
