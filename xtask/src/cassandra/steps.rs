//! What `cargo xtask test` proves on a real cluster of three nodes.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Cluster, Shape, copy, nodes, outage, strong};
use crate::place::Place;
use crate::resp::Client;
use crate::steps::Steps;
use crate::tally::{Setup, Tally};
use crate::{command, sample};

/// Starts the cluster once and runs all that needs it. A cluster that does not start is a failed step.
pub(crate) fn steps(steps: &mut Steps, place: &Place, binary: &Path) {
    steps.step("cassandra: a node that refuses", || guarded(place, binary));
    let mut cluster = None;
    steps.step("cassandra: three nodes start", || {
        cluster = Some(Cluster::start(place, Shape::of(3))?);
        Ok(())
    });
    let Some(mut cluster) = cluster else { return };
    steps.step("cassandra: the store's contract", || contract(place, &cluster));
    steps.step("cassandra: sample, killed halfway", || {
        sample::killed(place, binary, Some(&cluster.url("killed")))
    });
    steps.step("cassandra: several nodes", || nodes::share(place, binary, &cluster));
    steps.step("cassandra: strong counters are linearizable", || {
        strong::linearizable(place, binary, &mut cluster, 0)
    });
    steps.step("cassandra: a copy there and back", || {
        copy::there_and_back(place, binary, &cluster)
    });
    steps.step("cassandra: nodes fail under load", || {
        outage::outage(place, binary, &mut cluster, (0, outage::SHORT_PAUSE))
    });
}

/// The contract suite of `tally-store`, on the cluster.
fn contract(place: &Place, cluster: &Cluster) -> Result<()> {
    let variables = [
        ("TALLY_TEST_CQL", cluster.hosts()),
        ("TALLY_TEST_CQL_COPIES", cluster.copies().to_string()),
    ];
    store_test(place, "cql", &variables)
}

/// A node with passwords, TLS and a periodic commit log: what it refuses, and what is refused of it.
fn guarded(place: &Place, binary: &Path) -> Result<()> {
    let shape = Shape {
        nodes: 1,
        periodic: true,
        passwords: true,
        named: true,
    };
    let cluster = Cluster::start(place, shape)?;
    let variables = [
        ("TALLY_TEST_CQL_GUARDED", cluster.hosts()),
        ("TALLY_TEST_CQL_TLS", cluster.tls_hosts()),
        (
            "TALLY_TEST_CQL_CERTIFICATES",
            cluster.certificates.folder().display().to_string(),
        ),
    ];
    store_test(place, "cql_guarded", &variables)?;
    by_tls(place, binary, &cluster)
}

/// The binary itself, by the name in the node's certificate: with a wrong password it stops, with the right one it counts, and neither is logged.
fn by_tls(place: &Place, binary: &Path, cluster: &Cluster) -> Result<()> {
    const WRONG: &str = "not-the-password";
    let folder = place.fresh("tls")?;
    let url = cluster.tls_url("guarded").replace("127.0.0.1", "localhost");
    let mut setup = Setup::new(binary, &folder.path().join("data")).on(Some(&url));
    setup.settings.extend(cluster.tls_settings());
    let user = ["--store-user", "cassandra", "--store-periodic"];
    setup.settings.extend(user.map(str::to_owned));
    let with = |password: &str| -> Result<Setup> {
        let file = folder.path().join("password");
        std::fs::write(&file, password)?;
        let mut setup = setup.clone();
        let file = file.display().to_string();
        setup.settings.extend(["--store-password-file".to_owned(), file]);
        Ok(setup)
    };
    let refused = Tally::start(&with(WRONG)?).err().map(|error| format!("{error:#}"));
    let refused = refused.context("it serves with a wrong password")?;
    ensure!(
        refused.contains("user and password") && refused.contains("Tally stops"),
        "a wrong password ended so: {refused}"
    );
    let tally = Tally::start(&with("cassandra")?)?;
    Client::connect(&tally.resp)?.call(&["INCR", "encrypted:adds"])?;
    tally.stop()?;
    let log = std::fs::read_to_string(&setup.log)?;
    ensure!(!log.contains(WRONG), "the log holds a password: {log}");
    Ok(())
}

fn store_test(place: &Place, name: &str, variables: &[(&str, String)]) -> Result<()> {
    let arguments = ["test", "-p", "tally-store", "--features", "cql-cluster", "--test", name];
    let mut command = command::cargo(place.root(), &arguments);
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
    command::run(&mut command)
}
