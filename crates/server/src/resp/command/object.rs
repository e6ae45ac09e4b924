//! OBJECT: what Redis tools ask of a value's inside.

use tally_engine::{KeyIndex, Need, Turn};

use super::Word;
use crate::resp::batch::{self, Batch};
use crate::resp::fault::Fault;
use crate::resp::parser::Args;
use crate::resp::reply::{Protocol, Reply};

const HELP: [&str; 11] = [
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation: always int.",
    "FREQ <key>",
    "    Not tracked.",
    "IDLETIME <key>",
    "    Not tracked: always 0.",
    "REFCOUNT <key>",
    "    Always 1.",
    "HELP",
    "    Prints this help.",
];

/// A question about an existing counter.
#[derive(Clone, Copy, Debug)]
pub(in crate::resp) struct Op {
    key: KeyIndex,
    question: Question,
}

#[derive(Clone, Copy, Debug)]
enum Question {
    Encoding,
    References,
    IdleTime,
    Frequency,
}

/// `OBJECT ENCODING | FREQ | IDLETIME | REFCOUNT key`, `OBJECT HELP`
pub(in crate::resp) fn object(batch: &mut Batch, args: Args<'_>) -> Result<batch::Op, Fault> {
    let word = Word::of(args.at(1));
    let (name, question) = match word.as_bytes() {
        b"encoding" => ("encoding", Question::Encoding),
        b"refcount" => ("refcount", Question::References),
        b"idletime" => ("idletime", Question::IdleTime),
        b"freq" => ("freq", Question::Frequency),
        b"help" if args.len() == 2 => return Ok(batch.ready(Protocol::Resp2, help)),
        _ => return Err(Fault::subcommand("object", args.at(1))),
    };
    if args.len() != 3 {
        return Err(Fault::subcommand_arity("object", name));
    }
    Ok(batch::Op::Object(Op {
        key: batch.key(args.at(2), Need::Value)?,
        question,
    }))
}

/// Lines of help are simple strings in both versions.
fn help(reply: &mut Reply<'_>) {
    reply.array(HELP.len());
    for line in HELP {
        reply.simple(line);
    }
}

impl Op {
    pub(in crate::resp) fn apply(self, turn: &mut Turn<'_>, reply: &mut Reply<'_>) {
        if turn.value(self.key).is_none() {
            return reply.nil();
        }
        match self.question {
            Question::Encoding => reply.bulk(b"int"),
            Question::References => reply.integer(1),
            Question::IdleTime => reply.integer(0),
            Question::Frequency => reply.error(&Fault::Text(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
                 between policies at runtime LRU and LFU data will take some time to adjust.",
            )),
        }
    }
}
