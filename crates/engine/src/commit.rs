//! When the journal is written and synced, and by whom: by its own thread, or on the spot by one that would only wait for it.
//!
//! Guards: nothing is told to be synced before the sync has returned; after a failure nothing is ever synced again, and all who
//! wait are told; whoever waits is woken, whoever it was that made the sync.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use parking_lot::MutexGuard;
use tally_counter::Position;

use crate::Error;
use crate::engine::Engine;
use crate::journal::{self, JournalError};
use crate::waiters::Waiters;

/// A commit of at most so many bytes may be made on the spot. A longer one means that there is much to do besides waiting, and the
/// caller does that while the journal's thread syncs.
const QUICK_BYTES: usize = 4 * 1_024;
/// A sync that takes longer than this, in microseconds, is never made on the spot: two threads are woken in less.
const QUICK_SYNC_US: u64 = 1_000;

/// What became of a wish to commit on the spot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTheSpot {
    /// All that had been appended is synced.
    Done,
    /// Somebody else is at the journal. The waker is woken when it is free.
    Busy,
    /// Not worth it, or not possible without waiting: ask for it by [`Engine::poll_synced`].
    HandOver,
}

impl Engine {
    /// Writes and syncs what was appended. Anybody may call it; one at a time does it.
    pub fn commit(&self) -> Result<(), Error> {
        let mut journal = self.journal();
        self.commit_with(&mut journal)?;
        self.prepare(&mut journal)
    }

    /// The same by a thread that serves others, too, where it is a matter of one short sync: that saves two hand-overs.
    pub fn commit_on_the_spot(&self, waker: &Waker) -> Result<OnTheSpot, Error> {
        let waiting_bytes = self.core.lock().tail.waiting_bytes();
        if waiting_bytes > QUICK_BYTES || self.sync_us.load(Ordering::Relaxed) > QUICK_SYNC_US {
            return Ok(OnTheSpot::HandOver);
        }
        let Some(mut journal) = self.free_journal(waker) else {
            return Ok(OnTheSpot::Busy);
        };
        if !journal.is_prepared() {
            return Ok(OnTheSpot::HandOver);
        }
        self.commit_with(&mut journal)?;
        self.note_size(&journal, true);
        Ok(OnTheSpot::Done)
    }

    fn commit_with(&self, journal: &mut Journal<'_>) -> Result<(), Error> {
        // Also where there is nothing to write: after a failure nobody is told that all is synced.
        journal.prepare().map_err(|error| self.fail(&error))?;
        let spare = std::mem::take(&mut *self.spare.lock());
        let Some(mut pending) = self.core.lock().tail.take(spare) else {
            return Ok(());
        };
        let begun_us = self.world.clock.monotonic_us();
        journal.commit(&mut pending).map_err(|error| self.fail(&error))?;
        let took_us = self.world.clock.monotonic_us().saturating_sub(begun_us);
        let before_us = self.sync_us.load(Ordering::Relaxed);
        let of_late_us = before_us.saturating_mul(7).saturating_add(took_us) / 8;
        self.sync_us.store(of_late_us, Ordering::Relaxed);
        self.synced.fetch_max(pending.last.number(), Ordering::SeqCst);
        *self.spare.lock() = pending.bytes;
        self.waiters.synced(pending.last);
        Ok(())
    }

    /// Sees to a spare segment, and tells turns whether there is one.
    fn prepare(&self, journal: &mut Journal<'_>) -> Result<(), Error> {
        let room = journal.prepare().map_err(|error| self.fail(&error))?;
        self.note_size(journal, room);
        Ok(())
    }

    fn note_size(&self, journal: &Journal<'_>, room: bool) {
        let bytes = journal.size_bytes();
        self.figures.syncs.store(journal.syncs, Ordering::Relaxed);
        let mut core = self.core.lock();
        let relieved = room && !core.room;
        core.room = room;
        core.journal_bytes = bytes;
        drop(core);
        if relieved {
            self.relieve();
        }
        if bytes > self.settings.journal_limit_bytes {
            self.want_round();
        }
    }

