//! `POST /v1/add` of 1,000 adds a request beside PostgreSQL's upsert of 1,000 rows a statement.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::crowd::{self, CLIENTS, Line, Side};
use super::figures::{grouped, table};
use super::load::{COMPARED, compared};
use crate::http;
use crate::postgres::{self, Postgres};
use crate::process::cpu_seconds;
use crate::random::Random;
use crate::tally::{Setup, Tally};

const COUNTERS: u64 = 100_000;
/// Adds of a request, rows of a statement.
const ADDS: usize = 1_000;
/// Requests of a round to Tally, and statements of a round to PostgreSQL, which takes more time for each.
const ROUND: [usize; 2] = [2_400, 240];
const REACH: f64 = 8.0;
const TABLE: &str = "CREATE TABLE counters (name text PRIMARY KEY, value bigint NOT NULL)";
/// What a statement adds up to, so that PostgreSQL parses and plans it once a connection.
const PREPARE: &str = "PREPARE add (text[], bigint[]) AS INSERT INTO counters SELECT * FROM unnest($1, $2) \
                       ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value";

impl Line for http::Connection {
    fn ask(&mut self, request: &[u8]) -> Result<()> {
        let answer = self.post("/v1/add", "application/json", std::str::from_utf8(request)?)?;
        ensure!(answer.status == 200, "status {}: {}", answer.status, answer.body);
        Ok(())
    }
}

impl Line for postgres::Client {
    fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.run(std::str::from_utf8(request)?)
    }
}

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let folder = bench.place.fresh("upsert")?;
    let tally = Tally::start(&Setup::new(&bench.binary, &folder.path().join("tally")).ack("disk"))?;
    let database = Postgres::start(&bench.place)?;
    database.connect()?.run(TABLE)?;
    let clients: Result<Vec<postgres::Client>> = (0..CLIENTS).map(|_| prepared(&database)).collect();
    let connections: Result<Vec<_>> = (0..CLIENTS).map(|_| http::Connection::open(&tally.http)).collect();
    let [requests, statements] = ROUND.map(|many| if bench.quick { many / 4 } else { many });
    let mut of_tally = Side {
        lines: connections?,
        requests: &|seed| drawn(seed, requests, json),
        id: tally.id(),
        cpu_seconds: &|| cpu_seconds(tally.id()),
    };
    let mut of_database = Side {
        lines: clients?,
        requests: &|seed| drawn(seed, statements, statement),
        id: database.id(),
        cpu_seconds: &|| database.cpu_seconds(),
    };
    let [figures_of_tally, figures_of_database] = crowd::alternate(bench, &mut of_tally, &mut of_database)?;
    drop((of_tally, of_database));
    let version = database.version()?;
    database.stop()?;
    tally.stop()?;
    let mut row = vec![grouped(COUNTERS as f64)];
    row.extend(compared(&figures_of_tally, &figures_of_database, ADDS as f64, REACH));
    println!("{}", row.join("  "));
    let named = COMPARED.map(|cell| cell.replace("Redis", "PostgreSQL"));
    let head: Vec<&str> = std::iter::once("counters")
        .chain(named.iter().map(String::as_str))
        .collect();
    Ok(format!(
        "`POST /v1/add` of {ADDS} adds, ack `disk`, beside {version}: one prepared upsert of {ADDS} rows a statement, `synchronous_commit=on`, \
         `shared_buffers=512MB`, names sorted so that no two statements wait for each other in a circle; {CLIENTS} connections each, adds a second:\n\n{}",
        table(&head, &[row])
    ))
}

fn prepared(database: &Postgres) -> Result<postgres::Client> {
    let mut client = database.connect()?;
    client.run("SET synchronous_commit = on")?;
    client.run(PREPARE)?;
    Ok(client)
}

/// So many requests, each for other counters of its own, in order.
fn drawn(seed: u64, many: usize, of: fn(&BTreeSet<u64>) -> Result<String>) -> Vec<Vec<u8>> {
    let mut random = Random::seeded(seed);
    let one = |_| {
        let mut keys = BTreeSet::new();
        while keys.len() < ADDS {
            keys.insert(random.below(COUNTERS));
        }
        of(&keys).unwrap_or_default().into_bytes()
    };
    (0..many).map(one).collect()
}

fn json(keys: &BTreeSet<u64>) -> Result<String> {
    joined(keys, "{\"adds\":[", "]}", |text, key| {
        write!(text, "{{\"key\":\"counter:{key:016}\",\"amount\":1}}")
    })
}

fn statement(keys: &BTreeSet<u64>) -> Result<String> {
    let names = joined(keys, "EXECUTE add ('{", "}'", |text, key| {
        write!(text, "counter:{key:016}")
    })?;
    let ones = joined(keys, ", '{", "}')", |text, _| write!(text, "1"))?;
    Ok(names + &ones)
}

fn joined(
    keys: &BTreeSet<u64>,
    begin: &str,
    end: &str,
    write: impl Fn(&mut String, u64) -> std::fmt::Result,
) -> Result<String> {
    let mut text = begin.to_owned();
    for (place, key) in keys.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        write(&mut text, *key).context("text can be written to")?;
    }
    Ok(text + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_both_kinds() {
        let keys = BTreeSet::from([7, 8]);
        let adds: serde_json::Value = serde_json::from_str(&json(&keys).unwrap()).unwrap();
        assert_eq!(adds["adds"][1]["key"], "counter:0000000000000008");
        assert_eq!(
            statement(&keys).unwrap(),
            "EXECUTE add ('{counter:0000000000000007,counter:0000000000000008}', '{1,1}')"
        );
    }
}
