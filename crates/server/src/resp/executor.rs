//! Runs the commands of one connection. Commands that need only the engine for a turn are collected into a run, which is one
//! turn and one journal entry; whatever waits or changes the connection ends the run first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tally_counter::Acknowledgement;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::admission::{Rejected, checked};
use super::batch::Batch;
use super::command::handshake;
use super::command::{flush, history, info, is, query, scan, tally};
use super::fault::{Fault, NOT_IN_TRANSACTION};
use super::linger;
use super::parser::{Args, Parser, ProtocolError};
use super::registry::{Action, Control, Wait};
use super::reply::Reply;
use super::session::Session;
use super::shared::Shared;
use super::strong::{self, StrongRun};
use super::transaction::Transaction;
use super::turnstile::Slice;
use crate::buffers::Share;
use crate::refusal::{ErrorKind, Refusal};

/// What the write buffer keeps after long replies.
const MOST_OUTPUT_BYTES: usize = 64 * 1_024;

/// How long a client may take none of its replies while the buffers of all connections are full.
const FULL_PATIENCE: Duration = Duration::from_secs(1);

/// What the connection does after its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Reads on.
    Read,
    /// Sends the replies and closes.
    Close,
}

/// What became of a command.
#[derive(Clone, Copy, Debug)]
enum Taken {
    /// It is in the run, or answered.
    Done,
    /// It asks for another level than the run: end the run, then take it again.
    OtherLevel(Option<Acknowledgement>),
    /// End the run, then let the connection do this.
    Control(Control),
    /// End the run, then wait for this.
    Wait(Wait),
    /// End the run, then carry out this one and those behind it that are on strong counters, too.
    Strong,
    /// End the run, then close.
    Close,
}

/// Runs commands and holds their replies.
#[derive(Debug)]
pub(super) struct Executor {
    /// Where the replies go.
    pub(super) stream: TcpStream,
    session: Session,
    /// The commands collected for the next turn.
    run: Batch,
    /// What was queued since MULTI.
    transaction: Option<Transaction>,
    output: Vec<u8>,
    /// The input's part of what the connection holds.
    input_bytes: usize,
    share: Share,
    slice: Slice,
}

impl Executor {
    /// For a connection that was just accepted.
    pub(super) fn new(stream: TcpStream, session: Session) -> Self {
        let run = session.shared.batch();
        let share = session.shared.service.buffers().share();
        Self {
            stream,
            session,
            run,
            transaction: None,
            output: Vec::new(),
            input_bytes: 0,
            share,
            slice: Slice::default(),
        }
    }

    /// The input holds so many bytes. `false`: more is held by all connections than may be, and this one holds much.
    pub(super) fn input_holds(&mut self, bytes: usize) -> bool {
        self.input_bytes = bytes;
        self.within()
    }

    fn within(&mut self) -> bool {
        let held = self.input_bytes.saturating_add(self.unsent_bytes());
        self.share.hold(held.saturating_add(self.queued_bytes()))
    }

    /// The replies that are known and not sent.
    fn unsent_bytes(&self) -> usize {
        self.output.len().saturating_add(self.run.work.ready_bytes())
    }

    /// What is held between MULTI and EXEC.
    pub(super) fn queued_bytes(&self) -> usize {
        self.transaction.as_ref().map_or(0, Transaction::held_bytes)
    }

    /// Answers that it is closed for what it holds.
    pub(super) fn too_much_held(&mut self) {
        self.session.shared.metrics().refused(ErrorKind::Unavailable);
        self.reply().error(&Fault::Text(
            "TRYAGAIN the buffers of all connections are full (setting max_buffers)",
        ));
    }

    /// Tells when the server drains.
    pub(super) fn draining(&self) -> watch::Receiver<bool> {
        self.session.shared.service.draining()
    }

    /// Whether the client has shown its credential.
    pub(super) fn is_authenticated(&self) -> bool {
        self.session.authenticated
    }

