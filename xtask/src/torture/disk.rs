//! `disk`: a disk that is full to the last byte. Adds are refused at once, clearly and whole; reads go on; and adds do so, too,
//! soon after there is room again, without a restart.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::device::Device;
use super::load::value;
use super::options::Options;
use super::score::Score;
use super::{Bench, keep_if_dirty};
use crate::http;
use crate::random::Random;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};

/// Cycles where nothing else is asked for.
const CYCLES: u64 = 3;
const DISK_BYTES: u64 = 64 << 20;
/// A refusal that takes longer is one that waited for something.
const REFUSED_WITHIN: Duration = Duration::from_millis(100);
/// How soon after there is room adds go on.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// Counters of one request: enough that the journal's last segments are used up soon.
const KEYS: u64 = 400;

/// Fills the disk and makes room until the time or the cycles are over.
pub(super) fn run(bench: &Bench, options: Options) -> Result<Score> {
    let mut score = Score::new("disk");
    let folder = bench.place.fresh("torture-disk")?;
    let budget = options.begin(CYCLES);
    let mut random = Random::seeded(options.seed);
    let mut slowest = (Duration::ZERO, Duration::ZERO);
    while budget.allows(score.cycles) && score.is_clean() {
        let device = Device::create(folder.path(), DISK_BYTES)?;
        // All settings as they are by default: they must fit a small disk.
        let mut setup = Setup::new(&bench.binary, &device.point().join("data"));
        setup.log = folder.path().join("data.log");
        let mut cycle = Cycle {
            tally: Tally::start(&setup)?,
            added: 0,
            random: random.clone(),
        };
        random.next();
        score.recovered(cycle.tally.ready_after);
        cycle.fill_and_free(device.point(), &mut score, &mut slowest)?;
        cycle.check(&mut score)?;
        score.adds += cycle.added * KEYS;
        // What was acknowledged survives the kill, too.
        cycle.tally.kill()?;
        cycle.tally = Tally::start(&setup)?;
        score.recovered(cycle.tally.ready_after);
        cycle.check(&mut score)?;
        cycle.tally.stop()?;
        score.cycles += 1;
    }
    score.note(format!(
        "slowest refusal {} ms, slowest return after there was room {} ms",
        slowest.0.as_millis(),
        slowest.1.as_millis()
    ));
    keep_if_dirty(folder, &score);
    Ok(score)
}

struct Cycle {
    tally: Tally,
    /// Requests that were acknowledged; each adds 1 to each counter.
    added: u64,
    random: Random,
}

impl Cycle {
    fn fill_and_free(&mut self, disk: &Path, score: &mut Score, slowest: &mut (Duration, Duration)) -> Result<()> {
        let mut resp = Client::connect(&self.tally.resp)?;
        for _ in 0..self.random.below(200) + 10 {
            let (answer, _) = self.add(&mut resp)?;
            ensure!(!refused(&answer), "refused before the disk was full: {answer:?}");
        }
        let filler = disk.join("filler");
        fill(&filler)?;
        // The room that the journal had set aside is used up first.
        let began = Instant::now();
        while !refused(&self.add(&mut resp)?.0) {
            ensure!(
                began.elapsed() < Duration::from_mins(2),
                "a full disk never refused an add"
            );
        }
        for _ in 0..20 {
            fill(&filler)?;
            let (answer, took) = self.add(&mut resp)?;
            slowest.0 = slowest.0.max(took);
            if !refused(&answer) || took > REFUSED_WITHIN {
                score.wrong(format!(
                    "on a full disk an add was answered {answer:?} after {} ms",
                    took.as_millis()
                ));
            }
            self.refused_by_http(score)?;
            self.check(score)?;
        }
        std::fs::remove_file(&filler)?;
        let freed = Instant::now();
        loop {
            let (answer, _) = self.add(&mut resp)?;
            if !refused(&answer) {
                break;
            }
            if freed.elapsed() > BACK_WITHIN {
                score.wrong(format!(
                    "{} s after there was room again adds are still refused: {answer:?}",
                    BACK_WITHIN.as_secs()
                ));
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        slowest.1 = slowest.1.max(freed.elapsed());
        Ok(())
    }

    /// One request that adds 1 to each counter.
    fn add(&mut self, resp: &mut Client) -> Result<(Reply, Duration)> {
        let mut command = vec!["TALLY.MADD".to_owned()];
        for key in 0..KEYS {
            command.extend([format!("disk:counter-with-a-long-name:{key:04}"), "1".to_owned()]);
        }
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let began = Instant::now();
        resp.send(&words)?;
        resp.flush()?;
        let answer = resp.reply()?;
        self.added += u64::from(!refused(&answer));
        Ok((answer, began.elapsed()))
    }

    fn refused_by_http(&mut self, score: &mut Score) -> Result<()> {
        let mut connection = http::Connection::open(&self.tally.http)?;
        let body = r#"{"adds":[{"key":"disk:http"},{"key":"disk:http:2"}]}"#;
        let began = Instant::now();
        let answer = connection.post("/v1/add", "application/json", body)?;
        let clear = answer.status == 503 && answer.body.contains("disk is full") && answer.body.contains("false");
        if !clear || began.elapsed() > REFUSED_WITHIN {
            score.wrong(format!(
                "on a full disk HTTP answered {} {} after {} ms",
                answer.status,
                answer.body,
                began.elapsed().as_millis()
            ));
        }
        Ok(())
    }

    /// Every counter holds every request that was acknowledged, and none that was refused.
    fn check(&self, score: &mut Score) -> Result<()> {
        let mut resp = Client::connect(&self.tally.resp)?;
        for key in [0, 1, KEYS / 2, KEYS - 1] {
            let answer = resp.call(&["GET", &format!("disk:counter-with-a-long-name:{key:04}")])?;
            let found = value(&answer).and_then(|value| u64::try_from(value).ok());
            let found = found.with_context(|| format!("GET answered {answer:?}"))?;
            if found < self.added {
                score.lost(
                    self.added - found,
                    format!("counter {key} is {found} after {} requests", self.added),
                );
            } else if found > self.added {
                score.doubled(
                    found - self.added,
                    format!("counter {key} is {found} after {} requests", self.added),
                );
            }
        }
        for key in ["disk:http", "disk:http:2"] {
            if value(&resp.call(&["GET", key])?) != Some(0) {
                score.wrong(format!("{key} holds what was refused"));
            }
        }
        Ok(())
    }
}

fn refused(answer: &Reply) -> bool {
    matches!(answer, Reply::Error(text) if text.starts_with("TRYAGAIN") && text.contains("disk is full"))
}

/// Writes until there is no room for one more byte.
fn fill(filler: &Path) -> Result<()> {
    let mut file = File::options().create(true).append(true).open(filler)?;
    let mut size = 1 << 20;
    while size > 0 {
        match file.write(&vec![0xA5; size]) {
            Ok(written) if written > 0 => {}
            _ => size /= 2,
        }
    }
    Ok(())
}
