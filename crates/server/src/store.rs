//! Opening the store that the settings name, and the node's identity on one that several share. Guards: a data directory is used
//! with the store it began with, since its journal is numbered by it.

use std::sync::Arc;
use std::time::Duration;

use tally_store::{Embedded, EmbeddedSettings, Store};

use crate::config::Settings;
use crate::identity;

/// How long until a cluster that does not answer is asked again.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The setting for the store in the data directory.
pub(crate) const EMBEDDED: &str = "embedded";

/// What the engine goes on.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    /// The node's id on it.
    pub(crate) node: String,
    /// What it takes of this process's memory.
    pub(crate) memory_bytes: u64,
    /// The pause between two walks over all tokens.
    pub(crate) walk_pause_ms: u64,
    /// The time between heartbeats; 0 on a store of its own.
    pub(crate) heartbeat_interval_ms: u64,
}

/// Opens it. One that is not there yet is waited for.
pub(crate) fn open(settings: &Settings) -> Result<Opened, String> {
    if settings.store == EMBEDDED {
        return embedded(settings);
    }
    #[cfg(feature = "cql")]
    return cql::open(settings);
    #[cfg(not(feature = "cql"))]
    return Err(format!(
        "store {}: this build has no CQL back end (feature cql)",
        settings.store
    ));
}

/// A `cql://` store with its id, without a node on it.
pub(crate) fn shared(url: &str, settings: &Settings) -> Result<(Arc<dyn Store>, String), String> {
    #[cfg(feature = "cql")]
    return cql::shared(url, settings);
    #[cfg(not(feature = "cql"))]
    return Err(format!("{url}: this build has no CQL back end (feature cql)"));
}

fn embedded(settings: &Settings) -> Result<Opened, String> {
    identity::none(&settings.data)?;
    let mut store_settings = EmbeddedSettings::within(settings.memory_bytes).fit(&settings.data);
    if let Some(bytes) = settings.store_cache_bytes {
        store_settings.cache_bytes = bytes;
    }
    let store = Embedded::open(&settings.data.join("store"), &store_settings).map_err(|error| error.to_string())?;
    if let Some(cut) = store.cut() {
        tracing::error!("{cut}: the journal has what is missing, or the start is refused");
    }
    Ok(Opened {
        store: Arc::new(store),
        node: "local".to_owned(),
        memory_bytes: store_settings.memory_bytes(),
        walk_pause_ms: 0,
        heartbeat_interval_ms: 0,
    })
}

#[cfg(feature = "cql")]
mod cql {
    use std::sync::Arc;
    use std::time::Duration;

    use tally_store::{
        Cql, CqlConsistency, CqlIdentity, CqlPartitions, CqlPassword, CqlSettings, CqlTls, Store, StoreError,
    };

    use super::{ASK_AGAIN, Opened};
    use crate::config::{CqlOptions, Settings, TlsOptions};
    use crate::identity;

    /// A walk over all tokens reads every partition of theirs, which is load on the cluster.
    const WALK_PAUSE_MS: u64 = 10 * 60_000;

    /// Requests and answers on their way.
    const DRIVER_BYTES: u64 = 32 << 20;
    /// A twin is noticed, and a new node's counts are summed, after this at the latest.
    const HEARTBEAT_INTERVAL_MS: u64 = 1_000;

    pub(super) fn open(settings: &Settings) -> Result<Opened, String> {
        let cql = settings_of(&settings.store, &settings.cql)?;
        let store = wait(&cql)?;
        let node = identity::of(&settings.data, store.id())?;
        Ok(Opened {
            store: Arc::new(store),
            node,
            memory_bytes: DRIVER_BYTES,
            walk_pause_ms: WALK_PAUSE_MS,
            heartbeat_interval_ms: HEARTBEAT_INTERVAL_MS,
        })
    }

    pub(super) fn shared(url: &str, settings: &Settings) -> Result<(Arc<dyn Store>, String), String> {
        let store = Cql::open(&settings_of(url, &settings.cql)?).map_err(|error| format!("{url}: {error}"))?;
        let id = store.id().to_owned();
        Ok((Arc::new(store), id))
    }

    /// Waits for the cluster as long as it takes, and says so.
    fn wait(settings: &CqlSettings) -> Result<Cql, String> {
        let mut said = String::new();
        loop {
            match Cql::open(settings) {
                Ok(store) => return Ok(store),
                Err(StoreError::Unavailable(why)) => {
                    if why != said {
                        tracing::warn!(%why, "waiting for the store; nothing is served until it is there");
                        said = why;
                    }
                    tokio::runtime::Handle::current().block_on(tokio::time::sleep(ASK_AGAIN));
                }
                Err(error) => return Err(format!("store: {error} (Tally stops: to wait does not mend this)")),
            }
        }
    }

    /// The settings of the store that a URL names.
    pub(crate) fn settings_of(url: &str, options: &CqlOptions) -> Result<CqlSettings, String> {
        let settings = CqlSettings::of_url(url).map_err(|error| error.to_string())?;
        let user = options.user.clone().zip(options.password.as_ref());
        Ok(CqlSettings {
            data_centre: options.data_centre.clone(),
            consistency: if options.is_global {
                CqlConsistency::Global
            } else {
                CqlConsistency::Local
            },
            replication: options.replication.clone(),
            user: user.map(|(user, password)| (user, CqlPassword::new(password.expose().to_owned()))),
            tls: options.tls.clone().map(tls),
            request_timeout: Duration::from_millis(options.timeout_ms),
            connect_timeout: Duration::from_millis(options.connect_timeout_ms),
            requests_at_once: usize::try_from(options.requests).unwrap_or(usize::MAX),
            accept_periodic: options.accept_periodic,
            partitions: CqlPartitions {
                buckets: u16::try_from(options.partitions).unwrap_or(u16::MAX),
                ..CqlPartitions::default()
            },
            ..settings
        })
    }
    fn tls(options: TlsOptions) -> CqlTls {
        let identity = |(certificate, key)| CqlIdentity { certificate, key };
        CqlTls {
            authorities: options.authorities,
            identity: options.identity.map(identity),
            verify_host: options.verify_host,
        }
    }
}
