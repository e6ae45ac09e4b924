//! TALLY.ADD and TALLY.MADD: adds with what Redis has no words for.
//!
//! TALLY.ADD answers the new value, as INCRBY does, and null where the add was too late for its namespace (it is in the ledger then,
//! and not in the total). TALLY.MADD answers how many adds it made and knows no value: it waits for no read.

use tally_counter::{Acknowledgement, Key, Reader, put_signed};
use tally_engine::{KeyIndex, Need, TokenState, Turn, payload_hash};

use super::Word;
use crate::levels;
use crate::resp::batch::{self, Batch, Lists, Part};
use crate::resp::fault::{Fault, NOT_AN_INTEGER, SYNTAX};
use crate::resp::number;
use crate::resp::parser::Args;
use crate::resp::reply::Reply;

/// The longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 1_024;

/// Adds.
#[derive(Clone, Copy, Debug)]
pub(in crate::resp) enum Op {
    /// One, that answers the value.
    Add {
        /// The counter.
        key: KeyIndex,
        /// What is added.
        amount: i64,
        /// The add's own time.
        time_ms: Option<u64>,
        /// The place of its token.
        token: Option<u32>,
    },
    /// Several, that answer nothing.
    AddEach(Part),
}

/// `TALLY.ADD key amount [TOKEN t] [TIME ms] [ACK level]`
pub(in crate::resp) fn add(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    let options = Options::of(args)?;
    let amount = number::parse(args.at(2)).ok_or(NOT_AN_INTEGER)?;
    let name = Key::new(args.at(1))?;
    let key = batch.key(name.as_bytes(), Need::Value)?;
    let token = options
        .token
        .map(|token| batch.token(token, payload(name, amount, options.time_ms)));
    Ok(batch::Op::Tally(Op::Add {
        key,
        amount,
        time_ms: options.time_ms,
        token,
    }))
}

/// `TALLY.MADD key amount [key amount …]`
pub(in crate::resp) fn madd(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    let pairs = args.from(1);
    if !pairs.len().is_multiple_of(2) {
        return Err(Fault::arity("tally.madd"));
    }
    let adds = (0..pairs.len()).step_by(2).map(|place| {
        let amount = number::parse(pairs.at(place.saturating_add(1))).ok_or(NOT_AN_INTEGER)?;
        Ok((pairs.at(place), amount))
    });
    Ok(batch::Op::Tally(Op::AddEach(batch.adds(adds, Need::Blind)?)))
}

/// The level that a TALLY.ADD asks for, as far as it can be understood.
pub(in crate::resp) fn level(args: Args<'_>) -> Option<Acknowledgement> {
    Options::of(args).ok().and_then(|options| options.level)
}

#[derive(Default)]
struct Options<'a> {
    token: Option<&'a [u8]>,
    time_ms: Option<u64>,
    level: Option<Acknowledgement>,
}

impl<'a> Options<'a> {
    fn of(args: Args<'a>) -> Result<Self, Fault> {
        let mut options = Self::default();
        let mut words = args.from(3).iter();
        while let Some(word) = words.next() {
            let sent = words.next().ok_or(SYNTAX)?;
            match Word::of(word).as_bytes() {
                b"token" if options.token.is_none() => options.token = Some(token(sent)?),
                b"time" if options.time_ms.is_none() => {
                    let ms = number::parse(sent).ok_or(NOT_AN_INTEGER)?;
                    options.time_ms = Some(u64::try_from(ms).map_err(|_| NOT_AN_INTEGER)?);
                }
                b"ack" if options.level.is_none() => options.level = Some(acknowledgement(sent)?),
                _ => return Err(SYNTAX),
            }
        }
        Ok(options)
    }
}

fn token(sent: &[u8]) -> Result<&[u8], Fault> {
    match sent.len() {
        1..=MAX_TOKEN_BYTES => Ok(sent),
        _ => Err(Fault::Text("ERR a token has 1 to 1,024 bytes")),
    }
}

