//! The walk that finds what may go: over the counters' rows, then the windows, then, once after a start, the names. A slice at a time;
//! it keeps nothing but its place. It begins again when a boundary has moved, when lives ended that it was not told of, and daily.

use std::collections::BTreeMap;

use tally_counter::{Chunk, CounterRow, Head, Key, Minute, Step};
use tally_store::Table;

use super::Reach;
use crate::Error;
use crate::engine::Engine;
use crate::load;
use crate::namespaces::Kept;
use crate::round::Own;

/// Rows of one slice. With one each 50 ms, 40,000 rows a second.
const ROWS: usize = 2_000;
/// Names of one slice, each of which costs reads.
const NAMES: usize = 200;
/// Between two walks lies as much time as the first one took, within these limits.
const REST_US: std::ops::RangeInclusive<u64> = 5_000_000..=600_000_000;
/// The longest time between two walks.
const DAY_US: u64 = 86_400_000_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Counters,
    Windows,
    Names,
}

/// How far the walk has come, and why it goes on.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    phase: Phase,
    cursor: Vec<u8>,
    /// The counter whose rows the last slice ended in.
    last: Option<Met>,
    /// Names were walked over since the start.
    names: bool,
    under_way: bool,
    wanted: bool,
    /// The boundaries when the walk began; `None`: there was none since the start.
    kept: Option<BTreeMap<String, Kept>>,
    began_us: u64,
    ended_us: u64,
}

/// A counter of which the walk met rows.
#[derive(Clone, Debug, Default)]
struct Met {
    key: Box<str>,
    head: Option<Head>,
    /// Rows of its head's life, or of a later one.
    live: bool,
    /// Rows of lives before its head's.
    dead: bool,
    /// The oldest life that it has windows of.
    oldest_life: u64,
    /// The start of its oldest window of each step.
    oldest: [Option<Minute>; 3],
}

impl Walk {
    /// There is something to find.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether a slice is due: it is under way, or there is cause to begin again. `kept`: what is kept of the namespaces now.
    pub(crate) fn is_due(&self, now_us: u64, kept: impl FnOnce() -> BTreeMap<String, Kept>) -> bool {
        let Some(before) = &self.kept else { return true };
        let rested_us = now_us.saturating_sub(self.ended_us);
        let took_us = self.ended_us.saturating_sub(self.began_us);
        let rest_us = took_us.clamp(*REST_US.start(), *REST_US.end());
        self.under_way || rested_us >= DAY_US || (rested_us >= rest_us && (self.wanted || *before != kept()))
    }

    /// Goes on from `next`, or to the next phase.
    fn went(&mut self, next: Option<Vec<u8>>, now_us: u64) {
        if let Some(next) = next {
            self.cursor = next;
            return;
        }
        self.cursor.clear();
        self.last = None;
        self.phase = match self.phase {
            Phase::Counters => Phase::Windows,
            Phase::Windows if !self.names => Phase::Names,
            Phase::Windows | Phase::Names => {
                self.names = true;
                self.under_way = false;
                self.ended_us = now_us;
                Phase::Counters
            }
        };
    }
}

impl Engine {
    /// A slice of the walk. What it finds waits to be looked at.
    pub(super) fn walk_on(&self, own: &mut Own) -> Result<(), Error> {
        if !own.sweep.walk.under_way {
            own.sweep.reach = Reach::read(&self.registry, self.is_shared())?;
            own.sweep.walk.under_way = true;
            own.sweep.walk.began_us = self.world.clock.monotonic_us();
            own.sweep.walk.wanted = false;
            own.sweep.walk.kept = Some(self.core.lock().namespaces.kept());
        }
        let next = match own.sweep.walk.phase {
            Phase::Counters => self.walk_counters(own)?,
            Phase::Windows => self.walk_windows(own)?,
            Phase::Names => self.walk_names(own)?,
        };
        own.sweep.walk.went(next, self.world.clock.monotonic_us());
        Ok(())
    }

