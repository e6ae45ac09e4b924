//! `TALLY.MADD` of 1,000 keys a command beside Redis's INCR at pipeline 1,000, by Zipf's law.

use std::io::Write;

use anyhow::Result;

use super::Bench;
use super::crowd::{self, CLIENTS, Line, Side};
use super::figures::{grouped, table};
use super::load::{COMPARED, compared};
use crate::process::cpu_seconds;
use crate::random::{Random, Zipf};
use crate::redis::Redis;
use crate::resp::Client;
use crate::tally::{Setup, Tally};

const COUNTERS: u64 = 10_000_000;
/// Keys of a command, or commands of a pipeline.
const KEYS: usize = 1_000;
/// Commands of a round, each of [`KEYS`] adds.
const COMMANDS: usize = 4_000;
const REACH: f64 = 6.0;

/// A connection, and how many answers there are to what is asked at once.
struct Resp {
    client: Client,
    answers: usize,
}

impl Line for Resp {
    fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.client.exchange(request, self.answers)
    }
}

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let folder = bench.place.fresh("madd")?;
    let tally = Tally::start(&Setup::new(&bench.binary, &folder.path().join("tally")).ack("disk"))?;
    let redis = Redis::start(folder.path(), &["--appendonly", "yes", "--appendfsync", "always"])?;
    let (counters, commands) = if bench.quick {
        (COUNTERS / 50, COMMANDS / 4)
    } else {
        (COUNTERS, COMMANDS)
    };
    let zipf = Zipf::new(counters);
    let drawn = |seed: u64, of: fn(&[u64]) -> Result<Vec<u8>>| -> Vec<Vec<u8>> {
        let mut random = Random::seeded(seed);
        let mut keys = vec![0; KEYS];
        let mut one = |_| {
            keys.fill_with(|| zipf.rank(&mut random));
            of(&keys).unwrap_or_default()
        };
        (0..commands).map(&mut one).collect()
    };
    let mut of_tally = Side {
        lines: lines(&tally.resp, 1)?,
        requests: &|seed| drawn(seed, madd),
        id: tally.id(),
        cpu_seconds: &|| cpu_seconds(tally.id()),
    };
    let mut of_redis = Side {
        lines: lines(&redis.address, KEYS)?,
        requests: &|seed| drawn(seed, incrs),
        id: redis.id(),
        cpu_seconds: &|| cpu_seconds(redis.id()),
    };
    fill(&mut of_tally.lines, counters, madd)?;
    fill(&mut of_redis.lines, counters, incrs)?;
    let [figures_of_tally, figures_of_redis] = crowd::alternate(bench, &mut of_tally, &mut of_redis)?;
    drop((of_tally, of_redis));
    redis.stop()?;
    tally.stop()?;
    let mut row = vec![grouped(counters as f64)];
    row.extend(compared(&figures_of_tally, &figures_of_redis, KEYS as f64, REACH));
    println!("{}", row.join("  "));
    let head: Vec<&str> = std::iter::once("counters").chain(COMPARED).collect();
    Ok(format!(
        "`TALLY.MADD` of {KEYS} keys a command, ack `disk`, beside Redis's INCR at pipeline {KEYS}, `always`: {CLIENTS} connections, each waiting \
         for its answers, keys by Zipf's law (0.99) out of counters that are all there, adds a second:\n\n{}",
        table(&head, &[row])
    ))
}

fn lines(address: &str, answers: usize) -> Result<Vec<Resp>> {
    let one = |_| -> Result<Resp> {
        let client = Client::connect(address)?;
        Ok(Resp { client, answers })
    };
    (0..CLIENTS).map(one).collect()
}

/// Adds to each counter once.
fn fill(lines: &mut [Resp], counters: u64, of: fn(&[u64]) -> Result<Vec<u8>>) -> Result<()> {
    let numbers: Vec<u64> = (0..counters).collect();
    for (place, keys) in numbers.chunks(KEYS).enumerate() {
        let many = lines.len();
        if let Some(line) = lines.get_mut(place % many) {
            line.ask(&of(keys)?)?;
        }
    }
    Ok(())
}

/// One command that adds to all of them.
fn madd(keys: &[u64]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(keys.len() * 40 + 40);
    write!(bytes, "*{}\r\n$10\r\nTALLY.MADD\r\n", keys.len() * 2 + 1)?;
    for key in keys {
        write!(bytes, "$24\r\ncounter:{key:016}\r\n$1\r\n1\r\n")?;
    }
    Ok(bytes)
}

/// A command each.
fn incrs(keys: &[u64]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(keys.len() * 48);
    for key in keys {
        write!(bytes, "*2\r\n$4\r\nINCR\r\n$24\r\ncounter:{key:016}\r\n")?;
    }
    Ok(bytes)
}
