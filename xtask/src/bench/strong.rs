//! Strong counters on a real cluster: adds a second through one node, and the two layouts that they could have beside each other.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::figures::median;
use crate::cassandra::Cluster;
use crate::command::{self, output, program};
use crate::http;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};

/// Counters that are added to.
const COUNTERS: u32 = 10_000;
/// Connections of `redis-benchmark`, and commands that each has under way.
const CONNECTIONS: u32 = 200;
const PIPELINE: u32 = 16;
const REQUESTS: u32 = 400_000;
const POLICY: &str = r#"{"consistency":"strong","history":{"1m":"off","1h":"off","1d":"off"}}"#;

/// What is measured, in words.
pub(super) fn says() -> String {
    format!(
        "Strong adds are INCR of {CONNECTIONS} connections over {COUNTERS} counters without history, at pipeline {PIPELINE}, each answered when it \
         is in the cluster."
    )
}

/// A node with a strong namespace `firm`.
pub(super) fn node(bench: &Bench, data: &Path, url: &str) -> Result<Tally> {
    let tally = Tally::start(&Setup::new(&bench.binary, data).on(Some(url)))?;
    let declared = http::put(&tally.http, "/v1/namespaces/firm", POLICY)?;
    ensure!(declared.status == 200, "PUT a namespace: {}", declared.body);
    Ok(tally)
}

/// Adds a second through one node.
pub(super) fn rate(bench: &Bench, cluster: &Cluster) -> Result<f64> {
    let folder = bench.place.fresh("cassandra-strong")?;
    let tally = node(bench, &folder.path().join("strong"), &cluster.url("strong"))?;
    let requests = if bench.quick { REQUESTS / 4 } else { REQUESTS };
    // The first round brings all counters into memory, and warms the cluster up.
    let rates = (0..=bench.rounds)
        .map(|_| one(&tally, requests))
        .collect::<Result<Vec<f64>>>()?;
    let (_, rates) = rates.split_first().context("no round")?;
    println!("strong adds a second: {rates:.0?}");
    let made = u64::from(requests) * u64::from(bench.rounds + 1);
    let counted = sum(&tally)?;
    ensure!(counted == made, "{made} adds were answered and {counted} are counted");
    tally.stop()?;
    Ok(median(rates))
}

fn one(tally: &Tally, requests: u32) -> Result<f64> {
    let [connections, counters, pipeline] = [CONNECTIONS, COUNTERS, PIPELINE].map(|number| number.to_string());
    let count = requests.to_string();
    let load = [
        "-p",
        Tally::port_of(&tally.resp),
        "-c",
        &connections,
        "-r",
        &counters,
        "-n",
        &count,
        "-P",
        &pipeline,
        "-q",
        "INCR",
        "firm:__rand_int__",
    ];
    let began = Instant::now();
    let printed = output(&mut program("redis-benchmark", Path::new("."), &load))?;
    ensure!(
        !printed.to_lowercase().contains("error"),
        "redis-benchmark met errors: {printed}"
    );
    Ok(f64::from(requests) / began.elapsed().as_secs_f64())
}

/// All counters together.
fn sum(tally: &Tally) -> Result<u64> {
    let mut client = Client::connect(&tally.resp)?;
    let names: Vec<String> = (0..COUNTERS).map(|number| format!("firm:{number:012}")).collect();
    let mut sum = 0;
    for some in names.chunks(500) {
        for name in some {
            client.send(&["GET", name])?;
        }
        client.flush()?;
        for _ in some {
            if let Reply::Bulk(Some(digits)) = client.expect()? {
                sum += std::str::from_utf8(&digits)?.parse::<u64>()?;
            }
        }
    }
    Ok(sum)
}

/// How long one add takes, one after the other, in milliseconds.
pub(super) fn latencies(bench: &Bench, cluster: &Cluster, count: u32) -> Result<Vec<f64>> {
    let folder = bench.place.fresh("cassandra-strong")?;
    let tally = node(bench, &folder.path().join("strong"), &cluster.url("strong_latency"))?;
    let mut client = Client::connect(&tally.resp)?;
    let mut samples = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        client.call(&["INCR", "firm:one"])?;
        samples.push(began.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(2));
    }
    tally.stop()?;
    Ok(samples)
}

/// The two layouts beside each other, a line each as `crates/store/examples/layouts.rs` prints them.
pub(super) fn layouts(bench: &Bench, cluster: &Cluster) -> Result<Vec<(String, String)>> {
    const BUILD: [&str; 8] = [
        "build",
        "--release",
        "--package",
        "tally-store",
        "--features",
        "cql",
        "--example",
        "layouts",
    ];
    command::run(&mut command::cargo(bench.place.root(), &BUILD))?;
    let example = bench.place.binary("release").with_file_name("examples").join("layouts");
    let seconds = if bench.quick { "5" } else { "10" };
    let arguments = [
        cluster.hosts(),
        cluster.copies().to_string(),
        COUNTERS.to_string(),
        seconds.to_owned(),
    ];
    let printed = output(program(&example, bench.place.root(), &[]).args(&arguments))?;
    let lines: Vec<_> = printed.lines().filter_map(|line| line.split_once(": ")).collect();
    ensure!(!lines.is_empty(), "the example printed: {printed}");
    Ok(lines
        .into_iter()
        .map(|(what, figure)| (what.to_owned(), figure.to_owned()))
        .collect())
}
