//! Loads by Redis's own benchmark: two servers take turns at the same commands.

use std::path::Path;

use anyhow::{Context, Result};

use super::Bench;
use super::figures::{grouped, median};
use crate::command::{output, program};
use crate::process::{cpu_seconds, rest_all};

/// What is sent, from 50 connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    /// A command; `__rand_int__` in it is one of the keys at random.
    pub(super) command: &'a [&'a str],
    /// How many keys; 0 leaves `__rand_int__` as it stands, which makes one key of it.
    pub(super) keys: u32,
    pub(super) pipeline: u32,
    /// Of a round; a quarter of it in a quick run.
    pub(super) requests: u32,
}

/// What the requests were worth.
#[derive(Debug)]
pub(super) struct Figures {
    /// Requests a second, one figure a round.
    pub(super) a_second: Vec<f64>,
    /// Processor time of the server over all rounds, what it did between its turns included, seconds a million requests.
    pub(super) cpu_a_million: f64,
}

impl Figures {
    pub(super) fn of(a_second: Vec<f64>, cpu_seconds: f64, requests: f64) -> Self {
        let cpu_a_million = cpu_seconds / requests * 1e6;
        Self {
            a_second,
            cpu_a_million,
        }
    }
}

/// One round that does not count, then the rounds, each server first in every other. A turn begins when both have come to rest.
pub(super) fn alternate(bench: &Bench, servers: [(u32, &str); 2], load: &Load<'_>) -> Result<[Figures; 2]> {
    let ids = servers.map(|(id, _)| id);
    let requests = if bench.quick { load.requests / 4 } else { load.requests };
    for (_, port) in servers {
        one(port, load, requests / 2)?;
    }
    rest_all(&ids)?;
    let before = used(ids)?;
    let mut rates = [Vec::new(), Vec::new()];
    let [of_first, of_second] = &mut rates;
    let [(_, first), (_, second)] = servers;
    for round in 0..bench.rounds {
        let mut turns = [(first, &mut *of_first), (second, &mut *of_second)];
        if round % 2 == 1 {
            turns.reverse();
        }
        for (port, rates) in turns {
            rest_all(&ids)?;
            rates.push(one(port, load, requests)?);
        }
    }
    rest_all(&ids)?;
    let after = used(ids)?;
    let all = f64::from(requests) * f64::from(bench.rounds);
    let [of_first, of_second] = rates;
    Ok([
        Figures::of(of_first, after[0] - before[0], all),
        Figures::of(of_second, after[1] - before[1], all),
    ])
}

fn used([first, second]: [u32; 2]) -> Result<[f64; 2]> {
    Ok([cpu_seconds(first)?, cpu_seconds(second)?])
}

/// Requests a second.
fn one(port: &str, load: &Load<'_>, requests: u32) -> Result<f64> {
    let [pipeline, requests, keys] = [load.pipeline, requests, load.keys].map(|number| number.to_string());
    let mut arguments = vec!["-p", port, "-c", "50", "-n", &requests, "-P", &pipeline, "--csv"];
    if load.keys > 0 {
        arguments.extend(["-r", &keys]);
    }
    arguments.extend(load.command);
    let printed = output(&mut program("redis-benchmark", Path::new("."), &arguments))?;
    requests_a_second(&printed).with_context(|| format!("redis-benchmark printed: {printed}"))
}

/// The second field of the last line, whose first is the command, with its spaces.
fn requests_a_second(csv: &str) -> Option<f64> {
    let last = csv.lines().rfind(|line| line.starts_with('"'))?;
    last.split("\",\"").nth(1)?.trim_matches('"').parse().ok()
}

/// The head of the cells of [`compared`].
pub(super) const COMPARED: [&str; 7] = [
    "Tally/s",
    "Redis/s",
    "ratio",
    "reach",
    "Tally CPU s/M",
    "Redis CPU s/M",
    "CPU ratio",
];

/// The cells that compare two servers, each operation of so many parts (keys of a command) counted as so many.
pub(super) fn compared(tally: &Figures, redis: &Figures, parts: f64, reach: f64) -> Vec<String> {
    let [tally_rate, redis_rate] = [tally, redis].map(|figures| median(&figures.a_second) * parts);
    let [tally_cpu, redis_cpu] = [tally, redis].map(|figures| figures.cpu_a_million / parts);
    vec![
        grouped(tally_rate),
        grouped(redis_rate),
        format!("**{:.2}**", tally_rate / redis_rate),
        format!("{reach}"),
        format!("{tally_cpu:.2}"),
        format!("{redis_cpu:.2}"),
        format!("{:.2}", tally_cpu / redis_cpu),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_stands_behind_the_command() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"INCR key:__rand_int__\",\"72150.07\",\"0.62\",\"0.1\"\n";
        assert_eq!(requests_a_second(csv), Some(72_150.07));
        assert_eq!(requests_a_second("nothing"), None);
    }
}
