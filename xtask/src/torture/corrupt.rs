//! `corrupt`: bits that flip and files that are cut off anywhere in a data directory. The trials run inside one process, against the
//! engine and the store themselves (`crates/engine/tests/corrupt.rs`): a hundred times quicker than a start of the server each.

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::options::Options;
use super::score::Score;
use crate::command::{self, output};

/// Flips where nothing else is asked for; a fifth as many cuts.
const FLIPS: u64 = 1_000;
/// Flips of one call of the test, so that a time can be kept.
const FLIPS_A_CALL: u64 = 250;
/// From so many flips on the run is a long one: every cut of the journal's last 64 KiB is made.
const LONG: u64 = 10_000;
const EVERY_CUT: u64 = 1 << 16;

/// Damages until the time or the cycles are over.
pub(super) fn run(bench: &Bench, options: Options) -> Result<Score> {
    let mut score = Score::new("corrupt");
    let budget = options.begin(FLIPS);
    let mut sums = Sums::default();
    let calls = options.cycles.unwrap_or(0) / FLIPS_A_CALL;
    let cuts = if options.cycles >= Some(LONG) {
        // 20 of each call are the same ones at both ends.
        EVERY_CUT.div_ceil(calls) + 20
    } else {
        FLIPS_A_CALL / 5
    };
    while budget.allows(score.cycles) && score.is_clean() {
        let seed = options.seed.wrapping_add(score.cycles);
        let mut test = command::cargo(
            bench.place.root(),
            &[
                "test",
                "--quiet",
                "-p",
                "tally-engine",
                "--test",
                "corrupt",
                "--",
                "--nocapture",
            ],
        );
        test.env("TALLY_CORRUPT_FLIPS", FLIPS_A_CALL.to_string())
            .env("TALLY_CORRUPT_CUTS", cuts.to_string())
            .env(
                "TALLY_CORRUPT_FIRST_CUT",
                (score.cycles / FLIPS_A_CALL * (cuts - 20)).to_string(),
            )
            .env("TALLY_CORRUPT_SEED", seed.to_string());
        match output(&mut test) {
            Ok(said) => sums.take(&said)?,
            Err(error) => score.wrong(format!("{error:#}")),
        }
        score.cycles += FLIPS_A_CALL;
    }
    score.cycles = sums.flips + sums.cuts;
    score.note(format!(
        "{} flips and {} cuts: {} changed nothing, {} were refused, {} of these with file and byte, {} by a panic",
        sums.flips, sums.cuts, sums.same, sums.refused, sums.placed, sums.panicked
    ));
    Ok(score)
}

#[derive(Debug, Default)]
struct Sums {
    flips: u64,
    cuts: u64,
    same: u64,
    refused: u64,
    placed: u64,
    panicked: u64,
}

impl Sums {
    fn take(&mut self, said: &str) -> Result<()> {
        let line = said
            .lines()
            .find_map(|line| {
                line.split_once("corrupt: flips=")
                    .map(|(_, rest)| format!("flips={rest}"))
            })
            .with_context(|| format!("the test told no figures: {said}"))?;
        let figure = |name: &str| -> Result<u64> {
            let words = line.split_whitespace();
            let found = words
                .filter_map(|word| word.split_once('='))
                .find(|(known, _)| *known == name);
            Ok(found.with_context(|| format!("no {name} in {line}"))?.1.parse()?)
        };
        ensure!(figure("wrong")? == 0, "wrong values: {line}");
        self.flips += figure("flips")?;
        self.cuts += figure("cuts")?;
        self.same += figure("same")?;
        self.refused += figure("refused")?;
        self.placed += figure("placed")?;
        self.panicked += figure("panicked")?;
        Ok(())
    }
}
