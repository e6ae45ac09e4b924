//! The connection to the cluster: who answers, how long it may take, and whether what it acknowledges is safe (rules 8 and 9).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::cluster::Node;
use scylla::policies::load_balancing::{DefaultPolicy, NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency, SerialConsistency};

use super::{CqlConsistency, CqlSettings, failure, tls};
use crate::StoreError;

/// Where a node says how its commit log is synced: Cassandra, ScyllaDB.
const COMMIT_LOG: [&str; 2] = [
    "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'",
    "SELECT value FROM system.config WHERE name = 'commitlog_sync'",
];

/// How often nodes are asked whether they agree on a new table.
const AGREEMENT_INTERVAL: Duration = Duration::from_millis(50);

impl CqlConsistency {
    fn quorum(self) -> Consistency {
        match self {
            Self::Local => Consistency::LocalQuorum,
            Self::Global => Consistency::Quorum,
        }
    }

    fn serial(self) -> SerialConsistency {
        match self {
            Self::Local => SerialConsistency::LocalSerial,
            Self::Global => SerialConsistency::Serial,
        }
    }

    /// How writers' rows are read.
    pub(super) fn serial_read(self) -> Consistency {
        match self {
            Self::Local => Consistency::LocalSerial,
            Self::Global => Consistency::Serial,
        }
    }
}

/// A session, and the data centre whose quorum answers it.
pub(super) struct Connected {
    pub(super) session: Session,
    pub(super) data_centre: String,
}

/// Connects, and finds the home data centre.
pub(super) async fn connect(settings: &CqlSettings) -> Result<Connected, StoreError> {
    let mut builder = SessionBuilder::new()
        .known_nodes(&settings.hosts)
        .connection_timeout(settings.connect_timeout)
        .schema_agreement_interval(AGREEMENT_INTERVAL)
        .keyspaces_to_fetch([&settings.keyspace])
        .default_execution_profile_handle(profile(settings, settings.data_centre.as_deref()).into_handle());
    if let Some((user, password)) = &settings.user {
        builder = builder.user(user, password.text());
    }
    if let Some(tls) = &settings.tls {
        builder = builder.tls_context(Some(tls::config(tls, &settings.hosts)?));
    }
    let session = builder
        .build()
        .await
        .map_err(|error| failure::connect(&error, settings))?;
    if session
        .get_cluster_state()
        .get_nodes_info()
        .iter()
        .all(|node| node.datacenter.is_none())
    {
        // The cluster did not say in time what it consists of.
        session.refresh_metadata().await.map_err(|error| {
            StoreError::Unavailable(format!("the cluster does not say which nodes it has: {error}"))
        })?;
    }
    let data_centre = home(&session, settings)?;
    // From here on no node elsewhere answers, even where that data centre was not there before.
    let mut handle = session.get_default_execution_profile_handle().clone();
    handle.map_to_another_profile(profile(settings, Some(&data_centre)));
    Ok(Connected { session, data_centre })
}

fn profile(settings: &CqlSettings, data_centre: Option<&str>) -> ExecutionProfile {
    let mut policy = DefaultPolicy::builder();
    if let Some(name) = data_centre {
        policy = policy
            .prefer_datacenter(name.to_owned())
            .permit_dc_failover(settings.consistency == CqlConsistency::Global);
    }
    ExecutionProfile::builder()
        .consistency(settings.consistency.quorum())
        .serial_consistency(Some(settings.consistency.serial()))
        .request_timeout(Some(settings.request_timeout))
        .load_balancing_policy(policy.build())
        .build()
}

fn home(session: &Session, settings: &CqlSettings) -> Result<String, StoreError> {
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info().iter();
    let found: BTreeSet<&str> = nodes.filter_map(|node| node.datacenter.as_deref()).collect();
    let names = || found.iter().copied().collect::<Vec<_>>().join(", ");
    match &settings.data_centre {
        _ if found.is_empty() => Err(StoreError::Unavailable(
            "the cluster does not say which nodes it has".into(),
        )),
        Some(name) if found.contains(name.as_str()) => Ok(name.clone()),
        Some(name) => Err(StoreError::Refused(format!(
            "the cluster has no data centre {name}, but {}; set the store's data centre to one of them",
            names()
        ))),
        None if found.len() == 1 => Ok(names()),
        None => Err(StoreError::Refused(format!(
            "the cluster has the data centres {}; set the store's data centre to the one that Tally works in",
            names()
        ))),
    }
}

/// How many nodes the data centre has.
pub(super) fn nodes(session: &Session, data_centre: &str) -> usize {
    home_nodes(session, data_centre).len()
}

fn home_nodes(session: &Session, data_centre: &str) -> Vec<Arc<Node>> {
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info().iter();
    nodes
        .filter(|node| node.datacenter.as_deref() == Some(data_centre))
        .map(Arc::clone)
        .collect()
}

/// Refuses a cluster whose nodes sync their commit log only after they have acknowledged, unless that is accepted (rule 8).
pub(super) async fn check_commit_log(
    session: &Session,
    data_centre: &str,
    settings: &CqlSettings,
) -> Result<(), StoreError> {
    let mut known = 0_usize;
    for node in home_nodes(session, data_centre) {
        let address = node.address;
        let Some(sync) = commit_log(session, node).await else {
            continue;
        };
        known = known.saturating_add(1);
        if sync.to_lowercase() != "periodic" {
            continue;
        }
        if !settings.accept_periodic {
            return Err(StoreError::Refused(format!(
                "the node {address} has `commitlog_sync: periodic`: it acknowledges before it syncs, and a loss of power of all nodes would lose what was acknowledged; set commitlog_sync to group or batch, or accept that only the loss of a minority of nodes is survived (setting store_periodic)"
            )));
        }
        tracing::warn!(%address, "the cluster syncs its commit log only after it has acknowledged: a loss of power of all nodes loses what was acknowledged");
    }
    if known == 0 {
        tracing::warn!(
            "the nodes do not say how they sync their commit log (no right to read system_views.settings): see to it that commitlog_sync is not periodic"
        );
    }
    Ok(())
}

async fn commit_log(session: &Session, node: Arc<Node>) -> Option<String> {
    for text in COMMIT_LOG {
        let mut statement = Statement::new(text);
        statement.set_consistency(Consistency::LocalOne);
        let node = NodeIdentifier::Node(Arc::clone(&node));
        statement.set_load_balancing_policy(Some(SingleTargetLoadBalancingPolicy::new(node, None)));
        let Ok(answer) = session.query_unpaged(statement, ()).await else {
            continue;
        };
        let rows = answer.into_rows_result().ok()?;
        if let Ok(Some((value,))) = rows.maybe_first_row::<(String,)>() {
            return Some(value);
        }
    }
    None
}
