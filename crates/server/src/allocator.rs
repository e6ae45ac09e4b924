//! The allocator of the binary, jemalloc: what is free goes back to the system within a second, by a thread of its own. Guards, with what
//! the store and the hot table bound themselves, that `memory` is what the process takes: glibc's kept 170 MB of holes after 2 million
//! new counters, beside 230 MB in use (measured 2026-11-25; decision 17).

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc is told before `main`. An operator's own `_RJEM_MALLOC_CONF` goes before.
#[expect(
    unsafe_code,
    reason = "jemalloc looks for the symbol of this name and reads a text of C from it"
)]
#[unsafe(export_name = "_rjem_malloc_conf")]
static CONF: &[u8; 70] = b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0,narenas:4\0";
