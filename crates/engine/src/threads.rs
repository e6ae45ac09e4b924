//! The engine's two threads: one syncs the journal, one writes rounds and sweeps between them. A simulation has none and calls
//! `commit`, `round` and `tidy` itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tally_counter::Position;

use crate::Error;
use crate::engine::Engine;

/// The time between two slices of sweeping.
const TIDY_INTERVAL_MS: u64 = 50;
/// How soon a store that has more to do to come to rest is asked again.
const REST_AGAIN_MS: u64 = 250;
/// How soon a round that the store refused is tried again.
const RETRY_MS: u64 = 500;

/// A round is not waited for where nothing was written for so long and what is open takes more than this, about 10,000 counters.
const LULL_US: u64 = 1_000_000;
const LEFT_ALONE_BYTES: usize = 256 << 10;

/// A round of more counters than this rests for as long as it took, at most so long: those that change again meanwhile cost the store
/// nothing, and a store on the same machine leaves it to who counts.
const LARGE_ROUND: u64 = 16_384;
const LONGEST_REST_MS: u64 = 10_000;

/// Since when nothing was written, and up to where.
#[derive(Default)]
struct Lull {
    at: Option<Position>,
    since_us: u64,
}

impl Engine {
    /// Starts the threads that sync the journal and write rounds.
    pub fn start(self: &Arc<Self>) -> Result<(), Error> {
        let spawn = |name: &str, run: fn(&Self)| {
            let engine = Arc::clone(self);
            let thread = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || run(&engine));
            thread.map_err(|error| Error::Failed(format!("cannot start a thread: {error}")))
        };
        let threads = [
            spawn("journal", Self::sync_journal)?,
            spawn("rounds", Self::write_rounds)?,
        ];
        self.threads.lock().extend(threads);
        for number in 0..self.strong_threads() {
            let thread = spawn(&format!("strong-{number}"), Self::commit_strong_on)?;
            self.threads.lock().push(thread);
        }
        if self.settings.heartbeat_interval_ms > 0 {
            self.threads.lock().push(spawn("nodes", Self::beat_on)?);
            self.threads.lock().push(spawn("sight", Self::look_on)?);
        }
        Ok(())
    }

    /// Stops accepting, ends the threads, syncs, finishes a last round.
    pub fn stop(&self) -> Result<(), Error> {
        self.core
            .lock()
            .stopped
            .get_or_insert_with(|| "the server is stopping; nothing was applied, try another or later".to_owned());
        self.wanted.state.lock().stop = true;
        self.wanted.sync.notify_one();
        self.wanted.round.notify_one();
        self.wanted.end.notify_all();
        self.strong.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                return Err(Error::Failed("a thread of the engine ended by a bug".to_owned()));
            }
        }
        self.commit()?;
        self.round()
    }

    /// Writes heartbeats until the engine stops.
    fn beat_on(&self) {
        self.repeat_every(self.settings.heartbeat_interval_ms, "the heartbeat", Self::beat);
    }

    /// Reads what was asked for lately until the engine stops.
    fn look_on(&self) {
        self.repeat_every(
            self.sight_interval_ms(),
            "reading what others have counted",
            Self::see_others,
        );
    }

    fn repeat_every(&self, interval_ms: u64, what: &str, step: fn(&Self) -> Result<(), Error>) {
        let mut due_us = 0;
        let mut failed = false;
        loop {
            let now_us = self.world.clock.monotonic_us();
            let mut state = self.wanted.state.lock();
            if state.stop {
                return;
            }
            if now_us < due_us {
                let wait = Duration::from_micros(due_us.saturating_sub(now_us));
                self.wanted.end.wait_for(&mut state, wait);
                continue;
            }
            drop(state);
            due_us = self.next_us(interval_ms);
            match step(self) {
                Ok(()) => failed = false,
                Err(error) if !failed => {
                    tracing::warn!(%error, "{what} failed and is tried again");
                    failed = true;
                }
                Err(_) => {}
            }
            if self.core.lock().stopped.is_some() {
                return;
            }
        }
    }

    fn sync_journal(&self) {
        let interval = Duration::from_millis(self.settings.journal_interval_ms.max(1));
        loop {
            let mut state = self.wanted.state.lock();
            if !self.sync_is_wanted() && !state.stop {
                self.wanted.sync.wait_for(&mut state, interval);
            }
            let stop = state.stop;
            drop(state);
            if self.commit().is_err() || stop {
                return;
            }
        }
    }

    fn write_rounds(&self) {
        let mut due_us = self.next_us(self.settings.round_interval_ms);
        let mut tidy_due_us = 0;
        let mut verify_due_us = 0;
        let (mut refused, mut untidy) = (false, false);
        let mut lull = Lull::default();
        loop {
            let now_us = self.world.clock.monotonic_us();
            let mut state = self.wanted.state.lock();
            if state.stop {
                return;
            }
            if !state.round && now_us < due_us {
                let wait_us = (due_us.saturating_sub(now_us)).min(50_000);
                self.wanted.round.wait_for(&mut state, Duration::from_micros(wait_us));
            }
            let wanted = std::mem::take(&mut state.round);
            drop(state);
            // A store that refuses is not asked again for every add that waits for it.
            let due = self.world.clock.monotonic_us() >= due_us;
            if due || (!refused && (wanted || self.is_heavy() || self.is_left_alone(&mut lull))) {
                refused = !self.try_round();
                let wait_ms = if refused { RETRY_MS } else { self.until_next_round_ms() };
                due_us = self.next_us(wait_ms);
            }
            // A round that is asked for wakes this thread, too: it does not sweep each time.
            if self.world.clock.monotonic_us() >= tidy_due_us {
                untidy = !self.try_tidy(untidy);
                tidy_due_us = self.next_us(if untidy { RETRY_MS } else { TIDY_INTERVAL_MS });
            }
            if self.world.clock.monotonic_us() >= verify_due_us {
                verify_due_us = self.verify_due();
            }
            if self.core.lock().stopped.is_some() {
                return;
            }
        }
    }

    /// How long it is from a round's end to the next one that nobody asks for.
    fn until_next_round_ms(&self) -> u64 {
        let load = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
        let figures = &self.figures;
        let rest_ms = rest_ms(load(&figures.last_round_counters), load(&figures.last_round_ms));
        self.settings.round_interval_ms.max(rest_ms)
    }

    pub(crate) fn next_us(&self, wait_ms: u64) -> u64 {
        self.world
            .clock
            .monotonic_us()
            .saturating_add(wait_ms.saturating_mul(1_000))
    }

    /// Whether what is not in the store yet takes so much memory that a round is due.
    fn is_heavy(&self) -> bool {
        self.core.lock().is_heavy()
    }

    /// Whether what is not in the store yet takes memory.
    fn is_much_open(&self) -> bool {
        self.core.lock().open.fold.bytes() > LEFT_ALONE_BYTES
    }

    /// The same, and nothing has come for a while.
    fn is_left_alone(&self, lull: &mut Lull) -> bool {
        let core = self.core.lock();
        let at = core.tail.position();
        let now_us = self.world.clock.monotonic_us();
        if lull.at != Some(at) {
            *lull = Lull {
                at: Some(at),
                since_us: now_us,
            };
            return false;
        }
        core.open.fold.bytes() > LEFT_ALONE_BYTES && now_us.saturating_sub(lull.since_us) >= LULL_US
    }

    pub(crate) fn try_round(&self) -> bool {
        match self.round() {
            Ok(()) => true,
            Err(Error::Unavailable(why)) => {
                tracing::warn!(%why, "the round could not be put and is tried again; the journal keeps everything");
                self.waiters.refused(&why);
                false
            }
            Err(error) => {
                tracing::error!(%error, "the round failed: the server stops");
                self.stop_for(&error.to_string());
                false
            }
        }
    }

    /// Whether it could be done. What failed before as well is not said again: a store may be away for long.
    fn try_tidy(&self, failed_before: bool) -> bool {
        let Err(error) = self.tidy_if_due(false) else {
            return true;
        };
        if !failed_before {
            tracing::warn!(%error, "sweeping failed and is tried again");
        }
        false
    }

    /// A slice of what is done between rounds: counting names after a start, sweeping what is no longer summed. The engine's own
    /// thread lets the walks rest between; this does not.
    pub fn tidy(&self) -> Result<(), Error> {
        self.tidy_if_due(true)
    }

    fn tidy_if_due(&self, walks: bool) -> Result<(), Error> {
        let mut own = self.own.lock();
        let store = self.world.store.as_ref();
        if self.others() > 0 {
            own.flusher.census.recount_if_due(self.world.clock.monotonic_us());
        }
        own.flusher.census.step(store)?;
        let now_us = self.world.clock.monotonic_us();
        // Where more has come since the round, the next one is not far, and the store gathers its rows until then.
        let rests = own.rest_due_us.take_if(|due_us| now_us >= *due_us).is_some() && !self.is_much_open();
        if rests && store.rest()? {
            own.rest_due_us = Some(self.next_us(REST_AGAIN_MS));
        }
        self.walk_strong(walks)?;
        let kept = || self.core.lock().namespaces.kept();
        let walks = walks || own.sweep.walk.is_due(self.world.clock.monotonic_us(), kept);
        self.sweep(&mut own, walks)?;
        let now_ms = self.world.clock.now_ms();
        if !own.sweep.tokens_are_due(self.world.clock.monotonic_us()) {
            return Ok(());
        }
        if let Some(counted) = own
            .sweep
            .tokens(store, now_ms, self.settings.token_window_ms, crate::sweep::TOKENS)?
        {
            let pause_us = self.settings.token_walk_pause_ms.saturating_mul(1_000);
            own.sweep
                .rest_tokens(self.world.clock.monotonic_us().saturating_add(pause_us));
            let mut core = self.core.lock();
            let busy = core
                .open
                .tokens
                .len()
                .saturating_add(core.closing.as_ref().map_or(0, |closing| closing.open.tokens.len()));
            // Only between bursts is the walk's figure whole; it replaces the running one, which never falls by itself.
            if busy == 0 {
                core.token_counts = counted.into_iter().collect();
            }
        }
        Ok(())
    }

    /// Syncs of the journal since the start.
    pub(crate) fn syncs(&self) -> u64 {
        self.figures.syncs.load(Ordering::Relaxed)
    }
}

fn rest_ms(counters: u64, took_ms: u64) -> u64 {
    if counters > LARGE_ROUND {
        took_ms.min(LONGEST_REST_MS)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_round_rests_for_as_long_as_it_took() {
        assert_eq!(rest_ms(LARGE_ROUND, 4_000), 0, "others are to see it soon");
        assert_eq!(rest_ms(LARGE_ROUND + 1, 4_000), 4_000);
        assert_eq!(rest_ms(10_000_000, 60_000), LONGEST_REST_MS);
    }
}
