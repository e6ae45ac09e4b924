//! INFO: the fields that tools for Redis read. Tally's own figures are in `/metrics`.

use std::sync::atomic::Ordering;

use tally_engine::Engine;

use super::handshake::REDIS_VERSION;
use super::{is, matches};
use crate::resp::fault::Fault;
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::session::Session;
use crate::resp::shared::Shared;

/// `INFO [section …]`
pub(in crate::resp) async fn info(session: &Session, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    let shared = &session.shared;
    let asked =
        |section: &str| args.len() == 1 || args.from(1).iter().any(|sent| is(sent, section) || everything(sent));
    let mut text = String::new();
    let mut section = |name: &str, fields: Vec<(&str, String)>| {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        text.extend(["# ", name, "\r\n"]);
        for (field, value) in fields {
            text.extend([field, ":", &value, "\r\n"]);
        }
    };
    if asked("server") {
        section("Server", server(session));
    }
    if asked("clients") {
        section("Clients", clients(shared));
    }
    if asked("memory") {
        section("Memory", memory(shared));
    }
    if asked("persistence") {
        section("Persistence", persistence());
    }
    if asked("stats") {
        section("Stats", stats(shared));
    }
    if asked("replication") {
        section(
            "Replication",
            vec![("role", "master".to_owned()), ("connected_slaves", "0".to_owned())],
        );
    }
    if asked("cluster") {
        section("Cluster", vec![("cluster_enabled", "0".to_owned())]);
    }
    if asked("keyspace") {
        let counters = shared.service.blocking(Engine::count).await?;
        let db0 = (counters > 0).then(|| ("db0", format!("keys={counters},expires=0,avg_ttl=0")));
        section("Keyspace", db0.into_iter().collect());
    }
    reply.verbatim(&text);
    Ok(())
}

fn everything(sent: &[u8]) -> bool {
    ["all", "everything", "default"]
        .into_iter()
        .any(|word| matches(word.as_bytes(), &sent.to_ascii_lowercase()))
}

fn server(session: &Session) -> Vec<(&'static str, String)> {
    let uptime_s = crate::world::monotonic_us().saturating_sub(session.shared.since_us) / 1_000_000;
    vec![
        ("redis_version", REDIS_VERSION.to_owned()),
        ("redis_mode", "standalone".to_owned()),
        ("tally_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("os", std::env::consts::OS.to_owned()),
        ("arch_bits", usize::BITS.to_string()),
        ("process_id", std::process::id().to_string()),
        ("run_id", session.shared.service.engine().status().node),
        ("tcp_port", session.local.port().to_string()),
        ("uptime_in_seconds", uptime_s.to_string()),
        ("uptime_in_days", (uptime_s / 86_400).to_string()),
    ]
}

fn clients(shared: &Shared) -> Vec<(&'static str, String)> {
    vec![
        (
            "connected_clients",
            shared.connected.load(Ordering::Relaxed).to_string(),
        ),
        ("maxclients", shared.service.limits().max_connections.to_string()),
        ("blocked_clients", "0".to_owned()),
    ]
}

fn memory(shared: &Shared) -> Vec<(&'static str, String)> {
    let status = shared.service.engine().status();
    vec![
        ("used_memory", status.hot_bytes.to_string()),
        ("used_memory_human", human(status.hot_bytes)),
        ("used_memory_dataset", status.hot_bytes.to_string()),
        ("maxmemory", status.hot_budget_bytes.to_string()),
        ("maxmemory_human", human(status.hot_budget_bytes)),
        ("maxmemory_policy", "noeviction".to_owned()),
    ]
}

fn persistence() -> Vec<(&'static str, String)> {
    vec![
        ("loading", "0".to_owned()),
        ("rdb_bgsave_in_progress", "0".to_owned()),
        ("aof_enabled", "1".to_owned()),
    ]
}

fn stats(shared: &Shared) -> Vec<(&'static str, String)> {
    let status = shared.service.engine().status();
    vec![
        (
            "total_connections_received",
            shared.accepted.load(Ordering::Relaxed).to_string(),
        ),
        (
            "total_commands_processed",
            shared.commands.load(Ordering::Relaxed).to_string(),
        ),
        (
            "rejected_connections",
            shared.rejected.load(Ordering::Relaxed).to_string(),
        ),
        ("keyspace_hits", status.lookup_hits.to_string()),
        (
            "keyspace_misses",
            status.lookups.saturating_sub(status.lookup_hits).to_string(),
        ),
        ("expired_keys", "0".to_owned()),
        ("evicted_keys", "0".to_owned()),
    ]
}

fn human(bytes: u64) -> String {
    let units = ["B", "K", "M", "G", "T"];
    let mut scaled = bytes as f64;
    let mut unit = 0;
    while scaled >= 1_024.0 && unit + 1 < units.len() {
        scaled /= 1_024.0;
        unit += 1;
    }
    format!("{scaled:.2}{}", units.get(unit).copied().unwrap_or_default())
}