fn acknowledgement(sent: &[u8]) -> Result<Acknowledgement, Fault> {
    let word = Word::of(sent);
    let level = std::str::from_utf8(word.as_bytes()).ok().and_then(levels::parse);
    level.ok_or(Fault::Text("ERR the level after ACK is memory, disk or replicated"))
}

/// The same whichever face an add with a token comes by, so that a retry may take another one: as in `http::add`.
fn payload(key: Key<'_>, amount: i64, time_ms: Option<u64>) -> u64 {
    let time = time_ms.map_or(String::new(), |ms| ms.to_string());
    payload_hash(format!("add {amount} {time} {}", key.as_str()).as_bytes())
}

const HAS_VALUE: u8 = 1;
const IS_LATE: u8 = 2;

/// The answer that a token remembers, as in `http::add`: which of the two it has, then the value.
fn encode(value: Option<i64>) -> Vec<u8> {
    match value {
        Some(value) => {
            let mut answer = vec![HAS_VALUE];
            put_signed(&mut answer, value.into());
            answer
        }
        None => vec![IS_LATE],
    }
}

/// The value that was answered first; `None` where it was late, or came by a request that asked for none.
fn decode(answer: &[u8]) -> Option<i64> {
    let mut reader = Reader::new("the answer of a token", answer);
    let flags = reader.byte().ok()?;
    let value = reader.signed().ok().filter(|_| flags & HAS_VALUE != 0)?;
    i64::try_from(value).ok().filter(|_| flags & IS_LATE == 0)
}

impl Op {
    pub(in crate::resp) fn apply(self, lists: &Lists, turn: &mut Turn<'_>, reply: &mut Reply<'_>) {
        match self {
            Self::Add {
                key,
                amount,
                time_ms,
                token: None,
            } => {
                let added = turn.add(key, amount, time_ms);
                match added {
                    Ok(Some(value)) => reply.integer(value),
                    Ok(None) => reply.nil(),
                    Err(error) => reply.error(&error.into()),
                }
            }
            Self::Add {
                key,
                amount,
                time_ms,
                token: Some(place),
            } => match with_token(key, amount, time_ms, place, lists, turn) {
                Ok(Some(value)) => reply.integer(value),
                Ok(None) => reply.nil(),
                Err(fault) => reply.error(&fault),
            },
            Self::AddEach(part) => {
                let adds = lists.adds(part);
                // Where there are bounds, all of them or none.
                if turn.is_strong()
                    && let Err((_, error)) = turn.fits(adds)
                {
                    return reply.error(&error.into());
                }
                for (key, amount) in adds {
                    if let Err(error) = turn.add_blind(*key, *amount, None) {
                        return reply.error(&error.into());
                    }
                }
                reply.amount_of(adds.len());
            }
        }
    }
}

fn with_token(
    key: KeyIndex,
    amount: i64,
    time_ms: Option<u64>,
    place: u32,
    lists: &Lists,
    turn: &mut Turn<'_>,
) -> Result<Option<i64>, Fault> {
    let (token, payload) = lists
        .token(place)
        .ok_or(Fault::Text("ERR internal: a token was lost"))?;
    match turn.token(token, payload) {
        TokenState::New => {
            let value = turn.add(key, amount, time_ms)?;
            turn.remember(token, payload, &encode(value));
            Ok(value)
        }
        TokenState::Duplicate(answer) => {
            turn.duplicate_adds(key, 1);
            Ok(decode(&answer))
        }
        TokenState::OtherPayload => Err(Fault::Text(
            "ERR the token was used before, with another key, amount or time",
        )),
        TokenState::Full => Err(Fault::Text(
            "TRYAGAIN as many tokens are remembered as may be (setting token_limit)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_remembered() {
        for value in [0, -1, i64::MAX, i64::MIN] {
            assert_eq!(decode(&encode(Some(value))), Some(value));
        }
        assert_eq!(decode(&encode(None)), None);
        assert_eq!(decode(b""), None);
        assert_eq!(decode(&[0]), None, "an add by HTTP that asked for no value");
    }
}
