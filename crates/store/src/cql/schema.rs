//! The keyspace: created where it is not there, with a version; one of a newer Tally, of another data centre or of something else is
//! refused by name.

use scylla::client::session::Session;
use scylla::response::query_result::QueryRowsResult;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;

use super::partition::Partitions;
use super::retry::retried_at_start;
use super::{CqlConsistency, CqlPartitions, CqlSettings, failure, session, statements};
use crate::{StoreError, Table};

/// The version of tables and keys.
const VERSION: u32 = 1;
/// Copies of a row in a keyspace that Tally creates, where the data centre has so many nodes.
const COPIES: usize = 3;
/// How often, and how far apart, a table is looked for that is being created.
const LOOKS: usize = 100;
const LOOK: std::time::Duration = std::time::Duration::from_millis(100);
/// How long the cluster may take to create something.
const CREATE_TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);
/// How often, and how far apart, nodes that are named are looked for before their number says how many copies there are.
const NODES_LOOKS: usize = 30;
const NODES_LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Creates what is not there, and answers how the keyspace is partitioned and which it is.
pub(super) async fn open(
    session: &Session,
    data_centre: &str,
    settings: &CqlSettings,
) -> Result<(Partitions, String), StoreError> {
    let keyspace = settings.keyspace.as_str();
    create_keyspace(session, data_centre, settings).await?;
    let tables = tables(session, keyspace).await?;
    if !tables.iter().any(|table| table == statements::META) {
        if !tables.is_empty() {
            return Err(StoreError::Refused(format!(
                "the keyspace {keyspace} holds something else (table {}); set another",
                tables.first().map_or("", String::as_str)
            )));
        }
        create(
            session,
            statements::create_meta(keyspace, made(session, keyspace).await?),
        )
        .await?;
    }
    let meta = Meta::new(session, settings).await?;
    let version = meta.version().await?;
    if version.parse::<u32>().ok() != Some(VERSION) {
        return Err(StoreError::Refused(format!(
            "the keyspace {keyspace} has format {version}, this Tally reads {VERSION}; start a newer Tally on it"
        )));
    }
    let home = meta.agree("data_centre", data_centre).await?;
    if settings.consistency == CqlConsistency::Local && home != data_centre {
        return Err(StoreError::Refused(format!(
            "the keyspace {keyspace} is worked on in the data centre {home}, and quorums of {data_centre} would not see what that writes; work there, or set the consistency to global on all nodes"
        )));
    }
    let partitions = partitions(&meta, settings).await?;
    let id = meta.agree("id", &session.session_id().to_string()).await?;
    for table in Table::ALL {
        if !tables.iter().any(|there| there == statements::name(table)) {
            create(
                session,
                statements::create(keyspace, table, made(session, keyspace).await?),
            )
            .await?;
        }
    }
    Ok((partitions, id))
}

/// When the keyspace was made, which all nodes must know before anyone creates a table by it.
async fn made(session: &Session, keyspace: &str) -> Result<i64, StoreError> {
    session
        .await_schema_agreement()
        .await
        .map_err(|error| StoreError::Unavailable(format!("the cluster's nodes do not agree on its tables: {error}")))?;
    let rows = rows(session.query_unpaged(statements::MADE, (keyspace,)).await)?;
    let made = rows
        .maybe_first_row::<(Option<i64>,)>()
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    made.and_then(|(made,)| made)
        .ok_or_else(|| StoreError::Unavailable(format!("the keyspace {keyspace} is gone; try again")))
}

async fn partitions(meta: &Meta<'_>, settings: &CqlSettings) -> Result<Partitions, StoreError> {
    let wanted = Partitions::new(settings.partitions, 0)?.numbers();
    let number = async |what: &str, wanted: u16| {
        let text = meta.agree(what, &wanted.to_string()).await?;
        text.parse::<u16>()
            .map_err(|error| StoreError::Corrupt(format!("{what} of the keyspace is {text}: {error}")))
    };
    let numbers = CqlPartitions {
        buckets: number("buckets", wanted.buckets).await?,
        names: number("name_shards", wanted.names).await?,
    };
    Partitions::new(numbers, settings.first_partition)
}

async fn create_keyspace(session: &Session, data_centre: &str, settings: &CqlSettings) -> Result<(), StoreError> {
    let keyspace = settings.keyspace.as_str();
    let there = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let answer = session.query_unpaged(there, (keyspace,)).await;
    if rows(answer)?.rows_num() > 0 {
        return Ok(());
    }
    let named = match settings.replication {
        Some(_) => 0,
        None => settings.hosts.len().min(COPIES),
    };
    let nodes = nodes_to_come(session, data_centre, named).await;
    let replication = settings.replication.clone().unwrap_or_else(|| {
        let name = data_centre.replace('\'', "''");
        format!(
            "{{'class': 'NetworkTopologyStrategy', '{name}': {}}}",
            nodes.clamp(1, COPIES)
        )
    });
    if settings.replication.is_none() && nodes < COPIES {
        tracing::warn!(
            nodes,
            "the data centre has fewer than three nodes: the keyspace is created with fewer copies, and a node that is lost may take counts with it"
        );
    }
    tracing::info!(keyspace, %replication, "creating the keyspace");
    create(
        session,
        format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}"),
    )
    .await
}

