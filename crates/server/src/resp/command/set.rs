//! SET, SETEX, PSETEX, SETNX, MSET, GETSET, GETDEL, GETEX, DEL, UNLINK: what begins or ends a generation.

use tally_engine::{Expiry, KeyIndex, Need, Turn};

use super::Word;
use crate::resp::batch::{self, Batch, Lists, Part};
use crate::resp::fault::{Fault, NOT_A_COUNT, SYNTAX};
use crate::resp::number;
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::when::{Unit, When};

/// What is set, or ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::resp) enum Op {
    /// One counter.
    Set(Set),
    /// Several.
    SetEach(Part),
    /// Ends these; how many there were.
    Delete(Part),
    /// Ends it; its value.
    GetDelete(KeyIndex),
    /// Says when it ends; its value.
    GetExpire(KeyIndex, Life),
}

/// A SET.
#[derive(Clone, Copy, Debug)]
pub(in crate::resp) struct Set {
    key: KeyIndex,
    value: i64,
    life: Life,
    condition: Condition,
    answer: Answer,
}

/// When it ends from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::resp) enum Life {
    /// Never.
    Forever,
    /// When it did before.
    Keep,
    /// Then.
    Until(When),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    None,
    Absent,
    Present,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// OK, or null where the condition failed.
    Status,
    /// 1, or 0 where the condition failed.
    Number,
    /// The value before.
    Old,
}

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub(in crate::resp) fn set(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    let (mut life, mut condition, mut answer) = (None, Condition::None, Answer::Status);
    let mut options = args.from(3).iter();
    while let Some(option) = options.next() {
        let word = Word::of(option);
        match word.as_bytes() {
            b"nx" if condition != Condition::Present => condition = Condition::Absent,
            b"xx" if condition != Condition::Absent => condition = Condition::Present,
            b"get" => answer = Answer::Old,
            b"keepttl" if life.is_none() => life = Some(Life::Keep),
            other => match (Unit::of_option(other), life, options.next()) {
                (Some(unit), None, Some(sent)) => life = Some(Life::Until(When::positive(sent, unit, "set")?)),
                _ => return Err(SYNTAX),
            },
        }
    }
    let value = number::parse(args.at(2)).ok_or(NOT_A_COUNT)?;
    one(batch, args, value, life.unwrap_or(Life::Forever), condition, answer)
}

/// `SETEX key seconds value`
pub(in crate::resp) fn setex(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    set_until(batch, args, Unit::Seconds, "setex")
}

/// `PSETEX key ms value`
pub(in crate::resp) fn psetex(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    set_until(batch, args, Unit::Ms, "psetex")
}

/// `SETNX key value`
pub(in crate::resp) fn setnx(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    let value = number::parse(args.at(2)).ok_or(NOT_A_COUNT)?;
    one(batch, args, value, Life::Forever, Condition::Absent, Answer::Number)
}

/// `GETSET key value`
pub(in crate::resp) fn getset(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    let value = number::parse(args.at(2)).ok_or(NOT_A_COUNT)?;
    one(batch, args, value, Life::Forever, Condition::None, Answer::Old)
}

/// `MSET key value [key value …]`
pub(in crate::resp) fn mset(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    let pairs = args.from(1);
    if !pairs.len().is_multiple_of(2) {
        return Err(Fault::arity("mset"));
    }
    let pairs = (0..pairs.len()).step_by(2).map(|place| {
        let value = number::parse(pairs.at(place.saturating_add(1))).ok_or(NOT_A_COUNT)?;
        Ok((pairs.at(place), value))
    });
    Ok(batch::Op::Set(Op::SetEach(batch.adds(pairs, Need::Reset)?)))
}

/// `DEL key [key …]`, `UNLINK key [key …]`
pub(in crate::resp) fn del(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    Ok(batch::Op::Set(Op::Delete(
        batch.keys(args.from(1).iter(), Need::Reset)?,
    )))
}

