//! One target under libFuzzer, whose coverage finds the inputs: the one that the variable TALLY_FUZZ_TARGET names. `cargo xtask fuzz` builds
//! and runs this.
#![no_main]
#![allow(
    unsafe_code,
    missing_docs,
    reason = "what libFuzzer calls is found by its name, which the macro exports"
)]

use std::sync::LazyLock;

use tally_fuzz::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("TALLY_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| {
        eprintln!("TALLY_FUZZ_TARGET must be the name of a target, not {name:?}");
        std::process::exit(2)
    })
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| TARGET.run(input));
