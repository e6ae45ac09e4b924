//! `tally copy` there and back: the sample in a data directory, then in the cluster, then in another directory, exact everywhere; a
//! second run changes nothing, and a file that was counted before the copy is not counted again behind it.

use std::path::Path;

use anyhow::{Result, ensure};

use super::Cluster;
use crate::place::Place;
use crate::resp::{Client, Reply};
use crate::tally::{self, Setup, Tally};
use crate::{command, http, sample};

/// A strong counter beside the sample.
const KEY: &str = "firm:x";

/// Runs it.
pub(super) fn there_and_back(place: &Place, binary: &Path, cluster: &Cluster) -> Result<()> {
    let folder = place.fresh("copy")?;
    let (url, second) = (cluster.url("copied"), folder.path().join("second"));
    let embedded = Setup::new(binary, &folder.path().join("first"));
    let tally = Tally::start(&embedded)?;
    sample::count(place, &tally)?;
    strong_declared(&tally)?;
    strong_add(&tally, 1)?;
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
    sample::exact_beside(place, &tally, &[(KEY, 5)])?;
    sample::count(place, &tally)?;
    sample::exact_beside(place, &tally, &[(KEY, 5)])?;
    strong_add(&tally, 2)?;
    tally.stop()?;
    copy(url.as_ref(), &second)?;
    copy(url.as_ref(), &embedded.data)?;
    for data in [&second, &embedded.data] {
        let tally = Tally::start(&Setup::new(binary, data))?;
        sample::exact_beside(place, &tally, &[(KEY, 12)])?;
        strong_add(&tally, 2)?;
        command::run(&mut tally.cli(&["verify"]))?;
        tally.stop()?;
    }
    Ok(())
}

fn strong_declared(tally: &Tally) -> Result<()> {
    let declared = http::put(&tally.http, "/v1/namespaces/firm", r#"{"consistency":"strong"}"#)?;
    ensure!(declared.status == 200, "PUT a namespace: {}", declared.body);
    Ok(())
}

/// Brings a strong counter to 5, or to 12. Both adds have tokens, which come over with it: what was counted already counts nothing.
fn strong_add(tally: &Tally, adds: usize) -> Result<()> {
    let mut client = Client::connect(&tally.resp)?;
    for (amount, token) in [(5, "first"), (7, "second")].into_iter().take(adds) {
        client.call(&["TALLY.ADD", KEY, &amount.to_string(), "TOKEN", token])?;
    }
    let expected = if adds == 1 { "5" } else { "12" };
    let there = client.call(&["GET", KEY])?;
    ensure!(
        there == Reply::Bulk(Some(expected.as_bytes().to_vec())),
        "{KEY} is {there:?} and not {expected}"
    );
    Ok(())
}
