//! `cargo xtask check`: the fast loop.

use anyhow::Result;

use crate::command::{cargo, run};
use crate::place::Place;
use crate::steps::Steps;
use crate::{child, tidy};

pub(crate) fn check() -> Result<()> {
    child::end_all_on_interrupt()?;
    let place = Place::find()?;
    let mut steps = Steps::default();
    source(&mut steps, &place);
    steps.step("unit tests", || {
        run(&mut cargo(place.root(), &["test", "--workspace", "--lib"]))
    });
    steps.close()
}

/// What can be said of the source without running it.
pub(crate) fn source(steps: &mut Steps, place: &Place) {
    let root = place.root();
    steps.step("format", || run(&mut cargo(root, &["fmt", "--all", "--check"])));
    steps.step("lints", || {
        run(&mut cargo(
            root,
            &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"],
        ))
    });
    steps.step("tidy", tidy::tidy);
}

/// `cargo xtask sim`: hands its options on to the simulation, built for speed.
pub(crate) fn simulate(options: &[String]) -> Result<()> {
    let place = Place::find()?;
    let mut arguments = vec!["run", "--release", "-p", "tally-sim", "--"];
    arguments.extend(options.iter().map(String::as_str));
    run(&mut cargo(place.root(), &arguments))
}
