//! PING, ECHO, HELLO, AUTH, SELECT, RESET, QUIT: how a connection begins and ends.

use super::is;
use crate::resp::fault::{Fault, SYNTAX};
use crate::resp::number;
use crate::resp::parser::Args;
use crate::resp::reply::{Protocol, Reply};
use crate::resp::session::Session;

/// The version of Redis whose answers these are, for clients that ask.
pub(in crate::resp) const REDIS_VERSION: &str = "7.0.15";

const WRONG_PASSWORD: Fault = Fault::Text("WRONGPASS invalid username-password pair or user is disabled.");
/// Before the credential was shown.
pub(in crate::resp) const NO_AUTH: Fault = Fault::Text("NOAUTH Authentication required.");

/// `PING [text]`
pub(in crate::resp) fn ping(_: &mut Session, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    match args.len() {
        1 => reply.simple("PONG"),
        2 => reply.bulk(args.at(1)),
        _ => return Err(Fault::arity("ping")),
    }
    Ok(())
}

/// `ECHO text`
#[expect(clippy::unnecessary_wraps, reason = "the registry's form of a command")]
pub(in crate::resp) fn echo(_: &mut Session, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    reply.bulk(args.at(1));
    Ok(())
}

/// `SELECT 0`: there is one database.
pub(in crate::resp) fn select(_: &mut Session, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    match number::parse(args.at(1)) {
        Some(0) => reply.ok(),
        Some(_) => return Err(Fault::Text("ERR DB index is out of range")),
        None => return Err(crate::resp::fault::NOT_AN_INTEGER),
    }
    Ok(())
}

/// `AUTH [user] password`
pub(in crate::resp) fn auth(session: &mut Session, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Fault> {
    let (user, password) = match args.len() {
        2 if !session.shared.service.access().is_required() => {
            return Err(Fault::Text(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            ));
        }
        2 => (&b"default"[..], args.at(1)),
        3 => (args.at(1), args.at(2)),
        _ => return Err(SYNTAX),
    };
    if !session.authenticate(user, password) {
        return Err(WRONG_PASSWORD);
    }
    reply.ok();
    Ok(())
}

/// `HELLO [2 | 3 [AUTH user password] [SETNAME name]]`
pub(in crate::resp) fn hello(session: &mut Session, args: Args<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let protocol = match (args.len(), number::parse(args.at(1))) {
        (1, _) => session.protocol,
        (_, Some(2)) => Protocol::Resp2,
        (_, Some(3)) => Protocol::Resp3,
        (_, Some(_)) => return Err(Fault::Text("NOPROTO unsupported protocol version")),
        (_, None) => return Err(Fault::Text("ERR Protocol version is not an integer or out of range")),
    };
    let (mut credential, mut name) = (None, None);
    let mut place = 2;
    while place < args.len() {
        let left = args.len().saturating_sub(place);
        let option = args.at(place);
        if is(option, "auth") && left > 2 {
            credential = Some((args.at(place.saturating_add(1)), args.at(place.saturating_add(2))));
            place = place.saturating_add(3);
        } else if is(option, "setname") && left > 1 {
            name = Some(super::client::checked_name(args.at(place.saturating_add(1)))?);
            place = place.saturating_add(2);
        } else {
            let option = String::from_utf8_lossy(option);
            return Err(Fault::Composed(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    if let Some((user, password)) = credential
        && !session.authenticate(user, password)
    {
        return Err(WRONG_PASSWORD);
    }
    if !session.authenticated {
        return Err(Fault::Text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
             option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        session.name = name;
    }
    session.protocol = protocol;
    describe(session, &mut Reply::new(out, protocol));
    Ok(())
}

fn describe(session: &Session, reply: &mut Reply<'_>) {
    reply.map(7);
    for (field, text) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(session.protocol.number());
    reply.bulk(b"id");
    reply.integer(session.id);
    for (field, text) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}
