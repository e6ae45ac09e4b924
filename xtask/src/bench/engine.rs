//! The engine alone beside a sharded hash map of the same names, in one process, taking turns: what the engine's example
//! `throughput` prints.

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::figures::{grouped, median, table};
use crate::command;

const COUNTERS: u32 = 10_000_000;
/// Adds of a round.
const ADDS: u32 = 20_000_000;
const MEMORY_MIB: u32 = 4_096;

pub(crate) fn section(bench: &Bench) -> Result<String> {
    const BUILD: [&str; 6] = [
        "build",
        "--release",
        "--package",
        "tally-engine",
        "--example",
        "throughput",
    ];
    command::run(&mut command::cargo(bench.place.root(), &BUILD))?;
    let folder = bench.place.fresh("engine")?;
    let example = bench
        .place
        .binary("release")
        .with_file_name("examples")
        .join("throughput");
    let (counters, adds) = if bench.quick {
        (COUNTERS / 10, ADDS / 4)
    } else {
        (COUNTERS, ADDS)
    };
    let numbers = [counters, adds, bench.rounds, MEMORY_MIB].map(|number| number.to_string());
    let mut run = command::program(&example, bench.place.root(), &[]);
    let printed = command::output(run.arg(folder.path().join("data")).args(&numbers))?;
    let rounds: Vec<Round> = printed.lines().filter_map(Round::parse).collect();
    ensure!(!rounds.is_empty(), "the example printed: {printed}");
    let middle = |of: fn(&Round) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    let (engine, map) = (middle(|round| round.engine), middle(|round| round.map));
    let row = vec![
        grouped(f64::from(counters)),
        grouped(engine),
        grouped(map),
        format!("**{:.2}**", engine / map),
        format!("{:.3}", middle(|round| round.engine_own)),
        format!("{:.3}", middle(|round| round.map_own)),
        format!("{:.3}", middle(|round| round.engine_cpu)),
    ];
    println!("{}", row.join("  "));
    let head = [
        "counters",
        "engine, adds/s",
        "map, adds/s",
        "ratio",
        "engine's turns, CPU s/M",
        "map, CPU s/M",
        "engine with its rounds, CPU s/M",
    ];
    Ok(format!(
        "The engine alone, two threads, batches of 1,000 adds by Zipf's law (0.99), ack `disk`, minutes, hours and days kept, beside \
         64 shards of `hashbrown` with the same names and no journal.:\n\n{}",
        table(&head, &[row])
    ))
}

/// What one round measured.
#[derive(Clone, Copy, Debug)]
struct Round {
    engine: f64,
    map: f64,
    engine_own: f64,
    map_own: f64,
    engine_cpu: f64,
}

impl Round {
    /// `engine A map B engine-cpu C …`.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1).context("a number").ok()?.parse().ok()
        };
        Some(Self {
            engine: number("engine")?,
            map: number("map")?,
            engine_own: number("engine-own")?,
            map_own: number("map-own")?,
            engine_cpu: number("engine-cpu")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_example() {
        let round =
            Round::parse("engine 8000000 map 9000000.5 engine-cpu 0.2 map-cpu 0.1 engine-own 0.1 map-own 0.1").unwrap();
        assert!((round.map - 9_000_000.5).abs() < f64::EPSILON);
        assert!(Round::parse("filled: 5 bytes in the hot table").is_none());
    }
}
