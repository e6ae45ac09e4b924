//! Reads from 50 connections over 100,000 counters that are in memory: GET, and MGET of 100.

use anyhow::Result;

use super::Bench;
use super::figures::table;
use super::incr::{KEYS, PIPELINES};
use super::load::{COMPARED, Load, alternate, compared};
use crate::redis::Redis;
use crate::resp::Client;
use crate::tally::{Setup, Tally};

/// What is to be reached at each pipeline length of GET.
const REACH: [f64; 3] = [1.0, 1.6, 2.5];
/// Keys of one MGET, how many such commands make a round, and what is to be reached.
const MANY: (usize, u32, f64) = (100, 60_000, 2.0);
const KEY: &str = "key:__rand_int__";

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let folder = bench.place.fresh("get")?;
    let tally = Tally::start(&Setup::new(&bench.binary, &folder.path().join("tally")))?;
    let redis = Redis::start(folder.path(), &[])?;
    fill(&tally.resp)?;
    fill(&redis.address)?;
    let servers = [
        (tally.id(), Tally::port_of(&tally.resp)),
        (redis.id(), Tally::port_of(&redis.address)),
    ];
    let mut rows = Vec::new();
    let (many, commands, reach_of_many) = MANY;
    let mget: Vec<&str> = std::iter::once("MGET").chain([KEY; MANY.0]).collect();
    let gets = PIPELINES.into_iter().zip(REACH);
    let loads = gets
        .map(|((pipeline, requests), reach)| ("GET", &["GET", KEY][..], 1, pipeline, requests, reach))
        .chain([("MGET of 100", &mget[..], many, 1, commands, reach_of_many)]);
    for (what, command, parts, pipeline, requests, reach) in loads {
        let load = Load {
            command,
            keys: KEYS,
            pipeline,
            requests,
        };
        let [of_tally, of_redis] = alternate(bench, servers, &load)?;
        let mut row = vec![what.to_owned(), pipeline.to_string()];
        row.extend(compared(&of_tally, &of_redis, parts as f64, reach));
        println!("{}", row.join("  "));
        rows.push(row);
    }
    redis.stop()?;
    tally.stop()?;
    let head: Vec<&str> = ["read", "pipeline"].into_iter().chain(COMPARED).collect();
    Ok(format!(
        "Reads, 50 connections, {KEYS} random keys that are all there (`redis-benchmark`), keys a second; Redis without its log:\n\n{}",
        table(&head, &rows)
    ))
}

/// Each key of `redis-benchmark` once.
fn fill(address: &str) -> Result<()> {
    let mut client = Client::connect(address)?;
    for number in 0..KEYS {
        client.send(&["INCR", &format!("key:{number:012}")])?;
        if number % 1_000 == 999 {
            client.flush()?;
            for _ in 0..1_000 {
                client.expect()?;
            }
        }
    }
    Ok(())
}
