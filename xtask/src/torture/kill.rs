//! `kill`: kill -9 at random moments under load, at both levels, now and then while a start is still replaying.

use std::time::Instant;

use anyhow::Result;

use super::accounts::{Accounts, Level};
use super::load::Cycle;
use super::options::Options;
use super::score::Score;
use super::{Bench, keep_if_dirty, rules, small};
use crate::random::Random;
use crate::tally::{Setup, Tally};

/// Cycles where nothing else is asked for.
const CYCLES: u64 = 50;

/// Kills until the time or the cycles are over.
pub(super) fn run(bench: &Bench, options: Options) -> Result<Score> {
    let mut score = Score::new("kill");
    let folder = bench.place.fresh("torture-kill")?;
    let rules = rules(folder.path())?;
    let budget = options.begin(CYCLES);
    let mut random = Random::seeded(options.seed);
    let mut accounts = Accounts::default();
    let mut interrupted = 0;
    while budget.allows(score.cycles) && score.is_clean() {
        let level = if random.one_in(2) { Level::Memory } else { Level::Disk };
        let setup = small(&bench.binary, &folder.path().join("data"), level, &rules);
        let tally = Tally::start(&setup)?;
        score.recovered(tally.ready_after);
        let cycle = Cycle::new(score.cycles, &tally, folder.path(), &rules)?;
        let wait = random.millis(20, 600);
        let fault = cycle.run(|cycle| {
            std::thread::sleep(wait);
            cycle.phase.fault();
            let fault = Instant::now();
            tally.kill()?;
            Ok(fault)
        })?;
        while random.one_in(3) {
            interrupted += kill_a_start(&setup, &mut random)?;
        }
        let tally = Tally::start(&setup)?;
        score.recovered(tally.ready_after);
        accounts.settle(&cycle, &tally, level, fault, &mut score)?;
        accounts.look_back(&tally, &mut random, &mut score)?;
        score.cycles += 1;
        if random.one_in(2) {
            tally.kill()?;
        } else {
            tally.stop()?;
        }
    }
    let tally = Tally::start(&small(&bench.binary, &folder.path().join("data"), Level::Disk, &rules))?;
    score.recovered(tally.ready_after);
    accounts.close(&tally, &mut score)?;
    tally.stop()?;
    score.note(format!("{interrupted} starts were killed before they were ready"));
    keep_if_dirty(folder, &score);
    Ok(score)
}

/// Starts it and kills it at once, mostly before it is ready; answers how many (1).
pub(super) fn kill_a_start(setup: &Setup, random: &mut Random) -> Result<u64> {
    let started = Tally::begin(setup)?;
    std::thread::sleep(random.millis(0, 60));
    started.kill()?;
    Ok(1)
}
