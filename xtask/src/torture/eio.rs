//! `eio`: the disk answers one write or sync with an error, each of them in turn. From then on nothing is acknowledged, the
//! process ends within a second and says what to do, and the next start has everything that was acknowledged.
//!
//! The errors come from strace, which answers the n-th call of each thread itself. The time is taken from its own notes.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use super::accounts::Level;
use super::load::value;
use super::options::Options;
use super::score::Score;
use super::{Bench, keep_if_dirty, rules, small};
use crate::command::which;
use crate::random::Random;
use crate::resp::{Client, Reply};
use crate::tally::Tally;

/// Calls where nothing else is asked for.
const CYCLES: u64 = 60;
/// The calls that bring something to the disk. `write` is the store's own log and tables; sockets are not written so.
const CALLS: [&str; 6] = ["pwrite64", "fdatasync", "fsync", "fallocate", "write", "rename"];
const EXIT_WITHIN: Duration = Duration::from_secs(1);
/// A call that did not come up in this time will not.
const PATIENCE: Duration = Duration::from_secs(3);
/// How far beyond the ones in turn others are tried.
const FURTHER: u64 = 40;
const KEY: &str = "eio:counter";

/// Fails one call after another.
pub(super) fn run(bench: &Bench, options: Options) -> Result<Score> {
    if which("strace").is_none() {
        bail!("lacking: strace");
    }
    let mut score = Score::new("eio");
    let folder = bench.place.fresh("torture-eio")?;
    let rules = rules(folder.path())?;
    let budget = options.begin(CYCLES);
    let mut random = Random::seeded(options.seed);
    let (mut hit, mut slowest) = (0, Duration::ZERO);
    let mut in_turn = [1; CALLS.len()];
    while budget.allows(score.cycles) && score.is_clean() {
        let at = usize::try_from(score.cycles)? % CALLS.len();
        let (Some(call), Some(next)) = (CALLS.get(at).copied(), in_turn.get_mut(at)) else {
            bail!("a bug of xtask");
        };
        // One after the other, which meets the start first; every third one further on, in rounds and commits.
        let further = (score.cycles / 6) % 3 == 2;
        let number = if further {
            *next + 1 + random.below(FURTHER)
        } else {
            *next
        };
        let trial = Trial {
            call,
            number,
            folder: folder.path(),
            rules: &rules,
        };
        let ended = trial.run(bench, &mut score)?;
        if let Some(took) = ended {
            hit += 1;
            slowest = slowest.max(took);
        }
        if !further {
            // From the first one again where that was the last.
            *next = if ended.is_some() { *next + 1 } else { 1 };
        }
        score.cycles += 1;
    }
    score.note(format!(
        "{hit} of {} errors were met, in turn up to {}; the slowest end came {} ms after its error",
        score.cycles,
        CALLS
            .iter()
            .zip(in_turn)
            .map(|(call, next)| format!("{call} {}", next - 1))
            .collect::<Vec<_>>()
            .join(", "),
        slowest.as_millis()
    ));
    keep_if_dirty(folder, &score);
    Ok(score)
}

/// One call that fails.
struct Trial<'a> {
    call: &'static str,
    number: u64,
    folder: &'a Path,
    rules: &'a Path,
}

