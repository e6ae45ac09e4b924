//! Millions of counters: what they take in memory and on disk, and how long a start takes with them.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::Bench;
use super::figures::{median, table};
use crate::http;
use crate::process::{disk_bytes, resident_bytes, rest};
use crate::redis::Redis;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};
use crate::wait;

const COUNTERS: u32 = 1_000_000;
/// For the memory of each: so many that what is there anyway does not matter much.
const HELD: u32 = 2_000_000;
/// How many are sent before their answers are read.
const BATCH: usize = 1_000;
/// Added between the clean start and the kill, so that there is something to replay.
const BEFORE_THE_KILL: u32 = 200_000;

pub(crate) fn memory(bench: &Bench) -> Result<String> {
    let folder = bench.place.fresh("memory")?;
    let setup = Setup::new(&bench.binary, &folder.path().join("tally"));
    let tally = Tally::start(&setup)?;
    let tally_memory = grown_by(tally.id(), || fill(&tally.resp, HELD))?;
    let before = store_reads(&tally)?;
    read_all(&tally.resp, HELD)?;
    let reads = store_reads(&tally)? - before;
    let hot_bytes = metric(&tally, "tally_hot_bytes")?;
    tally.stop()?;
    let redis_folder = folder.path().join("redis");
    std::fs::create_dir(&redis_folder)?;
    let redis = Redis::start(&redis_folder, &["--appendonly", "yes"])?;
    let redis_memory = grown_by(redis.id(), || fill(&redis.address, HELD))?;
    Client::connect(&redis.address)?.call(&["SAVE"])?;
    redis.stop()?;
    let a_counter = |bytes: f64| format!("{:.1}", bytes / f64::from(HELD));
    let snapshot = std::fs::metadata(redis_folder.join("dump.rdb"))?.len() as f64;
    let log = disk_bytes(&redis_folder)? - snapshot;
    let rows = [
        vec![
            "Tally".to_owned(),
            a_counter(tally_memory),
            a_counter(hot_bytes),
            a_counter(disk_bytes(&setup.data)?),
        ],
        vec![
            "Redis".to_owned(),
            a_counter(redis_memory),
            String::new(),
            format!("{} (AOF), {} (RDB)", a_counter(log), a_counter(snapshot)),
        ],
        vec![
            "ratio".to_owned(),
            format!("**{:.2}**", tally_memory / redis_memory),
            String::new(),
            String::new(),
        ],
    ];
    let head = [
        "",
        "resident memory grew by",
        "of that the hot table",
        "on disk after a clean stop",
    ];
    Ok(format!(
        "Bytes a counter, {HELD} counters with names of 24 bytes, each added to once, with an open window of each step; everything that \
         the processes hold once they have come to rest. Reading all of them back cost {reads} reads of the store:\n\n{}",
        table(&head, &rows)
    ))
}

/// Reads the first so many, a thousand a command; each must be 1.
fn read_all(address: &str, counters: u32) -> Result<()> {
    let mut client = Client::connect(address)?;
    let numbers: Vec<u32> = (0..counters).collect();
    for batch in numbers.chunks(BATCH) {
        let names: Vec<String> = batch.iter().map(|number| name(*number)).collect();
        let command: Vec<&str> = std::iter::once("MGET")
            .chain(names.iter().map(String::as_str))
            .collect();
        let Reply::Array(values) = client.call(&command)? else {
            bail!("MGET answered no array");
        };
        let one = Reply::Bulk(Some(b"1".to_vec()));
        ensure!(
            values.len() == batch.len() && values.iter().all(|value| *value == one),
            "not all are 1"
        );
    }
    Ok(())
}

fn store_reads(tally: &Tally) -> Result<f64> {
    metric(tally, "tally_store_reads_total")
}

/// A figure of `/metrics`.
fn metric(tally: &Tally, name: &str) -> Result<f64> {
    let page = http::get(&tally.http, "/metrics")?.body;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line
        .with_context(|| format!("/metrics has no {name}"))?
        .trim()
        .parse()?)
}

