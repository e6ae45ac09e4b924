//! `tally history KEY…`: a graph, a table, JSON or CSV.

use std::fmt::Write;

use clap::ValueEnum;
use serde_json::Value;

use super::client::{elements, integer, text};
use super::output::{plain, print, width};
use super::table::{Lean, table};
use super::{Failure, Server, graph};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The counters' names
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    /// From when, inclusive: RFC 3339 or Unix milliseconds; where data begins
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when, exclusive; where data ends
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// 1m, 5m, 1h, 1d, 1w, 1M or multiples; one that suits the range
    #[arg(long)]
    step: Option<String>,
    /// A time zone such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// How it is shown; a graph, if not given
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut parameters: Vec<(&str, &str)> = arguments.keys.iter().map(|key| ("key", key.as_str())).collect();
    let optional = [
        ("from", &arguments.from),
        ("to", &arguments.to),
        ("step", &arguments.step),
        ("tz", &arguments.tz),
    ];
    parameters.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?))),
    );
    let answer = arguments.server.client().get("/v1/history", &parameters)?;
    print(&match arguments.format {
        None => graphs(&answer),
        Some(Format::Table) => columns(&answer),
        Some(Format::Json) => format!("{answer}\n"),
        Some(Format::Csv) => csv(&answer),
    })
}

fn graphs(answer: &Value) -> String {
    let mut all = String::new();
    for series in elements(answer, "series") {
        let amounts: Vec<i128> = elements(series, "points")
            .iter()
            .map(|point| integer(point, "value"))
            .collect();
        let total = text(series, "total");
        let total = if total.is_empty() { "-" } else { &total };
        let sum: i128 = amounts.iter().fold(0, |sum: i128, amount| sum.saturating_add(*amount));
        writeln!(
            all,
            "{}  value {total}, {sum} in this range",
            plain(&text(series, "key"))
        )
        .ok();
        all.push_str(&graph::bars(&amounts, width().saturating_sub(24)));
        writeln!(
            all,
            "{} to {}, step {} ({})\n",
            text(answer, "from"),
            text(answer, "to"),
            text(answer, "step"),
            text(answer, "tz")
        )
        .ok();
    }
    all
}

/// One row a step, one column a counter.
fn rows(answer: &Value) -> Vec<Vec<String>> {
    let series = elements(answer, "series");
    let Some(first) = series.first() else { return Vec::new() };
    let row = |(place, point): (usize, &Value)| {
        let values = series.iter().map(|series| {
            elements(series, "points")
                .get(place)
                .map_or(String::new(), |point| text(point, "value").into_owned())
        });
        std::iter::once(text(point, "start").into_owned())
            .chain(values)
            .collect()
    };
    elements(first, "points").iter().enumerate().map(row).collect()
}

fn names(answer: &Value) -> Vec<String> {
    elements(answer, "series")
        .iter()
        .map(|series| text(series, "key").into_owned())
        .collect()
}

fn columns(answer: &Value) -> String {
    let names: Vec<String> = names(answer).iter().map(|name| plain(name)).collect();
    let head: Vec<(&str, Lean)> = std::iter::once(("start", Lean::Left))
        .chain(names.iter().map(|name| (name.as_str(), Lean::Right)))
        .collect();
    table(&head, &rows(answer))
}

/// RFC 4180.
fn csv(answer: &Value) -> String {
    let quote = |cell: &str| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    };
    let head: Vec<String> = std::iter::once("start".to_owned()).chain(names(answer)).collect();
    let line = |cells: &Vec<String>| cells.iter().map(|cell| quote(cell)).collect::<Vec<_>>().join(",") + "\r\n";
    std::iter::once(head)
        .chain(rows(answer))
        .map(|cells| line(&cells))
        .collect()
}
