//! The sample, counted twice: by Tally, and here in a plain map that knows nothing of Tally.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::child::Process;
use crate::http::{self, encoded};
use crate::place::Place;
use crate::tally::{Setup, Tally};
use crate::wait;

/// Totals by key.
type Totals = BTreeMap<String, i128>;

fn events(place: &Place) -> PathBuf {
    place.path("examples/web-requests.ndjson")
}

fn rules(place: &Place) -> PathBuf {
    place.path("examples/web-requests.rules.toml")
}

/// Counts the sample into a server.
pub(crate) fn count(place: &Place, tally: &Tally) -> Result<()> {
    tally.ingest(&events(place), &rules(place))
}

/// Every total, the hours of every counter, and the ledger; the same after a second run and after a restart.
pub(crate) fn totals(place: &Place, binary: &Path) -> Result<()> {
    let expected = independent(place)?;
    let folder = place.fresh("sample")?;
    let setup = Setup::new(binary, &folder.path().join("data"));
    let tally = Tally::start(&setup)?;
    count(place, &tally)?;
    compare(&tally, &expected)?;
    hours(&tally, &expected)?;
    count(place, &tally)?;
    compare(&tally, &expected)?;
    tally.stop()?;
    let tally = Tally::start(&setup)?;
    compare(&tally, &expected)?;
    hours(&tally, &expected)?;
    tally.stop()
}

/// Whether a server holds exactly the sample.
pub(crate) fn exact(place: &Place, tally: &Tally) -> Result<()> {
    exact_beside(place, tally, &[])
}

/// The same, with these counters beside it.
pub(crate) fn exact_beside(place: &Place, tally: &Tally, others: &[(&str, i128)]) -> Result<()> {
    let expected = independent(place)?;
    let mut all = expected.clone();
    all.extend(others.iter().map(|(name, total)| ((*name).to_owned(), *total)));
    compare(tally, &all)?;
    hours(tally, &expected)
}

/// Kills client and server while they count a file of fifty samples, three times, then counts it to its end: the
/// totals are fifty times the sample's.
pub(crate) fn killed(place: &Place, binary: &Path, store: Option<&str>) -> Result<()> {
    const SAMPLES: usize = 50;
    let mut expected = independent(place)?;
    for total in expected.values_mut() {
        *total *= SAMPLES as i128;
    }
    let folder = place.fresh("killed")?;
    let file = folder.path().join("fifty.ndjson");
    std::fs::write(&file, std::fs::read(events(place))?.repeat(SAMPLES))?;
    let setup = Setup::new(binary, &folder.path().join("data")).on(store);
    let mut counted = 0;
    for kill in 0_u8..3 {
        let tally = Tally::start(&setup)?;
        let client = ingest_in_background(&tally, &file, &rules(place))?;
        counted = wait_for_more_than(counted, &tally, &expected)?;
        println!("killed at {counted} of {} events", 9_999 * SAMPLES);
        if kill % 2 == 0 {
            client.kill()?;
            tally.kill()?;
        } else {
            tally.kill()?;
            client.kill()?;
        }
    }
    let tally = Tally::start(&setup)?;
    tally.ingest(&file, &rules(place))?;
    compare(&tally, &expected)?;
    hours(&tally, &expected)?;
    tally.stop()
}

fn ingest_in_background(tally: &Tally, file: &Path, rules: &Path) -> Result<Process> {
    let mut command = tally.cli(&["ingest"]);
    command
        .arg(file)
        .arg("--rules")
        .arg(rules)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::start("tally ingest", &file.with_extension("log"), &mut command)
}

/// Until the server holds more of the file than it did, or all of it. What it lost in the kill it counts again.
fn wait_for_more_than(before: i128, tally: &Tally, expected: &Totals) -> Result<i128> {
    const LIMIT: Duration = Duration::from_mins(1);
    let all = expected.get("requests:all").copied().unwrap_or(0);
    wait::until("more counts", LIMIT, || {
        let value = counter(tally, "requests:all")?.unwrap_or(0);
        ensure!(value <= all, "requests:all is {value}: too many");
        Ok((value > before || value == all).then_some(value))
    })
}

/// What the rules beside the sample say, written down once more by hand.
fn independent(place: &Place) -> Result<Totals> {
    let mut totals = Totals::new();
    for line in std::fs::read_to_string(events(place))?.lines() {
        let event: Value = serde_json::from_str(line)?;
        let data = event.get("data").context("an event without data")?;
        let path = data
            .get("path")
            .and_then(Value::as_str)
            .context("an event without a path")?;
        let status = data
            .get("status")
            .and_then(Value::as_i64)
            .context("an event without a status")?;
        let bytes = data
            .get("bytes")
            .and_then(Value::as_i64)
            .context("an event without bytes")?;
        let mut add = |key: String, amount: i128| *totals.entry(key).or_default() += amount;
        add("requests:all".to_owned(), 1);
        add(format!("page:{path}"), 1);
        add(format!("status:{status}"), 1);
        add("bytes:all".to_owned(), i128::from(bytes));
        if status == 404 {
            add(format!("missing:{path}"), 1);
        }
    }
    let known = [
        ("requests:all", 9_999),
        ("bytes:all", 2_747_282_505),
        ("page:/favicon.ico", 807),
        ("status:404", 213),
    ];
    for (key, total) in known {
        ensure!(
            totals.get(key) == Some(&total),
            "the sample has changed: {key} is not {total}"
        );
    }
    ensure!(
        totals.len() == 1_444,
        "the sample has changed: {} counters",
        totals.len()
    );
    Ok(totals)
}

