//! `power`: the loss of power at random moments under load. The data directory is on an ext4 of its own, which is shut down
//! without a flush; what the disk then holds is mounted again and opened.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::accounts::{Accounts, Level};
use super::device::Device;
use super::load::Cycle;
use super::options::Options;
use super::score::Score;
use super::{Bench, keep_if_dirty, rules, small};
use crate::random::Random;
use crate::tally::{Setup, Tally};

/// Cycles where nothing else is asked for.
const CYCLES: u64 = 20;
/// Sparse; the store's log alone announces 64 MiB at a time.
const DISK_BYTES: u64 = 1 << 30;

/// Cuts until the time or the cycles are over.
pub(super) fn run(bench: &Bench, options: Options) -> Result<Score> {
    let mut score = Score::new("power");
    let folder = bench.place.fresh("torture-power")?;
    let rules = rules(folder.path())?;
    let device = Device::create(folder.path(), DISK_BYTES)?;
    let data = device.point().join("data");
    let budget = options.begin(CYCLES);
    let mut random = Random::seeded(options.seed);
    let mut accounts = Accounts::default();
    let mut interrupted = 0;
    while budget.allows(score.cycles) && score.is_clean() {
        let level = if random.one_in(2) { Level::Memory } else { Level::Disk };
        let mut setup = small(&bench.binary, &data, level, &rules);
        setup.log = folder.path().join("data.log");
        let tally = Tally::start(&if options.blind { blind(&setup) } else { setup.clone() })?;
        score.recovered(tally.ready_after);
        let cycle = Cycle::new(score.cycles, &tally, folder.path(), &rules)?;
        let wait = random.millis(20, 600);
        let fault = cycle.run(|cycle| {
            std::thread::sleep(wait);
            cycle.phase.fault();
            let fault = Instant::now();
            device.power_off()?;
            tally.kill()?;
            Ok(fault)
        })?;
        device.power_on()?;
        while random.one_in(3) {
            // And again while it recovers from the last time.
            let started = Tally::begin(&setup)?;
            std::thread::sleep(random.millis(0, 60));
            device.power_off()?;
            started.kill()?;
            device.power_on()?;
            interrupted += 1;
        }
        let tally = Tally::start(&setup)?;
        score.recovered(tally.ready_after);
        accounts.settle(&cycle, &tally, level, fault, &mut score)?;
        accounts.look_back(&tally, &mut random, &mut score)?;
        score.cycles += 1;
        tally.stop()?;
    }
    if options.blind {
        ensure!(!score.is_clean(), "syncs that do nothing were not noticed");
        println!("syncs that do nothing were noticed, as they must be");
        return Ok(Score::new("power"));
    }
    let mut setup = small(&bench.binary, &data, Level::Disk, &rules);
    setup.log = folder.path().join("data.log");
    let tally = Tally::start(&setup)?;
    accounts.close(&tally, &mut score)?;
    tally.stop()?;
    score.note(format!("{interrupted} starts were cut off before they were ready"));
    drop(device);
    keep_if_dirty(folder, &score);
    Ok(score)
}

/// The same, with every sync of a file answered and not done: the proof that this mode can find something.
fn blind(setup: &Setup) -> Setup {
    let words = [
        "strace",
        "-D",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync,fdatasync",
        "-e",
        "inject=fsync,fdatasync:retval=0",
    ];
    Setup {
        under: words.map(str::to_owned).to_vec(),
        ..setup.clone()
    }
}
