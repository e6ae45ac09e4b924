//! A run of commands on strong counters: those of one partition are one turn and one batch; the partitions of a pipeline are waited for
//! together. Replies come in the order of the commands; commands of different partitions are carried out at the same time, as if
//! several clients had sent them.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use tally_counter::Key;
use tally_engine::StrongPart;

use super::admission::checked;
use super::batch::{Batch, Op};
use super::fault::Fault;
use super::parser::{Args, Parser};
use super::registry::{Action, Spec};
use super::reply::{Protocol, Reply};
use super::session::Session;
use super::shared::Shared;

/// Commands of one run.
const MOST: usize = 1_024;

const SPANS: Fault = Fault::Text(
    "CROSSSLOT these strong counters are not of one partition, and one command cannot change them together; give them the same {hash tag}",
);
const MIXES: Fault = Fault::Text("ERR strong counters and others cannot be in one command");

/// The partition that a command's keys are in; `None`: its keys are not strong, or it has none.
pub(super) fn part_of(shared: &Shared, spec: &Spec, args: Args<'_>) -> Result<Option<StrongPart>, Fault> {
    let levels = shared.service.levels();
    if !levels.any_strong() || !matches!(spec.action, Action::Turn(_) | Action::TurnAt(_)) {
        return Ok(None);
    }
    let (first, last, step) = spec.keys;
    let (Ok(first), Ok(step)) = (usize::try_from(first), usize::try_from(step)) else {
        return Ok(None);
    };
    if first == 0 || step == 0 {
        return Ok(None);
    }
    let end = usize::try_from(last).map_or(args.len(), |last| last.saturating_add(1));
    let mut found: Option<Option<StrongPart>> = None;
    for place in (first..end.min(args.len())).step_by(step) {
        let here = Key::new(args.at(place)).ok().and_then(|key| levels.strong_part(key));
        match found {
            None => found = Some(here),
            Some(other) if other == here => {}
            Some(Some(_)) if here.is_some() => return Err(SPANS),
            Some(_) => return Err(MIXES),
        }
    }
    Ok(found.flatten())
}

/// A run.
pub(super) struct StrongRun {
    shared: Arc<Shared>,
    protocol: Protocol,
    groups: BTreeMap<StrongPart, Group>,
    commands: usize,
}

/// The commands of one partition, and where they stand in the run.
struct Group {
    batch: Batch,
    places: Vec<usize>,
}

impl StrongRun {
    /// The commands from `from` on, as far as they are on strong counters; and the number of the first that is none.
    pub(super) fn of(session: &Session, parser: &Parser, input: &[u8], from: usize) -> (Self, usize) {
        let mut run = Self {
            shared: Arc::clone(&session.shared),
            protocol: session.protocol,
            groups: BTreeMap::new(),
            commands: 0,
        };
        let mut number = from;
        while number < parser.len() && run.commands < MOST {
            let args = parser.command(input, number);
            let Ok(spec) = checked(args, session.authenticated) else {
                break;
            };
            let Ok(Some(part)) = part_of(&session.shared, spec, args) else {
                break;
            };
            run.push(part, spec, args);
            number = number.saturating_add(1);
        }
        (run, number)
    }

    /// Takes a command of this partition.
    fn push(&mut self, part: StrongPart, spec: &Spec, args: Args<'_>) {
        let group = self.groups.entry(part).or_insert_with(|| Group {
            batch: self.shared.batch(),
            places: Vec::new(),
        });
        let planned: Result<Op, Fault> = match spec.action {
            Action::Turn(plan) | Action::TurnAt(plan) => plan(&mut group.batch, args),
            _ => Err(Fault::Text("ERR internal: this command has no turn")),
        };
        let op = planned.unwrap_or_else(|fault| group.batch.ready(self.protocol, |reply| reply.error(&fault)));
        group.batch.push(op);
        group.places.push(self.commands);
        self.commands = self.commands.saturating_add(1);
    }

    /// Carries all out and writes their replies.
    pub(super) async fn carry_out(self, output: &mut Vec<u8>) {
        let Self {
            shared,
            protocol,
            groups,
            commands,
        } = self;
        let count = u64::try_from(commands).unwrap_or(u64::MAX);
        shared.commands.fetch_add(count, Ordering::Relaxed);
        let begun_us = crate::world::monotonic_us();
        let mut all: Vec<Vec<u8>> = vec![Vec::new(); commands];
        let shared = &shared;
        let futures = groups
            .into_iter()
            .map(|(part, group)| carry_out(shared, protocol, part, group));
        for (places, replies) in join_all(futures.collect()).await {
            for (place, reply) in places.into_iter().zip(replies) {
                if let Some(into) = all.get_mut(place) {
                    *into = reply;
                }
            }
        }
        for reply in &all {
            output.extend_from_slice(reply);
        }
        shared
            .metrics()
            .done(count, crate::world::monotonic_us().saturating_sub(begun_us));
    }
}

/// The replies of a partition's commands, with their places.
async fn carry_out(shared: &Shared, protocol: Protocol, part: StrongPart, group: Group) -> (Vec<usize>, Vec<Vec<u8>>) {
    let Group { mut batch, places } = group;
    if !batch.work.writes() {
        batch.plan.only_reads();
    }
    if batch.reads() > 0 {
        shared.metrics().read(batch.reads());
    }
    let work = &batch.work;
    let turned = shared
        .service
        .strong_turn(part, &mut batch.plan, |turn| work.carry_out_each(turn, protocol))
        .await;
    let replies = turned.unwrap_or_else(|refusal| {
        shared.metrics().refused(refusal.kind);
        let mut reply = Vec::new();
        Reply::new(&mut reply, protocol).error(&Fault::from(&refusal));
        vec![reply; places.len()]
    });
    (places, replies)
}

/// Waits for all of them.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut done = Vec::with_capacity(running.len());
    poll_fn(|context| {
        running.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(output) => {
                done.push(output);
                false
            }
            Poll::Pending => true,
        });
        if running.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    done
}
