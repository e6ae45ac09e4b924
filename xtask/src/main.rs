//! What people and CI call: `cargo xtask run|test|check|tidy|bench|sim|mutants`.
//!
//! Everything here works on a fresh machine that has only a Rust toolchain: it obtains what it lacks where it can, starts
//! servers on fresh ports in fresh folders, waits for readiness and never for time, and ends only processes that it
//! started itself. It knows Tally from outside only: the binary, its command line and its wires.
#![allow(
    clippy::print_stdout,
    reason = "a program for the terminal: what it prints is what it is for"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "it measures real servers on the real clock, outside every simulation"
)]

mod artifacts;
mod bench;
mod check;
mod child;
mod clients;
mod command;
mod crash;
mod http;
mod machine;
mod mutants;
mod place;
mod redis;
mod resp;
mod run;
mod sample;
mod steps;
mod tally;
mod test;
mod tidy;
mod ui;
mod wait;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  run    build and start Tally, count the sample, and stay until Ctrl-C
           --debug          a debug build: quicker to build, slower to count
           --port PORT      HTTP on this port (default 7380, or a free one)
           --data DIR       keep the data there (default: a fresh folder, removed at the end)
  test   everything: format, lints, tidy, all tests, the UI, real clients, proofs on the real binary
           --only WORD…     only the steps whose name holds one of the words
  check  the fast loop: format, lints, tidy, unit tests
  tidy   the rules of the house
  bench  Tally beside Redis, as markdown tables
           ROW…             only these rows: incr latency ingest memory start history
           --quick          fewer and shorter rounds
           --write          put the tables into docs/benchmarks.md
  sim    the seeded simulation of the engine, in release: --seeds N, --seed N, and what `-- --help` says
  mutants  plants known bugs, one at a time, and says which check catches each and how soon
           BUG…             only these, by number or name
  help   this
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((command, options)) = arguments.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    match command.as_str() {
        "run" => run::run(options),
        "test" => test::test(options),
        "bench" => bench::bench(options),
        "check" => check::check(),
        "tidy" => tidy::tidy(),
        "sim" => check::simulate(options),
        "mutants" => mutants::mutants(options),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("there is no command {other}; `cargo xtask help` lists them"),
    }
}
