//! Tally on a real Cassandra on this machine: cells a second at quorum, adds a second beside the embedded store, how long a replicated add
//! takes, and how soon another node sees one. Clients, Tally and all nodes of the cluster share the same cores.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::Bench;
use super::figures::{grouped, median, percentile, table};
use super::{incr, strong};
use crate::cassandra::{Cluster, Shape};
use crate::random::Random;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};
use crate::{command, wait};

const CELLS: u32 = 200_000;
/// Samples of replicated adds and of sight; a quarter of it in a quick run.
const SAMPLES: u32 = 400;
/// Adds a second on each node while sight is measured under load, over so many counters.
const LOAD: u64 = 2_000;
const LOADED_COUNTERS: u64 = 1_000;
const PIPELINE: u32 = 16;
const REQUESTS: u32 = 1_500_000;

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let mut rows = Vec::new();
    let mut note = |what: &str, figure: String| {
        println!("{what}: {figure}");
        rows.push(vec![what.to_owned(), figure]);
    };
    let one = Cluster::start(&bench.place, Shape::of(1))?;
    note("cells a second at quorum, one node", grouped(cells(bench, &one)?));
    let [embedded, on_one] = adds(bench, &one)?;
    note(
        "strong adds a second, one Cassandra node",
        grouped(strong::rate(bench, &one)?),
    );
    for (what, figure) in strong::layouts(bench, &one)? {
        note(&format!("layout of strong counters, one node: {what}"), figure);
    }
    drop(one);
    note("adds a second, ack `disk`, embedded store", grouped(embedded));
    note(
        "adds a second, ack `disk`, over one Cassandra node",
        format!(
            "{} (**{:.2}** of the embedded store's)",
            grouped(on_one),
            on_one / embedded
        ),
    );
    let three = Cluster::start(&bench.place, Shape::of(3))?;
    note("cells a second at quorum, three nodes", grouped(cells(bench, &three)?));
    for (what, figure) in latencies(bench, &three)? {
        rows.push(vec![what.to_owned(), figure]);
    }
    Ok(format!(
        "On Apache Cassandra 5.0.6 with a grouped commit log of 2 ms, `cargo xtask bench cassandra`; everything on the same cores. Cells are \
         rows of {CELLS} counters with 24 bytes of value, put as a round puts them; adds are INCR of 50 connections over 100,000 random keys \
         at pipeline {PIPELINE} (`redis-benchmark`), the two stores taking turns, median of {} rounds; sight is the time from the answer to \
         an INCR at ack `disk` on one node to its value in a GET on another that asks every 5 ms, {} samples, under load with {LOAD} \
         more adds a second on each of two nodes over {LOADED_COUNTERS} counters. {}\n\n{}",
        bench.rounds,
        samples(bench),
        strong::says(),
        table(&["what", "figure"], &rows)
    ))
}

fn cells(bench: &Bench, cluster: &Cluster) -> Result<f64> {
    const BUILD: [&str; 8] = [
        "build",
        "--release",
        "--package",
        "tally-store",
        "--features",
        "cql",
        "--example",
        "cells",
    ];
    command::run(&mut command::cargo(bench.place.root(), &BUILD))?;
    let example = bench.place.binary("release").with_file_name("examples").join("cells");
    let arguments = [
        cluster.hosts(),
        cluster.copies().to_string(),
        CELLS.to_string(),
        (bench.rounds + 1).to_string(),
    ];
    let printed = command::output(command::program(&example, bench.place.root(), &[]).args(&arguments))?;
    let figures = printed.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok());
    // The first round warms the nodes up.
    let figures: Vec<f64> = figures.skip(1).collect();
    ensure!(!figures.is_empty(), "the example printed: {printed}");
    Ok(median(&figures))
}

/// Adds a second on the embedded store and on the cluster.
fn adds(bench: &Bench, cluster: &Cluster) -> Result<[f64; 2]> {
    let folder = bench.place.fresh("cassandra-adds")?;
    let url = cluster.url("adds");
    let start = |name: &str, store: Option<&str>| {
        Tally::start(
            &Setup::new(&bench.binary, &folder.path().join(name))
                .on(store)
                .ack("disk"),
        )
    };
    let (embedded, shared) = (start("embedded", None)?, start("shared", Some(&url))?);
    let servers = [&embedded, &shared].map(|tally| (tally.id(), Tally::port_of(&tally.resp)));
    let requests = if bench.quick { REQUESTS / 4 } else { REQUESTS };
    let rates = incr::rates(bench, servers, PIPELINE, requests)?;
    embedded.stop()?;
    shared.stop()?;
    Ok(rates)
}