/// How many nodes there are, once so many are: whoever names three hosts of a cluster that is only starting wants three copies. Where some
/// stay away, or several names are of one node, it goes by those that are there.
async fn nodes_to_come(session: &Session, data_centre: &str, named: usize) -> usize {
    let mut nodes = session::nodes(session, data_centre);
    for _ in 0..NODES_LOOKS {
        if nodes >= named {
            break;
        }
        tracing::info!(
            nodes,
            named,
            "waiting for the named nodes before the keyspace is created"
        );
        tokio::time::sleep(NODES_LOOK).await;
        if let Err(error) = session.refresh_metadata().await {
            tracing::warn!(%error, "the cluster does not say which nodes it has");
        }
        nodes = session::nodes(session, data_centre);
    }
    nodes
}

async fn tables(session: &Session, keyspace: &str) -> Result<Vec<String>, StoreError> {
    let there = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let rows = rows(session.query_unpaged(there, (keyspace,)).await)?;
    let names = rows.rows::<(String,)>().map_err(|error| failure::columns(&error))?;
    names
        .map(|row| row.map(|(name,)| name))
        .collect::<Result<_, _>>()
        .map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Creates something; the driver waits until all nodes agree.
async fn create(session: &Session, text: String) -> Result<(), StoreError> {
    let mut statement = Statement::new(text);
    statement.set_request_timeout(Some(CREATE_TIMEOUT));
    session
        .query_unpaged(statement, ())
        .await
        .map_err(|error| failure::at_start(&error))?;
    Ok(())
}

/// The table that says what the keyspace is.
struct Meta<'s> {
    session: &'s Session,
    put: Statement,
    get: Statement,
    /// The same at serial consistency, which finishes what a conditional write has left open.
    settle: Statement,
}

impl<'s> Meta<'s> {
    async fn new(session: &'s Session, settings: &CqlSettings) -> Result<Self, StoreError> {
        session.await_schema_agreement().await.map_err(|error| {
            StoreError::Unavailable(format!("the cluster's nodes do not agree on its tables: {error}"))
        })?;
        let serial: Consistency = settings.consistency.serial_read();
        let get = Statement::new(statements::get_meta(&settings.keyspace));
        let mut settle = get.clone();
        settle.set_consistency(serial);
        Ok(Self {
            session,
            put: Statement::new(statements::put_meta(&settings.keyspace)),
            get,
            settle,
        })
    }

    /// The format. Where another node has just created the table, the one that is asked may have heard of it and not have it yet.
    async fn version(&self) -> Result<String, StoreError> {
        for _ in 0..LOOKS {
            match self.agree("version", &VERSION.to_string()).await {
                Err(StoreError::Refused(why)) if why.contains("does not exist") => tokio::time::sleep(LOOK).await,
                said => return said,
            }
        }
        self.agree("version", &VERSION.to_string()).await
    }

    /// What is said, which from now on is this unless something was said before.
    async fn agree(&self, what: &str, value: &str) -> Result<String, StoreError> {
        // What was said stays so: only the first start has to agree with others.
        if let Some(said) = self.said(&self.get, what).await? {
            return Ok(said);
        }
        let put = self.session.query_unpaged(self.put.clone(), (what, value)).await;
        match put {
            Ok(_) => {}
            // Settled by the read.
            Err(error) if failure::is_unknown(&error) => {}
            Err(error) => return Err(failure::at_start(&error)),
        }
        let said = self.said(&self.settle, what).await?;
        said.ok_or_else(|| {
            StoreError::Unavailable(format!("the cluster did not settle the keyspace's {what}; try again"))
        })
    }

    async fn said(&self, get: &Statement, what: &str) -> Result<Option<String>, StoreError> {
        let rows = retried_at_start(async || self.session.query_unpaged(get.clone(), (what,)).await)
            .await?
            .into_rows_result()
            .map_err(|error| failure::rows(&error))?;
        let first = rows
            .maybe_first_row::<(String,)>()
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        Ok(first.map(|(value,)| value))
    }
}

fn rows(
    answer: Result<scylla::response::query_result::QueryResult, scylla::errors::ExecutionError>,
) -> Result<QueryRowsResult, StoreError> {
    answer
        .map_err(|error| failure::at_start(&error))?
        .into_rows_result()
        .map_err(|error| failure::rows(&error))
}
