//! What `cargo xtask test` proves on a real cluster of three nodes.

use std::path::Path;

use anyhow::Result;

use super::{Cluster, Shape, copy, nodes, outage};
use crate::place::Place;
use crate::steps::Steps;
use crate::{command, crash, sample};

/// Starts the cluster once and runs all that needs it. A cluster that does not start is a failed step.
pub(crate) fn steps(steps: &mut Steps, place: &Place, binary: &Path) {
    let mut cluster = None;
    steps.step("cassandra: three nodes start", || {
        cluster = Some(Cluster::start(place, Shape::of(3))?);
        Ok(())
    });
    let Some(mut cluster) = cluster else { return };
    steps.step("cassandra: the store's contract", || contract(place, &cluster));
    steps.step("cassandra: sample, counted exactly", || {
        sample::totals(place, binary, Some(&cluster.url("sample")))
    });
    steps.step("cassandra: sample, killed halfway", || {
        sample::killed(place, binary, Some(&cluster.url("killed")))
    });
    steps.step("cassandra: killed under load", || {
        crash::killed_under_load(place, binary, Some(&cluster.url("crash")))
    });
    steps.step("cassandra: several nodes", || nodes::share(place, binary, &cluster));
    steps.step("cassandra: a copy there and back", || {
        copy::there_and_back(place, binary, &cluster)
    });
    steps.step("cassandra: nodes fail under load", || {
        outage::outage(place, binary, &mut cluster)
    });
}

/// The contract suite of `tally-store`, on the cluster.
fn contract(place: &Place, cluster: &Cluster) -> Result<()> {
    let arguments = [
        "test",
        "-p",
        "tally-store",
        "--features",
        "cql-cluster",
        "--test",
        "cql",
    ];
    command::run(
        command::cargo(place.root(), &arguments)
            .env("TALLY_TEST_CQL", cluster.hosts())
            .env("TALLY_TEST_CQL_COPIES", cluster.copies().to_string()),
    )
}
