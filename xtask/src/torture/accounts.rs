//! What must be in the server, over all cycles: compares after each fault, names who lost or doubled, and remembers what
//! is settled so that later faults cannot take it away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::clients::{self, EVENTS, FILE_LINES, HTTP, INGEST, MULTI};
use super::digits::{self, CLIENTS};
use super::load::{Cycle, part, value};
use super::score::Score;
use crate::random::Random;
use crate::resp::Client;
use crate::tally::Tally;
use crate::{command, http};

/// What level `memory` may lose, as the server is set.
pub(super) const JOURNAL_INTERVAL: Duration = Duration::from_millis(100);
/// The sync that follows the interval takes time of its own, more so while six clients share the processors.
const SYNC_TIME: Duration = Duration::from_secs(1);
/// Counters of earlier cycles that are read again after each fault.
const LOOK_BACK: u64 = 20;

/// What a cycle promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Memory,
    Disk,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// Everything that was settled.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    settled: BTreeMap<String, i64>,
    /// Adds of the namespace that must be counted in the ledger.
    counted: u64,
    /// The oldest acknowledgement at level `memory` that a fault took away, by its age then.
    oldest_loss: Duration,
}

impl Accounts {
    /// Compares what a restarted server holds with what a cycle's clients know; `fault` is when it was hit.
    pub(super) fn settle(
        &mut self,
        cycle: &Cycle,
        tally: &Tally,
        level: Level,
        fault: Instant,
        score: &mut Score,
    ) -> Result<()> {
        let mut resp = Client::connect(&tally.resp)?;
        score.adds += cycle.sent();
        for read in cycle.wrong_reads() {
            score.wrong(format!("cycle {}: {read}", cycle.target.cycle));
        }
        let before = self.read(cycle, &mut resp, score)?;
        in_order(cycle, &before, score);
        let before = sums(&before);
        for (client, found) in before.iter().enumerate() {
            self.judge(client, *found, cycle, level, fault, score);
        }
        repeat(cycle, tally)?;
        let after = sums(&self.read(cycle, &mut resp, score)?);
        self.exact(cycle, &before, &after, score);
        self.pairs(cycle, &after, &mut resp, score)?;
        self.ledger(tally, score)?;
        verify(tally, &format!("torture:{}:", cycle.target.cycle), score)
    }

    /// How many adds of each client are in each counter of the cycle.
    fn read(&mut self, cycle: &Cycle, resp: &mut Client, score: &mut Score) -> Result<Vec<[u64; CLIENTS]>> {
        let mut found = Vec::new();
        for counter in 0..cycle.counters() {
            let key = digits::counter_at(cycle.target.cycle, counter);
            let answer = resp.call(&["GET", &key])?;
            let read = value(&answer).and_then(|value| Some((value, digits::read(value)?)));
            let Some((value, digits)) = read else {
                score.wrong(format!("{key} is {answer:?}"));
                continue;
            };
            self.settled.insert(key, value);
            found.push(digits);
        }
        Ok(found)
    }

    fn judge(&mut self, client: usize, found: u64, cycle: &Cycle, level: Level, fault: Instant, score: &mut Score) {
        let Some(meter) = cycle.meters.get(client) else { return };
        let (name, number) = (clients::name(client), cycle.target.cycle);
        let kept_until = fault.checked_sub(JOURNAL_INTERVAL + SYNC_TIME).unwrap_or(fault);
        let least = match level {
            Level::Disk => meter.acknowledged(),
            // A file is acknowledged when it is in the store, whatever the level.
            Level::Memory if client == INGEST => meter.acknowledged(),
            Level::Memory => meter.acknowledged_at(kept_until),
        };
        if found < least {
            let lost = least - found;
            score.lost(
                lost,
                format!(
                    "cycle {number} ({}): {name} lost {lost} of {least} acknowledged adds",
                    level.word()
                ),
            );
        }
        let sent = meter.sent();
        if found > sent {
            let doubled = found - sent;
            score.doubled(
                doubled,
                format!("cycle {number}: {name} sent {sent} adds and {found} are there"),
            );
        }
        if let Some(age) = meter
            .time_after(found)
            .and_then(|time| fault.checked_duration_since(time))
        {
            self.oldest_loss = self.oldest_loss.max(age);
        }
    }

    /// After the repeats: what has tokens, and the file, is there exactly as often as it was sent; nothing else has moved.
    fn exact(&mut self, cycle: &Cycle, before: &[u64; CLIENTS], after: &[u64; CLIENTS], score: &mut Score) {
        for (client, ((before, after), meter)) in before.iter().zip(after).zip(&cycle.meters).enumerate() {
            let expected = match client {
                HTTP | EVENTS => meter.sent() - (meter.acknowledged().saturating_sub(*before)),
                INGEST => FILE_LINES,
                _ => *before,
            };
            let what = || {
                let (number, name) = (cycle.target.cycle, clients::name(client));
                format!("cycle {number}: after the repeats {after} adds of {name} are there, not {expected}")
            };
            if *after < expected {
                score.lost(expected - after, what());
            } else if *after > expected {
                score.doubled(after - expected, what());
            }
            let adds_each = if matches!(client, MULTI | HTTP) { 2 } else { 1 };
            self.counted += after * adds_each;
        }
    }

