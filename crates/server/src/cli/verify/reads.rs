//! Checks what clients read: that each counter's answers agree with one another, and the ledger's figures too. Through the API, a counter
//! at a time.

use serde_json::Value;

use crate::cli::Failure;
use crate::cli::client::{Client, elements, integer, text};
use crate::cli::ledger::OUTCOMES;
use crate::cli::output::{plain, print};

/// A counter that is being added to may be read between two of its parts: it is looked at so often before it counts as drift.
const LOOKS: usize = 5;
/// Drifts that are named.
const SHOWN: usize = 20;
const PAGE: &str = "1000";

#[derive(Debug, Default)]
struct Checked {
    counters: u64,
    steps: u64,
    drifts: Vec<String>,
}

pub(super) fn check(client: &Client, prefix: &str) -> Result<(), Failure> {
    let mut checked = Checked::default();
    let mut after = String::new();
    loop {
        let page = client.get(
            "/v1/counters",
            &[("prefix", prefix), ("after", &after), ("limit", PAGE)],
        )?;
        for counter in elements(&page, "counters") {
            check_counter(client, &text(counter, "key"), &mut checked)?;
        }
        match page.get("next").and_then(Value::as_str) {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    let ledger = client.get("/v1/ledger", &[])?;
    let (sources, namespaces) = (elements(&ledger, "sources"), elements(&ledger, "namespaces"));
    for entry in sources.iter().chain(namespaces) {
        let sum: i128 = OUTCOMES.iter().map(|outcome| integer(entry, outcome)).sum();
        if sum != integer(entry, "received") {
            let name = plain(&text(entry, "name"));
            checked.drifts.push(format!(
                "ledger of {name}: received {}, outcomes add up to {sum}",
                text(entry, "received")
            ));
        }
    }
    let Checked {
        counters,
        steps,
        drifts,
    } = checked;
    for drift in drifts.iter().take(SHOWN) {
        print(&format!("drift: {drift}\n"))?;
    }
    print(&format!(
        "read {counters} counters: value = base + cells, and history = counted in {steps} steps; \
         the ledger of {} sources and {} namespaces\n",
        sources.len(),
        namespaces.len()
    ))?;
    match drifts.len() {
        0 => print("all reads agree\n"),
        some => Err(Failure::Told(
            super::FOUND,
            format!("{some} sums do not agree as they are read"),
        )),
    }
}

fn check_counter(client: &Client, key: &str, checked: &mut Checked) -> Result<(), Failure> {
    checked.counters += 1;
    let mut found = Vec::new();
    for _ in 0..LOOKS {
        let explained = client.get("/v1/explain", &[("key", key)])?;
        found = drifts(&explained);
        if found.is_empty() {
            checked.steps += elements(&explained, "history").len() as u64;
            return Ok(());
        }
    }
    checked
        .drifts
        .extend(found.into_iter().map(|drift| format!("{}: {drift}", plain(key))));
    Ok(())
}

fn drifts(explained: &Value) -> Vec<String> {
    let mut drifts = Vec::new();
    let head = explained.get("head").filter(|head| !head.is_null());
    let of_head = |field| head.map_or(0, |head| integer(head, field));
    let (life, n) = (of_head("life"), of_head("n"));
    let unflushed = explained.get("unflushed").filter(|unflushed| !unflushed.is_null());
    let pending = |field| unflushed.map_or(0, |unflushed| integer(unflushed, field));
    let summed =
        |cell: &&Value| cell.get("summed").and_then(Value::as_bool) == Some(true) && integer(cell, "life") == life;
    let cells: Vec<&Value> = elements(explained, "cells").iter().filter(summed).collect();
    let totals: i128 = cells
        .iter()
        .filter(|cell| integer(cell, "n") == n)
        .map(|cell| integer(cell, "total"))
        .sum();
    let value = of_head("base").saturating_add(totals).saturating_add(pending("total"));
    if value != integer(explained, "value") {
        drifts.push(format!(
            "its value is {}, base and cells add up to {value}",
            text(explained, "value")
        ));
    }
    let counted = cells
        .iter()
        .map(|cell| integer(cell, "counted"))
        .sum::<i128>()
        .saturating_add(pending("counted"));
    for step in elements(explained, "history") {
        if integer(step, "sum") != counted {
            drifts.push(format!(
                "{counted} was counted, its history in {} adds up to {}",
                text(step, "step"),
                text(step, "sum")
            ));
        }
    }
    drifts
}
