//! The back end on Apache Cassandra or ScyllaDB. The cluster replicates, places and fails over; a row's write timestamp is its
//! position, so that late and repeated writes change nothing by the engine's own rule: the last write wins.
//!
//! Guards: quorums of the home data centre (rule 9), no promise on a commit log that does not sync (8), writers' rows by
//! conditional writes only (3), statements within the CQL rules (`statements`). Does not: batch over partitions, count, expire.

mod failure;
mod handshake;
mod names;
mod partition;
mod read;
mod retry;
mod schema;
mod session;
mod settings;
mod statements;
mod swap;
mod tls;
mod walk;
mod write;

use std::future::Future;
use std::sync::atomic::AtomicU32;

use scylla::client::session::Session;
use tokio::runtime::{Builder, Runtime};

pub use settings::{CqlConsistency, CqlPartitions, CqlPassword, CqlSettings};
pub use tls::{CqlIdentity, CqlTls};

use crate::{Addresses, Batch, NameCursor, Order, Range, Store, StoreError, Swap, Swapped, Table, Visit};
use partition::Partitions;
use statements::Statements;

/// A store in Cassandra or ScyllaDB.
pub struct Cql {
    session: Session,
    statements: Statements,
    partitions: Partitions,
    id: String,
    requests_at_once: usize,
    /// Counts those who were turned away from a row.
    turns: AtomicU32,
    /// The driver's own; callers wait on it with their thread. `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Cql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cql")
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

impl Cql {
    /// Connects, creates the keyspace and its tables where they are not there, and checks that they are this Tally's.
    ///
    /// `Unavailable`: no node answers, or too few; try again. `Refused`: the message says what to set or grant.
    pub fn open(settings: &CqlSettings) -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cql")
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unavailable(format!("cannot start the driver's threads: {error}")))?;
        let opened = runtime.block_on(async {
            let connected = session::connect(settings).await?;
            let session::Connected { session, data_centre } = connected;
            session::check_commit_log(&session, &data_centre, settings).await?;
            let (partitions, id) = schema::open(&session, &data_centre, settings).await?;
            let serial = settings.consistency.serial_read();
            let statements = Statements::prepare(&session, &settings.keyspace, serial).await?;
            Ok((session, statements, partitions, id))
        });
        match opened {
            Ok((session, statements, partitions, id)) => Ok(Self {
                session,
                statements,
                partitions,
                id,
                requests_at_once: settings.requests_at_once.max(1),
                turns: AtomicU32::new(0),
                runtime: Some(runtime),
            }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Which keyspace it is: a random text that was kept in it when it was created.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits for an answer with the caller's thread.
    fn wait<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            None => Err(StoreError::Unavailable("the store is closed".into())),
        }
    }
}

impl Drop for Cql {
    fn drop(&mut self) {
        // May be dropped where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Store for Cql {
    /// Both orders: the cluster compares timestamps without a read.
    fn put(&self, rows: &Batch, _: Order) -> Result<(), StoreError> {
        self.put_rows(rows)
    }

    fn remove(&self, rows: &Batch) -> Result<(), StoreError> {
        self.remove_rows(rows)
    }

    fn get(&self, addresses: &Addresses, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.get_rows(addresses, visit)
    }

    fn scan(&self, ranges: &[Range<'_>], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.scan_ranges(ranges, visit)
    }

    fn names(&self, prefix: &[u8], after: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.names_in_order(prefix, after, limit, visit)
    }

    fn names_by_slot(
        &self,
        cursor: NameCursor,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<NameCursor>, StoreError> {
        self.names_from(cursor, limit, visit)
    }

    fn walk(
        &self,
        table: Table,
        cursor: &[u8],
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.walk_table(table, cursor, limit, visit)
    }

    fn swap(&self, swap: Swap<'_>) -> Result<Swapped, StoreError> {
        self.swap_rows(swap)
    }

    /// Every `put`, `remove` and `swap` that has returned is in the commit logs of a quorum, which were synced first; a cluster
    /// where that is not so was refused.
    fn durable(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
