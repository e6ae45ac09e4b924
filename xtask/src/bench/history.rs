//! What history takes on disk: a generated month, the same at every run, counted from a file.
//!
//! Two months are generated from a fixed seed. In the skewed one, 5,000 counters are used by Zipf's law (the first 500
//! times an hour on average, the n-th a n-th of that), by day more than by night; most have empty hours. In the even one, 1,000 counters are
//! used every hour. Each is counted twice: with its hours, and with everything in one hour. The difference is what the
//! hours take, whatever names, totals and the store itself take. And all of that twice: as a namespace is by default, with the minutes
//! of the last two days, and with hours and days only.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Bench;
use super::figures::{grouped, table};
use crate::process::{disk_bytes, disk_parts};
use crate::random::Random;
use crate::tally::{Setup, Tally};
use crate::{http, wait};

const SEED: u64 = 20_260_101;
const HOURS: u32 = 30 * 24;

const RULES: &str = "\
[[rule]]
match = { type = \"bench.use\" }
count = [\"use:{data.name}\"]
amount = \"data.amount\"
";

/// How the month is used.
#[derive(Clone, Copy, Debug)]
struct Month {
    name: &'static str,
    counters: u32,
    mean: fn(u32, u32) -> f64,
    at_least: u64,
}

const MONTHS: [Month; 2] = [
    Month {
        name: "skewed",
        counters: 5_000,
        mean: |counter, hour| 500.0 / f64::from(counter + 1) * daylight(hour),
        at_least: 0,
    },
    Month {
        name: "even",
        counters: 1_000,
        mean: |_, hour| 50.0 * daylight(hour),
        at_least: 1,
    },
];

/// What a namespace keeps.
#[derive(Clone, Copy, Debug)]
struct Kept {
    name: &'static str,
    policy: Option<&'static str>,
}

const KEPT: [Kept; 2] = [
    Kept {
        name: "minutes for 2 days, hours, days",
        policy: None,
    },
    Kept {
        name: "hours, days",
        policy: Some(r#"{"history":{"1m":"off","1h":"forever","1d":"forever"}}"#),
    },
];

/// From 0.2 at midnight to 1.8 at noon.
fn daylight(hour: u32) -> f64 {
    1.0 - 0.8 * (f64::from(hour % 24) / 24.0 * std::f64::consts::TAU).cos()
}

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let mut rows = Vec::new();
    for (month, kept) in MONTHS.into_iter().flat_map(|month| KEPT.map(|kept| (month, kept))) {
        let folder = bench.place.fresh("history")?;
        let spread = folder.path().join("spread.ndjson");
        let (used, hours) = generate(month, false, &spread)?;
        let at_once = folder.path().join("at-once.ndjson");
        generate(month, true, &at_once)?;
        let with_hours = counted(bench, &spread, &folder.path().join("spread"), kept)?;
        let without = counted(bench, &at_once, &folder.path().join("at-once"), kept)?;
        let beyond_the_first = f64::from(hours - used);
        let cells = vec![
            month.name.to_owned(),
            kept.name.to_owned(),
            grouped(f64::from(used)),
            grouped(f64::from(hours)),
            grouped(with_hours),
            grouped(without),
            format!("**{:.2}**", (with_hours - without) / beyond_the_first),
        ];
        println!("{}", cells.join("  "));
        rows.push(cells);
    }
    let head = [
        "month",
        "kept",
        "counters used",
        "non-empty counter-hours",
        "bytes",
        "bytes, all in one hour",
        "bytes a counter-hour",
    ];
    Ok(format!(
        "History on disk after a clean stop, a month of hours (seed {SEED}):\n\n{}",
        table(&head, &rows)
    ))
}

/// Counts a file into a fresh folder and gives what that takes after a clean stop.
fn counted(bench: &Bench, file: &Path, data: &Path, kept: Kept) -> Result<f64> {
    let rules = data.with_extension("rules.toml");
    std::fs::write(&rules, RULES)?;
    let tally = Tally::start(&Setup::new(&bench.binary, data))?;
    if let Some(policy) = kept.policy {
        http::put(&tally.http, "/v1/namespaces/use", policy)?.json()?;
    }
    crate::command::run(
        tally
            .cli(&["ingest", "--backfill"])
            .arg(file)
            .arg("--rules")
            .arg(&rules),
    )?;
    swept(&tally)?;
    tally.stop()?;
    println!("on disk: {}", disk_parts(data)?);
    disk_bytes(data)
}

/// Waits until the sweep removes nothing any more: what left the retention is gone then.
fn swept(tally: &Tally) -> Result<()> {
    const LIMIT: Duration = Duration::from_mins(5);
    /// Longer than walks rest.
    const STILL: Duration = Duration::from_secs(12);
    let rows = || -> Result<String> {
        let text = http::get(&tally.http, "/metrics")?.body;
        let rows = text
            .lines()
            .find_map(|line| line.strip_prefix("tally_swept_rows_total "));
        Ok(rows.context("no tally_swept_rows_total")?.to_owned())
    };
    wait::until("the sweep to end", LIMIT, || {
        let before = rows()?;
        std::thread::sleep(STILL);
        Ok((rows()? == before).then_some(()))
    })
}

/// Writes the month hour by hour, one event for each counter that is used in the hour; `at_once` puts the whole month
/// into its first hour, one event a counter. Gives the number of counters used and of non-empty counter-hours.
fn generate(month: Month, at_once: bool, file: &Path) -> Result<(u32, u32)> {
    let mut random = Random::seeded(SEED);
    let mut totals: Vec<u64> = (0..month.counters).map(|_| 0).collect();
    let mut writer = BufWriter::new(File::create(file)?);
    let mut counter_hours = 0;
    for hour in 0..HOURS {
        for (counter, total) in (0..month.counters).zip(&mut totals) {
            let amount = random.occurrences((month.mean)(counter, hour)).max(month.at_least);
            let minute = random.below(60);
            *total += amount;
            if amount > 0 {
                counter_hours += 1;
                if !at_once {
                    write_event(&mut writer, counter, hour, minute, amount)?;
                }
            }
        }
    }
    for (counter, total) in (0..month.counters)
        .zip(&totals)
        .filter(|(_, total)| at_once && **total > 0)
    {
        write_event(&mut writer, counter, 0, 0, *total)?;
    }
    writer.flush()?;
    let used = totals.iter().filter(|total| **total > 0).count();
    Ok((u32::try_from(used)?, counter_hours))
}

fn write_event(writer: &mut impl Write, counter: u32, hour: u32, minute: u64, amount: u64) -> Result<()> {
    let (day, of_day) = (hour / 24 + 1, hour % 24);
    writeln!(
        writer,
        "{{\"specversion\":\"1.0\",\"id\":\"{counter}-{hour}\",\"source\":\"/bench\",\"type\":\"bench.use\",\
         \"time\":\"2026-01-{day:02}T{of_day:02}:{minute:02}:00Z\",\"data\":{{\"name\":\"counter-{counter:06}\",\"amount\":{amount}}}}}"
    )?;
    Ok(())
}
