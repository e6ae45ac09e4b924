//! Tally's simulation: the real engine in a world that follows from a seed (clock, disk, randomness, store, clients), on one thread,
//! beside a plain map of what must be. Guards the promises by breaking everything that may break. It knows no wires.

mod check;
mod file;
mod history;
mod keys;
mod linear;
mod log;
mod loss;
mod model;
mod random;
mod run;
mod scenario;
mod seed;
mod steps;
mod trace;
mod turns;
mod violation;
mod world;

pub use history::judge;
pub use linear::{Action, Call, Register, Verdict};
pub use loss::exhaust_loss;
pub use scenario::{Broken, SCENARIOS, exhaust};
pub use seed::{Outcome, STEPS, reduce, run};
pub use violation::Violation;
