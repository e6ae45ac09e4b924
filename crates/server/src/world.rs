//! The time for everything outside the engine, from the engine's own clock.

use std::sync::OnceLock;

use tally_engine::{Clock, SystemClock};

/// The clock of this process, shared with the engine's world.
pub(crate) fn clock() -> &'static SystemClock {
    static CLOCK: OnceLock<SystemClock> = OnceLock::new();
    CLOCK.get_or_init(SystemClock::default)
}

/// Unix milliseconds now.
pub(crate) fn now_ms() -> u64 {
    clock().now_ms()
}

/// Microseconds that only grow.
pub(crate) fn monotonic_us() -> u64 {
    clock().monotonic_us()
}
