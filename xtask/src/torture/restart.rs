//! `restart`: kill -9 with a large journal that no round has brought to the store, and how long the next start takes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::load::value;
use super::options::Options;
use super::score::Score;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};

/// What the journal holds before the kill, in MiB, where `--cycles` names no other.
const JOURNAL_MIB: u64 = 1_024;
const LIMIT: Duration = Duration::from_secs(5);
/// Counters, and how many of them one request adds to.
const KEYS: u64 = 100_000;
const KEYS_A_REQUEST: u64 = 500;

/// Fills a journal, kills, starts again.
pub(super) fn run(bench: &Bench, options: Options) -> Result<Score> {
    let mut score = Score::new("restart");
    let folder = bench.place.fresh("torture-restart")?;
    let target = options.cycles.unwrap_or(JOURNAL_MIB) << 20;
    let mut setup = Setup::new(&bench.binary, &folder.path().join("data")).ack("memory");
    for (name, value) in [
        ("--journal-limit", "8GiB"),
        ("--round-interval", "1h"),
        ("--memory", "2GiB"),
    ] {
        setup.settings.extend([name.to_owned(), value.to_owned()]);
    }
    let tally = Tally::start(&setup)?;
    let mut client = Client::connect(&tally.resp)?;
    let mut requests = 0;
    while journal_bytes(&setup.data)? < target {
        for _ in 0..200 {
            let mut command = vec!["TALLY.MADD".to_owned()];
            for key in 0..KEYS_A_REQUEST {
                let key = (requests * KEYS_A_REQUEST + key) % KEYS;
                command.extend([format!("page:article-{key:08}"), "1".to_owned()]);
            }
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            client.send(&words)?;
            requests += 1;
        }
        client.flush()?;
        for _ in 0..200 {
            let answer = client.expect()?;
            ensure!(matches!(answer, Reply::Integer(_)), "MADD answered {answer:?}");
        }
    }
    let bytes = journal_bytes(&setup.data)?;
    // Synced, so that all of it must be there.
    client.call(&["TALLY.ADD", "restart:last", "1", "ACK", "disk"])?;
    tally.kill()?;
    let tally = Tally::start(&setup)?;
    score.recovered(tally.ready_after);
    score.cycles = 1;
    score.adds = requests * KEYS_A_REQUEST;
    let mut client = Client::connect(&tally.resp)?;
    for key in [0, 1, KEYS / 2, KEYS - 1] {
        let first = key / KEYS_A_REQUEST;
        let expected = requests.saturating_sub(first).div_ceil(KEYS / KEYS_A_REQUEST);
        let answer = client.call(&["GET", &format!("page:article-{key:08}")])?;
        let found = value(&answer)
            .and_then(|value| u64::try_from(value).ok())
            .context("a value")?;
        if found != expected {
            score.wrong(format!("page:article-{key:08} is {found}, not {expected}"));
        }
    }
    tally.kill()?;
    score.note(format!(
        "a journal of {} MiB, {} adds: ready after {:.2} s",
        bytes >> 20,
        score.adds,
        score.slowest_recovery.as_secs_f64()
    ));
    if score.slowest_recovery > LIMIT && target >= JOURNAL_MIB << 20 {
        score.note(format!("MISSED: the start took longer than {} s", LIMIT.as_secs()));
    }
    Ok(score)
}

/// What its files take, but for the spare. Not by the server's status: that would bring the journal to the store first.
fn journal_bytes(data: &Path) -> Result<u64> {
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("journal-") {
            sizes.push(entry.metadata()?.len());
        }
    }
    let spare = sizes.iter().copied().max().unwrap_or(0);
    Ok(sizes.iter().sum::<u64>() - spare)
}
