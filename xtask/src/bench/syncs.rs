//! The latency of one add at ack `disk` at 100,000 adds a second, beside the disk's own sync in the same run.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use super::Bench;
use super::figures::{grouped, median, percentile, table};
use super::pace::{self, Pace};
use crate::process::rest;
use crate::tally::{Setup, Tally};

const SAMPLES: u32 = 4_000;
const SYNCS: u64 = 2_000;
const BLOCK: usize = 4_096;
const LOADS: [f64; 2] = [0.0, 100_000.0];
const CONNECTIONS: usize = 16;
const PIPELINE: usize = 10;

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let folder = bench.place.fresh("syncs")?;
    let tally = Tally::start(&Setup::new(&bench.binary, &folder.path().join("tally")).ack("disk"))?;
    let mut rows = Vec::new();
    for adds_a_second in LOADS {
        let pace = Pace {
            adds_a_second,
            connections: CONNECTIONS,
            pipeline: PIPELINE,
        };
        let mut figures = [Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for round in 0..bench.rounds {
            rest(tally.id())?;
            let of_disk = syncs(&folder.path().join("file"))?;
            let (of_add, reached) = pace::beside(&tally.resp, pace, SAMPLES, u64::from(round))?;
            let of_round = [
                percentile(&of_disk, 50),
                percentile(&of_disk, 99),
                percentile(&of_add, 50),
                percentile(&of_add, 99),
                reached,
            ];
            for (all, figure) in figures.iter_mut().zip(of_round) {
                all.push(figure);
            }
        }
        let [disk_p50, disk_p99, p50, p99, reached] = figures.map(|all| median(&all));
        let row = vec![
            grouped(reached),
            format!("{disk_p50:.0}"),
            format!("{disk_p99:.0}"),
            format!("{p50:.0}"),
            format!("**{:.2}**", p50 / disk_p50),
            format!("{p99:.0}"),
            format!("**{:.2}**", p99 / disk_p50),
            format!("{:.2}", p99 / disk_p99),
        ];
        println!("{}", row.join("  "));
        rows.push(row);
    }
    tally.stop()?;
    let head = [
        "adds/s beside it",
        "sync P50",
        "sync P99",
        "add P50",
        "in syncs (P50)",
        "add P99",
        "in syncs (P50)",
        "in syncs (P99)",
    ];
    Ok(format!(
        "Microseconds of one add (INCR) each half millisecond, ack `disk`, {SAMPLES} a round, beside a load of {CONNECTIONS} other connections that \
         send {PIPELINE} adds at a time; a sync is `fdatasync` after a write of {BLOCK} bytes in a file that is all there, {SYNCS} before each round, \
         nothing else running. Reach: P50 2 syncs, P99 4 syncs:\n\n{}",
        table(&head, &rows)
    ))
}

/// Microseconds of each write with its sync.
fn syncs(path: &Path) -> Result<Vec<f64>> {
    let file = File::create(path)?;
    let block = vec![1; BLOCK];
    for place in 0..SYNCS {
        file.write_all_at(&block, place * BLOCK as u64)?;
    }
    file.sync_all()?;
    let one = |place: u64| -> Result<f64> {
        let began = Instant::now();
        file.write_all_at(&block, place * BLOCK as u64)?;
        file.sync_data()?;
        Ok(began.elapsed().as_secs_f64() * 1e6)
    };
    (0..SYNCS).map(one).collect()
}
