//! `cargo xtask fuzz [TARGET…] [--seconds N]`: the long run, by coverage. libFuzzer and the instrumentation of a stable compiler (LLVM's own
//! pass, asked for by name): no nightly, no tool to install but a C++ compiler. One target after the other, one job.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::command;
use crate::place::Place;

/// How long each target runs where nothing else is said.
const SECONDS: u64 = 60;
/// The longest input: the limits of the targets are met with less.
const LONGEST_BYTES: u32 = 4_096;

/// What LLVM is told: count edges and compare operands, as libFuzzer reads them.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// Asserts and overflow checks find what a release would hide; one unit, so that the pass sees all of a crate.
const CHECKS: [&str; 4] = [
    "-Ccodegen-units=1",
    "-Cdebug-assertions=yes",
    "-Coverflow-checks=yes",
    "--cfg=fuzzing",
];

pub(crate) fn fuzz(arguments: &[String]) -> Result<()> {
    let place = Place::find()?;
    let (names, seconds) = asked(arguments)?;
    let all = targets(&place)?;
    let names = if names.is_empty() { all.clone() } else { names };
    for name in &names {
        ensure!(
            all.contains(name),
            "there is no target {name}; there are {}",
            all.join(" ")
        );
    }
    let binary = build(&place)?;
    for name in &names {
        run(&place, &binary, name, seconds)?;
    }
    Ok(())
}

fn asked(arguments: &[String]) -> Result<(Vec<String>, u64)> {
    let (mut names, mut seconds) = (Vec::new(), SECONDS);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                let number = arguments.next().context("--seconds needs a number")?;
                seconds = number
                    .parse()
                    .with_context(|| format!("--seconds {number} is no number"))?;
            }
            option if option.starts_with('-') => bail!("fuzz knows only TARGET… and --seconds N, not {option}"),
            name => names.push(name.to_owned()),
        }
    }
    Ok((names, seconds))
}

/// The targets, by their corpora.
fn targets(place: &Place) -> Result<Vec<String>> {
    let folder = place.path("fuzz/corpus");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Builds the one binary of all targets, apart from everything else: its flags would make all other builds anew.
fn build(place: &Place) -> Result<PathBuf> {
    let lacking = command::which("c++").is_none();
    ensure!(!lacking, "lacking: c++ (libFuzzer is built from source)");
    let host = host(place)?;
    let target = folder(place);
    let flags: Vec<&str> = COVERAGE.into_iter().chain(CHECKS).collect();
    let arguments = [
        "build",
        "--release",
        "--package",
        "tally-fuzz",
        "--features",
        "libfuzzer",
        "--target",
        &host,
    ];
    let mut cargo = command::cargo(place.root(), &arguments);
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CARGO_TARGET_DIR", &target);
    command::run(&mut cargo)?;
    let binary = target.join(host).join("release/tally-fuzz");
    ensure!(binary.is_file(), "cargo built no {}", binary.display());
    Ok(binary)
}

fn folder(place: &Place) -> PathBuf {
    let usual = || place.path("target");
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(usual, PathBuf::from)
        .join("fuzz")
}

/// What this machine's compiler builds for: cargo leaves build scripts without our flags only where it is named.
fn host(place: &Place) -> Result<String> {
    let text = command::output(&mut command::program("rustc", place.root(), &["-vV"]))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what it builds for")?.to_owned())
}

/// New inputs go to a folder beside the build; findings to `fuzz/findings`, where the message says how to run one again.
fn run(place: &Place, binary: &Path, name: &str, seconds: u64) -> Result<()> {
    let kept = place.path(&format!("fuzz/corpus/{name}"));
    let found = folder(place).join("corpus").join(name);
    let findings = place.path("fuzz/findings");
    for folder in [&found, &findings] {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let mut fuzzer = Command::new(binary);
    fuzzer
        .current_dir(place.root())
        .env("TALLY_FUZZ_TARGET", name)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LONGEST_BYTES}"))
        .args([
            "-timeout=10",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            "-verbosity=0",
        ])
        .arg(format!("-artifact_prefix={}/{name}-", findings.display()))
        .args([&found, &kept]);
    println!("target {name}");
    command::run(&mut fuzzer).with_context(|| {
        format!(
            "target {name}: the input is in {}; TALLY_FUZZ_TARGET={name} {} FILE runs it again",
            findings.display(),
            binary.display()
        )
    })
}
