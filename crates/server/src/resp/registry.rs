//! Every command once: its name, how many arguments it takes, where its keys are, and what runs it. The check of the arity, COMMAND
//! and the dispatch all read this table.

use super::batch::{Batch, Op};
use super::command::{add, client, config, docs, expire, handshake, object, read, set, tally};
use super::fault::Fault;
use super::parser::Args;
use super::reply::Reply;
use super::session::Session;

/// A command.
#[derive(Debug)]
pub(super) struct Spec {
    /// In small letters.
    pub(super) name: &'static str,
    /// How many arguments, its name included; at least so many if negative.
    pub(super) arity: i8,
    /// What COMMAND says of it.
    pub(super) flags: &'static [&'static str],
    /// The place of the first key, of the last one (negative: from the end), and the distance between two.
    pub(super) keys: (i8, i8, i8),
    /// Redis's groups.
    pub(super) group: &'static str,
    /// A line.
    pub(super) summary: &'static str,
    /// What runs it.
    pub(super) action: Action,
}

/// What runs a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    /// Needs the engine for a turn: taken apart here, carried out with those around it.
    Turn(fn(&mut Batch, Args<'_>) -> Result<Op, Fault>),
    /// The same, and may say at which level it is to be acknowledged.
    TurnAt(fn(&mut Batch, Args<'_>) -> Result<Op, Fault>),
    /// Is answered from the connection's own state.
    Session(fn(&mut Session, Args<'_>, &mut Reply<'_>) -> Result<(), Fault>),
    /// Changes how the connection goes on: everything before it is answered first.
    Control(Control),
    /// Waits for the engine on another thread: everything before it is answered first.
    Wait(Wait),
}

/// Commands that the connection itself carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// AUTH.
    Auth,
    /// HELLO.
    Hello,
    /// MULTI.
    Multi,
    /// EXEC.
    Exec,
    /// DISCARD.
    Discard,
    /// WATCH.
    Watch,
    /// RESET.
    Reset,
    /// QUIT.
    Quit,
}

/// Commands that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// DBSIZE.
    Dbsize,
    /// SCAN.
    Scan,
    /// INFO.
    Info,
    /// FLUSHALL, FLUSHDB.
    Flush,
    /// FUNCTION FLUSH.
    Function,
    /// TALLY.HISTORY.
    History,
    /// TALLY.QUERY.
    Query,
}

impl Spec {
    /// Whether it may come with so many arguments, its name included.
    pub(super) fn takes(&self, arguments: usize) -> bool {
        let least = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 {
            arguments >= least
        } else {
            arguments == least
        }
    }

    /// Whether it may come before the credential was shown.
    pub(super) fn needs_no_auth(&self) -> bool {
        matches!(
            self.action,
            Action::Control(Control::Auth | Control::Hello | Control::Quit | Control::Reset)
        )
    }
}

/// The command of this name, in any case.
pub(super) fn find(name: &[u8]) -> Option<&'static Spec> {
    let mut place = hash(name);
    loop {
        let number = INDEX.get(place).copied().unwrap_or(NONE);
        let spec = COMMANDS.get(usize::from(number))?;
        if name.eq_ignore_ascii_case(spec.name.as_bytes()) {
            return Some(spec);
        }
        place = place.wrapping_add(1) % INDEX_SIZE;
    }
}

/// All commands.
pub(super) fn all() -> &'static [Spec] {
    COMMANDS
}

const INDEX_SIZE: usize = 256;
const NONE: u8 = u8::MAX;
/// Open addressing, at most a third full, made when the program is.
static INDEX: [u8; INDEX_SIZE] = index();

/// FNV-1a over small letters, folded into 8 bits.
#[expect(
    clippy::indexing_slicing,
    reason = "const code has no iterators; the place is below the length"
)]
const fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut place = 0;
    while place < name.len() {
        hash = (hash ^ name[place].to_ascii_lowercase() as u32).wrapping_mul(0x0100_0193);
        place += 1;
    }
    ((hash >> 24) ^ (hash >> 12)) as usize % INDEX_SIZE
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "const code; there are fewer than 255 commands"
)]
const fn index() -> [u8; INDEX_SIZE] {
    assert!(COMMANDS.len() * 3 <= INDEX_SIZE, "the index is at most a third full");
    let mut index = [NONE; INDEX_SIZE];
    let mut number = 0;
    while number < COMMANDS.len() {
        let mut place = hash(COMMANDS[number].name.as_bytes());
        while index[place] != NONE {
            place = (place + 1) % INDEX_SIZE;
        }
        index[place] = number as u8;
        number += 1;
    }
    index
}

