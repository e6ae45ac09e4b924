//! `tally nodes`.

use serde_json::Value;

use super::client::{elements, text};
use super::output::print;
use super::table::{Lean, table};
use super::{Failure, Server};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Prints JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

const COLUMNS: [(&str, &str, Lean); 9] = [
    ("node", "id", Lean::Left),
    ("http", "http", Lean::Left),
    ("resp", "resp", Lean::Left),
    ("version", "version", Lean::Left),
    ("writer", "writer", Lean::Right),
    ("silent ms", "silent_ms", Lean::Right),
    ("clock ms", "clock_ahead_ms", Lean::Right),
    ("hot counters", "hot_counters", Lean::Right),
    ("journal bytes", "journal_bytes", Lean::Right),
];

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let answer = arguments.server.client().get("/v1/nodes", &[])?;
    if arguments.json {
        return print(&format!("{answer}\n"));
    }
    let nodes = elements(&answer, "nodes");
    if nodes.is_empty() {
        return print("the store is this node's alone\n");
    }
    let head: Vec<(&str, Lean)> = std::iter::once(("", Lean::Left))
        .chain(COLUMNS.iter().map(|(title, _, lean)| (*title, *lean)))
        .collect();
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    print(&table(&head, &rows))
}

fn row(node: &Value) -> Vec<String> {
    let is = |name: &str| node.get(name).and_then(Value::as_bool).unwrap_or(false);
    let mark = match (is("alive"), is("this")) {
        (true, true) => "this",
        (true, false) => "alive",
        _ => "silent",
    };
    std::iter::once(mark.to_owned())
        .chain(COLUMNS.iter().map(|(_, name, _)| text(node, name).into_owned()))
        .collect()
}
