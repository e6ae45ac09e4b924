//! `clone`: a copied data directory beside its original, and an older copy put back. Two processes never write one history: the
//! same directory is refused, a copy on its own goes on, and one that is behind its store or journal is refused or given a
//! new epoch, never counted twice.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::accounts::{Level, verify};
use super::load::value;
use super::options::Options;
use super::score::Score;
use super::{Bench, keep_if_dirty, rules, small};
use crate::command::{output, program};
use crate::random::Random;
use crate::resp::Client;
use crate::tally::{Setup, Tally};

/// Cycles where nothing else is asked for.
const CYCLES: u64 = 6;
const KEY: &str = "clone:counter";

/// Copies until the time or the cycles are over.
pub(super) fn run(bench: &Bench, options: Options) -> Result<Score> {
    let mut score = Score::new("clone");
    let budget = options.begin(CYCLES);
    let mut random = Random::seeded(options.seed);
    let mut outcomes = Outcomes::default();
    while budget.allows(score.cycles) && score.is_clean() {
        let folder = bench.place.fresh("torture-clone")?;
        let rules = rules(folder.path())?;
        let mut trial = Trial {
            bench,
            folder: folder.path(),
            rules: &rules,
            random: Random::seeded(random.next()),
        };
        trial.beside(&mut score)?;
        for part in ["", "store", "journal"] {
            trial.put_back(part, &mut score, &mut outcomes)?;
        }
        score.cycles += 1;
        keep_if_dirty(folder, &score);
    }
    score.note(format!(
        "older copies put back: {} went on in a new epoch or from what was there, {} were refused",
        outcomes.went_on, outcomes.refused
    ));
    Ok(score)
}

#[derive(Default)]
struct Outcomes {
    went_on: u64,
    refused: u64,
}

struct Trial<'a> {
    bench: &'a Bench,
    folder: &'a Path,
    rules: &'a Path,
    random: Random,
}

impl Trial<'_> {
    fn setup(&self, name: &str) -> Setup {
        small(&self.bench.binary, &self.folder.join(name), Level::Disk, self.rules)
    }

    /// The original and its copy both run: each has its own directory and its own store, and so its own history; the original's
    /// directory is held by its lock.
    fn beside(&mut self, score: &mut Score) -> Result<()> {
        let original = Tally::start(&self.setup("one"))?;
        let mut expected = self.add(&original)?;
        score.adds += expected;
        // A second server on the same directory.
        match Tally::start(&self.setup("one")) {
            Err(error) => ensure!(
                format!("{error:#}").contains("in use by another process"),
                "a second server on one directory said: {error:#}"
            ),
            Ok(_) => score.wrong("two servers run on one data directory".to_owned()),
        }
        original.kill()?;
        copy(&self.folder.join("one"), &self.folder.join("two"))?;
        let original = Tally::start(&self.setup("one"))?;
        let twin = Tally::start(&self.setup("two"))?;
        for tally in [&original, &twin] {
            compare(tally, expected, expected, "a copy", score)?;
        }
        let more = self.add(&original)?;
        score.adds += more;
        compare(&twin, expected, expected, "the copy", score)?;
        expected += more;
        compare(&original, expected, expected, "the original", score)?;
        verify(&twin, "", score)?;
        verify(&original, "", score)?;
        twin.stop()?;
        original.stop()
    }

    /// An older copy of all or of one half is put back.
    fn put_back(&mut self, part: &str, score: &mut Score, outcomes: &mut Outcomes) -> Result<()> {
        let name = format!("whole-{part}");
        let (data, old) = (self.folder.join(&name), self.folder.join(format!("old-{part}")));
        let tally = Tally::start(&self.setup(&name))?;
        let before = self.add(&tally)?;
        tally.kill()?;
        copy(&data, &old)?;
        let tally = Tally::start(&self.setup(&name))?;
        let after = before + self.add(&tally)?;
        score.adds += after;
        tally.kill()?;
        for entry in std::fs::read_dir(&data)? {
            let path = entry?.path();
            let is_store = path.is_dir();
            let goes = part.is_empty() || (part == "store") == is_store;
            if goes && is_store {
                std::fs::remove_dir_all(&path)?;
            } else if goes {
                std::fs::remove_file(&path)?;
            }
        }
        for entry in std::fs::read_dir(&old)? {
            let path = entry?.path();
            if part.is_empty() || (part == "store") == path.is_dir() {
                copy(&path, &data.join(path.file_name().context("a file has a name")?))?;
            }
        }
        match Tally::start(&self.setup(&name)) {
            Err(error) => {
                let said = format!("{error:#}");
                ensure!(
                    said.contains("journal") || said.contains("store"),
                    "an older {part} was refused without a reason: {said}"
                );
                outcomes.refused += 1;
            }
            Ok(tally) => {
                // What was acknowledged after the copy may be gone, since its files are; nothing may be there twice.
                let what = format!(
                    "after an older copy of {} was put back",
                    if part.is_empty() { "all" } else { part }
                );
                compare(&tally, before.min(after), after, &what, score)?;
                let found = read(&tally)?;
                let more = self.add(&tally)?;
                score.adds += more;
                compare(&tally, found + more, found + more, &what, score)?;
                verify(&tally, "", score)?;
                tally.kill()?;
                let tally = Tally::start(&self.setup(&name))?;
                compare(&tally, found + more, found + more, &what, score)?;
                verify(&tally, "", score)?;
                tally.stop()?;
                outcomes.went_on += 1;
            }
        }
        Ok(())
    }

    /// Adds some, over several rounds.
    fn add(&mut self, tally: &Tally) -> Result<u64> {
        let mut client = Client::connect(&tally.resp)?;
        let adds = 200 + self.random.below(400);
        for add in 0..adds {
            client.call(&["INCR", KEY])?;
            if add % 100 == 0 {
                std::thread::sleep(self.random.millis(0, 60));
            }
        }
        Ok(adds)
    }
}

fn read(tally: &Tally) -> Result<u64> {
    let answer = Client::connect(&tally.resp)?.call(&["GET", KEY])?;
    let found = value(&answer).and_then(|value| u64::try_from(value).ok());
    found.with_context(|| format!("GET answered {answer:?}"))
}

fn compare(tally: &Tally, least: u64, most: u64, what: &str, score: &mut Score) -> Result<()> {
    let found = read(tally)?;
    if found < least {
        score.lost(least - found, format!("{what}: {found} are there, not {least}"));
    } else if found > most {
        score.doubled(found - most, format!("{what}: {found} are there, not {most}"));
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.to_str(), to.to_str());
    let (from, to) = from.zip(to).context("a path that is UTF-8")?;
    output(&mut program("cp", Path::new("/"), &["-a", "--sparse=always", from, to])).map(drop)
}
