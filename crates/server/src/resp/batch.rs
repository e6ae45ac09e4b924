//! Commands that are run together: what they will touch, and what each is to do, taken apart before the engine's lock is taken.
//!
//! One batch is one turn and so one journal entry: a run of a pipeline, or what stands between MULTI and EXEC. Its lists are
//! reused, so that a command allocates nothing.

use tally_counter::{Acknowledgement, Key};
use tally_engine::{KeyIndex, Need, Plan, TokenIndex, Turn};

use super::command::{add, expire, object, read, set, tally};
use super::fault::Fault;
use super::parser::Args;
use super::reply::{Protocol, Reply};
use super::session::Session;

/// Part of one of the batch's lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    start: usize,
    end: usize,
}

impl Part {
    fn of<T>(self, list: &[T]) -> &[T] {
        list.get(self.start..self.end).unwrap_or_default()
    }
}

/// What a command is to do in the turn. Small and flat: a pipeline has a thousand of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// Its reply is known already.
    Ready(Part),
    /// INCR and its like.
    Add(add::Op),
    /// GET and its like.
    Read(read::Op),
    /// SET and its like, DEL.
    Set(set::Op),
    /// EXPIRE, TTL and their like.
    Expire(expire::Op),
    /// OBJECT.
    Object(object::Op),
    /// TALLY.ADD and TALLY.MADD.
    Tally(tally::Op),
}

impl Op {
    /// Whether it may change a counter.
    fn writes(self) -> bool {
        match self {
            Self::Ready(_) | Self::Read(_) | Self::Object(_) => false,
            Self::Expire(op) => op.writes(),
            Self::Add(_) | Self::Set(_) | Self::Tally(_) => true,
        }
    }
}

/// What the operations refer to.
#[derive(Debug, Default)]
pub(super) struct Lists {
    ready: Vec<u8>,
    keys: Vec<KeyIndex>,
    adds: Vec<(KeyIndex, i64)>,
    tokens: Vec<(TokenIndex, u64)>,
}

impl Lists {
    /// The keys of an operation.
    pub(super) fn keys(&self, part: Part) -> &[KeyIndex] {
        part.of(&self.keys)
    }

    /// The keys and numbers of an operation.
    pub(super) fn adds(&self, part: Part) -> &[(KeyIndex, i64)] {
        part.of(&self.adds)
    }

    /// The token of an operation and the hash of its payload.
    pub(super) fn token(&self, place: u32) -> Option<(TokenIndex, u64)> {
        usize::try_from(place)
            .ok()
            .and_then(|place| self.tokens.get(place))
            .copied()
    }
}

/// The batch.
#[derive(Debug)]
pub(super) struct Batch {
    /// The keys and tokens of all operations.
    pub(super) plan: Plan,
    /// The operations, and what they refer to.
    pub(super) work: Work,
    level: Option<Acknowledgement>,
    /// The most keys of one command (setting `max_batch`).
    max_keys: usize,
    /// Whose tokens these are.
    token_scope: &'static str,
    /// How many counters are looked at.
    reads: u64,
}

/// What is done with the plan.
#[derive(Debug, Default)]
pub(super) struct Work {
    ops: Vec<Op>,
    lists: Lists,
}

/// A batch that holds more than this is not kept for the next one.
const MOST_KEPT: usize = 16 * 1_024;

impl Work {
    fn is_large(&self) -> bool {
        let Lists {
            ready,
            keys,
            adds,
            tokens,
        } = &self.lists;
        let most = keys
            .capacity()
            .max(adds.capacity())
            .max(tokens.capacity())
            .max(self.ops.capacity());
        most > MOST_KEPT || ready.capacity() > MOST_KEPT.saturating_mul(8)
    }

    /// Carries the operations out in order and writes their replies.
    pub(super) fn carry_out(&self, turn: &mut Turn<'_>, reply: &mut Reply<'_>) {
        for op in &self.ops {
            self.apply(*op, turn, reply);
        }
    }

    /// The same, each reply by itself.
    pub(super) fn carry_out_each(&self, turn: &mut Turn<'_>, protocol: Protocol) -> Vec<Vec<u8>> {
        let each = |op: &Op| {
            let mut reply = Vec::new();
            self.apply(*op, turn, &mut Reply::new(&mut reply, protocol));
            reply
        };
        self.ops.iter().map(each).collect()
    }

    fn apply(&self, op: Op, turn: &mut Turn<'_>, reply: &mut Reply<'_>) {
        match op {
            Op::Ready(part) => reply.rendered(part.of(&self.lists.ready)),
            Op::Add(op) => op.apply(turn, reply),
            Op::Read(op) => op.apply(&self.lists, turn, reply),
            Op::Set(op) => op.apply(&self.lists, turn, reply),
            Op::Expire(op) => op.apply(turn, reply),
            Op::Object(op) => op.apply(turn, reply),
            Op::Tally(op) => op.apply(&self.lists, turn, reply),
        }
    }

    /// Writes the replies that are known already, and this error for all others.
    pub(super) fn refuse(&self, fault: &Fault, reply: &mut Reply<'_>) {
        for op in &self.ops {
            match op {
                Op::Ready(part) => reply.rendered(part.of(&self.lists.ready)),
                _ => reply.error(fault),
            }
        }
    }

