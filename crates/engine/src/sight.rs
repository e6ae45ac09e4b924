//! What is known of counters that other nodes count too: when each was last read, and what of its value is theirs. Guards that an
//! answer is never older than the setting `read_age` (a counter beyond it is read first), and that what is read again and again
//! is read in the background, so that answers do not wait for the store. Does not: make others' adds reach the store.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use tally_counter::{Generation, Key, WriterNumber};

use crate::Error;
use crate::core::Core;
use crate::engine::Engine;
use crate::load::Snapshot;
use crate::plan::{Need, Plan};
use crate::registry::Registry;
use crate::table::{Counter, CounterId};

/// Counters of which this is remembered. Beyond it all are forgotten, and read once more.
const MOST_SEEN: usize = 200_000;
/// A counter that nobody has asked for since then is not read in the background.
const ASKED_US: u64 = 10_000_000;
/// How many times less often a counter is read in the background that is only added to.
const WRITTEN: u64 = 4;
/// Counters that are read at once in the background.
const AT_ONCE: usize = 500;
/// Counters that one pass reads, the longest unread first.
const MOST_A_PASS: usize = 20_000;

/// How others' part of a counter was last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// When it was read, in microseconds of the monotonic clock: before the read began.
    at_us: u64,
    /// When somebody last asked for it.
    asked_us: u64,
    /// When somebody last asked for it who only read.
    read_us: u64,
    /// Others' part of the value in memory, within this generation.
    others: i128,
    life: u64,
    n: u64,
}

/// All that was seen.
pub(crate) struct Sight {
    seen: HashMap<CounterId, Seen, FixedState>,
}

impl Sight {
    pub(crate) fn new(hasher: FixedState) -> Self {
        Self {
            seen: HashMap::with_hasher(hasher),
        }
    }

    /// Whether a counter was not read since `after_us` (0: by a write, to which that does not matter); notes that it was asked for.
    pub(crate) fn is_old(&mut self, id: Option<CounterId>, after_us: u64, now_us: u64) -> bool {
        match id.and_then(|id| self.seen.get_mut(&id)) {
            Some(seen) => {
                seen.asked_us = now_us;
                if after_us > 0 {
                    seen.read_us = now_us;
                }
                seen.at_us < after_us
            }
            // What is in memory is of use to a write as it is.
            None => after_us > 0,
        }
    }

    fn note(&mut self, id: CounterId, seen: Seen) {
        if self.seen.len() >= MOST_SEEN && !self.seen.contains_key(&id) {
            self.seen.clear();
        }
        self.seen.insert(id, seen);
    }

    /// Counters that are to be read now, the longest unread first: those that were read lately once in `interval_us`; those that were only
    /// added to, by somebody who takes the value along, less often.
    fn stale(&self, interval_us: u64, now_us: u64) -> Vec<CounterId> {
        let wanted = |seen: &Seen| {
            let since = |us: u64| now_us.saturating_sub(us);
            let interval_us = if since(seen.read_us) < ASKED_US {
                interval_us
            } else {
                interval_us.saturating_mul(WRITTEN)
            };
            since(seen.at_us) > interval_us && since(seen.asked_us) < ASKED_US
        };
        let stale = self.seen.iter().filter(|(_, seen)| wanted(seen));
        let mut stale: Vec<(u64, CounterId)> = stale.map(|(id, seen)| (seen.at_us, *id)).collect();
        stale.sort_unstable();
        stale.truncate(MOST_A_PASS);
        stale.into_iter().map(|(_, id)| id).collect()
    }
}

impl Core {
    /// Whether a counter's value can be brought up to date by others' cells alone: then it does not matter whether a round has ended since
    /// they were read, which moves only this node's own.
    pub(crate) fn can_see(&self, id: Option<CounterId>, snapshot: &Snapshot) -> bool {
        let Some(id) = id.filter(|id| self.sight.seen.contains_key(id)) else {
            return false;
        };
        let Some(counter) = self.table.get(id).filter(Counter::loaded) else {
            return false;
        };
        let generation =
            |head: Option<&tally_counter::Head>| head.map_or(Generation::default(), |head| head.generation);
        generation(snapshot.head.as_ref()) <= generation(counter.head())
    }

    /// Does both where it can: `false` where a reset is met, which must be read with all else.
    pub(crate) fn see_now(&mut self, id: CounterId, snapshot: &Snapshot, now_us: u64, registry: &Registry) -> bool {
        let can = self.can_see(Some(id), snapshot);
        if can {
            let own = registry.own();
            self.see(id, snapshot, own, registry);
            self.note_seen(id, snapshot, (now_us, now_us), own, registry);
        }
        can
    }

