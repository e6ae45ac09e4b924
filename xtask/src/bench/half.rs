//! The latency of one add at ack `memory` at half of the top load, beside Redis under the same load.

use anyhow::Result;

use super::Bench;
use super::figures::{grouped, median, percentile, table};
use super::incr::{self, LEVELS};
use super::pace::{self, Pace};
use crate::process::rest_all;
use crate::redis::Redis;
use crate::tally::{Setup, Tally};

const SAMPLES: u32 = 4_000;
/// Requests of a round that finds the top load.
const REQUESTS: u32 = 250_000;
const CONNECTIONS: usize = 50;

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let folder = bench.place.fresh("half")?;
    let tally = Tally::start(&Setup::new(&bench.binary, &folder.path().join("tally")).ack("memory"))?;
    let settings = LEVELS.last().map(|(_, settings, _)| *settings).unwrap_or_default();
    let redis = Redis::start(folder.path(), &settings)?;
    let servers = [
        (tally.id(), Tally::port_of(&tally.resp)),
        (redis.id(), Tally::port_of(&redis.address)),
    ];
    let tops = incr::rates(bench, servers, 1, REQUESTS)?;
    let adds_a_second = tops[0].max(tops[1]) / 2.0;
    let mut rows = Vec::new();
    for (name, loads) in [("unloaded", 0.0), ("half of the top", adds_a_second)] {
        let pace = Pace {
            adds_a_second: loads,
            connections: CONNECTIONS,
            pipeline: 1,
        };
        let mut figures = [Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for round in 0..bench.rounds {
            for (place, address) in [(0, &tally.resp), (3, &redis.address)] {
                rest_all(&[tally.id(), redis.id()])?;
                let (micros, reached) = pace::beside(address, pace, SAMPLES, u64::from(round))?;
                let of_round = [percentile(&micros, 50), percentile(&micros, 99), reached];
                for (all, figure) in figures.iter_mut().skip(place).zip(of_round) {
                    all.push(figure);
                }
            }
        }
        let [p50, p99, reached, redis_p50, redis_p99, redis_reached] = figures.map(|all| median(&all));
        let mut row = vec![name.to_owned()];
        row.extend([p50, redis_p50, p99, redis_p99].map(|micros| format!("{micros:.0}")));
        row.extend([reached, redis_reached].map(grouped));
        println!("{}", row.join("  "));
        rows.push(row);
    }
    redis.stop()?;
    tally.stop()?;
    let head = [
        "load",
        "Tally P50",
        "Redis P50",
        "Tally P99",
        "Redis P99",
        "adds/s beside it, Tally",
        "adds/s beside it, Redis",
    ];
    Ok(format!(
        "Microseconds of one add (INCR) each half millisecond, ack `memory` beside Redis `everysec`, {SAMPLES} a round; the load beside it comes \
         from {CONNECTIONS} other connections at pipeline 1, half of the higher top of the two in this run ({} and {} adds/s). Reach: P50 80, P99 200, \
         and no worse than Redis:\n\n{}",
        grouped(tops[0]),
        grouped(tops[1]),
        table(&head, &rows)
    ))
}
