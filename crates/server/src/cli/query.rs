//! `tally query 'page:*'`.

use serde_json::Value;

use super::client::{elements, text};
use super::output::print;
use super::table::{Lean, table};
use super::{Failure, Server};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A key, or a prefix followed by *
    #[arg(value_name = "MATCH")]
    pattern: String,
    /// A field of the namespace's template
    #[arg(long, value_name = "FIELD")]
    by: Option<String>,
    /// sum or top
    #[arg(long, default_value = "sum", value_parser = ["sum", "top"])]
    agg: String,
    /// At most so many rows
    #[arg(long)]
    limit: Option<usize>,
    /// Only what was counted from then on: RFC 3339 or Unix milliseconds
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only what was counted before then
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// A time zone such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let limit = arguments.limit.map(|limit| limit.to_string());
    let optional = [
        ("by", &arguments.by),
        ("limit", &limit),
        ("from", &arguments.from),
        ("to", &arguments.to),
        ("tz", &arguments.tz),
    ];
    let mut parameters = vec![("match", arguments.pattern.as_str()), ("agg", arguments.agg.as_str())];
    parameters.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?))),
    );
    let answer = arguments.server.client().get("/v1/query", &parameters)?;
    if arguments.json {
        return print(&format!("{answer}\n"));
    }
    let row = |row: &Value| {
        let name = text(row, "key");
        let name = if name.is_empty() { text(row, "group") } else { name };
        vec![text(row, "value").into_owned(), name.into_owned()]
    };
    let rows: Vec<Vec<String>> = elements(&answer, "rows").iter().map(row).collect();
    let (matched, total) = (text(&answer, "matched"), text(&answer, "total"));
    let head = [
        ("value", Lean::Right),
        (arguments.by.as_deref().unwrap_or("key"), Lean::Left),
    ];
    print(&format!("{}{matched} counters, sum {total}\n", table(&head, &rows)))
}