    /// Puts others' cells, as they were just read, in the place of what was seen of them before.
    pub(crate) fn see(&mut self, id: CounterId, snapshot: &Snapshot, own: WriterNumber, registry: &Registry) {
        let Some(counter) = self.table.get(id) else { return };
        let generation = counter.head().map_or(Generation::default(), |head| head.generation);
        let (value, exists) = (counter.value(), counter.exists());
        let (now, there) = others(snapshot, generation, own, registry);
        let before = self.sight.seen.get(&id);
        // A reset of ours has ended what was seen before it.
        let before = before.filter(|seen| (seen.life, seen.n) == (generation.life, generation.n));
        let before = before.map_or(0, |seen| seen.others);
        self.table
            .set_value(id, value.saturating_sub(before).saturating_add(now));
        self.table.set_exists(id, exists || there);
    }

    /// Notes that a counter was read at `at_us`, and what of its value is others'.
    pub(crate) fn note_seen(
        &mut self,
        id: CounterId,
        snapshot: &Snapshot,
        (at_us, now_us): (u64, u64),
        own: WriterNumber,
        registry: &Registry,
    ) {
        let Some(counter) = self.table.get(id) else { return };
        let generation = counter.head().map_or(Generation::default(), |head| head.generation);
        let (others, _) = others(snapshot, generation, own, registry);
        let before = self.sight.seen.get(&id);
        let asked_us = before.map_or(now_us, |seen| seen.asked_us);
        let read_us = before.map_or(now_us, |seen| seen.read_us);
        let seen = Seen {
            at_us,
            asked_us,
            read_us,
            others,
            life: generation.life,
            n: generation.n,
        };
        self.sight.note(id, seen);
    }
}

/// What others' cells add to the value of a generation, and whether its life has any.
fn others(snapshot: &Snapshot, generation: Generation, own: WriterNumber, registry: &Registry) -> (i128, bool) {
    let cells = snapshot.cells.iter();
    let cells =
        cells.filter(|(writer, life, _)| *writer != own && *life == generation.life && registry.is_summed(*writer));
    cells.fold((0, false), |(sum, _), (.., cell)| {
        let total = if cell.n == generation.n { cell.total } else { 0 };
        (i128::saturating_add(sum, total), true)
    })
}

impl Engine {
    /// How often what is asked for is read in the background: four times within the age that an answer may have.
    pub(crate) fn sight_interval_ms(&self) -> u64 {
        (self.settings.read_age_ms / 4).clamp(20, 1_000)
    }

    /// Reads what was asked for lately once more, where others count too. Blocks.
    pub fn see_others(&self) -> Result<(), Error> {
        let now_us = self.world.clock.monotonic_us();
        let interval_us = self.sight_interval_ms().saturating_mul(1_000);
        let stale = {
            let core = self.core.lock();
            if core.others == 0 {
                return Ok(());
            }
            core.sight.stale(interval_us, now_us)
        };
        for some in stale.chunks(AT_ONCE) {
            let mut plan = Plan::new();
            plan.only_reads();
            plan.in_background();
            {
                let core = self.core.lock();
                plan.read_at = Some(core.read_at());
                for name in some
                    .iter()
                    .filter_map(|id| core.table.get(*id))
                    .map(|counter| counter.name())
                {
                    if let Ok(key) = Key::new(name) {
                        plan.key(key, Need::Value);
                    }
                }
            }
            for key in &mut plan.keys {
                key.cold = true;
            }
            self.load(std::slice::from_mut(&mut plan))?;
            // What could not be used, since a round has ended or a reset was met, is read again by the next pass or by whoever asks.
            drop(self.turn(&mut plan, &mut |_| ()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asks_for_is_not_read_again() {
        let mut sight = Sight::new(FixedState::with_seed(1));
        let seen = |at_us, asked_us| Seen {
            at_us,
            asked_us,
            read_us: asked_us,
            ..Seen::default()
        };
        let now = ASKED_US;
        sight.note(CounterId(1), seen(now - 1_000, now));
        sight.note(CounterId(2), seen(now - 2_000, now));
        sight.note(CounterId(3), seen(now - 10, now));
        assert_eq!(sight.stale(500, now), [CounterId(2), CounterId(1)]);
        assert!(sight.is_old(Some(CounterId(1)), now - 500, now + 100));
        assert!(!sight.is_old(Some(CounterId(3)), now - 500, now + 100));
        assert_eq!(sight.stale(500, now + ASKED_US), [CounterId(1), CounterId(3)]);
        assert!(sight.is_old(Some(CounterId(4)), 1, now));
        assert!(!sight.is_old(Some(CounterId(4)), 0, now));
    }

    #[test]
    fn what_is_only_added_to_is_read_less_often() {
        let mut sight = Sight::new(FixedState::with_seed(1));
        let now = 3 * ASKED_US;
        let seen = Seen {
            at_us: now - 1_000,
            ..Seen::default()
        };
        sight.note(CounterId(1), seen);
        assert!(!sight.is_old(Some(CounterId(1)), 0, now));
        assert_eq!(sight.stale(500, now), []);
        assert_eq!(sight.stale(200, now), [CounterId(1)]);
        assert!(!sight.is_old(Some(CounterId(1)), now - 2_000, now));
        assert_eq!(sight.stale(500, now), [CounterId(1)]);
    }
}