    /// Answers that the stream cannot be read on.
    pub(super) fn protocol_error(&mut self, error: &ProtocolError) {
        self.session.shared.metrics().refused(ErrorKind::Invalid);
        self.reply().error(&Fault::Composed(format!("ERR {error}")));
    }

    /// Sends the replies; returns when the socket has taken them. A client that takes none of them for `request_timeout` is given up,
    /// sooner where the buffers of all are full.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let patience = if self.within() {
            Duration::from_millis(self.session.shared.service.limits().request_timeout_ms)
        } else {
            FULL_PATIENCE
        };
        let mut sent = 0;
        while let Some(rest) = self.output.get(sent..).filter(|rest| !rest.is_empty()) {
            // Most replies fit into the socket at once, without a timer.
            let taken = match self.stream.try_write(rest) {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let taken = tokio::time::timeout(patience, self.stream.write(rest)).await;
                    taken.map_err(|_| {
                        io::Error::new(io::ErrorKind::TimedOut, "the client does not take its replies")
                    })??
                }
                Err(error) => return Err(error),
            };
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            sent = sent.saturating_add(taken);
        }
        linger::answered();
        self.output.clear();
        self.output.shrink_to(MOST_OUTPUT_BYTES);
        self.within();
        self.slice.sent(sent).await;
        Ok(())
    }

    /// Runs the parsed commands.
    pub(super) async fn run(&mut self, parser: &Parser, input: &[u8]) -> io::Result<Next> {
        let mut first = 0;
        let mut number = 0;
        while number < parser.len() {
            let args = parser.command(input, number);
            let taken = self.take(args);
            if !matches!(taken, Taken::Done) {
                self.end_run(parser, input, first, number).await;
                first = number;
            }
            match taken {
                Taken::Done => {}
                Taken::OtherLevel(level) => {
                    self.run.set_level(level);
                    continue;
                }
                Taken::Control(control) => {
                    first = first.saturating_add(1);
                    if self.control(control, args).await == Next::Close {
                        return Ok(Next::Close);
                    }
                }
                Taken::Wait(wait) => {
                    first = first.saturating_add(1);
                    self.wait(wait, args).await;
                }
                Taken::Strong => {
                    number = self.strong_run(parser, input, number).await;
                    first = number;
                    if self.is_full() {
                        self.flush().await?;
                    }
                    continue;
                }
                Taken::Close => return Ok(Next::Close),
            }
            number = number.saturating_add(1);
            if self.is_full() {
                self.end_run(parser, input, first, number).await;
                first = number;
                self.flush().await?;
            }
        }
        self.end_run(parser, input, first, number).await;
        Ok(Next::Read)
    }

    /// Whether more replies wait than may.
    fn is_full(&mut self) -> bool {
        self.unsent_bytes() > self.session.shared.service.limits().max_output_bytes || !self.within()
    }

    /// Carries out the commands on strong counters from here on; answers the number of the first that is none.
    async fn strong_run(&mut self, parser: &Parser, input: &[u8], from: usize) -> usize {
        let (run, after) = StrongRun::of(&self.session, parser, input, from);
        run.carry_out(&mut self.output).await;
        after
    }

    fn reply(&mut self) -> Reply<'_> {
        Reply::new(&mut self.output, self.session.protocol)
    }

    /// Takes a command apart and puts it where it is carried out.
    fn take(&mut self, args: Args<'_>) -> Taken {
        let spec = match checked(args, self.session.authenticated) {
            Ok(spec) => spec,
            Err(Rejected::Http) => return Taken::Close,
            Err(Rejected::Fault(fault)) => return self.reject(args, fault),
        };
        if let Some(transaction) = &mut self.transaction {
            return match transaction.queue(spec, args, &mut self.session) {
                Some(Ok(())) => {
                    self.reply().simple("QUEUED");
                    Taken::Done
                }
                Some(Err(fault)) => self.reject(args, fault),
                None => match spec.action {
                    Action::Control(control) => Taken::Control(control),
                    _ => self.reject(args, NOT_IN_TRANSACTION),
                },
            };
        }
        match strong::part_of(&self.session.shared, spec, args) {
            Ok(None) => {}
            Ok(Some(_)) => return Taken::Strong,
            Err(fault) => return self.reject(args, fault),
        }
        let planned = match spec.action {
            Action::Control(control) => return Taken::Control(control),
            Action::Wait(wait) => return Taken::Wait(wait),
            Action::Turn(_) if self.run.level().is_some() => return Taken::OtherLevel(None),
            Action::Turn(plan) => plan(&mut self.run, args),
            Action::TurnAt(plan) => {
                let level = tally::level(args);
                if level != self.run.level() {
                    return Taken::OtherLevel(level);
                }
                plan(&mut self.run, args)
            }
            Action::Session(answer) => self.run.answered(&mut self.session, args, answer),
        };
        match planned {
            Ok(op) => {
                self.run.push(op);
                Taken::Done
            }
            Err(fault) => self.reject(args, fault),
        }
    }

    /// A command that is refused for itself: its error stands where its reply would, and a transaction will not be carried out.
    fn reject(&mut self, args: Args<'_>, fault: Fault) -> Taken {
        self.session.shared.metrics().refused(ErrorKind::Invalid);
        match &mut self.transaction {
            None => {
                let protocol = self.session.protocol;
                let op = self.run.ready(protocol, |reply| reply.error(&fault));
                self.run.push(op);
            }
            Some(_) if is(args.at(0), "exec") => {
                self.transaction = None;
                let why = fault.as_str().strip_prefix("ERR ").unwrap_or(fault.as_str());
                let fault = Fault::Composed(format!("EXECABORT Transaction discarded because of: {why}"));
                self.reply().error(&fault);
            }
            Some(transaction) => {
                transaction.spoil();
                self.reply().error(&fault);
            }
        }
        Taken::Done
    }

    /// Carries out what was collected from the commands `first..after`.
    async fn end_run(&mut self, parser: &Parser, input: &[u8], first: usize, after: usize) {
        if self.run.is_empty() {
            return;
        }
        let shared = &self.session.shared;
        match carry_out(shared, &mut self.run, self.session.protocol, &mut self.output).await {
            Ok(()) => {}
            Err(refusal) if refusal.maybe_applied || self.run.work.len() == 1 => {
                let fault = Fault::from(&refusal);
                self.run
                    .work
                    .refuse(&fault, &mut Reply::new(&mut self.output, self.session.protocol));
            }
            Err(refusal) => self.reads_go_on(&refusal, parser, input, first, after).await,
        }
        self.run.clear();
    }

    /// Nothing of the run was applied: what would have changed something gets the refusal, and the rest is run for itself, since
    /// reads go on while adds are refused. Where the run as a whole was too large, each of its commands is run for itself.
    async fn reads_go_on(&mut self, refusal: &Refusal, parser: &Parser, input: &[u8], first: usize, after: usize) {
        let refused = Fault::from(refusal);
        for number in first..after {
            self.run.clear();
            let args = parser.command(input, number);
            if let Taken::OtherLevel(level) = self.take(args) {
                self.run.set_level(level);
                self.take(args);
            }
            let fault = if refusal.kind != ErrorKind::TooLarge && self.run.work.writes() {
                Some(refused.clone())
            } else {
                let shared = &self.session.shared;
                carry_out(shared, &mut self.run, self.session.protocol, &mut self.output)
                    .await
                    .err()
                    .map(Fault::from)
            };
            if let Some(fault) = fault {
                self.run
                    .work
                    .refuse(&fault, &mut Reply::new(&mut self.output, self.session.protocol));
            }
        }
    }

    async fn control(&mut self, control: Control, args: Args<'_>) -> Next {
        let done = match control {
            Control::Auth => {
                let mut reply = Reply::new(&mut self.output, self.session.protocol);
                handshake::auth(&mut self.session, args, &mut reply)
            }
            Control::Hello => handshake::hello(&mut self.session, args, &mut self.output),
            Control::Multi => self.begin(),
            Control::Exec => self.exec().await,
            Control::Discard => match self.transaction.take() {
                Some(_) => {
                    self.reply().ok();
                    Ok(())
                }
                None => Err(Fault::Text("ERR DISCARD without MULTI")),
            },
            Control::Watch if self.transaction.is_some() => Err(Fault::Text("ERR WATCH inside MULTI is not allowed")),
            Control::Watch => Err(Fault::Text(
                "ERR WATCH is not supported: MULTI and EXEC are one turn, and TALLY.ADD with a token is safe to repeat",
            )),
            Control::Reset => {
                self.transaction = None;
                self.session.reset();
                self.reply().simple("RESET");
                Ok(())
            }
            Control::Quit => {
                self.reply().ok();
                return Next::Close;
            }
        };
        self.done(done);
        Next::Read
    }

    /// A command outside of runs was answered, or is now.
    fn done(&mut self, done: Result<(), Fault>) {
        let shared = &self.session.shared;
        shared.commands.fetch_add(1, Ordering::Relaxed);
        if let Err(fault) = done {
            shared.metrics().refused(ErrorKind::Invalid);
            self.reply().error(&fault);
        }
    }

    fn begin(&mut self) -> Result<(), Fault> {
        if self.transaction.is_some() {
            return Err(Fault::Text("ERR MULTI calls can not be nested"));
        }
        self.transaction = Some(Transaction::new(&self.session.shared));
        self.reply().ok();
        Ok(())
    }

    async fn exec(&mut self) -> Result<(), Fault> {
        let transaction = self.transaction.take().ok_or(Fault::Text("ERR EXEC without MULTI"))?;
        let mut batch = transaction.into_batch()?;
        let before = self.output.len();
        self.reply().array(batch.work.len());
        let Session { shared, protocol, .. } = &self.session;
        carry_out(shared, &mut batch, *protocol, &mut self.output)
            .await
            .map_err(|refusal| {
                self.output.truncate(before);
                Fault::from(refusal)
            })
    }

    async fn wait(&mut self, wait: Wait, args: Args<'_>) {
        let before = self.output.len();
        let Session { shared, protocol, .. } = &self.session;
        let reply = &mut Reply::new(&mut self.output, *protocol);
        let done = match wait {
            Wait::Dbsize => scan::dbsize(shared, reply).await,
            Wait::Scan => scan::scan(shared, args, reply).await,
            Wait::Info => info::info(&self.session, args, reply).await,
            Wait::Flush => flush::flush(shared, args, reply).await,
            Wait::Function => flush::function(shared, args, reply),
            Wait::History => history::history(shared, args, reply).await,
            Wait::Query => query::query(shared, args, reply).await,
        };
        if done.is_err() {
            self.output.truncate(before);
        }
        self.done(done);
    }
}

