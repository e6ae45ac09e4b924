//! Every setting, once: name, kind, default, what it is for. Flags, environment, file, `tally config` and docs/config.md come
//! from here.

use super::kind::Kind;

/// A setting.
#[derive(Debug)]
pub(crate) struct Definition {
    /// In the file; `TALLY_…` in capitals in the environment; with `-` for `_` as a flag.
    pub(crate) name: &'static str,
    /// What may stand there.
    pub(crate) kind: Kind,
    /// What holds if nobody sets it; empty: unset.
    pub(crate) default: &'static str,
    /// What it does, in one line.
    pub(crate) help: &'static str,
    /// Why it is what it is.
    pub(crate) reason: &'static str,
}

impl Definition {
    /// The setting with this name.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|definition| definition.name == name)
    }

    /// Its environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("TALLY_{}", self.name.to_ascii_uppercase())
    }

    /// Its flag, without the dashes.
    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
    reason: &'static str,
) -> Definition {
    Definition {
        name,
        kind,
        default,
        help,
        reason,
    }
}

/// All settings, in the order of the documentation.
pub(crate) const ALL: &[Definition] = &[
    setting(
        "data",
        Kind::Path,
        "tally-data",
        "The data directory: journal and embedded store",
        "one directory to back up or to throw away",
    ),
    setting(
        "http",
        Kind::Address,
        "127.0.0.1:7380",
        "Where HTTP is served: REST, UI, /metrics. Port 0 picks one",
        "loopback unless you say otherwise, and beyond it only with auth_token",
    ),
    setting(
        "resp",
        Kind::Address,
        "127.0.0.1:6380",
        "Where RESP is served, for Redis clients. Port 0 picks one",
        "loopback unless you say otherwise, and beyond it only with auth_token",
    ),
    setting(
        "store",
        Kind::Store,
        "embedded",
        "Where counters live: embedded, or cql://HOST,HOST:PORT/KEYSPACE",
        "one machine needs nothing else",
    ),
    setting(
        "ack",
        Kind::Level,
        "disk",
        "When a write is acknowledged: memory, disk (synced) or replicated (in a cql:// store at quorum, and the default there)",
        "disk survives kill -9 and the loss of power, replicated also that of the node; memory loses up to journal_interval in a crash",
    ),
    setting(
        "auth_token",
        Kind::Secret,
        "",
        "The shared secret: HTTP bearer token and RESP password",
        "without it only loopback is served; a flag can be seen by other users, the environment or a file cannot",
    ),
    setting(
        "auth_token_file",
        Kind::Path,
        "",
        "A file that holds auth_token",
        "for secrets that are mounted as files",
    ),
    setting(
        "rules",
        Kind::Path,
        "",
        "A file of rules for POST /v1/events, loaded at start; empty: those last set by PUT /v1/rules",
        "rules then live in version control",
    ),
    setting(
        "log",
        Kind::Choice(&["text", "json"]),
        "text",
        "The form of the log on stderr",
        "text for people, JSON for machines",
    ),
    setting(
        "log_level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "The least level that is logged",
        "an error is what an operator must act on",
    ),
    setting(
        "journal_interval",
        Kind::duration("1ms", "10s"),
        "100ms",
        "Writes at level memory are synced at the latest after this",
        "what a crash may lose at level memory",
    ),
    setting(
        "journal_segment",
        Kind::size("1MiB", "1GiB"),
        "16MiB",
        "A file of the journal, allocated whole",
        "large enough that allocating is rare, small enough to be cut soon",
    ),
    setting(
        "journal_limit",
        Kind::size("4MiB", "1TiB"),
        "256MiB",
        "What the journal may hold that the store has not yet; at twice that writes wait",
        "bounds the disk it takes and the replay at a start",
    ),
    setting(
        "journal_damage",
        Kind::Choice(&["refuse", "cut"]),
        "refuse",
        "What a start does about a journal that cannot be read: refuse, or cut, go on with what is before the damage",
        "what is behind it may have been acknowledged, so only you can decide; files with anything cut off are kept as *.damaged. For one start",
    ),
    setting(
        "round_interval",
        Kind::duration("10ms", "1h"),
        "15s",
        "The time from one round, which brings changed counters to the store, to the next; 250ms on a cql:// store unless it is set. After a round of more than 16,384 counters it is at least as long as that took, up to 10s",
        "longer combines more adds per row written, shorter replays less at a start",
    ),
    setting(
        "memory",
        Kind::size("8MiB", "1TiB"),
        "512MiB",
        "Memory for counters, rounds and the store's cache and tables; what a connection takes comes on top",
        "clean and cold counters are evicted beyond it",
    ),
    setting(
        "store_cache",
        Kind::size("1MiB", "1TiB"),
        "16MiB",
        "Blocks of the embedded store that are kept in memory; if it is not set, a thirty-second of memory",
        "reads of cold counters; those that are read again and again are in the hot table anyway",
    ),
    setting(
        "store_user",
        Kind::Text,
        "",
        "The user of a cql:// store",
        "it needs SELECT and MODIFY on the keyspace, and CREATE where Tally is to create it",
    ),
    setting(
        "store_password",
        Kind::Secret,
        "",
        "The password of store_user",
        "a flag can be seen by other users, the environment or a file cannot",
    ),
    setting(
        "store_password_file",
        Kind::Path,
        "",
        "A file that holds store_password",
        "for secrets that are mounted as files",
    ),
    setting(
        "store_tls",
        Kind::Switch,
        "false",
        "Encrypts connections to a cql:// store, and takes only nodes with a certificate that store_tls_ca vouches for",
        "without it counts and password can be read on their way; a node that speaks no TLS is then refused, never spoken to without",
    ),
    setting(
        "store_tls_ca",
        Kind::Path,
        "",
        "The certificates of the authorities that the nodes' certificates are of (PEM); with store_tls it must be set",
        "most clusters have an authority of their own; the system's are in /etc/ssl/certs/ca-certificates.crt on Debian",
    ),
    setting(
        "store_tls_certificate",
        Kind::Path,
        "",
        "Tally's own certificate (PEM), for a cluster that asks for one, with those between it and its authority behind it",
        "for `require_client_auth`; read at a start, as all these files are",
    ),
    setting(
        "store_tls_key",
        Kind::Path,
        "",
        "The private key of store_tls_certificate (PEM, not encrypted)",
        "a file that only Tally may read",
    ),
    setting(
        "store_tls_verify_host",
        Kind::Switch,
        "true",
        "A node's certificate must name its address, or a host that store names",
        "without it whoever has any certificate of the same authority may stand in for a node",
    ),
    setting(
        "store_data_centre",
        Kind::Text,
        "",
        "The data centre of a cql:// store whose quorum answers; must be set where the cluster has several",
        "a quorum of another one would not see what this one has",
    ),
    setting(
        "store_consistency",
        Kind::Choice(&["local", "global"]),
        "local",
        "Whose quorum answers: that of the data centre, or that of all together",
        "all Tally nodes of a keyspace work in one data centre, unless all are set to global",
    ),
    setting(
        "store_replication",
        Kind::Text,
        "",
        "How a keyspace that Tally creates is replicated, as CQL writes it; empty: three copies in the data centre",
        "of no effect on a keyspace that is there",
    ),
    setting(
        "store_partitions",
        Kind::count(1, 16_384),
        "1024",
        "Partitions of the counters in a keyspace that Tally creates: a power of two",
        "fewer fill batches better, more keep partitions small; of no effect on a keyspace that is there",
    ),
    setting(
        "store_periodic",
        Kind::Switch,
        "false",
        "Takes a cluster with `commitlog_sync: periodic`",
        "what it acknowledged survives the loss of a minority of its nodes, not a loss of power of all",
    ),
    setting(
        "store_timeout",
        Kind::duration("100ms", "10m"),
        "10s",
        "How long a request to a cql:// store may take",
        "longer than the cluster's own timeouts, which say more",
    ),
    setting(
        "store_connect_timeout",
        Kind::duration("100ms", "10m"),
        "5s",
        "How long a connection to a cql:// store may take",
        "another node is tried then",
    ),
    setting(
        "store_requests",
        Kind::count(1, 10_000),
        "32",
        "Requests to a cql:// store that one call has under way at once",
        "more than the cluster serves well only wait there",
    ),
    setting(
        "read_age",
        Kind::duration("0s", "1h"),
        "1s",
        "How old what is known of other nodes' counts may be when a counter is read",
        "a counter that is read more often is read from the store once in this time",
    ),
    setting(
        "token_window",
        Kind::duration("1s", "30d"),
        "24h",
        "How long a token is remembered",
        "a retry that comes later counts again",
    ),
    setting(
        "token_limit",
        Kind::count(1, 1_000_000_000),
        "10000000",
        "Tokens that one scope (credential or source) may hold; past it tokened writes are refused",
        "never forgets early, so it must refuse",
    ),
    setting(
        "verify_interval",
        Kind::duration("0s", "30d"),
        "60s",
        "The time from the end of one pass over all sums to the next; 0s: none but those asked for",
        "drift is known within minutes, at a tenth of a core while a pass is under way",
    ),
    setting(
        "max_connections",
        Kind::count(1, 1_000_000),
        "10000",
        "Connections of all faces together; further ones are refused",
        "below the limit of open files",
    ),
    setting(
        "max_body",
        Kind::size("1KiB", "1GiB"),
        "16MiB",
        "The largest HTTP body",
        "it is held in memory",
    ),
    setting(
        "max_bulk",
        Kind::size("1KiB", "512MiB"),
        "1MiB",
        "The largest RESP bulk string",
        "keys have at most 1,024 bytes, so a larger one is a mistake",
    ),
    setting(
        "max_batch",
        Kind::count(1, 1_000_000),
        "10000",
        "Adds or keys of one request or command",
        "a request is one journal entry",
    ),
    setting(
        "max_pipeline",
        Kind::count(1, 1_000_000),
        "1024",
        "Commands of a RESP connection that are run in one turn",
        "larger turns save little and hold up other connections",
    ),
    setting(
        "max_output",
        Kind::size("16KiB", "1GiB"),
        "64KiB",
        "Answers that a RESP connection puts together before it sends them, one answer that is larger apart",
        "more saves little, holds up other connections, and is held for as long as the client does not read",
    ),
    setting(
        "max_buffers",
        Kind::size("1MiB", "1TiB"),
        "256MiB",
        "What requests that are not whole and answers that are not taken may hold of all connections together",
        "ten thousand clients within their own limits must not take the memory; past it those that hold much are closed",
    ),
    setting(
        "query_limit",
        Kind::count(1, 100_000_000),
        "200000",
        "Counters that one query may touch",
        "a query reads every one of them",
    ),
    setting(
        "history_limit",
        Kind::count(100, 10_000_000),
        "100000",
        "Points that one history request may answer, over all its counters",
        "they are held in memory",
    ),
    setting(
        "max_sources",
        Kind::count(1, 100_000),
        "1000",
        "Files that may be counted at the same time",
        "each holds what it has folded since its last round",
    ),
    setting(
        "max_watchers",
        Kind::count(0, 100_000),
        "256",
        "Clients that watch values at the same time",
        "each reads its counters ten times a second",
    ),
    setting(
        "resp_threads",
        Kind::count(0, 1_024),
        "0",
        "Threads that serve RESP connections; 0: one for every two cores",
        "each connection stays with one of them; the other cores are for the kernel's side of connections, rounds and the store",
    ),
    setting(
        "max_blocking",
        Kind::count(1, 512),
        "16",
        "Threads that may wait for the store at the same time; further calls queue",
        "more than a disk serves well only wait there",
    ),
    setting(
        "request_timeout",
        Kind::duration("100ms", "1h"),
        "30s",
        "How long a client may take to send a request, and the server to answer it",
        "slow clients must not hold connections for ever",
    ),
    setting(
        "full_timeout",
        Kind::duration("0s", "1h"),
        "5s",
        "How long a write waits for a limit that the next round lifts before it is refused",
        "short stalls are not errors",
    ),
    setting(
        "drain_timeout",
        Kind::duration("0s", "1h"),
        "10s",
        "How long running requests are given to end when the server stops",
        "orchestrators kill after 30 s",
    ),
    setting(
        "allow_flush",
        Kind::Switch,
        "false",
        "Allows FLUSHALL, FLUSHDB, FUNCTION FLUSH and CONFIG SET",
        "only tests want them",
    ),
];