pub(crate) fn start(bench: &Bench) -> Result<String> {
    let rows = [tally_starts(bench)?, redis_starts(bench)?];
    let killed = format!("after kill -9, {BEFORE_THE_KILL} adds later");
    let table = table(&["", "after a clean stop", &killed], &rows);
    Ok(format!(
        "Seconds from the start of the process to ready, with {COUNTERS} counters:\n\n{table}"
    ))
}

fn tally_starts(bench: &Bench) -> Result<Vec<String>> {
    let folder = bench.place.fresh("start")?;
    let setup = Setup::new(&bench.binary, &folder.path().join("tally"));
    let tally = Tally::start(&setup)?;
    fill(&tally.resp, COUNTERS)?;
    tally.stop()?;
    let (mut clean, mut killed) = (Vec::new(), Vec::new());
    for round in 1..=bench.rounds {
        let tally = Tally::start(&setup)?;
        clean.push(tally.ready_after.as_secs_f64());
        fill(&tally.resp, BEFORE_THE_KILL)?;
        tally.kill()?;
        let tally = Tally::start(&setup)?;
        killed.push(tally.ready_after.as_secs_f64());
        all_there(&tally, round)?;
        tally.stop()?;
    }
    Ok(vec![
        "Tally".to_owned(),
        format!("{:.3}", median(&clean)),
        format!("{:.3}", median(&killed)),
    ])
}

fn redis_starts(bench: &Bench) -> Result<Vec<String>> {
    const SETTINGS: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
    let folder = bench.place.fresh("start-redis")?;
    let redis = Redis::start(folder.path(), &SETTINGS)?;
    fill(&redis.address, COUNTERS)?;
    redis.stop()?;
    let (mut clean, mut killed) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let redis = Redis::start(folder.path(), &SETTINGS)?;
        clean.push(redis.ready_after.as_secs_f64());
        fill(&redis.address, BEFORE_THE_KILL)?;
        redis.kill()?;
        let redis = Redis::start(folder.path(), &SETTINGS)?;
        killed.push(redis.ready_after.as_secs_f64());
        redis.stop()?;
    }
    Ok(vec![
        "Redis (AOF)".to_owned(),
        format!("{:.3}", median(&clean)),
        format!("{:.3}", median(&killed)),
    ])
}

/// After each round the first counters have one more, and the last still one.
fn all_there(tally: &Tally, round: u32) -> Result<()> {
    let mut client = Client::connect(&tally.resp)?;
    for (number, value) in [(0, round + 1), (BEFORE_THE_KILL - 1, round + 1), (COUNTERS - 1, 1)] {
        let found = client.call(&["GET", &name(number)])?;
        ensure!(
            found == Reply::Bulk(Some(value.to_string().into_bytes())),
            "{} is {found:?}, not {value}",
            name(number)
        );
    }
    Ok(())
}

/// 24 bytes.
pub(crate) fn name(number: u32) -> String {
    format!("counter:{number:016}")
}

/// Adds 1 to each of the first so many.
pub(crate) fn fill(address: &str, counters: u32) -> Result<()> {
    let mut client = Client::connect(address)?;
    let numbers: Vec<u32> = (0..counters).collect();
    for batch in numbers.chunks(BATCH) {
        for number in batch {
            client.send(&["INCR", &name(*number)])?;
        }
        client.flush()?;
        for _ in batch {
            client.expect()?;
        }
    }
    Ok(())
}

/// By how much the process's memory grows, once it has come to rest.
fn grown_by(id: u32, action: impl FnOnce() -> Result<()>) -> Result<f64> {
    rest(id)?;
    let before = resident_bytes(id)?;
    action()?;
    rest(id)?;
    settled(id)?;
    Ok(resident_bytes(id)? - before)
}

/// What is free goes back to the system a while after the work: waits until the memory has stayed as it is for some seconds.
fn settled(id: u32) -> Result<()> {
    const LIMIT: Duration = Duration::from_mins(2);
    const STAY: Duration = Duration::from_secs(4);
    wait::until("the memory to stay as it is", LIMIT, || {
        let before = resident_bytes(id)?;
        std::thread::sleep(STAY);
        Ok((resident_bytes(id)? > before * 0.99).then_some(()))
    })
}
