//! `cargo xtask bench`: Tally beside Redis in one run on one machine, as markdown tables with ratios.
//!
//! Servers take turns, each figure is the median of several rounds, and a round ends when the server has come to rest,
//! so that no one's late work is measured as the other's.

mod cassandra;
mod crowd;
mod engine;
mod figures;
mod get;
mod half;
mod history;
mod hot;
mod incr;
mod ingest;
mod latency;
mod load;
mod madd;
mod million;
mod pace;
mod report;
mod scale;
mod strong;
mod syncs;
mod upsert;

use anyhow::{Context, Result, bail, ensure};

use crate::place::Place;
use crate::{artifacts, child, machine};
use report::Report;

/// What every row needs to know.
#[derive(Debug)]
pub(crate) struct Bench {
    place: Place,
    binary: std::path::PathBuf,
    rounds: u32,
    quick: bool,
}

/// The rows by name, each with the section it makes.
type Row = (&'static str, fn(&Bench) -> Result<String>);
const ROWS: [Row; 14] = [
    ("incr", incr::section),
    ("hot", hot::section),
    ("get", get::section),
    ("madd", madd::section),
    ("upsert", upsert::section),
    ("latency", latency::section),
    ("half", half::section),
    ("syncs", syncs::section),
    ("ingest", ingest::section),
    ("engine", engine::section),
    ("memory", million::memory),
    ("start", million::start),
    ("history", history::section),
    (CASSANDRA, cassandra::section),
];
/// Each figure is the median of so many rounds.
const ROUNDS: u32 = 5;
/// Only where it is asked for: three nodes take all cores and much memory.
const CASSANDRA: &str = "cassandra";

pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    child::end_all_on_interrupt()?;
    let (mut quick, mut write, mut names, mut scale) = (false, false, Vec::new(), None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => quick = true,
            "--write" => write = true,
            "--scale" => scale = Some(scale::size(arguments.next().map_or("", String::as_str))?),
            name => names.push(name),
        }
    }
    let rows = chosen(&names)?;
    let lacking = machine::obtain(&machine::RIVAL);
    ensure!(lacking.is_empty(), "lacking: {}", lacking.join(" "));
    let place = Place::find()?;
    let binary = artifacts::server(&place, "release")?;
    let bench = Bench {
        place,
        binary,
        rounds: ROUNDS,
        quick,
    };
    let mut report = Report::begin(&bench)?;
    if let Some(counters) = scale {
        report.add("scale", scale::section(&bench, counters)?);
        return finish(&bench, &report, write);
    }
    for (name, section) in rows {
        println!("\n=== {name}");
        let text = section(&bench).with_context(|| format!("the row {name}"))?;
        println!("\n{text}");
        report.add(name, text);
    }
    finish(&bench, &report, write)
}

fn finish(bench: &Bench, report: &Report, write: bool) -> Result<()> {
    println!("\n{report}");
    if write {
        report.write(&bench.place.path("docs/benchmarks.md"))
    } else {
        Ok(())
    }
}

fn chosen(names: &[&str]) -> Result<Vec<Row>> {
    if let Some(unknown) = names.iter().find(|name| ROWS.iter().all(|(known, _)| known != *name)) {
        let known: Vec<&str> = ROWS.iter().map(|(name, _)| *name).collect();
        bail!("there is no row {unknown}; there are {}", known.join(" "));
    }
    Ok(ROWS
        .into_iter()
        .filter(|(name, _)| names.contains(name) || (names.is_empty() && *name != CASSANDRA))
        .collect())
}
