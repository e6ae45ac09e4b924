//! How glibc's allocator shares memory out between threads: one arena for all. With an arena for each of a few threads, what one frees
//! another cannot take: a flood of new counters under `memory` 256 MiB held about 600 MiB at 1.7 million of them, and 386 MiB with one
//! arena (single runs on a loaded machine). Other allocators are left alone. Small allocations do not meet the arena's lock: each thread has a cache of its own before it.

/// To be called before other threads begin. An operator's own `MALLOC_ARENA_MAX` goes before.
pub(crate) fn share() {
    #[cfg(target_env = "gnu")]
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        gnu::one_arena();
    }
}

#[cfg(target_env = "gnu")]
#[expect(
    unsafe_code,
    reason = "the setting has no other way in but the environment, which is read before main"
)]
mod gnu {
    use std::ffi::c_int;

    /// glibc's `M_ARENA_MAX`, malloc.h.
    const ARENA_MAX: c_int = -8;

    unsafe extern "C" {
        /// mallopt(3): any numbers may be given, an unknown one is refused by 0.
        safe fn mallopt(param: c_int, value: c_int) -> c_int;
    }

    pub(super) fn one_arena() {
        // Refused, all is as it was.
        mallopt(ARENA_MAX, 1);
    }
}
