//! The checked settings, typed.

use std::path::PathBuf;

use tally_counter::Acknowledgement;

use super::definition::Definition;
use super::layers::{self, Flags, Raw};
use super::{ConfigError, kind};
use crate::levels;
use crate::limits::Limits;

/// Everything that was configured.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) http: String,
    pub(crate) resp: String,
    pub(crate) store: String,
    /// What a `cql://` store is opened with.
    pub(crate) cql: CqlOptions,
    pub(crate) ack: Acknowledgement,
    pub(crate) auth_token: Option<Secret>,
    pub(crate) rules: Option<PathBuf>,
    pub(crate) log_json: bool,
    pub(crate) log_level: String,
    pub(crate) journal_interval_ms: u64,
    pub(crate) journal_segment_bytes: u64,
    pub(crate) journal_limit_bytes: u64,
    pub(crate) cut_damage: bool,
    pub(crate) round_interval_ms: u64,
    pub(crate) read_age_ms: u64,
    pub(crate) memory_bytes: u64,
    /// Where somebody says so.
    pub(crate) store_cache_bytes: Option<u64>,
    pub(crate) token_window_ms: u64,
    pub(crate) token_limit: u64,
    /// How often all sums are compared; 0: never.
    pub(crate) verify_interval_ms: u64,
    pub(crate) limits: Limits,
    /// About variables that mean nothing.
    pub(crate) warnings: Vec<String>,
}

/// What a `cql://` store is opened with.
#[derive(Clone, Debug)]
pub(crate) struct CqlOptions {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    /// `None`: connections are not encrypted.
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) data_centre: Option<String>,
    pub(crate) is_global: bool,
    pub(crate) replication: Option<String>,
    pub(crate) partitions: u64,
    pub(crate) accept_periodic: bool,
    pub(crate) timeout_ms: u64,
    pub(crate) connect_timeout_ms: u64,
    pub(crate) requests: u64,
}

/// How connections to a `cql://` store are encrypted.
#[derive(Clone, Debug)]
pub(crate) struct TlsOptions {
    pub(crate) authorities: PathBuf,
    /// Certificate and key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    pub(crate) verify_host: bool,
}

/// A text that does not show itself.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl Settings {
    /// From flags, environment and file.
    pub(crate) fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let (raw, warnings) = layers::gather(flags)?;
        let raw = Checked(&raw);
        Ok(Self {
            data: PathBuf::from(raw.text("data")),
            http: raw.text("http"),
            resp: raw.text("resp"),
            store: raw.text("store"),
            cql: cql(&raw)?,
            ack: ack(&raw),
            auth_token: secret(&raw, "auth_token", "auth_token_file")?,
            rules: raw.path("rules"),
            log_json: raw.text("log") == "json",
            log_level: raw.text("log_level"),
            journal_interval_ms: raw.ms("journal_interval"),
            journal_segment_bytes: raw.bytes("journal_segment"),
            journal_limit_bytes: raw.bytes("journal_limit"),
            cut_damage: raw.text("journal_damage") == "cut",
            round_interval_ms: round_interval_ms(&raw),
            read_age_ms: raw.ms("read_age"),
            memory_bytes: raw.bytes("memory"),
            store_cache_bytes: raw.is_set("store_cache").then(|| raw.bytes("store_cache")),
            token_window_ms: raw.ms("token_window"),
            token_limit: raw.count("token_limit"),
            verify_interval_ms: raw.ms("verify_interval"),
            limits: limits(&raw),
            warnings,
        })
    }
}

/// Where there are copies, they are waited for unless somebody says otherwise.
fn ack(raw: &Checked<'_>) -> Acknowledgement {
    if raw.is_set("ack") || raw.text("store") == "embedded" {
        levels::parse(&raw.text("ack")).unwrap_or(Acknowledgement::Disk)
    } else {
        Acknowledgement::Replicated
    }
}

/// On a store that others read, they are not to wait for long.
fn round_interval_ms(raw: &Checked<'_>) -> u64 {
    const SHARED_MS: u64 = 250;
    if raw.is_set("round_interval") || raw.text("store") == "embedded" {
        raw.ms("round_interval")
    } else {
        SHARED_MS
    }
}

