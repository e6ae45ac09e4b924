//! INCR from 50 connections over 100,000 random keys, at both levels and three pipeline lengths.

use anyhow::Result;

use super::Bench;
use super::figures::{median, table};
use super::load::{COMPARED, Load, alternate, compared};
use crate::redis::Redis;
use crate::tally::{Setup, Tally};

/// Tally's level, the settings of Redis that promise the same, and what is to be reached at each pipeline length.
pub(crate) const LEVELS: [(&str, [&str; 4], [f64; 3]); 2] = [
    (
        "disk",
        ["--appendonly", "yes", "--appendfsync", "always"],
        [1.3, 2.0, 3.0],
    ),
    (
        "memory",
        ["--appendonly", "yes", "--appendfsync", "everysec"],
        [1.15, 2.0, 3.5],
    ),
];

/// Pipeline lengths, and how many requests make a round of a few seconds at each.
pub(super) const PIPELINES: [(u32, u32); 3] = [(1, 250_000), (16, 1_200_000), (100, 2_400_000)];
pub(super) const KEYS: u32 = 100_000;

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let table = levels(bench, KEYS)?;
    Ok(format!(
        "INCR, 50 connections, 100,000 random keys (`redis-benchmark`), adds a second:\n\n{table}"
    ))
}

/// The table of INCR at both levels over so many keys; 0: always the same one.
pub(super) fn levels(bench: &Bench, keys: u32) -> Result<String> {
    let mut rows = Vec::new();
    for (level, settings, reach) in LEVELS {
        let folder = bench.place.fresh("incr")?;
        let tally = Tally::start(&Setup::new(&bench.binary, &folder.path().join("tally")).ack(level))?;
        let redis = Redis::start(folder.path(), &settings)?;
        let servers = [
            (tally.id(), Tally::port_of(&tally.resp)),
            (redis.id(), Tally::port_of(&redis.address)),
        ];
        for ((pipeline, requests), reach) in PIPELINES.into_iter().zip(reach) {
            let [of_tally, of_redis] = alternate(bench, servers, &incr(keys, pipeline, requests))?;
            let mut row = vec![
                level.to_owned(),
                settings.last().copied().unwrap_or_default().to_owned(),
                pipeline.to_string(),
            ];
            row.extend(compared(&of_tally, &of_redis, 1.0, reach));
            println!("{}", row.join("  "));
            rows.push(row);
        }
        redis.stop()?;
        tally.stop()?;
    }
    let head: Vec<&str> = ["ack", "Redis", "pipeline"].into_iter().chain(COMPARED).collect();
    Ok(table(&head, &rows))
}

fn incr(keys: u32, pipeline: u32, requests: u32) -> Load<'static> {
    Load {
        command: &["INCR", "key:__rand_int__"],
        keys,
        pipeline,
        requests,
    }
}

/// Adds a second of two servers that take turns, each the median of the rounds.
pub(super) fn rates(bench: &Bench, servers: [(u32, &str); 2], pipeline: u32, requests: u32) -> Result<[f64; 2]> {
    let figures = alternate(bench, servers, &incr(KEYS, pipeline, requests))?;
    Ok(figures.map(|figures| median(&figures.a_second)))
}
