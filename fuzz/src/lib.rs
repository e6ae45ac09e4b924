//! Fuzz targets: for every decoder of bytes that others send or a disk gives back, what must hold for any bytes. None may panic, and none may
//! take memory for what was only announced; beyond that each target says what it asserts.
//!
//! `cargo test -p tally-fuzz` runs each a little over its corpus, kept in `corpus/`; `cargo xtask fuzz` runs them long, by coverage.
#![expect(clippy::panic, reason = "a finding is a panic: that is how a fuzzer is told")]

mod events;
mod meter;
mod mutate;
mod rows;

pub use mutate::Mutator;

/// A target: its name, which is that of its corpus, and what runs over one input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 11] = [
    Target {
        name: "resp",
        run: tally_server::fuzz::resp,
    },
    Target {
        name: "http",
        run: tally_server::fuzz::http,
    },
    Target {
        name: "config",
        run: tally_server::fuzz::config,
    },
    Target {
        name: "entry",
        run: tally_engine::fuzz::entry,
    },
    Target {
        name: "journal",
        run: tally_engine::fuzz::journal,
    },
    Target {
        name: "damage",
        run: tally_engine::fuzz::damage,
    },
    Target {
        name: "engine_rows",
        run: tally_engine::fuzz::rows,
    },
    Target {
        name: "rows",
        run: rows::rows,
    },
    Target {
        name: "events",
        run: events::events,
    },
    Target {
        name: "rules",
        run: events::rules,
    },
    Target {
        name: "lines",
        run: events::lines,
    },
];

/// What any target may take beside its input.
const MEMORY_BYTES: usize = 1 << 20;
/// And for each byte of its input.
const MEMORY_PER_BYTE: usize = 1_024;

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// Runs over one input, and panics where what must hold does not.
    pub fn run(self, input: &[u8]) {
        let bytes = meter::peak(|| (self.run)(input));
        let most = MEMORY_BYTES.saturating_add(input.len().saturating_mul(MEMORY_PER_BYTE));
        assert!(
            bytes <= most,
            "{} took {bytes} bytes for an input of {}",
            self.name,
            input.len()
        );
    }
}
