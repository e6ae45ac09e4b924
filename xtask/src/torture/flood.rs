//! `flood`: clients that mean ill, beside good ones. Everything they do is refused or bounded by a named setting; the memory stays
//! within what the settings allow, and the good clients go on.

mod attacks;
mod distinct;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::options::Options;
use super::score::Score;
use super::{Bench, keep_if_dirty};
use crate::process;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};
use distinct::Distinct;

const MIB: f64 = 1024.0 * 1024.0;
/// The hot table's memory.
const MEMORY_MIB: u32 = 256;
/// What requests and answers of all connections may hold.
const BUFFERS_MIB: u32 = 64;
/// What no setting counts: threads, code, and 3 KiB for each idle connection.
const BESIDES_MIB: u32 = 64;
/// Distinct keys of a short run; a long one goes on for its time.
const KEYS: u64 = 1_000_000;
const KEYS_A_REQUEST: u64 = 1_000;
const GOOD: usize = 4;
/// How long each attack is watched, at the most.
const WATCH: Duration = Duration::from_secs(4);
/// What opening the connections of an attack, and sending what it sends, may take for each second that it is watched.
const EFFORT: u32 = 3;
/// Below this a doubled 99th percentile says nothing.
const NOISE: Duration = Duration::from_millis(20);

/// Each attack once, together at most half of the time; distinct keys for the rest of it.
pub(super) fn run(bench: &Bench, options: Options) -> Result<Score> {
    allow_many_files()?;
    let mut score = Score::new("flood");
    let budget = options.begin(KEYS / KEYS_A_REQUEST);
    let folder = bench.place.fresh("torture-flood")?;
    let mut setup = Setup::new(&bench.binary, &folder.path().join("data"));
    let settings = [
        ("--memory", format!("{MEMORY_MIB}MiB")),
        ("--max-buffers", format!("{BUFFERS_MIB}MiB")),
        ("--max-connections", "11500".to_owned()),
        ("--request-timeout", "3s".to_owned()),
    ];
    for (name, value) in settings {
        setup.settings.extend([name.to_owned(), value]);
    }
    let tally = Tally::start(&setup)?;
    score.recovered(tally.ready_after);
    let flood = Flood {
        tally: &tally,
        good: AtomicU64::new(0),
        // Seven attacks and the quiet before them, each with its effort.
        watch: options
            .time
            .map_or(WATCH, |time| WATCH.min(time / (2 * 8 * (1 + EFFORT)))),
    };
    let quiet = flood.good_clients(|| {
        std::thread::sleep(flood.watch);
        Ok(())
    })?;
    score.note(format!("quiet: P99 {:.2} ms", ms(quiet)));
    let attacks: [(&str, Attack<'_>); 7] = [
        ("idle connections", Flood::idle),
        ("clients that never read", Flood::deaf),
        ("slow headers", Flood::slow_headers),
        ("endless lines", Flood::endless_lines),
        ("huge declared lengths", Flood::huge_lengths),
        ("halves of large requests", Flood::half_requests),
        ("keys of one slot", Flood::one_slot),
    ];
    for (name, attack) in attacks {
        flood.measure(name, quiet, &mut score, attack)?;
    }
    let mut distinct = Distinct::new(options.seed);
    let p99 = flood.good_clients(|| {
        let mut client = Client::connect(&tally.resp)?;
        while budget.allows(distinct.requests) && distinct.add(&mut client, budget)? {}
        Ok(())
    })?;
    score.cycles = distinct.requests;
    score.adds = distinct.requests * KEYS_A_REQUEST;
    flood.judge(
        &format!(
            "{} distinct keys, {} requests refused for now",
            score.adds, distinct.refused
        ),
        quiet,
        p99,
        &mut score,
    )?;
    distinct.check(&tally, &mut score)?;
    if options.time.is_none() {
        score.note("a short run: times are told and not judged".to_owned());
    }
    score.adds += flood.good.load(Ordering::SeqCst);
    flood.check(&mut score)?;
    tally.stop()?;
    keep_if_dirty(folder, &score);
    Ok(score)
}

type Attack<'a> = fn(&Flood<'a>) -> Result<()>;

struct Flood<'a> {
    tally: &'a Tally,
    /// Adds of the good clients.
    good: AtomicU64,
    /// How long each attack is watched.
    watch: Duration,
}

impl<'a> Flood<'a> {
    fn measure(&self, name: &str, quiet: Duration, score: &mut Score, attack: Attack<'a>) -> Result<()> {
        // One that is refused at once goes on, too: the good clients must meet it.
        let until = Instant::now() + self.watch;
        let again = || loop {
            attack(self)?;
            if Instant::now() >= until {
                return Ok(());
            }
        };
        let p99 = self.good_clients(again).with_context(|| name.to_owned())?;
        self.judge(name, quiet, p99, score)
    }

    fn judge(&self, name: &str, quiet: Duration, p99: Duration, score: &mut Score) -> Result<()> {
        let resident = process::peak_bytes(self.tally.id())? / MIB;
        let limit = f64::from(MEMORY_MIB + BUFFERS_MIB) * 1.1 + f64::from(BESIDES_MIB);
        let slow = if p99 > (quiet * 2).max(NOISE) { ", SLOW" } else { "" };
        score.note(format!(
            "{name}: P99 {:.2} ms ({:.1} times the quiet one{slow}), at most {resident:.0} MiB resident so far",
            ms(p99),
            p99.as_secs_f64() / quiet.as_secs_f64().max(1e-6)
        ));
        if resident > limit {
            score.wrong(format!(
                "{name}: {resident:.0} MiB resident, and all settings together allow {limit:.0} MiB with a tenth on top"
            ));
        }
        Ok(())
    }

    /// The 99th percentile of what good clients wait for an INCR while `beside` runs.
    fn good_clients(&self, beside: impl FnOnce() -> Result<()>) -> Result<Duration> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..GOOD).map(|_| scope.spawn(|| self.good_client(&over))).collect();
            let done = beside();
            over.store(true, Ordering::SeqCst);
            let mut times = Vec::new();
            for client in clients {
                let mut own = client.join().map_err(|_| anyhow!("a client panicked"))??;
                times.append(&mut own);
            }
            done?;
            times.sort_unstable();
            let p99 = times.get(times.len() * 99 / 100).copied();
            p99.context("the good clients did nothing")
        })
    }

    fn good_client(&self, over: &AtomicBool) -> Result<Vec<Duration>> {
        let mut client = Client::connect(&self.tally.resp)?;
        let mut times = Vec::new();
        while !over.load(Ordering::SeqCst) {
            let began = Instant::now();
            let answer = client.call(&["INCR", "flood:good"])?;
            ensure!(
                matches!(answer, Reply::Integer(_)),
                "a good client was answered {answer:?}"
            );
            times.push(began.elapsed());
            self.good.fetch_add(1, Ordering::Relaxed);
        }
        Ok(times)
    }

    /// What good clients added is there, whatever others did.
    fn check(&self, score: &mut Score) -> Result<()> {
        let answer = Client::connect(&self.tally.resp)?.call(&["GET", "flood:good"])?;
        let found = super::load::value(&answer).and_then(|value| u64::try_from(value).ok());
        let expected = self.good.load(Ordering::SeqCst);
        if found != Some(expected) {
            score.wrong(format!("flood:good is {found:?}, not {expected}"));
        }
        Ok(())
    }
}

fn allow_many_files() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    ensure!(
        most > 12_000,
        "only {most} files may be open here: flood needs 12,000 (ulimit -Hn)"
    );
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
