//! Events a second from a file: the sample, repeated.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Instant;

use anyhow::Result;

use super::Bench;
use super::figures::{grouped, median, table};
use crate::process::{cpu_seconds, rest};
use crate::tally::{Setup, Tally};

/// So often, which makes 299,970 events.
const REPEATS: u32 = 30;
const SAMPLE_EVENTS: u32 = 9_999;

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let folder = bench.place.fresh("ingest")?;
    let file = folder.path().join("events.ndjson");
    let sample = std::fs::read(bench.place.path("examples/web-requests.ndjson"))?;
    let mut writer = BufWriter::new(File::create(&file)?);
    for _ in 0..REPEATS {
        writer.write_all(&sample)?;
    }
    writer.into_inner()?.sync_all()?;
    let events = f64::from(REPEATS * SAMPLE_EVENTS);
    let (mut a_second, mut cpu) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let tally = Tally::start(&Setup::new(&bench.binary, &folder.path().join(format!("data-{round}"))))?;
        let began = Instant::now();
        tally.ingest(&file, &bench.place.path("examples/web-requests.rules.toml"))?;
        a_second.push(events / began.elapsed().as_secs_f64());
        rest(tally.id())?;
        cpu.push(cpu_seconds(tally.id())? / events * 1e6);
        tally.stop()?;
    }
    let row = vec![
        grouped(events),
        grouped(median(&a_second)),
        format!("{:.2}", median(&cpu)),
    ];
    let head = ["events", "events/s", "server CPU s/M events"];
    Ok(format!(
        "`tally ingest` of the sample, repeated {REPEATS} times:\n\n{}",
        table(&head, &[row])
    ))
}
