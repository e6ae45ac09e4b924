//! What an operator may set about a store in Cassandra or ScyllaDB, and the URL that names it.

use std::fmt;
use std::time::Duration;

use super::CqlTls;
use crate::StoreError;

/// The port of CQL where the URL names none.
const PORT: u16 = 9_042;
/// What Cassandra allows a keyspace's name to have.
const KEYSPACE_LENGTH: usize = 48;
/// More hosts than are of use to find a cluster by.
const MOST_HOSTS: usize = 64;

/// Settings of a store in Cassandra or ScyllaDB.
#[derive(Clone)]
pub struct CqlSettings {
    /// Some nodes of the cluster, `host:port`; the others are found through them.
    pub hosts: Vec<String>,
    /// Where the tables are.
    pub keyspace: String,
    /// The data centre whose quorum answers. Must be set where the cluster has several.
    pub data_centre: Option<String>,
    /// Whose quorum answers.
    pub consistency: CqlConsistency,
    /// How a keyspace that is not there is replicated, as CQL's map; `None`: three copies in the data centre, or as many as it
    /// has nodes. Of no effect on a keyspace that is there.
    pub replication: Option<String>,
    /// User and password.
    pub user: Option<(String, CqlPassword)>,
    /// How connections are encrypted; `None`: not at all.
    pub tls: Option<CqlTls>,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How many requests of one call are under way at once.
    pub requests_at_once: usize,
    /// Takes a cluster whose commit log is synced only after it has acknowledged: what was acknowledged then survives the loss
    /// of a minority of its nodes, and no longer the loss of power of all of them.
    pub accept_periodic: bool,
    /// Partitions of a keyspace that is not there; of no effect on one that is.
    pub partitions: CqlPartitions,
    /// Where this store's partitions begin in the keyspace's tables. Zero but in tests, many stores of which share a keyspace, since
    /// creating tables takes a cluster long.
    pub first_partition: i32,
}

/// Whose quorum answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CqlConsistency {
    /// That of the home data centre: all Tally nodes of a keyspace work in one.
    #[default]
    Local,
    /// That of all data centres together.
    Global,
}

/// How a new keyspace's rows are grouped. Kept in the keyspace for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CqlPartitions {
    /// Buckets of slots, for counters, windows and tokens: a power of two up to 16,384. Fewer fill batches better, more keep
    /// partitions small.
    pub buckets: u16,
    /// Shards of names.
    pub names: u16,
}

impl Default for CqlPartitions {
    fn default() -> Self {
        Self {
            buckets: 1_024,
            names: 64,
        }
    }
}

/// A password, which is never shown.
#[derive(Clone)]
pub struct CqlPassword(String);

impl CqlPassword {
    /// Keeps it.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CqlPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

impl fmt::Debug for CqlSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CqlSettings")
            .field("hosts", &self.hosts)
            .field("keyspace", &self.keyspace)
            .field("data_centre", &self.data_centre)
            .finish_non_exhaustive()
    }
}

impl CqlSettings {
    /// Of a URL `cql://HOST,HOST:PORT/KEYSPACE`, all else by default. A host without a port has the last host's, or 9042.
    pub fn of_url(url: &str) -> Result<Self, StoreError> {
        let wrong = |what: &str| {
            StoreError::Refused(format!(
                "\"{url}\" is no store: {what}; it looks like cql://HOST,HOST:PORT/KEYSPACE"
            ))
        };
        let rest = url
            .strip_prefix("cql://")
            .ok_or_else(|| wrong("it does not begin with cql://"))?;
        if rest.contains('@') {
            return Err(StoreError::Refused(
                "a store's URL holds no user and password: they have settings of their own".into(),
            ));
        }
        let (hosts, keyspace) = rest
            .split_once('/')
            .ok_or_else(|| wrong("no keyspace follows the hosts"))?;
        if !is_keyspace(keyspace) {
            return Err(wrong(
                "a keyspace's name is 1 to 48 lower-case letters, digits and underscores, a letter first",
            ));
        }
        let hosts: Vec<&str> = hosts.split(',').collect();
        let port = hosts.last().and_then(|host| port_of(host)).unwrap_or(PORT);
        if hosts.len() > MOST_HOSTS || hosts.iter().any(|host| !is_host(host)) {
            return Err(wrong("a host is missing or is none"));
        }
        let hosts = hosts.into_iter().map(|host| match port_of(host) {
            Some(_) => host.to_owned(),
            None => format!("{host}:{port}"),
        });
        Ok(Self {
            hosts: hosts.collect(),
            keyspace: keyspace.to_owned(),
            data_centre: None,
            consistency: CqlConsistency::default(),
            replication: None,
            user: None,
            tls: None,
            request_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            requests_at_once: 32,
            accept_periodic: false,
            partitions: CqlPartitions::default(),
            first_partition: 0,
        })
    }
}

fn is_keyspace(name: &str) -> bool {
    let first = name.bytes().next();
    (1..=KEYSPACE_LENGTH).contains(&name.len())
        && first.is_some_and(|byte| byte.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The port behind a host; an IPv6 address stands in brackets.
fn port_of(host: &str) -> Option<u16> {
    let (before, port) = host.rsplit_once(':')?;
    let bare_v6 = before.contains(':') && !before.ends_with(']');
    if bare_v6 { None } else { port.parse().ok() }
}

/// The host before its port, an IPv6 address without its brackets.
pub(super) fn name_of(host: &str) -> &str {
    without_port(host).trim_matches(['[', ']'])
}

fn without_port(host: &str) -> &str {
    match port_of(host) {
        Some(_) => host.rsplit_once(':').map_or("", |(name, _)| name),
        None => host,
    }
}

fn is_host(host: &str) -> bool {
    let name = without_port(host);
    let v6 = name.starts_with('[') && name.ends_with(']');
    let bytes = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte) || (v6 && b":[]%".contains(&byte));
    !name.is_empty() && name.bytes().all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let settings = CqlSettings::of_url("cql://one,two.example:9142/tally").unwrap();
        assert_eq!(settings.hosts, ["one:9142", "two.example:9142"]);
        assert_eq!(settings.keyspace, "tally");
        let hosts = |url| CqlSettings::of_url(url).unwrap().hosts;
        assert_eq!(hosts("cql://one/t"), ["one:9042"]);
        assert_eq!(hosts("cql://a:1,b:2/t"), ["a:1", "b:2"]);
        assert_eq!(hosts("cql://[::1],[::2]:7/t"), ["[::1]:7", "[::2]:7"]);
        for (host, name) in [("one:9042", "one"), ("[::1]:7", "::1"), ("10.0.0.1:1", "10.0.0.1")] {
            assert_eq!(name_of(host), name);
        }
        for wrong in [
            "cql://one",
            "one/tally",
            "cql:///tally",
            "cql://one,/tally",
            "cql://one/",
            "cql://one/Tally",
            "cql://one/1a",
            "cql://user:secret@one/tally",
            "cql://one/ta-lly",
        ] {
            let error = CqlSettings::of_url(wrong).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        assert!(!format!("{:?}", CqlPassword::new("secret".into())).contains("secret"));
    }
}
