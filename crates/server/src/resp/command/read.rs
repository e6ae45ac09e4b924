//! GET, MGET, EXISTS, TOUCH, TYPE: looks that change nothing.

use tally_engine::{KeyIndex, Need, Turn};

use crate::resp::batch::{self, Batch, Lists, Part};
use crate::resp::fault::Fault;
use crate::resp::parser::Args;
use crate::resp::reply::Reply;

/// A look.
#[derive(Clone, Copy, Debug)]
pub(in crate::resp) enum Op {
    /// The value.
    Get(KeyIndex),
    /// The values.
    GetEach(Part),
    /// How many of these there are.
    Count(Part),
    /// What kind of thing it is.
    Type(KeyIndex),
}

/// `GET key`
pub(in crate::resp) fn get(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    batch.note_reads(args.len().saturating_sub(1));
    Ok(batch::Op::Read(Op::Get(batch.key(args.at(1), Need::Value)?)))
}

/// `MGET key [key …]`
pub(in crate::resp) fn mget(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    batch.note_reads(args.len().saturating_sub(1));
    Ok(batch::Op::Read(Op::GetEach(
        batch.keys(args.from(1).iter(), Need::Value)?,
    )))
}

/// `EXISTS key [key …]`, `TOUCH key [key …]`
pub(in crate::resp) fn exists(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    batch.note_reads(args.len().saturating_sub(1));
    Ok(batch::Op::Read(Op::Count(
        batch.keys(args.from(1).iter(), Need::Value)?,
    )))
}

/// `TYPE key`
pub(in crate::resp) fn kind(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    batch.note_reads(args.len().saturating_sub(1));
    Ok(batch::Op::Read(Op::Type(batch.key(args.at(1), Need::Value)?)))
}

impl Op {
    pub(in crate::resp) fn apply(self, lists: &Lists, turn: &mut Turn<'_>, reply: &mut Reply<'_>) {
        match self {
            Self::Get(key) => reply.value_or_nil(turn.value(key)),
            Self::GetEach(part) => {
                let keys = lists.keys(part);
                reply.array(keys.len());
                for key in keys {
                    reply.value_or_nil(turn.value(*key));
                }
            }
            Self::Count(part) => {
                reply.amount_of(
                    lists
                        .keys(part)
                        .iter()
                        .filter(|key| turn.value(**key).is_some())
                        .count(),
                );
            }
            Self::Type(key) => reply.simple(if turn.value(key).is_some() { "string" } else { "none" }),
        }
    }
}
