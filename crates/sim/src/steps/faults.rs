//! What befalls the world: the clock jumps, the process is killed, the power fails at once or at a write to come, the disk is full,
//! slow, stuck, or fails.

use super::deed::Deed;
use crate::random::Rng;
use crate::run::Run;
use crate::violation::{Violation, violated};
use crate::world::Crash;

const HOUR_MS: u64 = 3_600_000;
const YEAR_MS: u64 = 365 * 24 * HOUR_MS;
/// The fewest bytes that an add takes in the journal: lengths, time, tag, name, amount.
const LEAST_ADD_BYTES: u64 = 14;

impl Run {
    pub(super) fn move_clock(&mut self, rng: &mut Rng) -> String {
        let now_ms = self.world.now_ms();
        let moved = match rng.below(24) {
            0 | 1 => now_ms.saturating_sub(rng.below(30 * HOUR_MS)),
            2 | 3 => now_ms + rng.below(60 * 24 * HOUR_MS),
            4..=7 => now_ms + rng.below(30 * HOUR_MS),
            8 | 9 => now_ms.saturating_sub(rng.below(HOUR_MS)),
            10 => now_ms.saturating_sub(rng.below(20 * YEAR_MS)),
            11 if now_ms < 200 * YEAR_MS => now_ms + rng.below(20 * YEAR_MS),
            _ => now_ms + rng.below(HOUR_MS),
        };
        self.faulted += u64::from(moved.abs_diff(now_ms) >= HOUR_MS || moved < now_ms);
        self.world.set_now_ms(moved);
        format!("{now_ms} -> {moved}")
    }

    /// Between two operations.
    pub(super) fn crash_now(&mut self, rng: &mut Rng) -> String {
        let crash = if rng.percent(50) { Crash::Kill } else { Crash::Power };
        self.crash(crash, rng);
        String::new()
    }

    /// At one of the next writes or syncs.
    pub(super) fn crash_soon(&self, rng: &mut Rng) -> String {
        let more = rng.below(40);
        self.world.power.lasts(more);
        format!("in {more}")
    }

    /// When there is room again, the engine's own thread finds it at its next commit.
    pub(super) fn disk_full(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        // More often free than full.
        let full = rng.percent(40);
        self.faulted += u64::from(full);
        self.world.disk.set_full(full);
        if !full {
            self.call(tally_engine::Engine::commit)?;
        }
        Ok(format!("{full}"))
    }

    /// One of the next writes and syncs fails, or the next read of a start.
    pub(super) fn disk_fails(&mut self, rng: &mut Rng) -> String {
        match rng.below(10) {
            0..=3 => self.world.disk.fail_after(rng.below(5)),
            4..=6 => self.world.disk.fail_next_read(),
            _ => return "false".to_owned(),
        }
        self.faulted += 1;
        "true".to_owned()
    }

    /// Every write and sync takes its time, or none.
    pub(super) fn disk_slow(&mut self, rng: &mut Rng) -> String {
        let slow_ms = rng.one(&[0, 20, 2_000, 60_000]).copied().unwrap_or(0);
        self.faulted += u64::from(slow_ms > 0);
        self.world.disk.slow_down(slow_ms);
        format!("{slow_ms} ms")
    }

    /// No write and no sync comes back any more, or they do again. Adds go on until their limit, reads for ever.
    pub(super) fn disk_stuck(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        if self.stuck {
            self.stuck = false;
            self.world.disk.set_stuck(false);
            return self.at_most_the_limit().map(|()| "no more".to_owned());
        }
        // Where the hot table is full, a read waits for a round, and that for the disk.
        if self.settings.hot_budget_bytes < 1 << 20 || !rng.percent(50) {
            return Ok("no".to_owned());
        }
        self.faulted += 1;
        self.stuck = true;
        self.taken_while_stuck = 0;
        self.world.disk.set_stuck(true);
        let most = if self.settings.journal_segment_bytes > 8_192 {
            0
        } else {
            rng.below(400)
        };
        for _ in 0..most {
            let deed = Deed::blind(rng, self.world.now_ms());
            if self.deed(&deed)? == "refused" {
                break;
            }
        }
        Ok(format!("yes, and {} were taken", self.taken_while_stuck))
    }

    /// Promise 5: what waits for the disk is bounded.
    fn at_most_the_limit(&self) -> Result<(), Violation> {
        let least = self.taken_while_stuck.saturating_mul(LEAST_ADD_BYTES);
        let most = self.settings.journal_segment_bytes * 3 / 8;
        if least > most {
            return violated(format!(
                "{} adds were taken while the disk was stuck: they do not fit into {most} bytes",
                self.taken_while_stuck
            ));
        }
        Ok(())
    }
}
