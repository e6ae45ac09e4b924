//! `cargo xtask mutants`: the proof of the proofs. Builds once with the feature `planted`, which puts known bugs into the product, one of
//! them at a time by the variable `TALLY_PLANTED`, and says which check catches each and how soon. A bug that nothing catches
//! is a hole in the proofs, and an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::command::{cargo, output};
use crate::place::Place;

/// What chooses a bug, for the processes that are started.
const CHOOSES: &str = "TALLY_PLANTED";
/// How many seeds of the simulation a bug may survive.
const SEEDS: u64 = 1_000;
/// How many seeds of crashes at every write.
const EXHAUSTED: u64 = 60;
/// What one program of tests may take.
const PATIENCE: Duration = Duration::from_mins(3);

/// Bugs of the list whose subject does not exist in the code yet.
const NOT_YET: [(u32, &str); 2] = [
    (17, "a folded writer still summed: sealed writers are not folded yet"),
    (
        33,
        "two folds of the same sealed writers: sealed writers are not folded yet",
    ),
];

struct Bug {
    number: u32,
    name: String,
    what: String,
}

/// What caught a bug, and how soon.
struct Caught {
    by: String,
    soon: String,
}

/// Those of the short form: one each of journal, round, repeat, name, generation, hot table, source.
const SHORT: [&str; 7] = ["1", "2", "5", "11", "29", "59", "31"];

/// A handful, by the simulation alone: what the tests run.
pub(crate) fn short() -> Result<()> {
    mutants(&["--short".to_owned()])
}

/// Runs all bugs, or those whose number or name is given.
pub(crate) fn mutants(arguments: &[String]) -> Result<()> {
    let place = Place::find()?;
    let short = SHORT.map(str::to_owned);
    let is_short = arguments == ["--short"];
    let arguments = if is_short { &short } else { arguments };
    let (binaries, simulation) = build(&place, is_short)?;
    let only = |bug: &Bug| {
        let named = |word: &String| *word == bug.name || *word == bug.number.to_string();
        arguments.is_empty() || arguments.iter().any(named)
    };
    let bugs: Vec<Bug> = bugs(&simulation)?.into_iter().filter(only).collect();
    ensure!(!bugs.is_empty(), "there is no such bug");
    println!("\n| number | bug | caught by | how soon |\n|---|---|---|---|");
    let mut survived = Vec::new();
    let mut rows: BTreeMap<u32, String> = BTreeMap::new();
    for bug in &bugs {
        let caught = by_simulation(&simulation, bug)?
            .map_or_else(|| by_tests(&place, &binaries, bug), |caught| Ok(Some(caught)))?;
        let (by, soon) = caught.map_or_else(
            || {
                survived.push(bug.name.clone());
                ("**nothing**".to_owned(), String::new())
            },
            |caught| (caught.by, caught.soon),
        );
        let row = format!("| {} | {} (`{}`) | {by} | {soon} |", bug.number, bug.what, bug.name);
        println!("{row}");
        rows.insert(bug.number, row);
    }
    if arguments.is_empty() {
        for (number, why) in NOT_YET {
            println!("| {number} | {why} | not planted | |");
        }
    }
    println!("\n{} bugs, {} caught", rows.len(), rows.len() - survived.len());
    ensure!(survived.is_empty(), "nothing catches {}", survived.join(", "));
    Ok(())
}

/// Everything with the feature on, in a folder of its own: programs of tests, and the simulation.
fn build(place: &Place, simulation_only: bool) -> Result<(Vec<PathBuf>, PathBuf)> {
    let target = place.kept("planted")?;
    println!("building with planted bugs …");
    let mut options = vec!["--features", "tally-counter/planted"];
    options.extend(["--message-format", "json-render-diagnostics", "-p", "tally-sim"]);
    if simulation_only {
        options.insert(0, "build");
    } else {
        options.insert(0, "test");
        options.push("--no-run");
        for package in ["tally-counter", "tally-store", "tally-engine", "tally-ingest"] {
            options.extend(["-p", package]);
        }
    }
    let mut command = cargo(place.root(), &options);
    command.env("CARGO_TARGET_DIR", &target).stderr(Stdio::inherit());
    let messages = output(&mut command)?;
    let mut binaries = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("cargo's message")?;
        let is_test = message.pointer("/profile/test") == Some(&Value::Bool(true));
        if let Some(path) = message.get("executable").and_then(Value::as_str).filter(|_| is_test) {
            binaries.push(PathBuf::from(path));
        }
    }
    // What is nearest to the bugs first; the simulation's own tests are the simulation again.
    binaries.retain(|path| !name(path).starts_with("sim-") && !name(path).starts_with("tally_sim-"));
    binaries.sort_by_key(|path| {
        ORDER
            .iter()
            .position(|start| name(path).starts_with(start))
            .unwrap_or(ORDER.len())
    });
    let simulation = target.join("debug").join("tally-sim");
    ensure!(simulation.is_file(), "there is no {}", simulation.display());
    Ok((binaries, simulation))
}

