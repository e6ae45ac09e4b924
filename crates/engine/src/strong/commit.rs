//! One batch of a partition: what was taken since the last one, as rows, on the condition that the version is still the one that all of it
//! goes by. An unknown outcome is settled by the same batch again, until it applied, its id is there, or the version has moved
//! on without it (rule 22).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tally_counter::{CounterRow, Key, Position, counter_prefix};
use tally_store::{Address, Batch, Condition, Order, Range, Row, Store, StoreError, Swap, Swapped, Table};

use crate::Error;
use crate::core::{Closing, Core};
use crate::engine::Engine;
use crate::flush::Cut;
use crate::ledger;
use crate::namespaces::Kept;
use crate::put::Put;

use super::part::{Known, Part, Writing};
use super::rows::Collected;
use super::version;
use super::{PartRows, Settled, Ticket, Version, WRITER};

/// How often a batch is sent whose outcome is not known, before those who wait are told so.
const ATTEMPTS: usize = 100;
/// The pause after an error of the store.
const PAUSE: Duration = Duration::from_millis(100);

/// The row that would say so is written by both.
const TWIN: &str = "another start of this node changes the same strong counters, and hides what became of it";

/// Tokens that one batch looks at.
const TOKENS: usize = 256;
/// The time between two walks over a partition's tokens.
const TOKENS_PAUSE_US: u64 = 60_000_000;

/// What became of a batch.
pub(super) enum End {
    /// It is applied, and is the newest: its version.
    Newest(Known),
    /// It is applied, and another node's came after it.
    Passed,
    /// Another node was first: it never applies.
    Moved,
    /// It was not sent, and why.
    NotSent(String),
    /// Nobody knows, and why.
    Unknown(String),
    /// There was nothing to write, and what was read is the newest.
    Read,
    /// Whether what was read is the newest is not known, and why.
    NotRead(String),
}

/// What a batch makes the version.
pub(super) struct Next {
    pub(super) position: Position,
    pub(super) kept: BTreeMap<String, Kept>,
}

/// A partition whose batch is being made.
struct Group<'p> {
    part: &'p Part,
    writing: MutexGuard<'p, Writing>,
    waiting: Vec<Arc<Ticket>>,
    closing: Option<Arc<Closing>>,
    names_gone: Batch,
    began_us: u64,
    end: End,
}

impl Engine {
    /// Makes a batch of each of these partitions, and one sync for all of them.
    pub(super) fn commit_parts(&self, numbers: &[u16]) {
        let mut groups: Vec<Group<'_>> = numbers
            .iter()
            .filter_map(|number| self.commit_part(self.strong.part(super::StrongPart(*number))))
            .collect();
        let wrote = |group: &Group<'_>| matches!(group.end, End::Newest(_) | End::Passed);
        if groups.iter().any(wrote)
            && let Err(error) = self.world.store.durable()
        {
            for group in groups.iter_mut().filter(|group| wrote(group)) {
                group.end = End::Unknown(error.to_string());
            }
        }
        for group in groups {
            self.end_group(group);
        }
        for number in numbers {
            self.leave_part(self.strong.part(super::StrongPart(*number)));
        }
        self.relieve();
    }