const READ: &[&str] = &["readonly", "fast"];
const WRITE: &[&str] = &["write", "denyoom", "fast"];
const REMOVE: &[&str] = &["write", "fast"];
const SLOW_READ: &[&str] = &["readonly"];
const CONNECTION: &[&str] = &["noscript", "loading", "stale", "fast"];
const NO_AUTH: &[&str] = &["noscript", "loading", "stale", "fast", "no_auth", "allow_busy"];
const ADMIN: &[&str] = &["admin", "noscript", "loading", "stale"];

const NO_KEYS: (i8, i8, i8) = (0, 0, 0);
const ONE_KEY: (i8, i8, i8) = (1, 1, 1);
const ALL_KEYS: (i8, i8, i8) = (1, -1, 1);
const PAIRS: (i8, i8, i8) = (1, -1, 2);

type Row = (
    &'static str,
    i8,
    &'static [&'static str],
    (i8, i8, i8),
    &'static str,
    &'static str,
    Action,
);

const fn spec((name, arity, flags, keys, group, summary, action): Row) -> Spec {
    Spec {
        name,
        arity,
        flags,
        keys,
        group,
        summary,
        action,
    }
}

use Action::{Control as Own, Session as Here, Turn as Do, Wait as Slow};

#[rustfmt::skip]
static COMMANDS: &[Spec] = &[
    spec(("incr", 2, WRITE, ONE_KEY, "string", "Increment the integer value of a key by one", Do(add::incr))),
    spec(("get", 2, READ, ONE_KEY, "string", "Get the value of a key", Do(read::get))),
    spec(("incrby", 3, WRITE, ONE_KEY, "string", "Increment the integer value of a key by the given amount", Do(add::incrby))),
    spec(("decr", 2, WRITE, ONE_KEY, "string", "Decrement the integer value of a key by one", Do(add::decr))),
    spec(("decrby", 3, WRITE, ONE_KEY, "string", "Decrement the integer value of a key by the given number", Do(add::decrby))),
    spec(("mget", -2, READ, ALL_KEYS, "string", "Get the values of all the given keys", Do(read::mget))),
    spec(("exists", -2, READ, ALL_KEYS, "generic", "Determine if a key exists", Do(read::exists))),
    spec(("touch", -2, READ, ALL_KEYS, "generic", "Count the existing keys among the given ones", Do(read::exists))),
    spec(("type", 2, READ, ONE_KEY, "generic", "Determine the type stored at key", Do(read::kind))),
    spec(("object", -2, SLOW_READ, (2, 2, 1), "generic", "Inspect the internals of a value", Do(object::object))),
    spec(("set", -3, &["write", "denyoom"], ONE_KEY, "string", "Set the integer value of a key", Do(set::set))),
    spec(("setex", 4, WRITE, ONE_KEY, "string", "Set the value and expiration of a key", Do(set::setex))),
    spec(("psetex", 4, WRITE, ONE_KEY, "string", "Set the value and expiration in milliseconds of a key", Do(set::psetex))),
    spec(("setnx", 3, WRITE, ONE_KEY, "string", "Set the value of a key, only if the key does not exist", Do(set::setnx))),
    spec(("mset", -3, WRITE, PAIRS, "string", "Set multiple keys to multiple values", Do(set::mset))),
    spec(("getset", 3, WRITE, ONE_KEY, "string", "Set the integer value of a key and return its old value", Do(set::getset))),
    spec(("getdel", 2, REMOVE, ONE_KEY, "string", "Get the value of a key and delete the key", Do(set::getdel))),
    spec(("getex", -2, REMOVE, ONE_KEY, "string", "Get the value of a key and optionally set its expiration", Do(set::getex))),
    spec(("del", -2, REMOVE, ALL_KEYS, "generic", "Delete a key", Do(set::del))),
    spec(("unlink", -2, REMOVE, ALL_KEYS, "generic", "Delete a key", Do(set::del))),
    spec(("expire", -3, REMOVE, ONE_KEY, "generic", "Set a key's time to live in seconds", Do(expire::expire))),
    spec(("pexpire", -3, REMOVE, ONE_KEY, "generic", "Set a key's time to live in milliseconds", Do(expire::pexpire))),
    spec(("expireat", -3, REMOVE, ONE_KEY, "generic", "Set the expiration for a key as a UNIX timestamp", Do(expire::expireat))),
    spec(("pexpireat", -3, REMOVE, ONE_KEY, "generic", "Set the expiration for a key as a UNIX timestamp in milliseconds",
        Do(expire::pexpireat))),
    spec(("persist", 2, REMOVE, ONE_KEY, "generic", "Remove the expiration from a key", Do(expire::persist))),
    spec(("ttl", 2, READ, ONE_KEY, "generic", "Get the time to live for a key in seconds", Do(expire::ttl))),
    spec(("pttl", 2, READ, ONE_KEY, "generic", "Get the time to live for a key in milliseconds", Do(expire::pttl))),
    spec(("expiretime", 2, READ, ONE_KEY, "generic", "Get the expiration Unix timestamp for a key", Do(expire::expiretime))),
    spec(("pexpiretime", 2, READ, ONE_KEY, "generic", "Get the expiration Unix timestamp for a key in milliseconds",
        Do(expire::pexpiretime))),
    spec(("dbsize", 1, READ, NO_KEYS, "server", "Return the number of counters", Slow(Wait::Dbsize))),
    spec(("scan", -2, SLOW_READ, NO_KEYS, "generic", "Incrementally iterate the keys space", Slow(Wait::Scan))),
    spec(("tally.add", -3, WRITE, ONE_KEY, "tally", "Add an amount: with a token, a time, an acknowledgement level", Action::TurnAt(tally::add))),
    spec(("tally.madd", -3, WRITE, PAIRS, "tally", "Add to many counters without reading them", Do(tally::madd))),
    spec(("tally.history", -5, SLOW_READ, ONE_KEY, "tally", "What was counted in each step of a time range", Slow(Wait::History))),
    spec(("tally.query", -2, SLOW_READ, NO_KEYS, "tally", "Sums and largest ones of many counters", Slow(Wait::Query))),
    spec(("multi", 1, CONNECTION, NO_KEYS, "transactions", "Mark the start of a transaction block", Own(Control::Multi))),
    spec(("exec", 1, CONNECTION, NO_KEYS, "transactions", "Execute all commands issued after MULTI", Own(Control::Exec))),
    spec(("discard", 1, CONNECTION, NO_KEYS, "transactions", "Discard all commands issued after MULTI", Own(Control::Discard))),
    spec(("watch", -2, CONNECTION, ALL_KEYS, "transactions", "Refused: use TALLY.ADD with a token", Own(Control::Watch))),
    spec(("unwatch", 1, CONNECTION, NO_KEYS, "transactions", "Forget about all watched keys", Here(docs::unwatch))),
    spec(("ping", -1, &["fast"], NO_KEYS, "connection", "Ping the server", Here(handshake::ping))),
    spec(("echo", 2, &["fast"], NO_KEYS, "connection", "Echo the given string", Here(handshake::echo))),
    spec(("select", 2, CONNECTION, NO_KEYS, "connection", "Change the selected database: there is only 0", Here(handshake::select))),
    spec(("client", -2, CONNECTION, NO_KEYS, "connection", "What a connection says of itself", Here(client::client))),
    spec(("auth", -2, NO_AUTH, NO_KEYS, "connection", "Authenticate to the server", Own(Control::Auth))),
    spec(("hello", -1, NO_AUTH, NO_KEYS, "connection", "Handshake with the server", Own(Control::Hello))),
    spec(("reset", 1, NO_AUTH, NO_KEYS, "connection", "Reset the connection", Own(Control::Reset))),
    spec(("quit", -1, NO_AUTH, NO_KEYS, "connection", "Close the connection", Own(Control::Quit))),
    spec(("command", -1, &["loading", "stale"], NO_KEYS, "server", "Get details about commands", Here(docs::command))),
    spec(("config", -2, ADMIN, NO_KEYS, "server", "Get configuration parameters", Here(config::config))),
    spec(("info", -1, &["loading", "stale"], NO_KEYS, "server", "Get information and statistics about the server", Slow(Wait::Info))),
    spec(("flushall", -1, &["write"], NO_KEYS, "server", "Delete all counters (setting allow_flush)", Slow(Wait::Flush))),
    spec(("flushdb", -1, &["write"], NO_KEYS, "server", "Delete all counters (setting allow_flush)", Slow(Wait::Flush))),
    spec(("function", -2, &["write"], NO_KEYS, "scripting", "FUNCTION FLUSH, without effect (setting allow_flush)", Slow(Wait::Function))),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case() {
        for spec in all() {
            assert_eq!(find(spec.name.as_bytes()).map(|found| found.name), Some(spec.name));
            assert_eq!(
                find(spec.name.to_ascii_uppercase().as_bytes()).map(|found| found.name),
                Some(spec.name)
            );
            assert_eq!(spec.name, spec.name.to_ascii_lowercase());
        }
        for unknown in ["", "inc", "incrx", "lpush", "monitor"] {
            assert!(find(unknown.as_bytes()).is_none(), "{unknown}");
        }
    }

    #[test]
    fn arities() {
        let takes = |name: &str, arguments| find(name.as_bytes()).unwrap().takes(arguments);
        assert!(takes("get", 2) && !takes("get", 1) && !takes("get", 3));
        assert!(takes("del", 2) && takes("del", 9) && !takes("del", 1));
    }
}