    /// Writes the replies where all are known.
    pub(super) fn answer(&self, reply: &mut Reply<'_>) {
        reply.rendered(&self.lists.ready);
    }

    /// What the replies take that are known already.
    pub(super) fn ready_bytes(&self) -> usize {
        self.lists.ready.len()
    }

    /// How many operations there are.
    pub(super) fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether one of them may change a counter.
    pub(super) fn writes(&self) -> bool {
        self.ops.iter().any(|op| op.writes())
    }
}

impl Batch {
    /// Empty.
    pub(super) fn new(max_keys: usize, token_scope: &'static str) -> Self {
        Self {
            plan: Plan::new(),
            work: Work::default(),
            level: None,
            max_keys,
            token_scope,
            reads: 0,
        }
    }

    /// Forgets all. Keeps the memory, unless a long command needed much.
    pub(super) fn clear(&mut self) {
        if self.work.is_large() {
            *self = Self::new(self.max_keys, self.token_scope);
            return;
        }
        self.reads = 0;
        self.plan.clear();
        self.work.ops.clear();
        self.work.lists.ready.clear();
        self.work.lists.keys.clear();
        self.work.lists.adds.clear();
        self.work.lists.tokens.clear();
        self.level = None;
    }

    /// Appends what a command is to do.
    pub(super) fn push(&mut self, op: Op) {
        self.work.ops.push(op);
    }

    /// A command whose reply is known: what `render` writes.
    pub(super) fn ready(&mut self, protocol: Protocol, render: impl FnOnce(&mut Reply<'_>)) -> Op {
        let ready = &mut self.work.lists.ready;
        let start = ready.len();
        render(&mut Reply::new(ready, protocol));
        Op::Ready(Part {
            start,
            end: ready.len(),
        })
    }

    /// A command that the connection's own state answers.
    pub(super) fn answered(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        answer: fn(&mut Session, Args<'_>, &mut Reply<'_>) -> Result<(), Fault>,
    ) -> Result<Op, Fault> {
        let before = self.work.lists.ready.len();
        let mut done = Ok(());
        let op = self.ready(session.protocol, |reply| done = answer(session, args, reply));
        if done.is_err() {
            self.work.lists.ready.truncate(before);
        }
        done.map(|()| op)
    }

    /// The batch will touch this counter.
    pub(super) fn key(&mut self, bytes: &[u8], need: Need) -> Result<KeyIndex, Fault> {
        Ok(self.plan.key(Key::new(bytes)?, need))
    }

    /// The batch will touch these counters.
    pub(super) fn keys<'a>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a [u8]>,
        need: Need,
    ) -> Result<Part, Fault> {
        self.bounded(keys.len())?;
        let start = self.work.lists.keys.len();
        for bytes in keys {
            let key = self.key(bytes, need)?;
            self.work.lists.keys.push(key);
        }
        Ok(Part {
            start,
            end: self.work.lists.keys.len(),
        })
    }

    /// The batch will touch these counters, each with a number.
    pub(super) fn adds<'a>(
        &mut self,
        adds: impl ExactSizeIterator<Item = Result<(&'a [u8], i64), Fault>>,
        need: Need,
    ) -> Result<Part, Fault> {
        self.bounded(adds.len())?;
        let start = self.work.lists.adds.len();
        for add in adds {
            let (bytes, number) = add?;
            let key = self.key(bytes, need)?;
            self.work.lists.adds.push((key, number));
        }
        Ok(Part {
            start,
            end: self.work.lists.adds.len(),
        })
    }

    /// Notes that a command looks at so many counters.
    pub(super) fn note_reads(&mut self, counters: usize) {
        self.reads = self.reads.saturating_add(u64::try_from(counters).unwrap_or(u64::MAX));
    }

    /// How many counters its commands look at.
    pub(super) fn reads(&self) -> u64 {
        self.reads
    }

    fn bounded(&self, keys: usize) -> Result<(), Fault> {
        if keys <= self.max_keys {
            return Ok(());
        }
        Err(Fault::Composed(format!(
            "ERR {keys} keys in one command, more than the {} allowed (setting max_batch)",
            self.max_keys
        )))
    }

    /// The batch will ask for this token; answers its place.
    pub(super) fn token(&mut self, token: &[u8], payload: u64) -> u32 {
        let place = u32::try_from(self.work.lists.tokens.len()).unwrap_or(u32::MAX);
        let index = self.plan.token(self.token_scope, token);
        self.work.lists.tokens.push((index, payload));
        place
    }

    /// The level that its commands ask for; all the same one.
    pub(super) fn level(&self) -> Option<Acknowledgement> {
        self.level
    }

    /// From now on this level is asked for.
    pub(super) fn set_level(&mut self, level: Option<Acknowledgement>) {
        self.level = level;
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.work.ops.is_empty()
    }

    /// Whether it needs no turn: all replies are known.
    pub(super) fn is_ready(&self) -> bool {
        self.plan.is_empty()
    }
}
