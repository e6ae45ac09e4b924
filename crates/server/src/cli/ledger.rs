//! `tally ledger`.

use std::fmt::Write;

use serde_json::Value;

use super::client::{elements, text};
use super::output::{plain, print};
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

/// The columns whose sum is `received`.
pub(super) const OUTCOMES: [&str; 5] = ["counted", "duplicate", "late", "rejected", "ignored"];

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let answer = arguments.server.client().get("/v1/ledger", &[])?;
    if arguments.json {
        return print(&format!("{answer}\n"));
    }
    let sources = figures("source (events)", elements(&answer, "sources"));
    let namespaces = figures("namespace (adds)", elements(&answer, "namespaces"));
    print(&format!("{sources}\n{namespaces}"))
}

/// The figures of some subjects, and under them why events were rejected.
pub(super) fn figures(title: &str, entries: &[Value]) -> String {
    let numbers = ["received"].into_iter().chain(OUTCOMES);
    let head: Vec<(&str, Lean)> = std::iter::once((title, Lean::Left))
        .chain(numbers.clone().map(|name| (name, Lean::Right)))
        .collect();
    let row = |entry: &Value| {
        std::iter::once("name")
            .chain(numbers.clone())
            .map(|name| text(entry, name).into_owned())
            .collect()
    };
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    let mut all = table(&head, &rows);
    for entry in entries {
        for reason in elements(entry, "reasons") {
            let (count, why, last) = (text(reason, "count"), text(reason, "reason"), text(reason, "last"));
            let name = plain(&text(entry, "name"));
            writeln!(
                all,
                "  {name}: {count} rejected: {} (last: {})",
                plain(&why),
                plain(&last)
            )
            .ok();
        }
    }
    all
}
