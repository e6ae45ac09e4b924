//! Whether a command is looked at at all: it exists, has as many arguments as it takes, may be called, and is not HTTP.

use super::command::handshake::NO_AUTH;
use super::command::is;
use super::fault::Fault;
use super::parser::Args;
use super::registry::{self, Spec};

/// Why a command is not looked at any further.
pub(super) enum Rejected {
    Fault(Fault),
    /// A browser, or something that was led to believe that this is a web server.
    Http,
}

impl From<Fault> for Rejected {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The command, if it exists, has as many arguments as it takes, and may be called.
pub(super) fn checked(args: Args<'_>, authenticated: bool) -> Result<&'static Spec, Rejected> {
    if args.is_inline() && is_http(args) {
        return Err(Rejected::Http);
    }
    let spec = match registry::find(args.at(0)) {
        Some(spec) => spec,
        None if is(args.at(0), "post") || is(args.at(0), "host:") => return Err(Rejected::Http),
        None => return Err(Fault::unknown(args.iter()).into()),
    };
    if !spec.takes(args.len()) {
        return Err(Fault::arity(spec.name).into());
    }
    if !authenticated && !spec.needs_no_auth() {
        return Err(NO_AUTH.into());
    }
    Ok(spec)
}

/// Whether a typed line is the first of an HTTP request.
fn is_http(args: Args<'_>) -> bool {
    args.len() == 3 && args.at(2).starts_with(b"HTTP/1.")
}
