//! What people and CI call: `cargo xtask run|test|check|tidy|bench|sim|mutants|torture|fuzz`.
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
mod cassandra;
mod check;
mod child;
mod clients;
mod command;
mod fuzz;
mod http;
mod machine;
mod mutants;
mod place;
mod postgres;
mod process;
mod random;
mod redis;
mod resp;
mod run;
mod sample;
mod steps;
mod tally;
mod test;
mod tidy;
mod torture;
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
           ROW…             only these rows: incr hot get madd upsert latency half syncs ingest engine memory start
                            history; cassandra, if named
           --quick          shorter rounds
           --write          put the tables into docs/benchmarks.md
           --scale SIZE     1m, 10m or 100m counters under 1 GiB, instead of the rows
  cassandra  a real cluster of three nodes on this machine, until Ctrl-C
           --nodes N        so many nodes
           --periodic       with a commit log that Tally refuses
           --passwords      with users and passwords
           --outages N      instead, let its nodes and Tally's fail under load, N times, and compare
  sim    the seeded simulation of the engine, in release: --seeds N, --seed N, and what `-- --help` says
  mutants  plants known bugs, one at a time, and says which check catches each and how soon
           BUG…             only these, by number or name
           --short          a handful, by the simulation alone
  torture MODE|all  faults made to the real binary, and what it holds afterwards: kill, power,
                    disk, eio, corrupt, clone, flood, tokens, restart
           --minutes N      so long, over all modes
           --cycles N       so often
           --seed N         the same choices again
           --binary FILE    this one instead of a release build
           --blind          power with syncs that do nothing: the losses must be found
  fuzz   the fuzz targets, by coverage: TARGET… (default: all), --seconds N each (default 60)
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
        "cassandra" => cassandra::cassandra(options),
        "check" => check::check(),
        "tidy" => tidy::tidy(),
        "sim" => check::simulate(options),
        "mutants" => mutants::mutants(options),
        "torture" => torture::torture(options),
        "fuzz" => fuzz::fuzz(options),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("there is no command {other}; `cargo xtask help` lists them"),
    }
}