fn cql(raw: &Checked<'_>) -> Result<CqlOptions, ConfigError> {
    let some = |name: &str| Some(raw.text(name)).filter(|text| !text.is_empty());
    let options = CqlOptions {
        user: some("store_user"),
        password: secret(raw, "store_password", "store_password_file")?,
        tls: tls(raw)?,
        data_centre: some("store_data_centre"),
        is_global: raw.text("store_consistency") == "global",
        replication: some("store_replication"),
        partitions: raw.count("store_partitions"),
        accept_periodic: raw.text("store_periodic") == "true",
        timeout_ms: raw.ms("store_timeout"),
        connect_timeout_ms: raw.ms("store_connect_timeout"),
        requests: raw.count("store_requests"),
    };
    if options.user.is_some() != options.password.is_some() {
        return Err(ConfigError(
            "store_user and store_password (or store_password_file) go together; set both or none".to_owned(),
        ));
    }
    Ok(options)
}

fn tls(raw: &Checked<'_>) -> Result<Option<TlsOptions>, ConfigError> {
    if raw.text("store_tls") != "true" {
        let of_no_use = ["store_tls_ca", "store_tls_certificate", "store_tls_key"]
            .into_iter()
            .find(|name| raw.path(name).is_some());
        // Whoever sets them means to encrypt.
        return match of_no_use {
            Some(name) => Err(ConfigError(format!(
                "{name} is set and store_tls is false: nothing would be encrypted; set store_tls to true, or leave {name}"
            ))),
            None => Ok(None),
        };
    }
    let Some(authorities) = raw.path("store_tls_ca") else {
        return Err(ConfigError(
            "store_tls needs store_tls_ca: the file with the certificates of the authorities that vouch for the nodes"
                .to_owned(),
        ));
    };
    let identity = match (raw.path("store_tls_certificate"), raw.path("store_tls_key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(ConfigError(
                "store_tls_certificate and store_tls_key go together; set both or none".to_owned(),
            ));
        }
    };
    Ok(Some(TlsOptions {
        authorities,
        identity,
        verify_host: raw.text("store_tls_verify_host") == "true",
    }))
}

fn limits(raw: &Checked<'_>) -> Limits {
    Limits {
        max_connections: size(raw.count("max_connections")),
        resp_threads: size(raw.count("resp_threads")),
        max_blocking: size(raw.count("max_blocking")),
        max_body_bytes: size(raw.bytes("max_body")),
        max_bulk_bytes: size(raw.bytes("max_bulk")),
        max_batch: size(raw.count("max_batch")),
        max_pipeline: size(raw.count("max_pipeline")),
        max_output_bytes: size(raw.bytes("max_output")),
        max_buffers_bytes: size(raw.bytes("max_buffers")),
        query_limit: size(raw.count("query_limit")),
        history_limit: size(raw.count("history_limit")),
        max_sources: size(raw.count("max_sources")),
        max_watchers: size(raw.count("max_watchers")),
        request_timeout_ms: raw.ms("request_timeout"),
        full_timeout_ms: raw.ms("full_timeout"),
        drain_timeout_ms: raw.ms("drain_timeout"),
        allow_flush: raw.text("allow_flush") == "true",
    }
}

/// Bounds are checked already, so this only saturates on machines whose memory is smaller.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A secret that is set or stands in a file.
fn secret(raw: &Checked<'_>, name: &str, file: &str) -> Result<Option<Secret>, ConfigError> {
    let text = raw.text(name);
    let Some(path) = raw.path(file) else {
        return Ok((!text.is_empty()).then_some(Secret(text)));
    };
    if !text.is_empty() {
        return Err(ConfigError(format!("{name} and {file} are both set; leave one")));
    }
    let shown = path.display();
    let text =
        std::fs::read_to_string(&path).map_err(|error| ConfigError(format!("cannot read {file} {shown}: {error}")))?;
    match text.trim() {
        "" => Err(ConfigError(format!("{file} {shown} is empty"))),
        text => Ok(Some(Secret(text.to_owned()))),
    }
}

/// Texts that were found to be of their kinds.
struct Checked<'r>(&'r Raw);

impl Checked<'_> {
    fn text(&self, name: &str) -> String {
        let default = || Definition::of(name).map(|definition| definition.default.to_owned());
        self.0
            .get(name)
            .map(|(text, _)| text.clone())
            .or_else(default)
            .unwrap_or_default()
    }

    fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    fn bytes(&self, name: &str) -> u64 {
        kind::size_bytes(&self.text(name)).unwrap_or(0)
    }

    fn ms(&self, name: &str) -> u64 {
        kind::duration_ms(&self.text(name)).unwrap_or(0)
    }

    fn count(&self, name: &str) -> u64 {
        kind::count(&self.text(name)).unwrap_or(0)
    }
}
