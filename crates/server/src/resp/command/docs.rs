//! COMMAND, and UNWATCH, which has nothing to forget. COMMAND shows the table, no more: no key specifications, no arguments.

use super::Word;
use crate::resp::fault::Fault;
use crate::resp::parser::Args;
use crate::resp::registry::{self, Spec};
use crate::resp::reply::Reply;
use crate::resp::session::Session;

const HELP: [&str; 11] = [
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all commands.",
    "COUNT",
    "    Return the total number of commands in this server.",
    "INFO [<command-name> ...]",
    "    Return details about the named commands, or about all.",
    "DOCS [<command-name> ...]",
    "    Return a line about the named commands, or about all.",
    "HELP",
    "    Prints this help.",
];

/// `UNWATCH`
#[expect(clippy::unnecessary_wraps, reason = "the registry's form of a command")]
pub(in crate::resp) fn unwatch(_: &mut Session, _: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    reply.ok();
    Ok(())
}

/// `COMMAND [COUNT | INFO [name …] | DOCS [name …] | LIST | HELP]`
pub(in crate::resp) fn command(_: &mut Session, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    let all = registry::all();
    let names = args.from(2);
    match (Word::of(args.at(1)).as_bytes(), args.len()) {
        (_, 1) | (b"info", 2) => {
            reply.array(all.len());
            for spec in all {
                details(spec, reply);
            }
        }
        (b"info", _) => {
            reply.array(names.len());
            for name in names.iter() {
                match registry::find(name) {
                    Some(spec) => details(spec, reply),
                    None => reply.nil(),
                }
            }
        }
        (b"docs", 2) => {
            reply.map(all.len());
            for spec in all {
                line(spec, reply);
            }
        }
        (b"docs", _) => {
            let known = || names.iter().filter_map(registry::find);
            reply.map(known().count());
            for spec in known() {
                line(spec, reply);
            }
        }
        (b"count", 2) => reply.amount_of(all.len()),
        (b"list", 2) => {
            reply.array(all.len());
            for spec in all {
                reply.bulk(spec.name.as_bytes());
            }
        }
        (b"help", 2) => {
            reply.array(HELP.len());
            for line in HELP {
                reply.simple(line);
            }
        }
        (b"count", _) => return Err(Fault::subcommand_arity("command", "count")),
        (b"list", _) => return Err(Fault::subcommand_arity("command", "list")),
        _ => return Err(Fault::subcommand("command", args.at(1))),
    }
    Ok(())
}

/// Redis 7: name, arity, flags, first key, last key, step, ACL categories, tips, key specifications, subcommands.
fn details(spec: &Spec, reply: &mut Reply<'_>) {
    reply.array(10);
    reply.bulk(spec.name.as_bytes());
    reply.integer(spec.arity.into());
    reply.set(spec.flags.len());
    for flag in spec.flags {
        reply.simple(flag);
    }
    let (first, last, step) = spec.keys;
    for place in [first, last, step] {
        reply.integer(place.into());
    }
    reply.set(0);
    for _ in 0..3 {
        reply.array(0);
    }
}

fn line(spec: &Spec, reply: &mut Reply<'_>) {
    reply.bulk(spec.name.as_bytes());
    reply.map(3);
    for (field, text) in [("summary", spec.summary), ("since", "1.0.0"), ("group", spec.group)] {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
}
