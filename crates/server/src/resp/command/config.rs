//! CONFIG: what tools ask for before they start. Tally's own settings are shown by `tally config`.

use super::{Word, matches};
use crate::resp::fault::{FLUSH_OFF, Fault};
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::session::Session;

/// What Redis calls the things that are settled here.
const SETTINGS: [(&str, &str); 9] = [
    ("save", ""),
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("databases", "1"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("timeout", "0"),
    ("notify-keyspace-events", ""),
    ("cluster-enabled", "no"),
];

const HELP: [&str; 9] = [
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Accepted without effect where the setting allow_flush is on.",
    "RESETSTAT",
    "    Accepted without effect where the setting allow_flush is on.",
    "HELP",
    "    Prints this help.",
];

/// `CONFIG GET pattern [pattern …]`; with `allow_flush` also `CONFIG SET` and `CONFIG RESETSTAT`, without effect
pub(in crate::resp) fn config(session: &mut Session, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    match (Word::of(args.at(1)).as_bytes(), args.len()) {
        (b"get", 3..) => get(session, args.from(2), reply),
        (b"get", _) => return Err(Fault::subcommand_arity("config", "get")),
        (b"set", 4..) if args.len().is_multiple_of(2) => flush_only(session, reply)?,
        (b"set", _) => return Err(Fault::subcommand_arity("config", "set")),
        (b"resetstat", 2) => flush_only(session, reply)?,
        (b"resetstat", _) => return Err(Fault::subcommand_arity("config", "resetstat")),
        (b"help", 2) => {
            reply.array(HELP.len());
            for line in HELP {
                reply.simple(line);
            }
        }
        _ => return Err(Fault::subcommand("config", args.at(1))),
    }
    Ok(())
}

fn flush_only(session: &Session, reply: &mut Reply<'_>) -> Result<(), Fault> {
    if !session.shared.service.limits().allow_flush {
        return Err(FLUSH_OFF);
    }
    reply.ok();
    Ok(())
}

fn get(session: &Session, patterns: Args<'_>, reply: &mut Reply<'_>) {
    let limits = session.shared.service.limits();
    let (clients, bulk) = (limits.max_connections.to_string(), limits.max_bulk_bytes.to_string());
    let own = [("maxclients", clients.as_str()), ("proto-max-bulk-len", bulk.as_str())];
    let asked = |name: &str| {
        patterns
            .iter()
            .any(|pattern| matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
    };
    let shown = || SETTINGS.into_iter().chain(own).filter(|(name, _)| asked(name));
    reply.map(shown().count());
    for (name, value) in shown() {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}
