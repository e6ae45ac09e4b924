//! `cargo xtask torture`: faults made to the real binary, and what it holds afterwards.
//!
//! Each mode gives a line of the table at the end: how often, how much, and what was lost, doubled or otherwise wrong. A
//! mode stops at its first finding and keeps its folder.

mod accounts;
mod clients;
mod copies;
mod corrupt;
pub(crate) mod device;
mod digits;
mod disk;
mod eio;
mod flood;
mod kill;
mod load;
mod meter;
mod options;
mod power;
mod restart;
mod score;
mod shutdown;
mod tokens;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::place::Place;
use crate::steps::Steps;
use crate::tally::Setup;
use crate::{artifacts, child};
use accounts::{JOURNAL_INTERVAL, Level};
pub(crate) use options::Options;
use score::Score;

/// Where a mode finds what it needs.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) place: Place,
    pub(crate) binary: PathBuf,
}

/// A mode: its name, whether it needs loop devices, its part of the time of `all` in hundredths, what it does. What is
/// left of the hundred is for `restart`, which takes as long as it takes, and for the ends of the others.
struct Mode {
    name: &'static str,
    needs_devices: bool,
    share: u32,
    run: fn(&Bench, Options) -> Result<Score>,
}

const MODES: [Mode; 9] = [
    Mode {
        name: "kill",
        needs_devices: false,
        share: 18,
        run: kill::run,
    },
    Mode {
        name: "power",
        needs_devices: true,
        share: 18,
        run: power::run,
    },
    Mode {
        name: "disk",
        needs_devices: true,
        share: 5,
        run: disk::run,
    },
    Mode {
        name: "eio",
        needs_devices: false,
        share: 11,
        run: eio::run,
    },
    Mode {
        name: "corrupt",
        needs_devices: false,
        share: 13,
        run: corrupt::run,
    },
    Mode {
        name: "clone",
        needs_devices: false,
        share: 5,
        run: copies::run,
    },
    Mode {
        name: "flood",
        needs_devices: false,
        share: 10,
        run: flood::run,
    },
    Mode {
        name: "tokens",
        needs_devices: false,
        share: 12,
        run: tokens::run,
    },
    Mode {
        name: "restart",
        needs_devices: false,
        share: 0,
        run: restart::run,
    },
];

/// `cargo xtask torture MODE|all [--minutes N] [--cycles N] [--seed N]`.
pub(crate) fn torture(arguments: &[String]) -> Result<()> {
    child::end_all_on_interrupt()?;
    let names: Vec<&str> = MODES.iter().map(|mode| mode.name).collect();
    let (name, options) = arguments
        .split_first()
        .with_context(|| format!("torture what? {} or all", names.join(", ")))?;
    let all = name == "all";
    if !all && !names.contains(&name.as_str()) {
        bail!("there is no mode {name}; there are {} and all", names.join(", "));
    }
    let (options, binary) = Options::parse(options)?;
    let place = Place::find()?;
    let binary = match binary {
        Some(binary) => binary,
        None => artifacts::server(&place, "release")?,
    };
    let bench = Bench { place, binary };
    println!("seed {}", options.seed);
    let mut scores = Vec::new();
    let mut failures = Vec::new();
    for mode in MODES.iter().filter(|mode| all || mode.name == name) {
        let options = if all { options.share(mode.share) } else { options };
        match one(&bench, mode, options) {
            Ok(score) => scores.push(score),
            Err(error) => failures.push(format!("{}: {error:#}", mode.name)),
        }
    }
    let closed = score::close(&scores);
    if failures.is_empty() {
        return closed;
    }
    bail!("modes that did not end:\n{}", failures.join("\n"))
}

fn one(bench: &Bench, mode: &Mode, options: Options) -> Result<Score> {
    println!("\n=== torture {}", mode.name);
    if mode.needs_devices
        && let Some(why) = device::lacking()
    {
        bail!("it needs loop devices: {why}");
    }
    (mode.run)(bench, options)
}

/// The short forms that belong to the tests. Where loop devices cannot be had, the modes that need them say so and are left
/// out; everything else must pass.
pub(crate) fn steps(steps: &mut Steps, place: &Place, binary: &Path) {
    let bench = Bench {
        place: place.clone(),
        binary: binary.to_path_buf(),
    };
    let short = [
        ("kill", 50),
        ("power", 8),
        ("disk", 1),
        ("eio", 12),
        ("clone", 1),
        ("flood", 200),
        ("tokens", 20_000),
        ("restart", 64),
    ];
    for (name, cycles) in short {
        let Some(mode) = MODES.iter().find(|mode| mode.name == name) else {
            continue;
        };
        if mode.needs_devices
            && let Some(why) = device::lacking()
        {
            println!("\ntorture {name} is left out: {why}");
            continue;
        }
        steps.step(&format!("torture {name}"), || {
            score::close(&[one(&bench, mode, Options::cycles(cycles))?])
        });
    }
}

/// Writes the rules that events are counted by.
fn rules(folder: &Path) -> Result<PathBuf> {
    let rules = folder.join("rules.toml");
    clients::write_rules(&rules)?;
    Ok(rules)
}

/// A folder in which something was found stays.
fn keep_if_dirty(folder: TempDir, score: &Score) {
    if !score.is_clean() {
        println!("what was found is kept in {}", folder.keep().display());
    }
}

/// A server with the smallest journal and very frequent rounds, so that a kill meets each part of them.
fn small(binary: &Path, data: &Path, level: Level, rules: &Path) -> Setup {
    let mut setup = Setup::new(binary, data).ack(level.word());
    let interval = format!("{}ms", JOURNAL_INTERVAL.as_millis());
    let settings: [(&str, &str); 5] = [
        ("--journal-segment", "1MiB"),
        ("--journal-limit", "4MiB"),
        ("--round-interval", "40ms"),
        ("--journal-interval", &interval),
        ("--log-level", "info"),
    ];
    for (name, value) in settings {
        setup.settings.extend([name.to_owned(), value.to_owned()]);
    }
    setup.settings.push("--rules".to_owned());
    setup.settings.push(rules.display().to_string());
    setup
}
