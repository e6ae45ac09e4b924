//! Bugs that the simulation found, each with the interleaving that shows it, by area.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod history;
mod journal;
mod kit;
mod lives;
mod names;
mod retention;
mod rounds;
mod tokens;
