//! Events a second from a file by the sample's rules, beside `jq` counting one field of the same file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::Bench;
use super::figures::{grouped, median, table};
use crate::process::{cpu_seconds, rest};
use crate::tally::{Setup, Tally};
use crate::{command, machine};

/// So often, which makes 999,900 events; a quarter of it in a quick run.
const REPEATS: u32 = 100;
const SAMPLE_EVENTS: u32 = 9_999;
const COUNT: &str = "reduce inputs as $event ({}; .[$event.data.status | tostring] += 1)";

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let lacking = machine::obtain(&machine::JQ);
    ensure!(lacking.is_empty(), "lacking: {}", lacking.join(" "));
    let folder = bench.place.fresh("ingest")?;
    let file = folder.path().join("events.ndjson");
    let sample = std::fs::read(bench.place.path("examples/web-requests.ndjson"))?;
    let repeats = if bench.quick { REPEATS / 4 } else { REPEATS };
    let mut writer = BufWriter::new(File::create(&file)?);
    for _ in 0..repeats {
        writer.write_all(&sample)?;
    }
    writer.into_inner()?.sync_all()?;
    let events = f64::from(repeats * SAMPLE_EVENTS);
    let (mut of_tally, mut cpu, mut of_jq) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let data = folder.path().join(format!("data-{round}"));
        let (seconds, used) = counted(bench, &data, &file)?;
        of_tally.push(events / seconds);
        cpu.push(used / events * 1e6);
        of_jq.push(events / by_jq(&file)?);
    }
    let (of_tally, of_jq) = (median(&of_tally), median(&of_jq));
    let row = vec![
        grouped(events),
        grouped(of_tally),
        grouped(of_jq),
        format!("**{:.2}**", of_tally / of_jq),
        format!("{:.2}", median(&cpu)),
    ];
    println!("{}", row.join("  "));
    let head = [
        "events",
        "Tally, events/s",
        "jq, events/s",
        "ratio",
        "server CPU s/M events",
    ];
    Ok(format!(
        "`tally ingest` of the sample, repeated {repeats} times, by its rules, until all is durable, beside `jq -n '{COUNT}'` (counting one field). \
         Reach: 300,000 events/s, and 3 times:\n\n{}",
        table(&head, &[row])
    ))
}

/// Seconds that it took, and of processor time of the server, what it did afterwards included.
fn counted(bench: &Bench, data: &Path, file: &Path) -> Result<(f64, f64)> {
    let tally = Tally::start(&Setup::new(&bench.binary, data))?;
    rest(tally.id())?;
    let before = cpu_seconds(tally.id())?;
    let began = Instant::now();
    tally.ingest(file, &bench.place.path("examples/web-requests.rules.toml"))?;
    let took = began.elapsed().as_secs_f64();
    rest(tally.id())?;
    let used = cpu_seconds(tally.id())? - before;
    tally.stop()?;
    Ok((took, used))
}

fn by_jq(file: &Path) -> Result<f64> {
    let folder = file.parent().unwrap_or(file);
    let began = Instant::now();
    command::output(command::program("jq", folder, &["-n", COUNT]).arg(file))?;
    Ok(began.elapsed().as_secs_f64())
}
