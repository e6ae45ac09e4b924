//! Proves on live data that sums agree (promise 3): counted = left + windows, coarse windows = fine ones, memory = store, names = counters,
//! rows where their writers' rounds put them. A pass walks over everything in bounded slices; each slice holds the rounds' lock,
//! so that no round, source or sweep moves rows under it, and goes by the policies and boundaries of that moment: a slice never
//! takes what is under way for drift. It reads only, unless the pass was asked to repair (`repair.rs`).
//!
//! Strong counters are compared with the versions of their partitions (`strong.rs`).
//!
//! It does not compare parents with children: there are no rollups yet.

mod drift;
mod hot;
mod ledger;
mod mend;
mod pass;
mod repair;
mod rows;
mod strong;
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    clippy::redundant_closure_for_method_calls,
    reason = "tests of real time; a path to a method of a turn is of one lifetime only"
)]
mod tests;
mod view;

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::Error;
use crate::engine::Engine;

pub(crate) use drift::Log;
pub(crate) use pass::Pass;
pub(crate) use repair::Mends;
pub use view::{Check, Drift, PassView, PerCheck, VerifyView};

/// What a slice may take, and what waits between two of them: a pass that begins by itself takes at most a tenth of one core.
const SLICE_US: u64 = 5_000;
/// The same for a pass that somebody waits for: half a core.
const WANTED_SLICE_US: u64 = 25_000;
/// The time from the beginning of one slice to the next.
const SLICE_INTERVAL_MS: u64 = 50;

/// What a slice came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slice {
    /// There is more.
    More,
    /// A round that failed waits to be tried again: nothing can be said until then.
    Waits,
    /// The pass has come to its end.
    Ended,
}

/// The reconciler's side of the engine.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    every_ms: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    view: VerifyView,
    /// The pass that somebody asked for: its number, and whether it repairs.
    wanted: Option<(u64, bool)>,
    /// Passes begun or asked for.
    number: u64,
    /// When the next pass begins by itself, on the monotonic clock.
    due_us: u64,
}

impl Engine {
    /// Has a pass begin by itself every so often; 0: never, as at first. Needs the engine's threads.
    pub fn verify_every(&self, every_ms: u64) {
        self.verifier.every_ms.store(every_ms, Ordering::Relaxed);
        let mut state = self.verifier.state.lock();
        state.view.every_ms = every_ms;
        state.due_us = self
            .world
            .clock
            .monotonic_us()
            .saturating_add(every_ms.saturating_mul(1_000));
    }

    /// What is known of drift. Waits for no slice.
    pub fn verified(&self) -> VerifyView {
        self.verifier.state.lock().view.clone()
    }

    /// Asks the engine's threads for a pass and answers its number; one that waits to begin already is the same, repairing if either is
    /// to. [`Engine::verified`] shows when it has ended.
    pub fn want_verify(&self, repairs: bool) -> u64 {
        let mut state = self.verifier.state.lock();
        if let Some((number, already)) = state.wanted {
            state.wanted = Some((number, already || repairs));
            return number;
        }
        state.number = state.number.saturating_add(1);
        let number = state.number;
        state.wanted = Some((number, repairs));
        number
    }

    /// A whole pass, now, over what rounds have brought to the store. Blocks; rounds go on between its slices. It begins with no round of its
    /// own: one that met a row beyond it could not be ended, and a repair takes such rows back first.
    pub fn verify(&self, repairs: bool) -> Result<PassView, Error> {
        let number = {
            let mut own = self.own.lock();
            let mut state = self.verifier.state.lock();
            state.number = state.number.saturating_add(1);
            let number = state.number;
            own.pass = Some(self.begin_pass(&mut state, number, repairs, true));
            number
        };
        loop {
            match self.verify_slice(WANTED_SLICE_US)? {
                Slice::More => {}
                // Brings the round to its end, or says why it cannot.
                Slice::Waits => self.round()?,
                Slice::Ended => break,
            }
        }
        let last = self.verifier.state.lock().view.last.clone();
        last.filter(|pass| pass.number >= number)
            .ok_or_else(|| Error::Unavailable("another pass was begun meanwhile".to_owned()))
    }