/// `GETDEL key`
pub(in crate::resp) fn getdel(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    Ok(batch::Op::Set(Op::GetDelete(batch.key(args.at(1), Need::Reset)?)))
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
pub(in crate::resp) fn getex(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    let option = Word::of(args.at(2));
    let life = match (args.len(), option.as_bytes()) {
        (2, _) => Life::Keep,
        (3, b"persist") => Life::Forever,
        (4, option) => Life::Until(When::positive(
            args.at(3),
            Unit::of_option(option).ok_or(SYNTAX)?,
            "getex",
        )?),
        _ => return Err(SYNTAX),
    };
    if life == Life::Keep {
        return super::read::get(batch, args);
    }
    Ok(batch::Op::Set(Op::GetExpire(batch.key(args.at(1), Need::Reset)?, life)))
}

fn set_until(batch: &mut Batch, args: Args<'_>, unit: Unit, command: &str) -> Result<batch::Op, Fault> {
    let until = When::positive(args.at(2), unit, command)?;
    let value = number::parse(args.at(3)).ok_or(NOT_A_COUNT)?;
    one(batch, args, value, Life::Until(until), Condition::None, Answer::Status)
}

fn one(
    batch: &mut Batch,
    args: Args<'_>,
    value: i64,
    life: Life,
    condition: Condition,
    answer: Answer,
) -> Result<batch::Op, Fault> {
    let key = batch.key(args.at(1), Need::Reset)?;
    Ok(batch::Op::Set(Op::Set(Set {
        key,
        value,
        life,
        condition,
        answer,
    })))
}

impl Op {
    pub(in crate::resp) fn apply(self, lists: &Lists, turn: &mut Turn<'_>, reply: &mut Reply<'_>) {
        match self {
            Self::Set(set) => set.apply(turn, reply),
            Self::SetEach(part) => {
                let mut beyond = lists.adds(part).iter().map(|(key, value)| turn.within(*key, *value));
                if let Some(error) = beyond.find_map(Result::err) {
                    return reply.error(&error.into());
                }
                for (key, value) in lists.adds(part) {
                    turn.set(*key, *value, Expiry::Never);
                }
                reply.ok();
            }
            Self::Delete(part) => reply.amount_of(lists.keys(part).iter().filter(|key| turn.delete(**key)).count()),
            Self::GetDelete(key) => {
                reply.value_or_nil(turn.value(key));
                turn.delete(key);
            }
            Self::GetExpire(key, life) => {
                let value = turn.value(key);
                reply.value_or_nil(value);
                if value.is_some() {
                    live(turn, key, life);
                }
            }
        }
    }
}

/// Says when an existing counter ends.
fn live(turn: &mut Turn<'_>, key: KeyIndex, life: Life) {
    match life {
        Life::Keep => {}
        Life::Forever => {
            turn.expire(key, None);
        }
        Life::Until(when) => match when.future_ms(turn.now_ms()) {
            Some(at) => {
                turn.expire(key, Some(at));
            }
            None => {
                turn.delete(key);
            }
        },
    }
}

impl Set {
    fn apply(self, turn: &mut Turn<'_>, reply: &mut Reply<'_>) {
        let before = match (self.condition, self.answer) {
            (Condition::None, Answer::Status | Answer::Number) => None,
            _ => turn.value(self.key),
        };
        let applies = match self.condition {
            Condition::None => true,
            Condition::Absent => before.is_none(),
            Condition::Present => before.is_some(),
        };
        if applies {
            if let Err(error) = turn.within(self.key, self.value) {
                return reply.error(&error.into());
            }
            self.set(turn);
        }
        match self.answer {
            Answer::Old => reply.value_or_nil(before),
            Answer::Number => reply.integer(i64::from(applies)),
            Answer::Status if applies => reply.ok(),
            Answer::Status => reply.nil(),
        }
    }

    fn set(self, turn: &mut Turn<'_>) {
        let expiry = match self.life {
            Life::Forever => Expiry::Never,
            Life::Keep => Expiry::Keep,
            Life::Until(when) => {
                let Some(at) = when.future_ms(turn.now_ms()) else {
                    turn.delete(self.key);
                    return;
                };
                Expiry::AtMs(at)
            }
        };
        turn.set(self.key, self.value, expiry);
    }
}
