//! Several Tally nodes on one keyspace: each sums the others' counts within seconds, a node with an empty disk reads everything, and of two
//! with one identity one stops.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::Cluster;
use crate::place::Place;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};
use crate::{http, machine, sample, wait};

/// How soon an add on one node is to be seen on another.
const SIGHT: Duration = Duration::from_secs(10);
/// How soon a twin is to be noticed.
const TWIN: Duration = Duration::from_secs(10);
const KEY: &str = "requests:all";
/// By how much a clock is off.
const AHEAD_S: i64 = 3_600;
const ADDS: u64 = 200;

/// Runs it.
pub(super) fn share(place: &Place, binary: &Path, cluster: &Cluster) -> Result<()> {
    let folder = place.fresh("nodes")?;
    let url = cluster.url("nodes");
    let setup = |name: &str| Setup::new(binary, &folder.path().join(name)).on(Some(&url)).ack("disk");
    let first = Tally::start(&setup("one"))?;
    sample::count(place, &first)?;
    let sampled = value(&first.resp, KEY)?;
    // This one by TLS: the others' addresses are in their certificates.
    let mut encrypted = Setup::new(binary, &folder.path().join("two"))
        .on(Some(&cluster.tls_url("nodes")))
        .ack("disk");
    encrypted.settings.extend(cluster.tls_settings());
    let second = Tally::start(&encrypted)?;
    let third = Tally::start(&setup("three"))?;
    // Another node, with an empty disk, has all of it.
    sample::exact(place, &third)?;
    for tally in [&second, &third] {
        let mut client = Client::connect(&tally.resp)?;
        for _ in 0..ADDS {
            client.call(&["INCR", KEY])?;
        }
    }
    let expected = sampled + 2 * ADDS;
    let began = Instant::now();
    for tally in [&first, &second, &third] {
        wait::until("the sum of all nodes", SIGHT, || {
            let value = value(&tally.resp, KEY)?;
            ensure!(value <= expected, "{KEY} is {value}: more than {expected}");
            Ok((value == expected).then_some(()))
        })?;
    }
    println!("all nodes read {expected} after {} ms", began.elapsed().as_millis());
    resets(&first, &second)?;
    declares(&first, &second)?;
    let fourth = Tally::start(&ahead(setup("four"))?)?;
    ensure!(
        value(&fourth.resp, KEY)? == expected,
        "a node with an empty disk does not read everything"
    );
    wait::until("four living nodes", SIGHT, || Ok((alive(&fourth)? == 4).then_some(())))?;
    clocks_differ(&first, &fourth, &setup("one").log)?;
    for tally in [second, third, fourth] {
        tally.stop()?;
    }
    twin(folder.path(), &setup("one"), &setup("twin"), first)
}

/// With a clock that is ahead by an hour.
fn ahead(mut setup: Setup) -> Result<Setup> {
    let lacking = machine::obtain(&machine::CLOCK);
    ensure!(lacking.is_empty(), "still lacking: {}", lacking.join(" "));
    let library = machine::fake_clock()?;
    setup.under = [
        "env",
        &format!("LD_PRELOAD={}", library.display()),
        &format!("FAKETIME=+{AHEAD_S}s"),
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ]
    .map(str::to_owned)
    .to_vec();
    Ok(setup)
}

/// A clock that is off is said by the nodes that hear it, and shown; what it counts is counted, at its own time.
fn clocks_differ(first: &Tally, ahead: &Tally, log: &Path) -> Result<()> {
    const KEY: &str = "nodes:ahead";
    Client::connect(&ahead.resp)?.call(&["INCRBY", KEY, "7"])?;
    Client::connect(&first.resp)?.call(&["INCRBY", KEY, "5"])?;
    both(first, ahead, KEY, 12)?;
    wait::until("a clock that is off to be shown", SIGHT, || {
        let answer = http::get(&first.http, "/v1/nodes")?.json()?;
        let nodes = answer.get("nodes").and_then(serde_json::Value::as_array);
        let nodes = nodes.into_iter().flatten();
        let off_ms = nodes.filter_map(|node| node.get("clock_ahead_ms").and_then(serde_json::Value::as_i64));
        let is_ahead = |off_ms: i64| (AHEAD_S * 1_000 - off_ms).abs() < 60_000;
        Ok(off_ms.into_iter().any(is_ahead).then_some(()))
    })?;
    let log = std::fs::read_to_string(log)?;
    ensure!(
        log.contains("the clock of a node and this one's differ"),
        "no warning of a clock that is off"
    );
    let history = http::get(&first.http, &format!("/v1/history?key={KEY}&step=1h"))?;
    ensure!(history.status == 200, "{}", history.body);
    let history = history.json()?;
    println!("{history}");
    Ok(())
}