/// How the names of the programs of tests begin, in the order they are asked.
const ORDER: [&str; 9] = [
    "laws-",
    "tally_counter-",
    "tally_engine-",
    "regressions-",
    "engine-",
    "corrupt-",
    "tally_ingest-",
    "files-",
    "contract-",
];

fn name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn bugs(simulation: &Path) -> Result<Vec<Bug>> {
    let listed = output(Command::new(simulation).arg("--bugs"))?;
    let mut bugs = Vec::new();
    for line in listed.lines() {
        let mut fields = line.splitn(3, '\t');
        let (Some(number), Some(name), Some(what)) = (fields.next(), fields.next(), fields.next()) else {
            bail!("{line:?} is no bug");
        };
        bugs.push(Bug {
            number: number.parse()?,
            name: name.to_owned(),
            what: what.to_owned(),
        });
    }
    Ok(bugs)
}

fn by_simulation(simulation: &Path, bug: &Bug) -> Result<Option<Caught>> {
    for (option, count, word) in [
        ("--seeds", SEEDS, "seeds"),
        ("--exhaust", EXHAUSTED, "seeds of crashes at every write"),
    ] {
        let began = Instant::now();
        let mut command = Command::new(simulation);
        command
            .args([option, &count.to_string(), "--jobs", "2", "--stop"])
            .env(CHOOSES, &bug.name);
        let ended = command.output().context("cannot start the simulation")?;
        if ended.status.success() {
            continue;
        }
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        let tried = text
            .lines()
            .last()
            .and_then(|line| line.split(' ').next())
            .unwrap_or("?");
        let how = text
            .lines()
            .next()
            .map_or("", |line| line.split_once(": ").map_or(line, |(_, how)| how));
        let how: String = how.chars().filter(|char| *char != '|').take(60).collect();
        return Ok(Some(Caught {
            by: format!("simulation: {how}…"),
            soon: format!("{tried} {word}, {:.1} s", began.elapsed().as_secs_f64()),
        }));
    }
    Ok(None)
}

fn by_tests(place: &Place, binaries: &[PathBuf], bug: &Bug) -> Result<Option<Caught>> {
    for binary in binaries {
        let began = Instant::now();
        let mut command = Command::new("timeout");
        command
            .arg(PATIENCE.as_secs().to_string())
            .arg(binary)
            .env(CHOOSES, &bug.name)
            .current_dir(folder_of(place, binary));
        let ended = command
            .output()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        if ended.status.success() {
            continue;
        }
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        let failed = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned());
        let test = text
            .lines()
            .find_map(failed)
            .unwrap_or_else(|| "it ended otherwise".to_owned());
        let program = name(binary);
        let program = program
            .rsplit_once('-')
            .map_or(program.as_str(), |(program, _)| program);
        return Ok(Some(Caught {
            by: format!("test `{program}`: `{test}`"),
            soon: format!("{:.1} s", began.elapsed().as_secs_f64()),
        }));
    }
    Ok(None)
}

/// Tests run in the folder of their package, as cargo runs them.
fn folder_of(place: &Place, binary: &Path) -> PathBuf {
    let program = name(binary);
    let crates = place.path("crates");
    let of = [
        ("counter", &["laws-", "tally_counter-"][..]),
        ("engine", &["tally_engine-", "regressions-", "engine-", "corrupt-"]),
        ("ingest", &["tally_ingest-", "files-", "sample-"]),
        ("store", &["tally_store-", "contract-", "embedded-"]),
    ];
    let found = of
        .iter()
        .find(|(_, starts)| starts.iter().any(|start| program.starts_with(start)));
    crates.join(found.map_or("server", |(folder, _)| folder))
}
