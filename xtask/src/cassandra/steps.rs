//! What `cargo xtask test` proves on a real cluster of three nodes.

use std::path::Path;

use anyhow::Result;

use super::{Cluster, Shape, copy, nodes, outage, strong};
use crate::place::Place;
use crate::steps::Steps;
use crate::{command, sample};

/// Starts the cluster once and runs all that needs it. A cluster that does not start is a failed step.
pub(crate) fn steps(steps: &mut Steps, place: &Place, binary: &Path) {
    steps.step("cassandra: a node that refuses", || guarded(place));
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
        strong::linearizable(place, binary, &mut cluster)
    });
    steps.step("cassandra: a copy there and back", || {
        copy::there_and_back(place, binary, &cluster)
    });
    steps.step("cassandra: nodes fail under load", || {
        outage::outage(place, binary, &mut cluster)
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

/// A node with passwords and a periodic commit log: what it refuses, and what is refused of it.
fn guarded(place: &Place) -> Result<()> {
    let shape = Shape {
        nodes: 1,
        periodic: true,
        passwords: true,
    };
    let cluster = Cluster::start(place, shape)?;
    store_test(place, "cql_guarded", &[("TALLY_TEST_CQL_GUARDED", cluster.hosts())])
}

fn store_test(place: &Place, name: &str, variables: &[(&str, String)]) -> Result<()> {
    let arguments = ["test", "-p", "tally-store", "--features", "cql-cluster", "--test", name];
    let mut command = command::cargo(place.root(), &arguments);
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
    command::run(&mut command)
}
