//! kill -9 under load, again and again: what was acknowledged is there, and nothing is there that was not asked for.
//!
//! Five clients add at once, each in another way and to counters of its own. After the kill and the restart every
//! counter lies between what was acknowledged and that plus what had no answer. What had a token and no answer is then
//! sent again, and its counter is exact.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::place::Place;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};
use crate::{http, wait};

/// How often the server is killed, and how many acknowledgements of each client come before each kill.
const EMBEDDED: (u32, u64) = (6, 300);
/// The same on a cluster, where an acknowledgement takes a round.
const CLUSTER: (u32, u64) = (2, 30);
const PIPELINE: u64 = 40;
/// What each transaction adds to.
const PAIR: [&str; 2] = ["crash:multi:a", "crash:multi:b"];

/// What one client knows.
#[derive(Debug, Default)]
struct Known {
    acknowledged: BTreeMap<String, u64>,
    unanswered: BTreeMap<String, u64>,
    /// Tokens that were sent and not answered.
    tokens: Vec<String>,
    /// The number of the next token.
    next: u64,
}

/// Adds until the connection breaks; what it then returns with is no failure. Counts up at each acknowledgement.
type Load = fn(&Addresses, &mut Known, &AtomicU64) -> Result<()>;

const LOADS: [(&str, Load); 5] = [
    ("single", single),
    ("pipelined", pipelined),
    ("multi", multi),
    ("token", token),
    ("http", by_http),
];

#[derive(Clone, Debug)]
struct Addresses {
    resp: String,
    http: String,
}

/// Runs it on the default level, which promises to survive a crash.
pub(crate) fn killed_under_load(place: &Place, binary: &Path, store: Option<&str>) -> Result<()> {
    let folder = place.fresh("crash")?;
    let setup = Setup::new(binary, &folder.path().join("data")).on(store);
    let mut clients: Vec<Known> = LOADS.iter().map(|_| Known::default()).collect();
    let (kills, acknowledged_before) = if store.is_some() { CLUSTER } else { EMBEDDED };
    for _ in 0..kills {
        let tally = Tally::start(&setup)?;
        load_and_kill(tally, &mut clients, acknowledged_before)?;
        let tally = Tally::start(&setup)?;
        let mut resp = Client::connect(&tally.resp)?;
        for ((name, _), known) in LOADS.iter().zip(&mut clients) {
            settle(&mut resp, known).with_context(|| format!("the {name} client"))?;
        }
        drop(resp);
        tally.stop()?;
    }
    let acknowledged: u64 = clients.iter().flat_map(|known| known.acknowledged.values()).sum();
    println!("{kills} kills under load; {acknowledged} adds are there, none lost and none doubled");
    Ok(())
}

/// Kills the server when each client has had its acknowledgements.
fn load_and_kill(tally: Tally, clients: &mut [Known], acknowledged_before: u64) -> Result<()> {
    const LIMIT: Duration = Duration::from_mins(1);
    let addresses = Addresses {
        resp: tally.resp.clone(),
        http: tally.http.clone(),
    };
    let counts = LOADS.map(|_| AtomicU64::new(0));
    std::thread::scope(|scope| {
        let threads: Vec<_> = LOADS
            .iter()
            .zip(clients)
            .zip(&counts)
            .map(|(((name, load), known), count)| (name, scope.spawn(|| load(&addresses, known, count))))
            .collect();
        let loaded = wait::until("acknowledgements under load", LIMIT, || {
            let all = counts
                .iter()
                .all(|count| count.load(Ordering::Relaxed) >= acknowledged_before);
            Ok((all || threads.iter().any(|(_, thread)| thread.is_finished())).then_some(()))
        });
        tally.kill()?;
        for (name, thread) in threads {
            let ended = thread.join().map_err(|_| anyhow!("the {name} client panicked"))?;
            ended.with_context(|| format!("the {name} client"))?;
        }
        loaded
    })
}

/// Sends again what has tokens, compares, and takes what is there as known.
fn settle(resp: &mut Client, known: &mut Known) -> Result<()> {
    for token in std::mem::take(&mut known.tokens) {
        let key = token.split('/').next().unwrap_or_default().to_owned();
        resp.call(&["TALLY.ADD", &key, "1", "TOKEN", &token])?;
        resp.call(&["TALLY.ADD", &key, "1", "TOKEN", &token])?;
        *known.acknowledged.entry(key).or_default() += 1;
    }
    for key in known.unanswered.keys() {
        known.acknowledged.entry(key.clone()).or_default();
    }
    for (key, acknowledged) in &mut known.acknowledged {
        let value = value(resp, key)?;
        let most = *acknowledged + known.unanswered.get(key).copied().unwrap_or(0);
        ensure!(
            *acknowledged <= value,
            "{key} is {value}, and {acknowledged} were acknowledged"
        );
        ensure!(value <= most, "{key} is {value}, and {most} is the most it can be");
        *acknowledged = value;
    }
    let [a, b] = PAIR.map(|key| known.acknowledged.get(key));
    ensure!(a == b, "a transaction was applied in part: {a:?} and {b:?}");
    known.unanswered.clear();
    Ok(())
}

