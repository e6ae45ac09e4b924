//! `cargo xtask test`: everything, which is what CI calls.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::place::Place;
use crate::steps::Steps;
use crate::{artifacts, cassandra, check, child, clients, command, machine, mutants, sample, tally, torture, ui};

pub(crate) fn test(arguments: &[String]) -> Result<()> {
    child::end_all_on_interrupt()?;
    let place = Place::find()?;
    let mut steps = Steps::only(words(arguments)?);
    steps.step("obtain", obtain);
    check::source(&mut steps, &place);
    steps.step("cargo test", || {
        command::run(&mut command::cargo(
            place.root(),
            &["test", "--workspace", "--no-fail-fast"],
        ))
    });
    steps.step("planted bugs are caught", mutants::short);
    steps.step("ui build", || ui::build(&place));
    let binary = place.binary("release");
    if steps.step("release build", || artifacts::server(&place, "release").map(drop)) {
        on_the_binary(&mut steps, &place, &binary);
        cassandra::steps(&mut steps, &place, &binary);
    }
    steps.close()
}

/// What runs the real binary.
fn on_the_binary(steps: &mut Steps, place: &Place, binary: &Path) {
    steps.step("docs/config.md is fresh", || config_is_fresh(place, binary));
    steps.step("sample, counted exactly", || sample::totals(place, binary));
    steps.step("sample, killed halfway", || sample::killed(place, binary, None));
    torture::steps(steps, place, binary);
    clients::steps(steps, place, binary);
    steps.step("ui test", || ui::test(place, binary));
}

fn words(arguments: &[String]) -> Result<&[String]> {
    match arguments.split_first() {
        None => Ok(&[]),
        Some((only, words)) if only == "--only" && !words.is_empty() => Ok(words),
        _ => bail!("test knows only `--only WORD…`"),
    }
}

/// Each tool that is lacking fails here with its name, and again where it is used: nothing passes by being skipped.
fn obtain() -> Result<()> {
    let needs: Vec<_> = machine::TEST
        .into_iter()
        .chain(machine::BUILD)
        .chain(machine::NODE)
        .chain(machine::CASSANDRA)
        .chain(machine::CLOCK)
        .collect();
    let lacking = machine::obtain(&needs);
    ensure!(lacking.is_empty(), "still lacking: {}", lacking.join(" "));
    Ok(())
}

fn config_is_fresh(place: &Place, binary: &Path) -> Result<()> {
    let printed = command::output(tally::client(binary).args(["config", "--markdown"]))?;
    let kept = std::fs::read_to_string(place.path("docs/config.md")).context("docs/config.md cannot be read")?;
    ensure!(
        printed == kept,
        "docs/config.md is stale: write `tally config --markdown` into it"
    );
    Ok(())
}