    /// Cuts what waits for a partition and sends it; `None`: nothing waits, or all of it has to be taken again.
    fn commit_part<'p>(&self, part: &'p Part) -> Option<Group<'p>> {
        let writing = part.writing.lock();
        let mut core = part.core.lock();
        let mut state = part.state.lock();
        state.queued = false;
        let waiting = std::mem::take(&mut state.waiting);
        let Some(known) = state.known.clone() else {
            drop((state, core));
            settle(&waiting, &Settled::Again);
            return None;
        };
        if waiting.is_empty() {
            return None;
        }
        state.busy = true;
        drop(state);
        core.tail.forget();
        let at = core.tail.position();
        let closing = core.cut(at);
        drop(core);
        let mut group = Group {
            part,
            writing,
            waiting,
            closing,
            names_gone: Batch::new(),
            began_us: self.world.clock.monotonic_us(),
            end: End::Read,
        };
        group.end = match group.closing.clone() {
            Some(closing) => self.write_part(&mut group, &known, &closing),
            None => self.look_again(part, &known),
        };
        Some(group)
    }

    /// Whether the version is still the one that was read by.
    fn look_again(&self, part: &Part, known: &Known) -> End {
        if !self.is_shared() {
            return End::Read;
        }
        match PartRows::new(self.world.store.as_ref(), part.slot).version() {
            Ok((_, bytes)) if bytes == known.bytes => End::Read,
            Ok(_) => End::Moved,
            Err(error) => End::NotRead(error.to_string()),
        }
    }

    fn write_part(&self, group: &mut Group<'_>, known: &Known, closing: &Closing) -> End {
        let rows = PartRows::new(self.world.store.as_ref(), group.part.slot);
        if let Err(end) = self.build(group, &rows, closing) {
            return end;
        }
        let mut collected = rows.take();
        if collected.named {
            self.strong.names_moved.store(true, Ordering::Relaxed);
        }
        group.names_gone = std::mem::take(&mut collected.names_gone);
        let next = Next {
            position: closing.cut,
            kept: closing.kept.clone(),
        };
        if next.kept != known.version.kept {
            self.strong.kept_moved.store(true, Ordering::Relaxed);
        }
        self.send(&rows, group.part.slot, known, &next, collected)
    }

    /// Sends the batch until its outcome is known.
    pub(super) fn send(
        &self,
        rows: &PartRows<'_>,
        slot: u16,
        known: &Known,
        next: &Next,
        mut collected: Collected,
    ) -> End {
        let next = Version {
            position: next.position,
            batch: self.strong.batch(self.world.random.next()),
            kept: next.kept.clone(),
        };
        let bytes = next.encoded();
        let node = self.registry.own().0;
        let applied_key = version::applied_key(node);
        for (key, value) in [
            (version::KEY, bytes.as_slice()),
            (&applied_key, &next.batch.to_be_bytes()),
        ] {
            collected.rows.push(row(slot, key, next.position, value));
        }
        let conditions = [Condition {
            address: address(slot, version::KEY),
            value: known.bytes.as_deref(),
        }];
        let swap = Swap {
            conditions: &conditions,
            rows: &collected.rows,
            gone: &collected.gone,
        };
        let mut why = String::new();
        let mut sent_before = false;
        for _ in 0..ATTEMPTS {
            let newest = || Known {
                version: next.clone(),
                bytes: Some(bytes.clone()),
                applied: Some(next.batch),
            };
            match self.world.store.swap(swap) {
                Ok(Swapped::Applied) => return End::Newest(newest()),
                Ok(Swapped::Refused(found)) if found.first().and_then(Option::as_ref) == Some(&bytes) => {
                    return End::Newest(newest());
                }
                Ok(Swapped::Refused(_)) if !sent_before => return End::Moved,
                Ok(Swapped::Refused(_)) => match rows.applied(node) {
                    Ok(Some(batch)) if batch == next.batch => return End::Passed,
                    Ok(batch) if batch == known.applied || self.strong.is_own(batch) => return End::Moved,
                    Ok(_) => return End::Unknown(TWIN.to_owned()),
                    Err(error) => why = error.to_string(),
                },
                Ok(Swapped::Unknown) => "the store did not say whether it applied it".clone_into(&mut why),
                Err(error @ (StoreError::Unavailable(_) | StoreError::Refused(_))) => {
                    why = error.to_string();
                    if self.strong.pause(PAUSE) {
                        break;
                    }
                }
                Err(error) => return End::Unknown(error.to_string()),
            }
            sent_before = true;
        }
        End::Unknown(why)
    }

    /// Counts a batch by what became of it.
    fn note_batch(&self, group: &Group<'_>) {
        if group.closing.is_none() {
            return;
        }
        let figures = &self.figures.strong;
        let count = |figure: &AtomicU64, more: u64| figure.fetch_add(more, Ordering::Relaxed);
        match group.end {
            End::Newest(_) | End::Passed => {
                count(&figures.turns, u64::try_from(group.waiting.len()).unwrap_or(0));
                count(&figures.applied, 1)
            }
            End::NotSent(_) => count(&figures.refused, 1),
            End::Unknown(_) => count(&figures.unknown, 1),
            End::Moved | End::Read | End::NotRead(_) => count(&figures.outrun, 1),
        };
        let took_us = self.world.clock.monotonic_us().saturating_sub(group.began_us);
        count(&figures.batch_us, took_us);
    }

    fn end_group(&self, group: Group<'_>) {
        self.note_batch(&group);
        let Group {
            part,
            mut writing,
            waiting,
            closing,
            names_gone,
            end,
            ..
        } = group;
        let settled = match &end {
            End::Newest(_) | End::Passed | End::Read => Settled::Done,
            End::Moved => Settled::Again,
            End::NotSent(why) | End::NotRead(why) => Settled::Refused(why.clone()),
            End::Unknown(why) => Settled::Unknown(why.clone()),
        };
        if matches!(end, End::Newest(_) | End::Passed) && !names_gone.is_empty() {
            let rows = PartRows::new(self.world.store.as_ref(), part.slot);
            if let Err(error) = rows.bury(&names_gone) {
                tracing::warn!(%error, "the names of deleted strong counters stay, and are not shown");
            }
        }
        let mut core = part.core.lock();
        let mut state = part.state.lock();
        state.busy = false;
        let taken_on_it = match (end, closing) {
            (End::Newest(known), Some(closing)) => {
                core.closing = None;
                core.stamp.round_ended();
                core.applied = closing.cut;
                state.known = Some(known);
                Vec::new()
            }
            (End::Read | End::NotRead(_), _) => Vec::new(),
            _ => {
                writing.flusher.forget_all();
                Part::forget(&mut core, &mut state);
                std::mem::take(&mut state.waiting)
            }
        };
        if !state.waiting.is_empty() {
            state.queued = true;
            self.strong.enqueue(super::StrongPart(part.number));
        }
        drop((state, core, writing));
        settle(&waiting, &settled);
        settle(&taken_on_it, &Settled::Again);
    }

    /// The rows of what was cut, and what goes with them.
    fn build(&self, group: &mut Group<'_>, rows: &PartRows<'_>, closing: &Closing) -> Result<(), End> {
        let cut = Cut {
            writer: WRITER,
            at: closing.cut,
        };
        let put = Put {
            core: &group.part.core,
            waiters: &self.waiters,
            store: rows,
            cut,
            closing,
            order: Order::Growing,
        };
        let writing = &mut *group.writing;
        // Where others write too, what is known may be old; then the batch is refused, whatever is in it.
        writing.flusher.alone = true;
        let built = put
            .tokens()
            .and_then(|()| put.counters(&mut writing.flusher))
            .and_then(|()| ledger::put_round(rows, cut, closing, &mut writing.ledger, Order::Growing))
            .and_then(|()| sweep_ended(rows, &group.part.core, closing))
            .and_then(|()| self.sweep_tokens(rows, &group.part.core, closing, writing));
        built.map_err(|error| match error {
            // It read rows of a version that is newer than the one it goes by.
            Error::Failed(_) => End::Moved,
            error => End::NotSent(format!("{error}; nothing was applied")),
        })
    }

    /// Takes tokens along whose window has passed, a few with each batch.
    fn sweep_tokens(
        &self,
        rows: &PartRows<'_>,
        core: &Mutex<Core>,
        closing: &Closing,
        writing: &mut Writing,
    ) -> Result<(), Error> {
        let now_us = self.world.clock.monotonic_us();
        if !writing.sweep.tokens_are_due(now_us) {
            return Ok(());
        }
        let now_ms = self.world.clock.now_ms();
        let window_ms = self.settings.token_window_ms;
        let Some(mut counted) = writing.sweep.tokens(rows, now_ms, window_ms, TOKENS)? else {
            return Ok(());
        };
        writing.sweep.rest_tokens(now_us.saturating_add(TOKENS_PAUSE_US));
        let mut core = core.lock();
        for key in core.open.tokens.keys().chain(closing.open.tokens.keys()) {
            let count = counted.entry(crate::token::scope(key).into()).or_default();
            *count = count.saturating_add(1);
        }
        core.token_counts = counted.into_iter().collect();
        Ok(())
    }
}

