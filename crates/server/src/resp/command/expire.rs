//! EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST, and TTL, PTTL, EXPIRETIME, PEXPIRETIME: when a counter ends.

use tally_engine::{KeyIndex, Need, Turn};

use super::Word;
use crate::resp::batch::{self, Batch};
use crate::resp::fault::Fault;
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::when::{Unit, When};

/// What is asked or said.
#[derive(Clone, Copy, Debug)]
pub(in crate::resp) enum Op {
    /// It ends then.
    Expire(KeyIndex, When, Conditions),
    /// It never ends.
    Persist(KeyIndex),
    /// When does it end?
    Left(KeyIndex, Unit),
}

/// The options of EXPIRE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::resp) struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`
pub(in crate::resp) fn expire(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    end(batch, args, Unit::Seconds, "expire")
}

/// `PEXPIRE key ms [NX | XX | GT | LT]`
pub(in crate::resp) fn pexpire(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    end(batch, args, Unit::Ms, "pexpire")
}

/// `EXPIREAT key unix-seconds [NX | XX | GT | LT]`
pub(in crate::resp) fn expireat(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    end(batch, args, Unit::AtSeconds, "expireat")
}

/// `PEXPIREAT key unix-ms [NX | XX | GT | LT]`
pub(in crate::resp) fn pexpireat(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    end(batch, args, Unit::AtMs, "pexpireat")
}

/// `PERSIST key`
pub(in crate::resp) fn persist(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    Ok(batch::Op::Expire(Op::Persist(batch.key(args.at(1), Need::Reset)?)))
}

/// `TTL key`
pub(in crate::resp) fn ttl(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    left(batch, args, Unit::Seconds)
}

/// `PTTL key`
pub(in crate::resp) fn pttl(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    left(batch, args, Unit::Ms)
}

/// `EXPIRETIME key`
pub(in crate::resp) fn expiretime(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    left(batch, args, Unit::AtSeconds)
}

/// `PEXPIRETIME key`
pub(in crate::resp) fn pexpiretime(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    left(batch, args, Unit::AtMs)
}

fn left(batch: &mut Batch, args: Args<'_>, unit: Unit) -> Result<batch::Op, Fault> {
    Ok(batch::Op::Expire(Op::Left(batch.key(args.at(1), Need::Value)?, unit)))
}

fn end(batch: &mut Batch, args: Args<'_>, unit: Unit, command: &str) -> Result<batch::Op, Fault> {
    let conditions = conditions(args.from(3))?;
    let when = When::any(args.at(2), unit, command)?;
    Ok(batch::Op::Expire(Op::Expire(
        batch.key(args.at(1), Need::Reset)?,
        when,
        conditions,
    )))
}

fn conditions(options: Args<'_>) -> Result<Conditions, Fault> {
    let mut conditions = Conditions::default();
    for option in options.iter() {
        match Word::of(option).as_bytes() {
            b"nx" => conditions.nx = true,
            b"xx" => conditions.xx = true,
            b"gt" => conditions.gt = true,
            b"lt" => conditions.lt = true,
            _ => {
                return Err(Fault::Composed(format!(
                    "ERR Unsupported option {}",
                    String::from_utf8_lossy(option)
                )));
            }
        }
    }
    let Conditions { nx, xx, gt, lt } = conditions;
    if nx && (xx || gt || lt) {
        return Err(Fault::Text(
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        ));
    }
    if gt && lt {
        return Err(Fault::Text("ERR GT and LT options at the same time are not compatible"));
    }
    Ok(conditions)
}

impl Conditions {
    /// Whether a counter that ends at `old` (`None`: never) is to end at `new` (`None`: it has passed).
    fn allow(self, old: Option<u64>, new: Option<u64>) -> bool {
        // What has passed is before every end that is yet to come.
        let new = new.unwrap_or(0);
        !(self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && old.is_none_or(|old| new <= old)
            || self.lt && old.is_some_and(|old| new >= old))
    }
}

impl Op {
    /// Whether it may change a counter.
    pub(in crate::resp) fn writes(self) -> bool {
        !matches!(self, Self::Left(..))
    }

    pub(in crate::resp) fn apply(self, turn: &mut Turn<'_>, reply: &mut Reply<'_>) {
        let answer = match self {
            Self::Expire(key, when, conditions) => {
                let new = when.future_ms(turn.now_ms());
                let done = match turn.expires_ms(key) {
                    Some(old) if conditions.allow(old, new) => match new {
                        Some(at) => turn.expire(key, Some(at)),
                        None => turn.delete(key),
                    },
                    _ => false,
                };
                i64::from(done)
            }
            Self::Persist(key) => match turn.expires_ms(key) {
                Some(Some(_)) => i64::from(turn.expire(key, None)),
                _ => 0,
            },
            Self::Left(key, unit) => match turn.expires_ms(key) {
                None => -2,
                Some(None) => -1,
                Some(Some(at)) => left_of(at, turn.now_ms(), unit),
            },
        };
        reply.integer(answer);
    }
}

/// Seconds are rounded to the nearest, as in Redis.
fn left_of(at_ms: u64, now_ms: u64, unit: Unit) -> i64 {
    let left = match unit {
        Unit::Seconds => at_ms.saturating_sub(now_ms).saturating_add(500) / 1_000,
        Unit::Ms => at_ms.saturating_sub(now_ms),
        Unit::AtSeconds => at_ms.saturating_add(500) / 1_000,
        Unit::AtMs => at_ms,
    };
    i64::try_from(left).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_those_of_redis() {
        let allow = |word: &str, old, new| {
            let has = |option| word == option;
            Conditions {
                nx: has("nx"),
                xx: has("xx"),
                gt: has("gt"),
                lt: has("lt"),
            }
            .allow(old, new)
        };
        assert!(allow("", None, Some(5)) && allow("", Some(5), None));
        assert!(allow("nx", None, Some(5)) && !allow("nx", Some(5), Some(6)));
        assert!(!allow("xx", None, Some(5)) && allow("xx", Some(5), Some(6)));
        assert!(!allow("gt", None, Some(5)) && !allow("gt", Some(5), Some(5)) && allow("gt", Some(5), Some(6)));
        assert!(allow("lt", None, Some(5)) && !allow("lt", Some(5), Some(5)) && allow("lt", Some(6), Some(5)));
        assert!(allow("lt", Some(6), None) && !allow("gt", Some(6), None));
    }

    #[test]
    fn seconds_are_rounded() {
        assert_eq!(left_of(10_499, 0, Unit::Seconds), 10);
        assert_eq!(left_of(10_500, 0, Unit::Seconds), 11);
        assert_eq!(left_of(10_499, 400, Unit::Ms), 10_099);
        assert_eq!(left_of(10_500, 400, Unit::AtSeconds), 11);
    }
}