fn latencies(bench: &Bench, cluster: &Cluster) -> Result<Vec<(&'static str, String)>> {
    let folder = bench.place.fresh("cassandra-latency")?;
    let url = cluster.url("latency");
    let start = |name: &str| {
        Tally::start(
            &Setup::new(&bench.binary, &folder.path().join(name))
                .on(Some(&url))
                .ack("disk"),
        )
    };
    let (one, two) = (start("one")?, start("two")?);
    let mut figures = Vec::new();
    let mut note = |what, samples: &[f64]| {
        println!("{what}: {}", millis(samples));
        figures.push((what, millis(samples)));
    };
    let added = replicated(&one, samples(bench))?;
    note("a replicated add, one after the other: P50, P99", &added);
    let added = strong::latencies(bench, cluster, samples(bench))?;
    note("a strong add, one after the other: P50, P99", &added);
    let seen = sights(&one, &two, samples(bench))?;
    note("sight on another node, idle: P50, P99", &seen);
    let done = AtomicBool::new(false);
    let loaded = std::thread::scope(|scope| -> Result<Vec<f64>> {
        let loads = [&one, &two].map(|tally| scope.spawn(|| load(&tally.resp, &done)));
        let sights = sights(&one, &two, samples(bench));
        done.store(true, Ordering::Relaxed);
        for load in loads {
            load.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        sights
    })?;
    note("sight on another node, under load: P50, P99", &loaded);
    one.stop()?;
    two.stop()?;
    Ok(figures)
}

fn samples(bench: &Bench) -> u32 {
    if bench.quick { SAMPLES / 4 } else { SAMPLES }
}

fn millis(samples: &[f64]) -> String {
    let figure = |hundredths| percentile(samples, hundredths);
    format!("{:.0} ms, {:.0} ms", figure(50), figure(99))
}

fn replicated(tally: &Tally, count: u32) -> Result<Vec<f64>> {
    let mut client = Client::connect(&tally.resp)?;
    let mut samples = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        if let Reply::Error(why) = client.call(&["TALLY.ADD", "replicated", "1", "ACK", "replicated"])? {
            bail!("a replicated add was refused: {why}");
        }
        samples.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples)
}

fn sights(from: &Tally, to: &Tally, count: u32) -> Result<Vec<f64>> {
    const LIMIT: Duration = Duration::from_secs(30);
    const ASK: Duration = Duration::from_millis(5);
    let mut random = Random::seeded(1);
    let (mut from, mut to) = (Client::connect(&from.resp)?, Client::connect(&to.resp)?);
    let mut samples = Vec::new();
    for number in 0..count {
        // Each at another moment of rounds and reads.
        std::thread::sleep(random.millis(0, 400));
        let expected = i64::from(number) + 1;
        from.call(&["INCR", "sight"])?;
        let began = Instant::now();
        wait::until("an add to be seen", LIMIT, || {
            let seen = value(&to.call(&["GET", "sight"])?)? >= expected;
            if !seen {
                std::thread::sleep(ASK);
            }
            Ok(seen.then_some(()))
        })?;
        samples.push(began.elapsed().as_secs_f64() * 1e3);
    }
    // The counter goes on from there in the next series.
    from.call(&["DEL", "sight"])?;
    wait::until("the counter to be gone", LIMIT, || {
        Ok((value(&to.call(&["GET", "sight"])?)? == 0).then_some(()))
    })?;
    Ok(samples)
}

fn value(reply: &Reply) -> Result<i64> {
    match reply {
        Reply::Bulk(None) => Ok(0),
        Reply::Bulk(Some(digits)) => std::str::from_utf8(digits)?.parse().context("a number"),
        other => bail!("GET answered {other:?}"),
    }
}

/// So many adds a second, until it is told to end.
fn load(address: &str, done: &AtomicBool) -> Result<()> {
    const BURST: u64 = 100;
    let mut client = Client::connect(address)?;
    let mut random = Random::seeded(2);
    let burst = Duration::from_secs_f64(BURST as f64 / LOAD as f64);
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        for _ in 0..BURST {
            client.send(&["INCR", &format!("load:{}", random.below(LOADED_COUNTERS))])?;
        }
        client.flush()?;
        for _ in 0..BURST {
            client.expect()?;
        }
        std::thread::sleep(burst.saturating_sub(began.elapsed()));
    }
    Ok(())
}