/// Every counter that the server lists, and nothing else, with these totals; and a ledger that adds up.
fn compare(tally: &Tally, expected: &Totals) -> Result<()> {
    let found = listed(tally)?;
    let differing: Vec<String> = expected
        .keys()
        .chain(found.keys())
        .filter(|key| expected.get(*key) != found.get(*key))
        .map(|key| format!("{key}: expected {:?}, found {:?}", expected.get(key), found.get(key)))
        .take(10)
        .collect();
    ensure!(differing.is_empty(), "totals differ:\n{}", differing.join("\n"));
    ledger(tally)?;
    println!("{} counters are exact", found.len());
    Ok(())
}

fn listed(tally: &Tally) -> Result<Totals> {
    let mut totals = Totals::new();
    let mut after = String::new();
    loop {
        let page = http::get(
            &tally.http,
            &format!("/v1/counters?prefix=&limit=500&after={}", encoded(&after)),
        )?
        .json()?;
        for counter in page.get("counters").and_then(Value::as_array).context("no counters")? {
            let key = counter
                .get("key")
                .and_then(Value::as_str)
                .context("a counter without a key")?;
            let value = counter
                .get("value")
                .and_then(Value::as_i64)
                .context("a counter without a value")?;
            ensure!(
                totals.insert(key.to_owned(), i128::from(value)).is_none(),
                "{key} is listed twice"
            );
        }
        match page.get("next").and_then(Value::as_str) {
            Some(next) => next.clone_into(&mut after),
            None => return Ok(totals),
        }
    }
}

fn counter(tally: &Tally, key: &str) -> Result<Option<i128>> {
    let answer = http::get(&tally.http, &format!("/v1/counter?key={}", encoded(key)))?;
    if answer.status == 404 {
        return Ok(None);
    }
    Ok(answer.json()?.get("value").and_then(Value::as_i64).map(i128::from))
}

/// received = counted + duplicate + late + rejected + ignored, for every source and namespace.
fn ledger(tally: &Tally) -> Result<()> {
    let ledger = http::get(&tally.http, "/v1/ledger")?.json()?;
    for list in ["sources", "namespaces"] {
        for row in ledger
            .get(list)
            .and_then(Value::as_array)
            .context("the ledger lacks a list")?
        {
            let figure = |name: &str| {
                row.get(name)
                    .and_then(Value::as_i64)
                    .with_context(|| format!("{row} lacks {name}"))
            };
            let parts = ["counted", "duplicate", "late", "rejected", "ignored"];
            let sum = parts.iter().map(|name| figure(name)).sum::<Result<i64>>()?;
            ensure!(sum == figure("received")?, "the ledger does not add up: {row}");
        }
    }
    Ok(())
}

/// The hours of each counter add up to its total, and 84 of them have requests.
fn hours(tally: &Tally, expected: &Totals) -> Result<()> {
    const KEYS_A_QUERY: usize = 4;
    let keys: Vec<&String> = expected.keys().collect();
    for some in keys.chunks(KEYS_A_QUERY) {
        let query = some
            .iter()
            .map(|key| format!("key={}", encoded(key)))
            .collect::<Vec<_>>()
            .join("&");
        let path = format!("/v1/history?{query}&from=2015-05-17T00:00:00Z&to=2015-05-22T00:00:00Z&step=1h&fill=none");
        for series in http::get(&tally.http, &path)?
            .json()?
            .get("series")
            .and_then(Value::as_array)
            .context("no series")?
        {
            series_adds_up(series, expected)?;
        }
    }
    Ok(())
}

fn series_adds_up(series: &Value, expected: &Totals) -> Result<()> {
    const HOURS_WITH_REQUESTS: usize = 84;
    let key = series
        .get("key")
        .and_then(Value::as_str)
        .context("a series without a key")?;
    let points = series
        .get("points")
        .and_then(Value::as_array)
        .context("a series without points")?;
    let value = |point: &Value| point.get("value").and_then(Value::as_i64).map(i128::from);
    let sum: i128 = points.iter().filter_map(value).sum();
    ensure!(
        expected.get(key) == Some(&sum),
        "the hours of {key} sum to {sum}, its total is {:?}",
        expected.get(key)
    );
    let hours = points
        .iter()
        .filter(|point| value(point).is_some_and(|value| value != 0))
        .count();
    ensure!(
        key != "requests:all" || hours == HOURS_WITH_REQUESTS,
        "{hours} hours have requests"
    );
    Ok(())
}
