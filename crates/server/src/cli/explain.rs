//! `tally explain KEY`.

use std::fmt::Write;

use serde_json::Value;

use super::client::{elements, text};
use super::output::{plain, print};
use super::table::{Lean, table};
use super::{Failure, Server};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The counter's name
    key: String,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let answer = arguments
        .server
        .client()
        .get("/v1/explain", &[("key", &arguments.key)])?;
    if arguments.json {
        return print(&format!("{answer}\n"));
    }
    print(&shown(&answer))
}

fn shown(answer: &Value) -> String {
    let mut all = String::new();
    let exists = answer.get("exists").and_then(Value::as_bool) == Some(true);
    let value = if exists {
        text(answer, "value")
    } else {
        "does not exist".into()
    };
    let (key, namespace) = (plain(&text(answer, "key")), plain(&text(answer, "namespace")));
    writeln!(
        all,
        "{key} = {value}\nnamespace {namespace}, slot {}",
        text(answer, "slot")
    )
    .ok();
    if let Some(head) = answer.get("head").filter(|head| !head.is_null()) {
        let part = |name| text(head, name);
        writeln!(
            all,
            "\nhead: life {}, set {} times, revision {}, base {}",
            part("life"),
            part("n"),
            part("revision"),
            part("base")
        )
        .ok();
        if !part("expires").is_empty() {
            writeln!(all, "  expires {}", part("expires")).ok();
        }
        for seen in elements(head, "seen") {
            writeln!(
                all,
                "  had seen writer {} up to {}",
                text(seen, "writer"),
                text(seen, "position")
            )
            .ok();
        }
    }
    let part = |title: &str, field: &str, columns: &[&str]| {
        let head: Vec<(&str, Lean)> = columns.iter().map(|column| (*column, Lean::Right)).collect();
        let row = |one: &Value| columns.iter().map(|column| text(one, column).into_owned()).collect();
        let rows: Vec<Vec<String>> = elements(answer, field).iter().map(row).collect();
        format!("\n{title}\n{}", table(&head, &rows))
    };
    all.push_str(&part(
        "cells in the store",
        "cells",
        &["writer", "life", "position", "n", "total", "counted", "summed"],
    ));
    if let Some(unflushed) = answer.get("unflushed").filter(|unflushed| !unflushed.is_null()) {
        writeln!(
            all,
            "not yet in the store: {} (counted {})",
            text(unflushed, "total"),
            text(unflushed, "counted")
        )
        .ok();
    }
    all.push_str(&part(
        "their writers",
        "writers",
        &["number", "id", "epoch", "state", "applied", "pending"],
    ));
    all.push_str(&part(
        "history: left + windows = sum, which is what was counted",
        "history",
        &["step", "left", "windows", "chunks", "sum"],
    ));
    all
}
