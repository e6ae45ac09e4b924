//! `tally copy` there and back: the sample in a data directory, then in the cluster, then in another directory, exact everywhere; a
//! second run changes nothing, and a file that was counted before the copy is not counted again behind it.

use std::path::Path;

use anyhow::Result;

use super::Cluster;
use crate::place::Place;
use crate::tally::{self, Setup, Tally};
use crate::{command, sample};

/// Runs it.
pub(super) fn there_and_back(place: &Place, binary: &Path, cluster: &Cluster) -> Result<()> {
    let folder = place.fresh("copy")?;
    let (url, second) = (cluster.url("copied"), folder.path().join("second"));
    let embedded = Setup::new(binary, &folder.path().join("first"));
    let tally = Tally::start(&embedded)?;
    sample::count(place, &tally)?;
    tally.stop()?;
    let copy = |from: &Path, to: &Path| {
        let mut command = tally::client(binary);
        command::run(command.arg("copy").arg("--from").arg(from).arg("--to").arg(to))
    };
    for _ in 0..2 {
        copy(&embedded.data, url.as_ref())?;
    }
    let shared = Setup::new(binary, &folder.path().join("node")).on(Some(&url));
    let tally = Tally::start(&shared)?;
    sample::exact(place, &tally)?;
    sample::count(place, &tally)?;
    sample::exact(place, &tally)?;
    tally.stop()?;
    copy(url.as_ref(), &second)?;
    copy(url.as_ref(), &embedded.data)?;
    for data in [&second, &embedded.data] {
        let tally = Tally::start(&Setup::new(binary, data))?;
        sample::exact(place, &tally)?;
        tally.stop()?;
    }
    Ok(())
}
