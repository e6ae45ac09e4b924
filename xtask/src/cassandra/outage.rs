//! Nodes of the cluster fail under load: one, then the quorum, then all; at last Tally itself is killed. Adds at `disk` go on throughout; `replicated` ones are refused
//! while there is no quorum and say that they may have been applied; at the end every total is what was acknowledged, and what
//! was not answered for sure is there once or not at all.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::Cluster;
use crate::place::Place;
use crate::resp::{Client, Reply};
use crate::tally::{Setup, Tally};
use crate::{http, wait};

const LIMIT: Duration = Duration::from_mins(2);
const DISK: &str = "outage:disk";
const REPLICATED: &str = "outage:replicated";

/// What the clients were told.
#[derive(Debug, Default)]
struct Told {
    /// Adds at `disk` that were acknowledged.
    disk: AtomicU64,
    replicated: AtomicU64,
    /// Those at `replicated` whose outcome was said to be unknown.
    unknown: AtomicU64,
    done: AtomicBool,
}

/// Runs it. The cluster is whole again at the end.
pub(super) fn outage(place: &Place, binary: &Path, cluster: &mut Cluster) -> Result<()> {
    let folder = place.fresh("outage")?;
    let url = cluster.url("outage");
    let mut setup = Setup::new(binary, &folder.path().join("data")).on(Some(&url));
    setup.settings.extend(["--store-timeout".to_owned(), "4s".to_owned()]);
    let tally = Tally::start(&setup)?;
    let told = Told::default();
    std::thread::scope(|scope| -> Result<()> {
        let clients = [
            scope.spawn(|| disk(&tally.resp, &told)),
            scope.spawn(|| replicated(&tally.resp, &told)),
        ];
        let failed = fail_and_heal(cluster, &tally, &told);
        told.done.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        failed
    })?;
    // While the last adds are in its journal only.
    tally.kill()?;
    let tally = Tally::start(&setup)?;
    compare(&tally.resp, &told)?;
    println!(
        "{} adds at disk and {} replicated ones are there, {} were unknown",
        told.disk.load(Ordering::Relaxed),
        told.replicated.load(Ordering::Relaxed),
        told.unknown.load(Ordering::Relaxed)
    );
    tally.stop()?;
    let tally = Tally::start(&setup)?;
    compare(&tally.resp, &told)?;
    tally.stop()
}

fn fail_and_heal(cluster: &mut Cluster, tally: &Tally, told: &Told) -> Result<()> {
    more(told, "with all nodes", true)?;
    cluster.node(3)?.kill()?;
    more(told, "with one node lost", true)?;
    cluster.node(2)?.pause();
    let unknown = told.unknown.load(Ordering::Relaxed);
    wait::until("a refusal without a quorum", LIMIT, || {
        Ok((told.unknown.load(Ordering::Relaxed) > unknown).then_some(()))
    })?;
    more(told, "without a quorum", false)?;
    ready(tally, 503)?;
    cluster.node(2)?.resume();
    ready(tally, 200)?;
    more(told, "with the quorum back", true)?;
    for number in [1, 2] {
        cluster.node(number)?.kill()?;
    }
    more(told, "without a node", false)?;
    // The first one is whom the others ask who is there: without it they give up soon.
    cluster.node(1)?.run()?;
    for number in [2, 3] {
        cluster.node(number)?.begin()?;
    }
    for number in [2, 3] {
        cluster.node(number)?.ready()?;
    }
    ready(tally, 200)?;
    more(told, "with all nodes back", true)
}

/// Waits for a hundred more adds at `disk`, and for some replicated ones where there is a quorum.
fn more(told: &Told, when: &str, quorum: bool) -> Result<()> {
    let disk = told.disk.load(Ordering::Relaxed) + 100;
    let replicated = told.replicated.load(Ordering::Relaxed) + if quorum { 3 } else { 0 };
    wait::until(&format!("adds {when}"), LIMIT, || {
        let there = told.disk.load(Ordering::Relaxed) >= disk && told.replicated.load(Ordering::Relaxed) >= replicated;
        Ok(there.then_some(()))
    })
}

fn ready(tally: &Tally, status: u16) -> Result<()> {
    wait::until(&format!("/readyz to answer {status}"), LIMIT, || {
        Ok((http::get(&tally.http, "/readyz")?.status == status).then_some(()))
    })
}

fn disk(address: &str, told: &Told) -> Result<()> {
    let mut client = Client::connect(address)?;
    while !told.done.load(Ordering::Relaxed) {
        client
            .call(&["TALLY.ADD", DISK, "1", "ACK", "disk"])
            .context("an add at disk")?;
        told.disk.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn replicated(address: &str, told: &Told) -> Result<()> {
    let mut client = Client::connect(address)?;
    while !told.done.load(Ordering::Relaxed) {
        client.send(&["TALLY.ADD", REPLICATED, "1", "ACK", "replicated"])?;
        client.flush()?;
        match client.reply()? {
            Reply::Error(why) if why.contains("may be applied") => told.unknown.fetch_add(1, Ordering::Relaxed),
            Reply::Error(why) => bail!("a replicated add was refused without saying whether it was applied: {why}"),
            _ => told.replicated.fetch_add(1, Ordering::Relaxed),
        };
    }
    Ok(())
}

fn compare(address: &str, told: &Told) -> Result<()> {
    let mut client = Client::connect(address)?;
    let (disk, replicated) = (value(&mut client, DISK)?, value(&mut client, REPLICATED)?);
    let least = told.replicated.load(Ordering::Relaxed);
    let most = least + told.unknown.load(Ordering::Relaxed);
    let acknowledged = told.disk.load(Ordering::Relaxed);
    ensure!(
        disk == acknowledged,
        "{DISK} is {disk}, and {acknowledged} were acknowledged"
    );
    ensure!(
        (least..=most).contains(&replicated),
        "{REPLICATED} is {replicated}, and must be {least} to {most}"
    );
    Ok(())
}

fn value(client: &mut Client, key: &str) -> Result<u64> {
    match client.call(&["GET", key])? {
        Reply::Bulk(Some(digits)) => Ok(std::str::from_utf8(&digits)?.parse()?),
        other => bail!("GET {key} answered {other:?}"),
    }
}
