//! INCR from 50 connections over 100,000 random keys, by Redis's own benchmark.

use std::path::Path;

use anyhow::{Context, Result};

use super::Bench;
use super::figures::{grouped, median, table};
use crate::command::{output, program};
use crate::process::{cpu_seconds, rest};
use crate::redis::Redis;
use crate::tally::{Setup, Tally};

/// Tally's level, and the settings of Redis that promise the same.
pub(crate) const LEVELS: [(&str, [&str; 4]); 2] = [
    ("disk", ["--appendonly", "yes", "--appendfsync", "always"]),
    ("memory", ["--appendonly", "yes", "--appendfsync", "everysec"]),
];

/// Pipeline lengths, and how many requests make a round of a few seconds at each.
const PIPELINES: [(u32, u32); 3] = [(1, 300_000), (16, 1_500_000), (100, 3_000_000)];

/// The figures of one server at one pipeline length, one of each a round.
#[derive(Debug, Default)]
struct Figures {
    a_second: Vec<f64>,
    cpu_a_million: Vec<f64>,
}

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let mut rows = Vec::new();
    for (level, settings) in LEVELS {
        let folder = bench.place.fresh("incr")?;
        let tally = Tally::start(&Setup::new(&bench.binary, &folder.path().join("tally")).ack(level))?;
        let redis = Redis::start(folder.path(), &settings)?;
        let servers = [
            (tally.id(), Tally::port_of(&tally.resp)),
            (redis.id(), Tally::port_of(&redis.address)),
        ];
        for (pipeline, requests) in PIPELINES {
            let requests = if bench.quick { requests / 4 } else { requests };
            let [tally, redis] = alternate(bench, servers, pipeline, requests)?;
            rows.push(row(level, settings, pipeline, &tally, &redis));
        }
        redis.stop()?;
        tally.stop()?;
    }
    let head = [
        "ack",
        "Redis",
        "pipeline",
        "Tally/s",
        "Redis/s",
        "ratio",
        "Tally CPU s/M",
        "Redis CPU s/M",
        "CPU ratio",
    ];
    Ok(format!(
        "INCR, 50 connections, 100,000 random keys (`redis-benchmark`), adds a second:\n\n{}",
        table(&head, &rows)
    ))
}

/// Adds a second of two servers that take turns, each the median of the rounds.
pub(super) fn rates(bench: &Bench, servers: [(u32, &str); 2], pipeline: u32, requests: u32) -> Result<[f64; 2]> {
    let figures = alternate(bench, servers, pipeline, requests)?;
    Ok(figures.map(|figures| median(&figures.a_second)))
}

/// One round that does not count, then the rounds, each server first in every other.
fn alternate(bench: &Bench, servers: [(u32, &str); 2], pipeline: u32, requests: u32) -> Result<[Figures; 2]> {
    let [tally, redis] = servers;
    let mut figures = [Figures::default(), Figures::default()];
    let [of_tally, of_redis] = &mut figures;
    for (id, port) in servers {
        one(id, port, pipeline, requests, &mut Figures::default())?;
    }
    for round in 0..bench.rounds {
        let mut turns = [(tally, &mut *of_tally), (redis, &mut *of_redis)];
        if round % 2 == 1 {
            turns.reverse();
        }
        for ((id, port), figures) in turns {
            one(id, port, pipeline, requests, figures)?;
        }
    }
    Ok(figures)
}

/// One round on one server. Its processor time includes what it still does when the answers are out.
fn one(id: u32, port: &str, pipeline: u32, requests: u32, figures: &mut Figures) -> Result<()> {
    rest(id)?;
    let before = cpu_seconds(id)?;
    let (pipeline, count) = (pipeline.to_string(), requests.to_string());
    let load = [
        "-p",
        port,
        "-c",
        "50",
        "-r",
        "100000",
        "-n",
        &count,
        "-P",
        &pipeline,
        "--csv",
        "INCR",
        "key:__rand_int__",
    ];
    let printed = output(&mut program("redis-benchmark", Path::new("."), &load))?;
    rest(id)?;
    figures
        .a_second
        .push(requests_a_second(&printed).with_context(|| format!("redis-benchmark printed: {printed}"))?);
    figures
        .cpu_a_million
        .push((cpu_seconds(id)? - before) / f64::from(requests) * 1e6);
    Ok(())
}

/// The second field of the last line.
fn requests_a_second(csv: &str) -> Option<f64> {
    csv.lines()
        .rfind(|line| line.starts_with("\"INCR"))?
        .split(',')
        .nth(1)?
        .trim_matches('"')
        .parse()
        .ok()
}

fn row(level: &str, settings: [&str; 4], pipeline: u32, tally: &Figures, redis: &Figures) -> Vec<String> {
    let [tally_rate, redis_rate] = [tally, redis].map(|figures| median(&figures.a_second));
    let [tally_cpu, redis_cpu] = [tally, redis].map(|figures| median(&figures.cpu_a_million));
    let cells = vec![
        level.to_owned(),
        settings.last().copied().unwrap_or_default().to_owned(),
        pipeline.to_string(),
        grouped(tally_rate),
        grouped(redis_rate),
        format!("**{:.2}**", tally_rate / redis_rate),
        format!("{tally_cpu:.2}"),
        format!("{redis_cpu:.2}"),
        format!("{:.2}", tally_cpu / redis_cpu),
    ];
    println!("{}", cells.join("  "));
    cells
}
