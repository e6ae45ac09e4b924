//! What an entry of the journal says: the operations of one turn, all of it or none. Outcomes are decided before the append and
//! stored here, so that a replay decides nothing anew (rule 7). The bytes are specified in docs/format.md.

use tally_counter::{Corrupt, Ends, Head, Key, Outcome, Reader, put_bytes, put_signed, put_varint};

const ADD: u8 = 1;
const ADD_AT: u8 = 2;
const HEAD: u8 = 3;
const TOKEN: u8 = 4;
const ADDS: u8 = 5;
const EVENT: u8 = 6;
const REJECTED: u8 = 7;
const POLICY: u8 = 8;
const DOCUMENT: u8 = 9;
const ADOPTED_POLICY: u8 = 10;
const ADOPTED_DOCUMENT: u8 = 11;

/// One operation of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    /// An add that was counted; `time_ms` is its own time, where it has one.
    Add {
        key: Key<'a>,
        amount: i64,
        time_ms: Option<u64>,
    },
    /// A new head.
    Head { key: Key<'a>, ends: Ends, head: Head },
    /// A token that was used, what its request hashes to, what a repeat is answered.
    Token {
        token: &'a [u8],
        payload: u64,
        answer: &'a [u8],
    },
    /// Adds to a namespace that were not counted.
    Adds {
        namespace: &'a str,
        outcome: Outcome,
        count: u64,
    },
    /// An event's outcome.
    Event { source: &'a str, outcome: Outcome },
    /// An event that was rejected: why, and which.
    Rejected {
        source: &'a str,
        reason: &'a str,
        which: &'a str,
    },
    /// A namespace's policy, encoded, from here on; `adopted`: another node has declared it.
    Policy {
        namespace: &'a str,
        policy: &'a [u8],
        adopted: bool,
    },
    /// A document's text from here on.
    Document {
        name: &'a str,
        text: &'a str,
        adopted: bool,
    },
}

/// Begins an entry's content with the time of its turn.
pub(crate) fn begin(out: &mut Vec<u8>, now_ms: u64) {
    put_varint(out, now_ms.into());
}

/// Appends an add: the hot path, apart so that nothing is built for it.
pub(crate) fn put_add(out: &mut Vec<u8>, key: &[u8], amount: i64, time_ms: Option<u64>) {
    out.push(if time_ms.is_some() { ADD_AT } else { ADD });
    put_bytes(out, key);
    put_signed(out, amount.into());
    if let Some(time_ms) = time_ms {
        put_varint(out, time_ms.into());
    }
}

/// Appends any operation.
pub(crate) fn put(out: &mut Vec<u8>, op: &Op<'_>) {
    match op {
        Op::Add { key, amount, time_ms } => put_add(out, key.as_bytes(), *amount, *time_ms),
        Op::Head { key, ends, head } => {
            out.push(HEAD);
            put_bytes(out, key.as_bytes());
            out.push(match ends {
                Ends::Nothing => 0,
                Ends::Set => 1,
                Ends::Life => 2,
            });
            head.encode(out);
        }
        Op::Token { token, payload, answer } => {
            out.push(TOKEN);
            put_bytes(out, token);
            out.extend(payload.to_le_bytes());
            put_bytes(out, answer);
        }
        Op::Adds {
            namespace,
            outcome,
            count,
        } => {
            out.push(ADDS);
            put_bytes(out, namespace.as_bytes());
            out.push(outcome.code());
            put_varint(out, (*count).into());
        }
        Op::Event { source, outcome } => {
            out.push(EVENT);
            put_bytes(out, source.as_bytes());
            out.push(outcome.code());
        }
        Op::Rejected { source, reason, which } => {
            out.push(REJECTED);
            for text in [source, reason, which] {
                put_bytes(out, text.as_bytes());
            }
        }
        Op::Policy {
            namespace,
            policy,
            adopted,
        } => {
            out.push(if *adopted { ADOPTED_POLICY } else { POLICY });
            put_bytes(out, namespace.as_bytes());
            put_bytes(out, policy);
        }
        Op::Document { name, text, adopted } => {
            out.push(if *adopted { ADOPTED_DOCUMENT } else { DOCUMENT });
            put_bytes(out, name.as_bytes());
            put_bytes(out, text.as_bytes());
        }
    }
}

/// An entry being read: the time of its turn, then its operations.
pub(crate) struct Entry<'a> {
    /// The time of the turn, Unix milliseconds.
    pub(crate) now_ms: u64,
    reader: Reader<'a>,
}

impl<'a> Entry<'a> {
    /// Begins to read.
    pub(crate) fn decode(content: &'a [u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new("journal entry", content);
        Ok(Self {
            now_ms: reader.varint()?,
            reader,
        })
    }

    /// The next operation.
    pub(crate) fn next(&mut self) -> Result<Option<Op<'a>>, Corrupt> {
        if self.reader.remaining() == 0 {
            return Ok(None);
        }
        self.read().map(Some)
    }

    fn read(&mut self) -> Result<Op<'a>, Corrupt> {
        let reader = &mut self.reader;
        Ok(match reader.byte()? {
            tag @ (ADD | ADD_AT) => {
                let key = key(reader)?;
                let amount = i64::try_from(reader.signed()?).map_err(|_| reader.corrupt())?;
                let time_ms = if tag == ADD_AT { Some(reader.varint()?) } else { None };
                Op::Add { key, amount, time_ms }
            }
            HEAD => {
                let key = key(reader)?;
                let ends = match reader.byte()? {
                    0 => Ends::Nothing,
                    1 => Ends::Set,
                    2 => Ends::Life,
                    _ => return Err(reader.corrupt()),
                };
                Op::Head {
                    key,
                    ends,
                    head: Head::read(reader)?,
                }
            }
            TOKEN => {
                let token = reader.bytes()?;
                let payload = reader
                    .take(8)?
                    .try_into()
                    .map(u64::from_le_bytes)
                    .map_err(|_| reader.corrupt())?;
                Op::Token {
                    token,
                    payload,
                    answer: reader.bytes()?,
                }
            }
            ADDS => Op::Adds {
                namespace: reader.text()?,
                outcome: outcome(reader)?,
                count: reader.varint()?,
            },
            EVENT => Op::Event {
                source: reader.text()?,
                outcome: outcome(reader)?,
            },
            REJECTED => Op::Rejected {
                source: reader.text()?,
                reason: reader.text()?,
                which: reader.text()?,
            },
            tag @ (POLICY | ADOPTED_POLICY) => Op::Policy {
                namespace: reader.text()?,
                policy: reader.bytes()?,
                adopted: tag == ADOPTED_POLICY,
            },
            tag @ (DOCUMENT | ADOPTED_DOCUMENT) => Op::Document {
                name: reader.text()?,
                text: reader.text()?,
                adopted: tag == ADOPTED_DOCUMENT,
            },
            _ => return Err(reader.corrupt()),
        })
    }
}

fn key<'a>(reader: &mut Reader<'a>) -> Result<Key<'a>, Corrupt> {
    let bytes = reader.bytes()?;
    Key::new(bytes).map_err(|_| reader.corrupt())
}

fn outcome(reader: &mut Reader<'_>) -> Result<Outcome, Corrupt> {
    let code = reader.byte()?;
    Outcome::from_code(code).ok_or_else(|| reader.corrupt())
}
