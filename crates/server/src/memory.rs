//! Gives memory back to the system that the allocator keeps after a burst of rounds: half-free arenas of the C library, which it never
//! looks through by itself. Guards that nobody waits for it: only once adds have come to rest. Does not touch what is in use. The one place
//! of the server that is not safe Rust by its letter.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tally_engine::Engine;

/// How often it looks whether the rounds have come to rest.
const LOOK: Duration = Duration::from_secs(3);
/// After fewer rows than this there is nothing worth looking for.
const MANY_ROWS: u64 = 50_000;

/// Runs until it is dropped.
pub(crate) async fn give_back(engine: Arc<Engine>) -> Infallible {
    let (mut given_at, mut before) = (0, 0);
    loop {
        tokio::time::sleep(LOOK).await;
        let rows = engine.round_rows();
        let rests = rows == before;
        before = rows;
        if rests && rows.saturating_sub(given_at) >= MANY_ROWS {
            given_at = rows;
            // A bug in there would show where it matters: the server goes on with the memory it has.
            drop(tokio::task::spawn_blocking(trim).await);
        }
    }
}

/// Asks the allocator to give back whole pages that nothing is in.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    #[expect(unsafe_code, reason = "declares a function of the C library, which std links")]
    // SAFETY: this is its signature since glibc 2.0; it is safe from any thread, and touches only pages that are free.
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    let given = malloc_trim(0) != 0;
    tracing::debug!(given, "asked the allocator to give memory back");
}

/// Nothing: other allocators do so by themselves or cannot be asked.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