/// Takes the rows of lives along that end with this batch: nothing can lag behind it.
fn sweep_ended(rows: &PartRows<'_>, core: &Mutex<Core>, closing: &Closing) -> Result<(), Error> {
    let ended: Vec<(String, u64)> = {
        let core = core.lock();
        let of = |id| {
            let counter = core.table.get(id)?;
            let delta = closing.open.fold.delta(core.entries(id).1?)?;
            Some((counter.key().to_owned(), delta.head?.generation.life))
        };
        closing.open.fold.ended().filter_map(of).collect()
    };
    for (name, life_now) in ended {
        let Ok(key) = Key::new(name.as_bytes()) else { continue };
        let mut prefix = Vec::new();
        counter_prefix(key, &mut prefix);
        let range = |table| Range {
            table,
            slot: key.slot().number(),
            prefix: &prefix,
            from: &[],
            limit: usize::MAX,
        };
        let mut gone = Batch::new();
        rows.scan(&[range(Table::Counters), range(Table::Windows)], &mut |_, row| {
            let (_, kind) = CounterRow::decode(row.address.key)?;
            if kind.life().is_some_and(|life| life < life_now) {
                gone.push(Row { value: &[], ..row });
            }
            Ok(())
        })?;
        rows.remove(&gone)?;
    }
    Ok(())
}

pub(super) fn settle(waiting: &[Arc<Ticket>], settled: &Settled) {
    for ticket in waiting {
        ticket.settle(settled.clone());
    }
}

pub(super) fn address(slot: u16, key: &[u8]) -> Address<'_> {
    Address {
        table: Table::Strong,
        slot,
        key,
    }
}

pub(super) fn row<'r>(slot: u16, key: &'r [u8], position: Position, value: &'r [u8]) -> Row<'r> {
    Row {
        address: address(slot, key),
        position: position.number(),
        value,
    }
}
