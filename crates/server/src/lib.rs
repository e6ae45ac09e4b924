//! Tally's binary: configuration, front ends (HTTP, RESP), web UI and command line. The only crate that knows wires.

mod accept;
mod access;
mod binding;
mod buffers;
mod cli;
mod config;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod gate;
mod http;
mod identity;
mod levels;
mod limits;
mod loader;
mod log;
mod metrics;
mod query;
mod refusal;
mod resp;
mod serve;
mod service;
mod store;
mod strong;
mod strong_loader;
mod when;
mod world;

pub use cli::main;