    /// Looks for rows of lives that ended, and for heads that nothing stands behind.
    fn walk_counters(&self, own: &mut Own) -> Result<Option<Vec<u8>>, Error> {
        let store = self.world.store.as_ref();
        let walk = &mut own.sweep.walk;
        let mut met: Vec<Met> = walk.last.take().into_iter().collect();
        let next = store.walk(Table::Counters, &walk.cursor, ROWS, &mut |_, row| {
            let (key, kind) = CounterRow::decode(row.address.key)?;
            let Some(met) = met_at(&mut met, key) else {
                return Ok(());
            };
            let life_now = met.head.as_ref().map_or(0, |head| head.generation.life);
            match kind {
                CounterRow::Head => met.head = Some(Head::decode(row.value)?),
                CounterRow::Cell { life, .. } | CounterRow::Left { life, .. } if life < life_now => met.dead = true,
                _ => met.live = true,
            }
            Ok(())
        })?;
        walk.last = met.last().map(|last| Met {
            dead: false,
            ..last.clone()
        });
        let forgets = store.forgets();
        let is_tombstone = |met: &Met| forgets && !met.live && met.head.as_ref().is_some_and(|head| !head.created);
        let found = met.into_iter().filter(|met| met.dead || is_tombstone(met));
        own.sweep.waiting.extend(found.map(|met| met.key));
        Ok(next)
    }

    /// Looks for windows before their boundary, and for those of lives that ended.
    fn walk_windows(&self, own: &mut Own) -> Result<Option<Vec<u8>>, Error> {
        let store = self.world.store.as_ref();
        let mut met: Vec<Met> = Vec::new();
        let next = store.walk(Table::Windows, &own.sweep.walk.cursor, ROWS, &mut |_, row| {
            let (key, kind) = CounterRow::decode(row.address.key)?;
            if let (CounterRow::Window { life, step, chunk, .. }, Some(met)) = (kind, met_at(&mut met, key)) {
                met.note(life, step, chunk);
            }
            Ok(())
        })?;
        let keys: Vec<Key<'_>> = met.iter().filter_map(|met| Key::new(met.key.as_bytes()).ok()).collect();
        let heads = load::point_reads(store, &keys, &[])?;
        let core = self.core.lock();
        let found = met.iter().zip(heads).filter(|(met, snapshot)| {
            let life = snapshot.head.as_ref().map_or(0, |head| head.generation.life);
            let leaves = |(oldest, boundary): (Option<Minute>, Minute)| oldest.is_some_and(|start| start < boundary);
            met.oldest_life < life
                || met
                    .oldest
                    .into_iter()
                    .zip(own.sweep.reach.of(&core, &met.key))
                    .any(leaves)
        });
        let found: Vec<Box<str>> = found.map(|(met, _)| met.key.clone()).collect();
        drop(core);
        own.sweep.waiting.extend(found);
        Ok(next)
    }

    /// Looks for names that no counter has.
    fn walk_names(&self, own: &mut Own) -> Result<Option<Vec<u8>>, Error> {
        let mut found: Vec<(Box<str>, u64)> = Vec::new();
        let store = self.world.store.as_ref();
        let next = store.walk(Table::Names, &own.sweep.walk.cursor, NAMES, &mut |_, row| {
            if let Ok(name) = std::str::from_utf8(row.address.key) {
                found.push((name.into(), row.position));
            }
            Ok(())
        })?;
        self.bury_names(own, &found)?;
        Ok(next)
    }
}

/// The counter at the end of what was met: this one.
fn met_at<'m>(met: &'m mut Vec<Met>, key: Key<'_>) -> Option<&'m mut Met> {
    if met.last().is_none_or(|last| &*last.key != key.as_str()) {
        met.push(Met {
            key: key.as_str().into(),
            oldest_life: u64::MAX,
            ..Met::default()
        });
    }
    met.last_mut()
}

impl Met {
    fn note(&mut self, life: u64, step: Step, chunk: Chunk) {
        self.oldest_life = self.oldest_life.min(life);
        let start = step.chunk_start(chunk);
        if let Some(oldest) = self.oldest.get_mut(usize::from(step.code())) {
            *oldest = Some(oldest.map_or(start, |oldest| oldest.min(start)));
        }
    }
}
