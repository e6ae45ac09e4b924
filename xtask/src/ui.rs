//! The UI's build and its tests in a real browser, against the real server.

use std::path::Path;

use anyhow::{Context, Result};

use crate::place::Place;
use crate::resp::Client;
use crate::tally::{Setup, Tally};
use crate::{artifacts, command, sample};

/// As many counters as the search must be quick over.
const LARGE: u32 = 100_000;

/// Types, then the bundle.
pub(crate) fn build(place: &Place) -> Result<()> {
    let ui = place.path("ui");
    artifacts::ui_packages(&ui)?;
    command::run(&mut command::program("npm", &ui, &["run", "check"]))?;
    artifacts::ui(place)
}

/// `npm test`, with a server that holds the sample at `TALLY_URL` and one with 100,000 counters at `TALLY_URL_LARGE`.
pub(crate) fn test(place: &Place, binary: &Path) -> Result<()> {
    let folder = place.fresh("ui")?;
    let small = Tally::start(&Setup::new(binary, &folder.path().join("small")))?;
    sample::count(place, &small)?;
    let large = Tally::start(&Setup::new(binary, &folder.path().join("large")))?;
    load(&large.resp)?;
    let ui = place.path("ui");
    artifacts::ui_packages(&ui)?;
    let chromium = command::which("chromium").context("lacking: chromium")?;
    let mut tests = command::program("npm", &ui, &["test"]);
    tests
        .env("TALLY_URL", small.url())
        .env("TALLY_URL_LARGE", large.url())
        .env("TALLY_CHROMIUM", chromium);
    command::run(&mut tests)?;
    large.stop()?;
    small.stop()
}

/// Makes the counters `load:000000` to `load:099999`, each with an amount of its own.
fn load(address: &str) -> Result<()> {
    let mut client = Client::connect(address)?;
    for start in (0..LARGE).step_by(1000) {
        for number in start..start + 1000 {
            client.send(&["INCRBY", &format!("load:{number:06}"), &(number % 997 + 1).to_string()])?;
        }
        client.flush()?;
        for _ in 0..1000 {
            client.expect()?;
        }
    }
    Ok(())
}