    /// The engine stops: nothing later is acknowledged.
    fn fail(&self, error: &JournalError) -> Error {
        let text = format!(
            "{error}. Nothing that was not acknowledged before may be trusted to be kept. Check the disk of {}, then start again: what was acknowledged is replayed",
            self.settings.dir.display()
        );
        self.stop_for(&text);
        Error::Failed(text)
    }

    pub(crate) fn stop_for(&self, why: &str) {
        self.core.lock().stopped.get_or_insert_with(|| why.to_owned());
        self.waiters.fail(why);
    }

    /// Makes sure that everything up to `position` is synced.
    pub(crate) fn sync_to(&self, position: Position) -> Result<(), Error> {
        while !self.is_synced(position) {
            self.commit()?;
        }
        Ok(())
    }

    /// Removes segments that the store no longer needs.
    pub(crate) fn cut_journal(&self, applied: Position) -> Result<(), Error> {
        let mut journal = self.journal();
        journal.cut(applied).map_err(|error| self.fail(&error))?;
        self.prepare(&mut journal)
    }

    /// Ready when everything up to `position` is synced; wakes `waker` when that or a failure comes.
    pub fn poll_synced(&self, position: Position, waker: &Waker) -> Poll<Result<(), Error>> {
        if self.is_synced(position) {
            return Poll::Ready(Ok(()));
        }
        let poll = self.waiters.poll(position, waker, &self.synced);
        if poll.is_pending() {
            self.want_sync(position);
        }
        poll
    }

    /// Whether everything up to `position` is synced.
    pub fn is_synced(&self, position: Position) -> bool {
        self.synced.load(Ordering::Acquire) >= position.number()
    }

    /// Whether the engine has failed: [`Engine::poll_failed`] says why.
    pub fn has_failed(&self) -> bool {
        self.waiters.has_failed()
    }

    /// Waits until everything up to `position` is synced, blocking.
    pub fn wait_synced(&self, position: Position) -> Result<(), Error> {
        self.sync_to(position)
    }

    /// The thread that syncs the journal is woken where it rests; while it works, it looks at what is wanted before it rests again.
    /// (In one order with that look: either it sees this wish, or this sees that no other wish keeps it awake.)
    pub(crate) fn want_sync(&self, position: Position) {
        let before = self.wanted.sync_to.fetch_max(position.number(), Ordering::SeqCst);
        if before <= self.synced.load(Ordering::SeqCst) {
            let _state = self.wanted.state.lock();
            self.wanted.sync.notify_one();
        }
    }

    /// Whether somebody waits for a sync that has not been made.
    pub(crate) fn sync_is_wanted(&self) -> bool {
        self.wanted.sync_to.load(Ordering::SeqCst) > self.synced.load(Ordering::SeqCst)
    }

    fn journal(&self) -> Journal<'_> {
        Journal::new(self.journal.lock(), &self.waiters)
    }

    /// The journal, if nobody is at it; else `waker` is woken when it is free.
    fn free_journal(&self, waker: &Waker) -> Option<Journal<'_>> {
        let held = self.journal.try_lock().or_else(|| {
            self.waiters.wait_free(waker);
            // Whoever had it looks for those who wait after letting it go. If that was before this, it is free now.
            self.journal.try_lock()
        });
        held.map(|held| Journal::new(held, &self.waiters))
    }
}

/// The journal, held. Its parts are dropped in this order: let go, then wake those who wait for it.
struct Journal<'a> {
    held: MutexGuard<'a, journal::Writer>,
    _free: Free<'a>,
}

impl<'a> Journal<'a> {
    fn new(held: MutexGuard<'a, journal::Writer>, waiters: &'a Waiters) -> Self {
        Self {
            held,
            _free: Free(waiters),
        }
    }
}

impl Deref for Journal<'_> {
    type Target = journal::Writer;

    fn deref(&self) -> &journal::Writer {
        &self.held
    }
}

impl DerefMut for Journal<'_> {
    fn deref_mut(&mut self) -> &mut journal::Writer {
        &mut self.held
    }
}

struct Free<'a>(&'a Waiters);

impl Drop for Free<'_> {
    fn drop(&mut self) {
        self.0.free();
    }
}
