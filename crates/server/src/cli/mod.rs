//! The command line. Exit codes: 0 done, 1 failed, 2 wrong usage; `verify` has two more.

mod add;
mod bench;
mod client;
mod copy;
mod explain;
mod graph;
mod history;
mod ingest;
mod ledger;
mod nodes;
mod output;
mod query;
mod read;
mod table;
mod verify;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Flags, Settings};
use client::Client;
use output::print;

/// Tally counts, exactly.
#[derive(Debug, Parser)]
#[command(name = "tally", version, about, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server
    Serve(Flags),
    /// Adds to a counter and prints its new value
    Add(add::Arguments),
    /// Prints the values of counters
    Get(read::Get),
    /// Lists counters by prefix
    List(read::List),
    /// Shows what was counted when
    History(history::Arguments),
    /// Sums or ranks many counters
    Query(query::Arguments),
    /// Counts a file of events; run again, it changes nothing
    Ingest(ingest::Arguments),
    /// Shows every head, cell, writer and window behind a number
    Explain(explain::Arguments),
    /// Shows the conservation figures
    Ledger(ledger::Arguments),
    /// Copies what one store has into another; run again, it changes nothing
    Copy(copy::Arguments),
    /// Lists the nodes that share the store
    Nodes(nodes::Arguments),
    /// Checks that all sums agree; mends what is derived
    Verify(verify::Arguments),
    /// Shows every setting, its value and where it came from
    Config(ConfigArguments),
    /// Measures a server with load from this client
    Bench(bench::Arguments),
}

#[derive(Debug, Args)]
struct ConfigArguments {
    /// Prints the documentation of all settings instead
    #[arg(long)]
    markdown: bool,
    /// Prints the description of the HTTP API instead
    #[arg(long, hide = true)]
    openapi: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Which server, and as whom.
#[derive(Clone, Debug, Args)]
struct Server {
    /// The server's URL
    #[arg(
        long,
        env = "TALLY_SERVER",
        default_value = "http://127.0.0.1:7380",
        value_name = "URL"
    )]
    server: String,
    /// The server's `auth_token`
    #[arg(long, env = "TALLY_AUTH_TOKEN", hide_env_values = true, value_name = "TEXT")]
    auth_token: Option<String>,
}

impl Server {
    fn client(&self) -> Client {
        Client::new(&self.server, self.auth_token.as_deref())
    }
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Wrong usage.
    #[error("{0}")]
    Usage(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
    /// It did what it was asked to, and this exit code says what it found.
    #[error("{1}")]
    Told(u8, String),
}

/// Runs the command that the arguments say.
pub fn main() -> ExitCode {
    run(std::env::args_os().collect())
}

fn run(arguments: Vec<OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
            drop(error.print());
            return code;
        }
    };
    let done = match &cli.command {
        Command::Serve(flags) => match Settings::load(flags) {
            Ok(settings) => return crate::serve::run(&settings),
            Err(error) => Err(Failure::Usage(error.to_string())),
        },
        Command::Add(arguments) => add::run(arguments),
        Command::Get(arguments) => read::get(arguments),
        Command::List(arguments) => read::list(arguments),
        Command::History(arguments) => history::run(arguments),
        Command::Query(arguments) => query::run(arguments),
        Command::Ingest(arguments) => ingest::run(arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Ledger(arguments) => ledger::run(arguments),
        Command::Copy(arguments) => copy::run(arguments),
        Command::Nodes(arguments) => nodes::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Config(arguments) => config(arguments),
        Command::Bench(arguments) => bench::run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            drop(writeln!(std::io::stderr(), "tally: {failure}"));
            ExitCode::from(match failure {
                Failure::Usage(_) => 2,
                Failure::Failed(_) => 1,
                Failure::Told(code, _) => code,
            })
        }
    }
}

fn config(arguments: &ConfigArguments) -> Result<(), Failure> {
    if arguments.markdown {
        return print(&config::markdown());
    }
    if arguments.openapi {
        let text = crate::http::openapi_document().map_err(|error| Failure::Failed(error.to_string()))?;
        return print(&format!("{text}\n"));
    }
    print(&config::shown(&arguments.flags).map_err(|error| Failure::Usage(error.to_string()))?)
}