    /// What the rounds' thread does about verifying: begins a pass that is due, takes a slice of the one under way. Answers when to come
    /// again, on the monotonic clock.
    pub(crate) fn verify_due(&self) -> u64 {
        let now_us = self.world.clock.monotonic_us();
        let every_ms = self.verifier.every_ms.load(Ordering::Relaxed);
        let mut own = self.own.lock();
        let mut state = self.verifier.state.lock();
        // A pass that somebody waits for takes the place of one that began by itself.
        let is_free = own.pass.as_ref().is_none_or(|pass| !pass.wanted);
        if let Some((number, repairs)) = state.wanted.filter(|_| is_free) {
            state.wanted = None;
            own.pass = Some(self.begin_pass(&mut state, number, repairs, true));
            drop(state);
            drop(own);
            // Whoever asks wants to know of what was written until now; a repair first takes back rows that no round could go on from.
            if !repairs {
                self.try_round();
            }
            return now_us;
        }
        if own.pass.is_none() && every_ms > 0 && now_us >= state.due_us {
            state.number = state.number.saturating_add(1);
            let number = state.number;
            own.pass = Some(self.begin_pass(&mut state, number, false, false));
        }
        let wanted = own.pass.as_ref().map(|pass| pass.wanted);
        drop(state);
        drop(own);
        let next_us = now_us.saturating_add(SLICE_INTERVAL_MS.saturating_mul(1_000));
        let Some(wanted) = wanted else { return next_us };
        if let Err(error) = self.verify_slice(if wanted { WANTED_SLICE_US } else { SLICE_US }) {
            tracing::error!(%error, "a pass over all sums ended before its end");
        }
        next_us
    }

    fn begin_pass(&self, state: &mut State, number: u64, repairs: bool, wanted: bool) -> Pass {
        let others = self.others();
        if repairs && others > 0 {
            tracing::warn!(others, "nothing is repaired while other nodes write: stop them first");
        }
        let repairs = repairs && others == 0;
        let view = PassView {
            number,
            repairs,
            started_ms: self.world.clock.now_ms(),
            ..PassView::default()
        };
        state.view.running = Some(view.clone());
        Pass::new(view, wanted)
    }

    /// Goes on with the pass under way for about `budget_us`, at least by one step.
    fn verify_slice(&self, budget_us: u64) -> Result<Slice, Error> {
        let mut own = self.own.lock();
        if self.core.lock().closing.is_some() {
            return Ok(Slice::Waits);
        }
        let Some(mut pass) = own.pass.take() else {
            return Ok(Slice::Ended);
        };
        let before = (pass.view.found, pass.view.mended);
        let looked = self.look(&mut own, &mut pass, budget_us);
        let ended = pass.ended() || looked.is_err();
        let mut state = self.verifier.state.lock();
        add_growth(&mut state.view.found, pass.view.found, before.0);
        add_growth(&mut state.view.mended, pass.view.mended, before.1);
        if !ended {
            state.view.running = Some(pass.view.clone());
            own.pass = Some(pass);
            return Ok(Slice::More);
        }
        pass.view.ended_ms = Some(self.world.clock.now_ms());
        pass.view.error = looked.as_ref().err().map(ToString::to_string);
        say(&pass.view);
        let every_ms = self.verifier.every_ms.load(Ordering::Relaxed);
        state.due_us = self
            .world
            .clock
            .monotonic_us()
            .saturating_add(every_ms.saturating_mul(1_000));
        state.view.passes = state.view.passes.saturating_add(1);
        state.view.running = None;
        state.view.last = Some(pass.view);
        looked.map(|()| Slice::Ended)
    }
}

fn add_growth(sum: &mut PerCheck, now: PerCheck, then: PerCheck) {
    for (sum, (now, then)) in sum.iter_mut().zip(now.into_iter().zip(then)) {
        *sum = sum.saturating_add(now.saturating_sub(then));
    }
}

fn say(pass: &PassView) {
    let (found, mended) = (pass.found(), pass.mended());
    if found > mended {
        tracing::error!(
            found,
            mended,
            "sums do not agree: tally verify shows where, tally verify --repair mends what is derived"
        );
    } else if found > 0 {
        tracing::warn!(found, mended, "sums that did not agree were mended");
    }
}
