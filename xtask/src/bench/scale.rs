//! Many counters in a small machine: `cargo xtask bench --scale 1m|10m|100m`. Loaded through the front door under a memory budget of
//! 1 GiB, then added to uniformly and by Zipf's law, read cold, listed, stopped, killed and started again. The namespace keeps no
//! history, as a budget of 64 bytes on disk a counter has room for a name and a cell; the row `memory` has windows.

use std::io::{BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Bench;
use super::figures::{grouped, median, percentile, table};
use super::million;
use crate::http;
use crate::process::{disk_bytes, disk_parts, resident_bytes, rest};
use crate::random::{Random, Zipf};
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};

/// Keys of a command.
const KEYS: usize = 1_000;
/// Commands that are sent before the oldest one's answer is read.
const AHEAD: usize = 8;
const MEMORY: &str = "1GiB";
const BUDGET_BYTES: f64 = 1_073_741_824.0;
const COLD_READS: usize = 10_000;
const SEED: u64 = 5;

/// Runs it with so many counters, the adds of each kind for so many seconds.
pub(crate) fn section(bench: &Bench, counters: u32) -> Result<String> {
    let seconds = if bench.quick { 20 } else { 60 };
    let folder = bench.place.fresh("scale")?;
    let mut setup = Setup::new(&bench.binary, &folder.path().join("tally"));
    setup.settings.extend(["--memory".to_owned(), MEMORY.to_owned()]);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut say = |what: &str, figure: String, wanted: &str| {
        println!("{what}: {figure}");
        rows.push(vec![what.to_owned(), figure, wanted.to_owned()]);
    };
    let tally = Tally::start(&setup)?;
    without_history(&tally)?;

    let loaded = load(&tally, counters)?;
    say(
        "load, adds/s (slowest second / median)",
        loaded.shown(),
        "no second below half of the median",
    );
    rest(tally.id())?;
    let on_disk = disk_bytes(&setup.data)? / f64::from(counters);
    println!("on disk: {}", disk_parts(&setup.data)?);
    say("on disk, bytes a counter, everything", format!("{on_disk:.1}"), "64");

    let uniform = add(&tally, seconds, |random| random.below(counters.into()))?;
    say("uniform adds/s (slowest second / median)", uniform.shown(), "200,000");
    let zipf = Zipf::new(counters.into());
    let skewed = add(&tally, seconds, |random| zipf.rank(random))?;
    say("Zipf adds/s (slowest second / median)", skewed.shown(), "1,000,000");
    let peak = [loaded.peak_bytes, uniform.peak_bytes, skewed.peak_bytes]
        .into_iter()
        .fold(0.0, f64::max);
    say(
        "most resident memory, share of the budget",
        format!("{:.2}", peak / BUDGET_BYTES),
        "1.10",
    );
    rest(tally.id())?;

    let reads = cold_reads(&tally, counters)?;
    say(
        "reads of any counter, P50 / P99 ms",
        format!("{:.2} / {:.2}", reads[0], reads[1]),
        "P99 10",
    );
    say(
        "listing 1,000 of a prefix, ms",
        format!("{:.1}", listing(&tally, counters)?),
        "10",
    );
    tally.stop()?;

    let tally = Tally::start(&setup)?;
    say(
        "ready after a clean stop, s",
        format!("{:.2}", tally.ready_after.as_secs_f64()),
        "5",
    );
    add(&tally, 10, |random| random.below(counters.into()))?;
    tally.kill()?;
    let tally = Tally::start(&setup)?;
    say(
        "ready after kill -9 under load, s",
        format!("{:.2}", tally.ready_after.as_secs_f64()),
        "5",
    );
    tally.stop()?;
    Ok(format!(
        "{} counters with names of 24 bytes, memory budget {MEMORY}, `TALLY.MADD` of {KEYS} keys, ack `disk`, client on the same cores:\n\n{}",
        grouped(f64::from(counters)),
        table(&["", "measured", "wanted"], &rows)
    ))
}

fn without_history(tally: &Tally) -> Result<()> {
    let policy = r#"{"history":{"1m":"off","1h":"off","1d":"off"}}"#;
    let answer = http::put(&tally.http, "/v1/namespaces/counter", policy)?;
    ensure!(answer.status == 200, "the policy was refused: {}", answer.body);
    Ok(())
}

/// What a stretch of adds came to.
#[derive(Debug)]
struct Stretch {
    /// Adds of each whole second.
    seconds: Vec<f64>,
    adds: f64,
    took: Duration,
    peak_bytes: f64,
}

impl Stretch {
    fn shown(&self) -> String {
        let middle = median(&self.seconds);
        let slowest = self.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let share = if middle > 0.0 { slowest / middle } else { 0.0 };
        format!("{} ({share:.2})", grouped(self.adds / self.took.as_secs_f64()))
    }
}

fn load(tally: &Tally, counters: u32) -> Result<Stretch> {
    // In an order that is not the store's: a product by a number that shares no factor with a power of ten.
    let mut numbers = (0..u64::from(counters)).map(|number| number * 1_000_003 % u64::from(counters));
    stretch(
        tally,
        &mut |keys| keys.extend(numbers.by_ref().take(KEYS)),
        Duration::MAX,
    )
}

