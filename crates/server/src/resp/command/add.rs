//! INCR, INCRBY, DECR, DECRBY: the adds that answer the new value.

use tally_engine::{KeyIndex, Need, Turn};

use crate::resp::batch::{self, Batch};
use crate::resp::fault::{DECREMENT_OVERFLOW, Fault, NOT_AN_INTEGER};
use crate::resp::number;
use crate::resp::parser::Args;
use crate::resp::reply::Reply;

/// An add of one amount.
#[derive(Clone, Copy, Debug)]
pub(in crate::resp) struct Op {
    key: KeyIndex,
    amount: i64,
}

/// `INCR key`
pub(in crate::resp) fn incr(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    add(batch, args, 1)
}

/// `DECR key`
pub(in crate::resp) fn decr(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    add(batch, args, -1)
}

/// `INCRBY key amount`
pub(in crate::resp) fn incrby(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    let amount = number::parse(args.at(2)).ok_or(NOT_AN_INTEGER)?;
    add(batch, args, amount)
}

/// `DECRBY key amount`
pub(in crate::resp) fn decrby(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    let amount = number::parse(args.at(2)).ok_or(NOT_AN_INTEGER)?;
    add(batch, args, amount.checked_neg().ok_or(DECREMENT_OVERFLOW)?)
}

fn add(batch: &mut Batch, args: Args<'_>, amount: i64) -> Result<batch::Op, Fault> {
    let key = batch.key(args.at(1), Need::Value)?;
    Ok(batch::Op::Add(Op { key, amount }))
}

impl Op {
    pub(in crate::resp) fn apply(self, turn: &mut Turn<'_>, reply: &mut Reply<'_>) {
        match turn.add(self.key, self.amount, None) {
            Ok(Some(value)) => reply.integer(value),
            // Only an add with a time of its own is late.
            Ok(None) => reply.nil(),
            Err(error) => reply.error(&error.into()),
        }
    }
}
