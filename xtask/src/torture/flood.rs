//! `flood`: clients that mean ill, beside good ones. Everything they do is refused or bounded by a named setting; the memory stays
//! within what the settings allow, and the good clients go on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::options::Options;
use super::score::Score;
use super::{Bench, keep_if_dirty};
use crate::process;
use crate::random::Random;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};

const MIB: f64 = 1024.0 * 1024.0;
/// The hot table's memory.
const MEMORY_MIB: u32 = 256;
/// What requests and answers of all connections may hold.
const BUFFERS_MIB: u32 = 64;
/// The store's cache, its memtables (16 MiB each, some waiting), threads, and what an idle connection costs.
const BESIDES_MIB: u32 = 64 + 160 + 100;
const IDLE: usize = 10_000;
const DEAF: usize = 1_000;
const SLOW: usize = 200;
/// Distinct keys of a short run; a long one goes on for its time.
const KEYS: u64 = 1_000_000;
const KEYS_A_REQUEST: u64 = 1_000;
const GOOD: usize = 4;
/// How long each attack is watched.
const WATCH: Duration = Duration::from_secs(4);
/// Below this a doubled 99th percentile says nothing.
const NOISE: Duration = Duration::from_millis(20);

/// Each attack once; distinct keys for the rest of the time.
pub(super) fn run(bench: &Bench, options: Options) -> Result<Score> {
    allow_many_files()?;
    let mut score = Score::new("flood");
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
    };
    let quiet = flood.good_clients(|| {
        std::thread::sleep(WATCH);
        Ok(())
    })?;
    score.note(format!("quiet: P99 {:.2} ms", ms(quiet)));
    let attacks: [(&str, Attack); 7] = [
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
    let long = options.time.is_some();
    let budget = options.begin(KEYS / KEYS_A_REQUEST);
    let mut random = Random::seeded(options.seed);
    let p99 = flood.good_clients(|| {
        let mut client = Client::connect(&tally.resp)?;
        while budget.allows(score.cycles) {
            score.adds += distinct_keys(&mut client, &mut random)?;
            score.cycles += 1;
        }
        Ok(())
    })?;
    flood.judge(&format!("{} distinct keys", score.adds), quiet, p99, &mut score)?;
    if !long {
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
}

impl<'a> Flood<'a> {
    fn measure(&self, name: &str, quiet: Duration, score: &mut Score, attack: Attack<'a>) -> Result<()> {
        let p99 = self.good_clients(|| attack(self)).with_context(|| name.to_owned())?;
        self.judge(name, quiet, p99, score)
    }

    fn judge(&self, name: &str, quiet: Duration, p99: Duration, score: &mut Score) -> Result<()> {
        let resident = process::resident_bytes(self.tally.id())? / MIB;
        let limit = f64::from(MEMORY_MIB) * 1.1 + f64::from(BUFFERS_MIB + BESIDES_MIB);
        let slow = if p99 > (quiet * 2).max(NOISE) { ", SLOW" } else { "" };
        score.note(format!(
            "{name}: P99 {:.2} ms ({:.1} times the quiet one{slow}), {resident:.0} MiB resident",
            ms(p99),
            p99.as_secs_f64() / quiet.as_secs_f64().max(1e-6)
        ));
        if resident > limit {
            score.wrong(format!(
                "{name}: {resident:.0} MiB resident, and all settings together allow {limit:.0} MiB"
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

    fn connect(&self, http: bool) -> Result<TcpStream> {
        let address = if http { &self.tally.http } else { &self.tally.resp };
        let stream = TcpStream::connect(address).context("a connection of an attack")?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_millis(50)))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(stream)
    }

    fn idle(&self) -> Result<()> {
        let idle = (0..IDLE).map(|number| self.connect(number % 2 == 1));
        let idle: Vec<TcpStream> = idle.collect::<Result<_>>()?;
        std::thread::sleep(WATCH);
        drop(idle);
        Ok(())
    }

    /// Each asks for far more than it ever reads.
    fn deaf(&self) -> Result<()> {
        let echo = format!("*2\r\n$4\r\nECHO\r\n$60000\r\n{}\r\n", "x".repeat(60_000));
        let docs = "*2\r\n$7\r\nCOMMAND\r\n$4\r\nDOCS\r\n".repeat(1_000);
        let mut deaf = Vec::with_capacity(DEAF);
        for number in 0..DEAF {
            let mut stream = self.connect(false)?;
            for _ in 0..8 {
                let what = if number % 2 == 0 { &echo } else { &docs };
                // What the server does not take is the point.
                if stream.write_all(what.as_bytes()).is_err() {
                    break;
                }
            }
            deaf.push(stream);
        }
        std::thread::sleep(WATCH);
        drop(deaf);
        Ok(())
    }

    /// A byte of a header now and then; the server gives up on each within its request_timeout.
    fn slow_headers(&self) -> Result<()> {
        let mut slow: Vec<TcpStream> = (0..SLOW).map(|_| self.connect(true)).collect::<Result<_>>()?;
        let began = Instant::now();
        let mut byte = 0;
        while !slow.is_empty() {
            ensure!(
                began.elapsed() < Duration::from_secs(20),
                "{} connections with endless headers are still open",
                slow.len()
            );
            let line = b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ";
            let next = [line.get(byte).copied().unwrap_or(b'a')];
            byte += 1;
            slow.retain_mut(|stream| stream.write_all(&next).is_ok());
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Lines that never end are refused soon.
    fn endless_lines(&self) -> Result<()> {
        for http in [false, true] {
            let mut stream = self.connect(http)?;
            let begin: &[u8] = if http { b"GET / HTTP/1.1\r\nx-long: " } else { b"SET a " };
            stream.write_all(begin)?;
            let mut sent: usize = 0;
            while stream.write_all(&[b'a'; 4096]).is_ok() {
                sent += 4096;
                ensure!(sent < 64 << 20, "{} MiB of one line were taken", sent >> 20);
            }
        }
        Ok(())
    }

    /// What declares more than is allowed is refused before it is sent.
    fn huge_lengths(&self) -> Result<()> {
        let huge: [(bool, &str); 6] = [
            (false, "*1000000000\r\n"),
            (false, "*2\r\n$3\r\nGET\r\n$999999999\r\n"),
            (false, "*2\r\n$3\r\nGET\r\n$9999999999999999999999\r\n"),
            (false, "*-5\r\n$-9\r\n*99999999999999999999999\r\n"),
            (
                true,
                "POST /v1/add HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000000000\r\n\r\n",
            ),
            (
                true,
                "POST /v1/add HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999999\r\n\r\n",
            ),
        ];
        for (http, declared) in huge {
            let mut stream = self.connect(http)?;
            stream.write_all(declared.as_bytes())?;
            let mut answer = [0; 256];
            let read = stream
                .read(&mut answer)
                .with_context(|| format!("{declared:?} was not refused"))?;
            let answer = String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned();
            let refused = read == 0 || answer.starts_with("-ERR") || answer.starts_with("HTTP/1.1 4");
            ensure!(refused, "{declared:?} was answered {answer:?}");
        }
        Ok(())
    }

    /// Requests that are allowed, large, and never whole.
    fn half_requests(&self) -> Result<()> {
        let bulk = "x".repeat(700_000);
        let mut halves = Vec::new();
        for number in 0..DEAF {
            let http = number % 2 == 1;
            let mut stream = self.connect(http)?;
            let begin = if http {
                format!(
                    "POST /v1/add HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n\r\n{bulk}"
                )
            } else {
                format!("*3\r\n$3\r\nSET\r\n$1000000\r\n{bulk}")
            };
            stream.write_all(begin.as_bytes()).ok();
            halves.push(stream);
        }
        std::thread::sleep(WATCH);
        drop(halves);
        Ok(())
    }

    /// Many keys that share a hash tag, and so a slot.
    fn one_slot(&self) -> Result<()> {
        let mut client = Client::connect(&self.tally.resp)?;
        for request in 0..100 {
            let mut command = vec!["TALLY.MADD".to_owned()];
            for key in 0..KEYS_A_REQUEST {
                command.extend([format!("flood:{{tag}}:{request}:{key}"), "1".to_owned()]);
            }
            call(&mut client, &command)?;
        }
        Ok(())
    }
}

/// Adds to keys that nobody has used; answers how many.
fn distinct_keys(client: &mut Client, random: &mut Random) -> Result<u64> {
    let mut command = vec!["TALLY.MADD".to_owned()];
    for _ in 0..KEYS_A_REQUEST {
        command.extend([format!("flood:{:016x}", random.next()), "1".to_owned()]);
    }
    call(client, &command)?;
    Ok(KEYS_A_REQUEST)
}

/// Until it is taken: what is refused for now was not applied.
fn call(client: &mut Client, command: &[String]) -> Result<()> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    loop {
        client.send(&words)?;
        client.flush()?;
        match client.reply()? {
            Reply::Integer(_) => return Ok(()),
            Reply::Error(text) if text.starts_with("TRYAGAIN") => {}
            other => bail!("TALLY.MADD was answered {other:?}"),
        }
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
