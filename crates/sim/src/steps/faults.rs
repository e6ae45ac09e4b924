//! What befalls the world: the clock jumps, the process is killed, the power fails at once or at a write to come, the disk is full or
//! fails.

use crate::random::Rng;
use crate::run::Run;
use crate::violation::Violation;
use crate::world::Crash;

const HOUR_MS: u64 = 3_600_000;

impl Run {
    pub(super) fn move_clock(&self, rng: &mut Rng) -> String {
        let now_ms = self.world.now_ms();
        let moved = match rng.below(12) {
            0 => now_ms.saturating_sub(rng.below(30 * HOUR_MS)),
            1 => now_ms + rng.below(60 * 24 * HOUR_MS),
            2 | 3 => now_ms + rng.below(30 * HOUR_MS),
            4 => now_ms.saturating_sub(rng.below(HOUR_MS)),
            _ => now_ms + rng.below(HOUR_MS),
        };
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
    pub(super) fn disk_full(&self, rng: &mut Rng) -> Result<String, Violation> {
        // More often free than full.
        let full = rng.percent(40);
        self.world.disk.set_full(full);
        if !full {
            self.call(tally_engine::Engine::commit)?;
        }
        Ok(format!("{full}"))
    }

    pub(super) fn disk_fails(&self, rng: &mut Rng) -> String {
        let fails = rng.percent(40);
        if fails {
            self.world.disk.fail_next();
        }
        format!("{fails}")
    }
}
