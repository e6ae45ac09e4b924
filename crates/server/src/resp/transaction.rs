//! What was queued between MULTI and EXEC: a batch of its own, taken apart as the commands come, carried out as one turn.
//!
//! As in Redis a command that does not exist or has the wrong number of arguments spoils the whole, while an error in an argument is
//! the answer of its command alone.

use super::batch::{Batch, Op};
use super::command::tally;
use super::fault::Fault;
use super::parser::Args;
use super::registry::{Action, Spec};
use super::session::Session;
use super::shared::Shared;

/// The most bytes of arguments, which become one journal entry, and of replies that are known already.
const MAX_BYTES: usize = 4 * 1_024 * 1_024;

/// A begun transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    batch: Batch,
    bytes: usize,
    max_commands: usize,
    spoiled: bool,
}

impl Transaction {
    /// MULTI.
    pub(super) fn new(shared: &Shared) -> Self {
        let max_commands = shared.service.limits().max_batch;
        Self {
            batch: shared.batch(),
            bytes: 0,
            max_commands,
            spoiled: false,
        }
    }

    /// What it takes of the memory, about.
    pub(super) fn held_bytes(&self) -> usize {
        let work = &self.batch.work;
        let ops = work.len().saturating_mul(size_of::<Op>());
        self.bytes.saturating_add(work.ready_bytes()).saturating_add(ops)
    }

    /// A command can't be queued: EXEC will carry nothing out.
    pub(super) fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Queues a command. `None`: it is none that can be queued. `Err`: it spoils the transaction.
    pub(super) fn queue(&mut self, spec: &Spec, args: Args<'_>, session: &mut Session) -> Option<Result<(), Fault>> {
        let protocol = session.protocol;
        if matches!(spec.action, Action::Control(_) | Action::Wait(_)) {
            return None;
        }
        self.bytes = self.bytes.saturating_add(args.total_bytes());
        if self.bytes.saturating_add(self.batch.work.ready_bytes()) > MAX_BYTES
            || self.batch.work.len() >= self.max_commands
        {
            let limit = format!(
                "ERR more than {} commands or {MAX_BYTES} bytes in a transaction",
                self.max_commands
            );
            return Some(Err(Fault::Composed(limit)));
        }
        let planned = match spec.action {
            Action::Control(_) | Action::Wait(_) => return None,
            Action::Turn(plan) => plan(&mut self.batch, args),
            Action::TurnAt(plan) => {
                self.raise_level(args, session);
                plan(&mut self.batch, args)
            }
            Action::Session(answer) => self.batch.answered(session, args, answer),
        };
        let op = match planned {
            Ok(op) => op,
            Err(fault) => self.batch.ready(protocol, |reply| reply.error(&fault)),
        };
        self.batch.push(op);
        Some(Ok(()))
    }

    /// Within a transaction, which is acknowledged as a whole, a command can only ask for more than the others.
    fn raise_level(&mut self, args: Args<'_>, session: &Session) {
        let usual = session.shared.service.levels().resolve(None).ok();
        let asked = tally::level(args).max(self.batch.level());
        self.batch
            .set_level(asked.filter(|asked| usual.is_none_or(|usual| *asked > usual)));
    }

    /// EXEC: what is to be carried out.
    pub(super) fn into_batch(self) -> Result<Batch, Fault> {
        if self.spoiled {
            return Err(Fault::Text(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        Ok(self.batch)
    }
}