fn add(tally: &Tally, seconds: u64, number: impl Fn(&mut Random) -> u64) -> Result<Stretch> {
    let mut random = Random::seeded(SEED);
    stretch(
        tally,
        &mut |keys| keys.extend((0..KEYS).map(|_| number(&mut random))),
        Duration::from_secs(seconds),
    )
}

/// Sends batches until there are none or the time is over, and waits for all answers.
fn stretch(tally: &Tally, next: &mut dyn FnMut(&mut Vec<u64>), limit: Duration) -> Result<Stretch> {
    let mut connection = Connection::open(&tally.resp)?;
    let began = Instant::now();
    let (mut keys, mut sent, mut answered) = (Vec::with_capacity(KEYS), Vec::new(), 0_usize);
    let mut of_second: Vec<f64> = Vec::new();
    let mut peak_bytes = 0.0_f64;
    loop {
        keys.clear();
        if began.elapsed() < limit {
            next(&mut keys);
        }
        if !keys.is_empty() {
            connection.send(&keys)?;
            sent.push(keys.len());
        }
        if sent.len() - answered > if keys.is_empty() { 0 } else { AHEAD } {
            let count = connection.answer()?;
            let expected = sent.get(answered).copied().unwrap_or_default();
            ensure!(count == expected, "{count} adds of {expected} were made");
            answered += 1;
            let second = usize::try_from(began.elapsed().as_secs())?;
            if of_second.len() <= second {
                of_second.resize(second + 1, 0.0);
                peak_bytes = peak_bytes.max(resident_bytes(tally.id())?);
            }
            if let Some(of_second) = of_second.last_mut() {
                *of_second += count as f64;
            }
        } else if keys.is_empty() {
            break;
        }
    }
    let adds = of_second.iter().sum();
    // The last one is not a whole second.
    of_second.pop();
    Ok(Stretch {
        seconds: of_second,
        adds,
        took: began.elapsed(),
        peak_bytes: peak_bytes.max(resident_bytes(tally.id())?),
    })
}

/// Sends `TALLY.MADD` as bytes, since building words would take more of the cores than the server does.
struct Connection {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
}

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            reader: BufReader::new(stream.try_clone()?),
            writer: BufWriter::with_capacity(1 << 20, stream),
        })
    }

    fn send(&mut self, keys: &[u64]) -> Result<()> {
        write!(self.writer, "*{}\r\n$10\r\nTALLY.MADD\r\n", keys.len() * 2 + 1)?;
        for key in keys {
            let mut pair = *b"$24\r\ncounter:0000000000000000\r\n$1\r\n1\r\n";
            let mut rest = *key;
            for digit in pair.iter_mut().take(29).rev().take(16) {
                *digit = b'0' + u8::try_from(rest % 10)?;
                rest /= 10;
            }
            self.writer.write_all(&pair)?;
        }
        Ok(self.writer.flush()?)
    }

    /// The number that it answered.
    fn answer(&mut self) -> Result<usize> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            self.reader.read_exact(&mut byte)?;
            line.extend_from_slice(&byte);
        }
        let line = String::from_utf8(line)?;
        let number = line.trim_end().strip_prefix(':');
        number
            .with_context(|| format!("the server answered {line}"))?
            .parse()
            .context("no number")
    }
}

/// One GET at a time, of counters drawn uniformly: milliseconds, P50 and P99.
fn cold_reads(tally: &Tally, counters: u32) -> Result<[f64; 2]> {
    let mut client = Client::connect(&tally.resp)?;
    let mut random = Random::seeded(SEED + 1);
    let mut took = Vec::with_capacity(COLD_READS);
    for _ in 0..COLD_READS {
        let name = million::name(u32::try_from(random.below(counters.into()))?);
        let began = Instant::now();
        let found = client.call(&["GET", &name])?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(matches!(found, Reply::Bulk(Some(_))), "{name} is {found:?}");
    }
    Ok([percentile(&took, 50), percentile(&took, 99)])
}

/// The median of several listings of a thousand names each, milliseconds.
fn listing(tally: &Tally, counters: u32) -> Result<f64> {
    let mut took = Vec::new();
    for part in 1..=9 {
        let thousand = u64::from(counters) / 1_000 * part / 10;
        let path = format!("/v1/counters?prefix=counter:{thousand:013}&limit=1000");
        let began = Instant::now();
        let answer = http::get(&tally.http, &path)?.json()?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        match answer.get("counters").and_then(|list| list.as_array()) {
            Some(list) if list.len() == 1_000 => {}
            _ => bail!("{path} did not list a thousand"),
        }
    }
    Ok(median(&took))
}

/// `1m`, `10m`, `100m`: so many millions.
pub(crate) fn size(text: &str) -> Result<u32> {
    let millions = text.strip_suffix('m').and_then(|number| number.parse::<u32>().ok());
    let counters = millions.and_then(|millions| millions.checked_mul(1_000_000));
    counters
        .filter(|counters| *counters > 0)
        .with_context(|| format!("--scale wants 1m, 10m or 100m, not {text}"))
}