impl Trial<'_> {
    /// How long after the error the process ended; none if the call did not come up.
    fn run(&self, bench: &Bench, score: &mut Score) -> Result<Option<Duration>> {
        let data = self.folder.join(format!("data-{}", score.cycles));
        let notes = self.folder.join("strace.log");
        let mut setup = small(&bench.binary, &data, Level::Disk, self.rules);
        let healthy = setup.clone();
        let words = [
            "strace",
            "-D",
            "-f",
            "-qq",
            "-ttt",
            "-o",
            notes.to_str().context("a path that is UTF-8")?,
            "-e",
            &format!("trace={}", self.call),
            "-e",
            &format!("inject={}:error=EIO:when={}", self.call, self.number),
        ];
        setup.under = words.map(str::to_owned).to_vec();
        if self.call == "write" {
            // Only the store's log: sockets and wakers are written so, too.
            setup.under.push("-P".to_owned());
            setup.under.push(data.join("store/rows/0.jnl").display().to_string());
        }
        let what = format!("EIO at {} number {}", self.call, self.number);
        let mut acknowledged = 0;
        let mut sent = 0;
        // A start that fails is right where its own call was hit.
        if let Ok(tally) = Tally::start(&setup) {
            let last = add_until_refused(&tally, &mut sent, &mut acknowledged)?;
            let Some(error) = injected(&notes)? else {
                tally.kill()?;
                return settle(&healthy, &data, sent, acknowledged, &what, score).map(|()| None);
            };
            let (status, said) = match tally.ended(Duration::from_secs(5)) {
                Ok(ended) => ended,
                Err(error) => {
                    score.wrong(format!("{what}: it goes on for 5 s: {error:#}"));
                    return Ok(None);
                }
            };
            let ended = SystemTime::now().duration_since(UNIX_EPOCH)?;
            let took = ended.saturating_sub(error);
            if took > EXIT_WITHIN {
                score.wrong(format!("{what}: it ended after {} ms", took.as_millis()));
            }
            if last > error + Duration::from_millis(50) && self.call != "write" {
                score.wrong(format!(
                    "{what}: an add was acknowledged {} ms after it",
                    last.saturating_sub(error).as_millis()
                ));
            }
            if status.success() || !said.contains("start again") {
                score.wrong(format!("{what}: it ended with {status} and said:\n{said}"));
            }
            settle(&healthy, &data, sent, acknowledged, &what, score)?;
            return Ok(Some(took));
        }
        ensure!(
            injected(&notes)?.is_some(),
            "{what}: it did not start, and not because of that"
        );
        settle(&healthy, &data, sent, acknowledged, &what, score)?;
        Ok(Some(Duration::ZERO))
    }
}

/// The next start, on a disk that works, has what was acknowledged.
fn settle(
    healthy: &crate::tally::Setup,
    data: &Path,
    sent: u64,
    acknowledged: u64,
    what: &str,
    score: &mut Score,
) -> Result<()> {
    score.adds += sent;
    let tally = Tally::start(healthy).with_context(|| format!("the start after {what}"))?;
    score.recovered(tally.ready_after);
    let answer = Client::connect(&tally.resp)?.call(&["GET", KEY])?;
    let found = value(&answer).and_then(|value| u64::try_from(value).ok());
    let found = found.with_context(|| format!("GET answered {answer:?}"))?;
    if found < acknowledged {
        score.lost(
            acknowledged - found,
            format!("{what}: {found} of {acknowledged} are there"),
        );
    } else if found > sent {
        score.doubled(found - sent, format!("{what}: {found} are there, {sent} were sent"));
    }
    tally.stop()?;
    std::fs::remove_dir_all(data)?;
    Ok(())
}

/// Adds one by one until that fails or long enough did not; answers when the last one was acknowledged.
fn add_until_refused(tally: &Tally, sent: &mut u64, acknowledged: &mut u64) -> Result<Duration> {
    let began = Instant::now();
    let mut last = Duration::ZERO;
    let Ok(mut client) = Client::connect(&tally.resp) else {
        return Ok(last);
    };
    while began.elapsed() < PATIENCE {
        *sent += 1;
        match client
            .send(&["INCR", KEY])
            .and_then(|()| client.flush())
            .and_then(|()| client.reply())
        {
            Ok(Reply::Integer(_)) => {
                last = SystemTime::now().duration_since(UNIX_EPOCH)?;
                *acknowledged += 1;
            }
            _ => break,
        }
    }
    Ok(last)
}

/// When strace answered a call with the error; none if it did not.
fn injected(notes: &Path) -> Result<Option<Duration>> {
    let notes = std::fs::read(notes).unwrap_or_default();
    let notes = String::from_utf8_lossy(&notes);
    let Some(line) = notes.lines().find(|line| line.contains("(INJECTED)")) else {
        return Ok(None);
    };
    // `PID SECONDS.FRACTION call(…) = -1 EIO …`
    let time: f64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|time| time.parse().ok())
        .with_context(|| format!("no time in {line}"))?;
    Ok(Some(Duration::from_secs_f64(time)))
}
