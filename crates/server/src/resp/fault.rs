//! Errors in Redis's own form: a code in capitals, a space, words. The one place where refusals become RESP.

use tally_counter::KeyError;
use tally_engine::AddError;

use crate::refusal::{ErrorKind, Refusal};

/// The text of an error reply, without its `-` and its line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A fixed text.
    Text(&'static str),
    /// One that names what was sent. Allocates: errors are not the fast path.
    Composed(String),
}

/// What stands where a number should.
pub(super) const NOT_AN_INTEGER: Fault = Fault::Text("ERR value is not an integer or out of range");
/// A counter was to be set to text. Begins as Redis's own, which clients know.
pub(super) const NOT_A_COUNT: Fault =
    Fault::Text("ERR value is not an integer or out of range (counters hold 64-bit integers, not text)");
/// An option that is not one.
pub(super) const SYNTAX: Fault = Fault::Text("ERR syntax error");
/// The value would leave 64 bits.
pub(super) const OVERFLOW: Fault = Fault::Text("ERR increment or decrement would overflow");
/// The amount of a DECRBY has no negative.
pub(super) const DECREMENT_OVERFLOW: Fault = Fault::Text("ERR decrement would overflow");
/// What MULTI cannot hold, since EXEC is one turn of the engine, in which nothing waits.
pub(super) const NOT_IN_TRANSACTION: Fault = Fault::Text("ERR Command not allowed inside a transaction");
/// Only `allow_flush` allows it.
pub(super) const FLUSH_OFF: Fault =
    Fault::Text("ERR command not allowed. If the setting allow_flush is set to \"true\", you can use it.");

impl Fault {
    /// The text.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Composed(text) => text,
        }
    }

    /// Too few or too many arguments.
    pub(super) fn arity(command: &str) -> Self {
        Self::Composed(format!("ERR wrong number of arguments for '{command}' command"))
    }

    /// The same for a part of a command such as CLIENT ID.
    pub(super) fn subcommand_arity(command: &str, subcommand: &str) -> Self {
        Self::Composed(format!(
            "ERR wrong number of arguments for '{command}|{subcommand}' command"
        ))
    }

    /// A part that this command does not have.
    pub(super) fn subcommand(command: &str, sent: &[u8]) -> Self {
        let sent = lossy(sent, 128);
        Self::Composed(format!(
            "ERR unknown subcommand '{sent}'. Try {} HELP.",
            command.to_ascii_uppercase()
        ))
    }

    /// A command that there is not.
    pub(super) fn unknown<'a>(mut arguments: impl Iterator<Item = &'a [u8]>) -> Self {
        let name = lossy(arguments.next().unwrap_or_default(), 128);
        let mut shown = String::new();
        for argument in arguments {
            if shown.len() >= 128 {
                break;
            }
            shown.push('\'');
            shown.push_str(&lossy(argument, 128usize.saturating_sub(shown.len())));
            shown.push_str("' ");
        }
        Self::Composed(format!(
            "ERR unknown command '{name}', with args beginning with: {shown}"
        ))
    }

    /// A time that a key cannot end at.
    pub(super) fn expire_time(command: &str) -> Self {
        Self::Composed(format!("ERR invalid expire time in '{command}' command"))
    }
}

/// Text to be shown within an error, no longer than `most` bytes of what was sent.
fn lossy(bytes: &[u8], most: usize) -> String {
    String::from_utf8_lossy(bytes.get(..most).unwrap_or(bytes)).into_owned()
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        Self::Composed(format!("ERR invalid key: {error}"))
    }
}

impl From<AddError> for Fault {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Overflow => OVERFLOW,
            AddError::Time | AddError::Bound { .. } => Self::Composed(format!("ERR {error}")),
        }
    }
}

impl From<&Refusal> for Fault {
    /// `UNKNOWN`: it may have been applied, repeat it only with its token. `TRYAGAIN`: it was not, try again later.
    fn from(refusal: &Refusal) -> Self {
        let code = match refusal.kind {
            _ if refusal.maybe_applied => "UNKNOWN",
            ErrorKind::Unauthorized => "NOAUTH",
            ErrorKind::Forbidden => "NOPERM",
            ErrorKind::Exhausted | ErrorKind::Unavailable => "TRYAGAIN",
            ErrorKind::Invalid
            | ErrorKind::NotFound
            | ErrorKind::Method
            | ErrorKind::Conflict
            | ErrorKind::TooLarge
            | ErrorKind::MediaType
            | ErrorKind::Unprocessable
            | ErrorKind::Corrupt
            | ErrorKind::Internal => "ERR",
        };
        Self::Composed(format!("{code} {}", refusal.detail))
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::from(&refusal)
    }
}