fn value(resp: &mut Client, key: &str) -> Result<u64> {
    match resp.call(&["GET", key])? {
        Reply::Bulk(None) => Ok(0),
        Reply::Bulk(Some(digits)) => Ok(std::str::from_utf8(&digits)?.parse()?),
        other => Err(anyhow!("GET {key} answered {other:?}")),
    }
}

impl Known {
    fn sent(&mut self, key: &str, amount: u64) {
        *self.unanswered.entry(key.to_owned()).or_default() += amount;
    }

    fn answered(&mut self, key: &str, amount: u64, count: &AtomicU64) {
        *self.acknowledged.entry(key.to_owned()).or_default() += amount;
        if let Some(unanswered) = self.unanswered.get_mut(key) {
            *unanswered -= amount;
        }
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn token(&mut self, key: &str) -> String {
        self.next += 1;
        format!("{key}/{}", self.next)
    }
}

/// One INCRBY at a time.
fn single(addresses: &Addresses, known: &mut Known, count: &AtomicU64) -> Result<()> {
    const KEY: &str = "crash:single";
    let mut client = Client::connect(&addresses.resp)?;
    loop {
        known.sent(KEY, 3);
        let Some(answer) = client.answer(&["INCRBY", KEY, "3"]) else {
            return Ok(());
        };
        answer?;
        known.answered(KEY, 3, count);
    }
}

/// Forty INCR over five counters at a time.
fn pipelined(addresses: &Addresses, known: &mut Known, count: &AtomicU64) -> Result<()> {
    let mut client = Client::connect(&addresses.resp)?;
    let key = |number: u64| format!("crash:pipelined:{}", number % 5);
    loop {
        for number in 0..PIPELINE {
            known.sent(&key(number), 1);
            if client.send(&["INCR", &key(number)]).is_err() {
                return Ok(());
            }
        }
        if client.flush().is_err() {
            return Ok(());
        }
        for number in 0..PIPELINE {
            match client.reply() {
                Ok(Reply::Integer(_)) => known.answered(&key(number), 1, count),
                Ok(other) => return Err(anyhow!("INCR answered {other:?}")),
                Err(_) => return Ok(()),
            }
        }
    }
}

/// Two counters that must always be the same.
fn multi(addresses: &Addresses, known: &mut Known, count: &AtomicU64) -> Result<()> {
    let [a, b] = PAIR;
    let mut client = Client::connect(&addresses.resp)?;
    loop {
        for key in PAIR {
            known.sent(key, 1);
        }
        let commands: [&[&str]; 4] = [&["MULTI"], &["INCR", a], &["INCR", b], &["EXEC"]];
        for command in commands {
            let Some(answer) = client.answer(command) else {
                return Ok(());
            };
            answer?;
        }
        for key in PAIR {
            known.answered(key, 1, count);
        }
    }
}

/// One add with a token at a time.
fn token(addresses: &Addresses, known: &mut Known, count: &AtomicU64) -> Result<()> {
    const KEY: &str = "crash:token";
    let mut client = Client::connect(&addresses.resp)?;
    loop {
        let token = known.token(KEY);
        let Some(answer) = client.answer(&["TALLY.ADD", KEY, "1", "TOKEN", &token]) else {
            known.tokens.push(token);
            return Ok(());
        };
        answer?;
        known.answered(KEY, 1, count);
    }
}

/// One request with a token at a time.
fn by_http(addresses: &Addresses, known: &mut Known, count: &AtomicU64) -> Result<()> {
    const KEY: &str = "crash:http";
    loop {
        let token = known.token(KEY);
        let body = format!("{{\"adds\":[{{\"key\":\"{KEY}\",\"amount\":1,\"token\":\"{token}\"}}]}}");
        let Ok(answer) = http::post(&addresses.http, "/v1/add", &body) else {
            known.tokens.push(token);
            return Ok(());
        };
        answer.json()?;
        known.answered(KEY, 1, count);
    }
}
