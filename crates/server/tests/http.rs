//! The real executable over HTTP and by its command line: what it answers, what it refuses and how, how it starts and ends.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers included: a failed unwrap is a failed test"
)]

#[path = "http/adds.rs"]
mod adds;
#[path = "http/bad_input.rs"]
mod bad_input;
#[path = "http/cli.rs"]
mod cli;
#[path = "http/config.rs"]
mod config;
#[path = "http/events.rs"]
mod events;
#[path = "http/golden.rs"]
mod golden;
#[path = "http/history.rs"]
mod history;
#[path = "http/life.rs"]
mod life;
#[path = "http/server.rs"]
mod server;
#[path = "http/strong.rs"]
mod strong;
#[path = "http/verify.rs"]
mod verify;
