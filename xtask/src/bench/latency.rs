//! One add and one read at a time, on one connection.

use std::time::Instant;

use anyhow::Result;

use super::Bench;
use super::figures::{median, percentile, table};
use super::incr::LEVELS;
use crate::process::rest;
use crate::random::Random;
use crate::redis::Redis;
use crate::resp::Client;
use crate::tally::{Setup, Tally};

const OPERATIONS: u32 = 20_000;
const KEYS: u64 = 100_000;

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let mut rows = Vec::new();
    for (level, settings, _) in LEVELS {
        let folder = bench.place.fresh("latency")?;
        let tally = Tally::start(&Setup::new(&bench.binary, &folder.path().join("tally")).ack(level))?;
        let redis = Redis::start(folder.path(), &settings)?;
        let mut clients = [
            (tally.id(), Client::connect(&tally.resp)?),
            (redis.id(), Client::connect(&redis.address)?),
        ];
        for (what, command) in [("add (INCR)", "INCR"), ("read (GET)", "GET")] {
            let [tally, redis] = alternate(bench, &mut clients, command)?;
            rows.push(row(what, level, settings, &tally, &redis));
        }
        drop(clients);
        redis.stop()?;
        tally.stop()?;
    }
    let head = [
        "one",
        "ack",
        "Redis",
        "Tally P50",
        "Redis P50",
        "Tally P99",
        "Redis P99",
    ];
    Ok(format!(
        "Microseconds, one connection, one operation at a time, {OPERATIONS} operations a round on {KEYS} keys:\n\n{}",
        table(&head, &rows)
    ))
}

/// P50 and P99 of each round, for each server.
#[derive(Debug, Default)]
struct Figures {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

fn alternate(bench: &Bench, clients: &mut [(u32, Client); 2], command: &str) -> Result<[Figures; 2]> {
    let mut figures = [Figures::default(), Figures::default()];
    for round in 0..bench.rounds {
        for ((id, client), figures) in clients.iter_mut().zip(&mut figures) {
            rest(*id)?;
            let micros = one(client, command, u64::from(round))?;
            figures.p50.push(percentile(&micros, 50));
            figures.p99.push(percentile(&micros, 99));
        }
    }
    Ok(figures)
}

fn one(client: &mut Client, command: &str, seed: u64) -> Result<Vec<f64>> {
    let mut random = Random::seeded(seed);
    let mut micros = Vec::new();
    for _ in 0..OPERATIONS {
        let key = format!("key:{:012}", random.below(KEYS));
        let began = Instant::now();
        client.call(&[command, &key])?;
        micros.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(micros)
}

fn row(what: &str, level: &str, settings: [&str; 4], tally: &Figures, redis: &Figures) -> Vec<String> {
    let promise = settings.last().copied().unwrap_or_default();
    let figures = [&tally.p50, &redis.p50, &tally.p99, &redis.p99].map(|values| format!("{:.0}", median(values)));
    let cells: Vec<String> = [what, level, promise]
        .into_iter()
        .map(str::to_owned)
        .chain(figures)
        .collect();
    println!("{}", cells.join("  "));
    cells
}
