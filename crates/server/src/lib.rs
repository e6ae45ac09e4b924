//! Tally's binary: configuration, front ends (HTTP, RESP), web UI and command line. The only crate that knows wires.

mod access;
mod config;
mod http;
mod levels;
mod limits;
mod metrics;
mod refusal;
mod resp;
mod service;
mod world;