/// Takes a turn for the batch and writes its replies once they are acknowledged. Refused, it has written none.
async fn carry_out(
    shared: &Arc<Shared>,
    batch: &mut Batch,
    protocol: super::reply::Protocol,
    output: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let before = output.len();
    let commands = u64::try_from(batch.work.len()).unwrap_or(u64::MAX);
    shared.commands.fetch_add(commands, Ordering::Relaxed);
    if batch.is_ready() {
        batch.work.answer(&mut Reply::new(output, protocol));
        return Ok(());
    }
    if !batch.work.writes() {
        batch.plan.only_reads();
    }
    let begun_us = crate::world::monotonic_us();
    let (level, work) = (batch.level(), &batch.work);
    let carry_out = |turn: &mut tally_engine::Turn<'_>| {
        // It may run again.
        output.truncate(before);
        work.carry_out(turn, &mut Reply::new(output, protocol));
    };
    let turned = shared.service.turn(&mut batch.plan, level, carry_out).await;
    match &turned {
        Ok(()) => {
            shared
                .metrics()
                .done(commands, crate::world::monotonic_us().saturating_sub(begun_us));
            if batch.reads() > 0 {
                shared.metrics().read(batch.reads());
            }
        }
        Err(refusal) => {
            shared.metrics().refused(refusal.kind);
            output.truncate(before);
        }
    }
    turned
}