/// A SET on one node ends what others have counted, and what comes after counts on both.
fn resets(first: &Tally, second: &Tally) -> Result<()> {
    const SET: &str = "nodes:set";
    let mut one = Client::connect(&first.resp)?;
    let mut two = Client::connect(&second.resp)?;
    for client in [&mut one, &mut two] {
        client.call(&["INCRBY", SET, "5"])?;
    }
    both(first, second, SET, 10)?;
    two.call(&["SET", SET, "100"])?;
    both(first, second, SET, 100)?;
    one.call(&["INCRBY", SET, "1"])?;
    two.call(&["INCRBY", SET, "2"])?;
    both(first, second, SET, 103)
}

/// What one node declares holds on another that runs already.
fn declares(first: &Tally, second: &Tally) -> Result<()> {
    let declared = http::put(&first.http, "/v1/namespaces/votes", r#"{"lateness":"5m"}"#)?;
    ensure!(declared.status == 200, "PUT a namespace: {}", declared.body);
    wait::until("a policy to be adopted", SIGHT, || {
        let found = http::get(&second.http, "/v1/namespaces/votes")?;
        Ok((found.status == 200 && found.body.contains("5m")).then_some(()))
    })
}

fn both(first: &Tally, second: &Tally, key: &str, expected: u64) -> Result<()> {
    for tally in [first, second] {
        wait::until(&format!("{key} to be {expected}"), SIGHT, || {
            Ok((value(&tally.resp, key)? == expected).then_some(()))
        })?;
    }
    Ok(())
}

/// A copy of a node's directory is started beside it: the node stops, and what was acknowledged by both is there.
fn twin(folder: &Path, setup: &Setup, twin: &Setup, first: Tally) -> Result<()> {
    let (one, copy) = (&setup.data, folder.join("twin"));
    std::fs::create_dir_all(&copy)?;
    for entry in std::fs::read_dir(one)? {
        let entry = entry?;
        if entry.file_name() != "lock" {
            std::fs::copy(entry.path(), copy.join(entry.file_name()))?;
        }
    }
    let before = value(&first.resp, KEY)?;
    let second = Tally::start(twin)?;
    let mut first = first;
    wait::until("one of two twins to stop", TWIN, || {
        Ok(first.still_runs().is_err().then_some(()))
    })?;
    let after = value(&second.resp, KEY)?;
    ensure!(
        after == before,
        "{KEY} was {before} and is {after} after a twin took over"
    );
    second.stop()
}

fn alive(tally: &Tally) -> Result<usize> {
    let answer = http::get(&tally.http, "/v1/nodes")?.json()?;
    let nodes = answer
        .get("nodes")
        .and_then(serde_json::Value::as_array)
        .context("no nodes")?;
    let is_alive = |node: &&serde_json::Value| node.get("alive").and_then(serde_json::Value::as_bool) == Some(true);
    Ok(nodes.iter().filter(is_alive).count())
}

fn value(address: &str, key: &str) -> Result<u64> {
    match Client::connect(address)?.call(&["GET", key])? {
        Reply::Bulk(Some(digits)) => Ok(std::str::from_utf8(&digits)?.parse()?),
        Reply::Bulk(None) => Err(anyhow!("{key} is not there")),
        other => bail!("GET {key} answered {other:?}"),
    }
}