    /// What a transaction or a request counts together is there together.
    fn pairs(&mut self, cycle: &Cycle, after: &[u64; CLIENTS], resp: &mut Client, score: &mut Score) -> Result<()> {
        for client in [MULTI, HTTP] {
            let key = clients::pair(client, cycle.target.cycle);
            let pair = value(&resp.call(&["GET", &key])?).unwrap_or(-1);
            let common = after.get(client).copied().unwrap_or(0);
            if u64::try_from(pair).ok() != Some(common) {
                score.wrong(format!(
                    "{key} is {pair}, and {common} of its requests are in the other counter: applied in part"
                ));
            }
            self.settled.insert(key, pair);
        }
        Ok(())
    }

    /// The ledger knows of every add that is there, and of no other.
    fn ledger(&self, tally: &Tally, score: &mut Score) -> Result<()> {
        let ledger = http::get(&tally.http, "/v1/ledger")?.json()?;
        let namespaces = ledger.get("namespaces").and_then(serde_json::Value::as_array);
        let counted: u64 = namespaces
            .context("the ledger has no namespaces")?
            .iter()
            .filter_map(|row| row.get("counted")?.as_u64())
            .sum();
        if counted != self.counted {
            score.wrong(format!(
                "the ledger counted {counted} adds, and {} are there",
                self.counted
            ));
        }
        Ok(())
    }

    /// Reads some counters of earlier cycles again.
    pub(super) fn look_back(&self, tally: &Tally, random: &mut Random, score: &mut Score) -> Result<()> {
        let all = u64::try_from(self.settled.len())?;
        let mut resp = Client::connect(&tally.resp)?;
        for _ in 0..LOOK_BACK.min(all) {
            let at = usize::try_from(random.below(all))?;
            if let Some((key, expected)) = self.settled.iter().nth(at) {
                same(&mut resp, key, *expected, score)?;
            }
        }
        Ok(())
    }

    /// Reads all counters of all cycles again, and lets `tally verify` go over everything.
    pub(super) fn close(&self, tally: &Tally, score: &mut Score) -> Result<()> {
        let mut resp = Client::connect(&tally.resp)?;
        for (key, expected) in &self.settled {
            same(&mut resp, key, *expected, score)?;
        }
        self.ledger(tally, score)?;
        verify(tally, "", score)?;
        if self.oldest_loss > Duration::ZERO {
            score.note(format!(
                "at level memory the oldest add that a fault took away had been acknowledged {} ms before it",
                self.oldest_loss.as_millis()
            ));
        }
        Ok(())
    }
}

fn same(resp: &mut Client, key: &str, expected: i64, score: &mut Score) -> Result<()> {
    let answer = resp.call(&["GET", key])?;
    if value(&answer) != Some(expected) {
        score.wrong(format!("{key} was settled at {expected} and is {answer:?}"));
    }
    Ok(())
}

fn sums(found: &[[u64; CLIENTS]]) -> [u64; CLIENTS] {
    let mut sums = [0; CLIENTS];
    for digits in found {
        for (sum, digit) in sums.iter_mut().zip(digits) {
            *sum += digit;
        }
    }
    sums
}

/// What a client sent first is there first. Not so the file: until it is counted again, its last round may be half there.
fn in_order(cycle: &Cycle, found: &[[u64; CLIENTS]], score: &mut Score) {
    let sums = sums(found);
    for (counter, digits) in (0..).zip(found) {
        for (client, (digit, sum)) in digits.iter().zip(sums).enumerate() {
            if client != INGEST && *digit != part(sum, counter) {
                let (number, name) = (cycle.target.cycle, clients::name(client));
                score.wrong(format!(
                    "cycle {number}: {sum} adds of {name} are there, but {digit} of them in counter {counter}"
                ));
            }
        }
    }
}

/// Sends again what had no answer and has a token, and counts the file to its end.
fn repeat(cycle: &Cycle, tally: &Tally) -> Result<()> {
    let mut connection = http::Connection::open(&tally.http)?;
    let mut target = cycle.target.clone();
    target.resp.clone_from(&tally.resp);
    target.http.clone_from(&tally.http);
    let unanswered = |client: usize| {
        let meter = cycle.meters.get(client);
        meter.map_or(0..0, |meter| meter.acknowledged()..meter.sent())
    };
    for add in unanswered(HTTP) {
        let request = clients::request(target.cycle, add);
        for _ in 0..2 {
            connection.post("/v1/add", "application/json", &request)?.json()?;
        }
    }
    for add in unanswered(EVENTS) {
        let event = clients::event(target.cycle, add, EVENTS);
        for _ in 0..2 {
            connection
                .post("/v1/events", "application/cloudevents+json", &event)?
                .json()?;
        }
    }
    clients::ingest_to_the_end(&target)?;
    std::fs::remove_file(&target.file)?;
    Ok(())
}

/// `tally verify`: windows against totals, values against cells, the ledger.
pub(super) fn verify(tally: &Tally, prefix: &str, score: &mut Score) -> Result<()> {
    match command::output(&mut tally.cli(&["verify", "--reads", prefix])) {
        Ok(said) => ensure!(said.contains("all sums agree"), "tally verify said: {said}"),
        Err(error) => score.wrong(format!("tally verify {prefix}: {error:#}")),
    }
    Ok(())
}
