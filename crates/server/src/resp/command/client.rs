//! CLIENT: what clients say of themselves when they connect.

use super::{Word, is};
use crate::resp::fault::{Fault, SYNTAX};
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::session::Session;

/// A name is kept as long as its connection; Redis has no limit.
const MAX_NAME_BYTES: usize = 256;

const HELP: [&str; 15] = [
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "NO-EVICT (ON|OFF)",
    "    Accepted, without effect.",
    "SETINFO <LIB-NAME|LIB-VER> <value>",
    "    Set client library meta attributes.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "HELP",
    "    Prints this help.",
];

/// `CLIENT ID | INFO | GETNAME | SETNAME name | SETINFO LIB-NAME | LIB-VER text | NO-EVICT ON | OFF`
pub(in crate::resp) fn client(session: &mut Session, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    let word = Word::of(args.at(1));
    let (name, length) = match word.as_bytes() {
        b"id" => ("id", 2),
        b"info" => ("info", 2),
        b"getname" => ("getname", 2),
        b"help" => ("help", 2),
        b"setname" => ("setname", 3),
        b"no-evict" => ("no-evict", 3),
        b"setinfo" => ("setinfo", 4),
        _ => return Err(Fault::subcommand("client", args.at(1))),
    };
    if args.len() != length {
        return Err(Fault::subcommand_arity("client", name));
    }
    match name {
        "id" => reply.integer(session.id),
        "info" => reply.verbatim(&line(session)),
        "getname" if session.name.is_empty() => reply.nil(),
        "getname" => reply.bulk(session.name.as_bytes()),
        "setname" => {
            session.name = checked_name(args.at(2))?;
            reply.ok();
        }
        "setinfo" => {
            set_info(session, args)?;
            reply.ok();
        }
        "no-evict" if is(args.at(2), "on") || is(args.at(2), "off") => reply.ok(),
        "no-evict" => return Err(SYNTAX),
        _ => {
            reply.array(HELP.len());
            for line in HELP {
                reply.simple(line);
            }
        }
    }
    Ok(())
}

/// A connection's name, printable and without spaces, so that a list of clients can be read.
pub(in crate::resp) fn checked_name(sent: &[u8]) -> Result<String, Fault> {
    printable(sent).ok_or(Fault::Text(
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ))
}

fn printable(sent: &[u8]) -> Option<String> {
    let allowed = sent.len() <= MAX_NAME_BYTES && sent.iter().all(|byte| (b'!'..=b'~').contains(byte));
    allowed.then(|| String::from_utf8_lossy(sent).into_owned())
}

fn set_info(session: &mut Session, args: Args<'_>) -> Result<(), Fault> {
    let field = if is(args.at(2), "lib-name") {
        &mut session.library
    } else if is(args.at(2), "lib-ver") {
        &mut session.library_version
    } else {
        return Err(Fault::Composed(format!(
            "ERR Unrecognized option '{}'",
            super::text(args, 2)
        )));
    };
    *field = printable(args.at(3)).ok_or_else(|| {
        let field = super::text(args, 2).to_ascii_lowercase();
        Fault::Composed(format!(
            "ERR {field} cannot contain spaces, newlines or special characters."
        ))
    })?;
    Ok(())
}

fn line(session: &Session) -> String {
    let Session {
        id,
        peer,
        local,
        name,
        library,
        library_version,
        ..
    } = session;
    let age_s = crate::world::monotonic_us().saturating_sub(session.since_us) / 1_000_000;
    let version = session.protocol.number();
    format!(
        "id={id} addr={peer} laddr={local} name={name} age={age_s} idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 \
         cmd=client|info user=default resp={version} lib-name={library} lib-ver={library_version}\n"
    )
}
