//! A walk over everything that is compared, in steps: counters, the hot table, names, windows of counters that are not there, the
//! ledger, strong counters. Between two slices it is a place to go on from, so a pass takes no snapshot and no memory.

use std::collections::{BTreeMap, BTreeSet};

use tally_counter::{Key, WriterNumber};
use tally_store::{Addresses, Table};

use super::drift::{Log, Terms, find, is_coming};
use super::{Check, Drift, PassView, rows};
use crate::Error;
use crate::engine::Engine;
use crate::ledger::Subject;
use crate::round::{Own, Policies};

/// A name without a counter, or a counter without a name, is looked at so often before it is one.
const LOOKS_AGAIN: usize = 4;
/// Rows that one step of a walk reads to find counters.
const STEP_ROWS: usize = 256;
/// Rows after which a slice ends, however quick it was.
const SLICE_ROWS: u64 = 50_000;
/// Drifts of a pass that are logged one by one.
const LOGGED: u64 = 20;

/// A pass under way.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(super) view: PassView,
    /// Somebody waits for it.
    pub(super) wanted: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Counters(Walk),
    Hot(u32),
    Names(Vec<u8>),
    Windows(Walk),
    Ledger(Walk),
    Strong(Walk),
    Ended,
}

/// Where a walk over a table goes on.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) cursor: Vec<u8>,
    /// The last counter that was met: its rows may go on behind the cursor.
    pub(super) last: Vec<u8>,
}

/// What holds during a slice.
pub(super) struct Frame {
    pub(super) policies: Policies,
    pub(super) logs: BTreeMap<WriterNumber, Log>,
    /// Whether another writer's round is open, or may be: it may have written a name and not yet the cell.
    others_open: bool,
    /// Whether other processes may write, too.
    pub(super) shared: bool,
}

/// What a slice found, and what is to be repaired of it.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) drifts: Vec<Drift>,
    pub(super) counters: BTreeSet<String>,
    pub(super) subjects: BTreeSet<(Subject, WriterNumber)>,
}

impl Findings {
    pub(super) fn counter(&mut self, check: Check, name: &str, detail: String) {
        self.counters.insert(name.to_owned());
        self.push(check, name, detail, None);
    }

    pub(super) fn push(&mut self, check: Check, subject: &str, detail: String, mended: Option<String>) {
        let subject = subject.to_owned();
        self.drifts.push(Drift {
            check,
            subject,
            detail,
            mended,
        });
    }
}

impl Frame {
    /// What a counter's rows are held against.
    pub(super) fn terms(&self, name: &str) -> Option<Terms<'_>> {
        let (policy, boundaries) = self.policies.of(name)?;
        let logs = &self.logs;
        Some(Terms {
            policy,
            boundaries,
            logs,
            may_be_new: self.shared,
        })
    }
}

impl Pass {
    pub(super) fn new(view: PassView, wanted: bool) -> Self {
        let phase = Phase::Counters(Walk::default());
        Self { view, wanted, phase }
    }

    pub(super) fn ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    fn note(&mut self, drift: Drift) {
        let Some(index) = Check::ALL.iter().position(|check| *check == drift.check) else {
            return;
        };
        let add = |figures: &mut super::PerCheck| {
            if let Some(figure) = figures.get_mut(index) {
                *figure = figure.saturating_add(1);
            }
        };
        add(&mut self.view.found);
        if drift.mended.is_some() {
            add(&mut self.view.mended);
        }
        if self.view.found() <= LOGGED {
            let Drift {
                check,
                subject,
                detail,
                mended,
            } = &drift;
            tracing::error!(
                counter = subject,
                check = check.word(),
                mended = mended.as_deref().unwrap_or("no"),
                "drift: {detail}"
            );
        }
        if self.view.drifts.len() < PassView::NAMED {
            self.view.drifts.push(drift);
        }
    }
}

impl Engine {
    /// What holds now, while the caller holds rounds back.
    pub(super) fn frame(&self) -> Frame {
        let policies = {
            let core = self.core.lock();
            let list = core
                .namespaces
                .iter()
                .map(|one| (one.name.clone(), one.policy.clone(), one.boundaries));
            Policies { list: list.collect() }
        };
        let own = self.registry.own();
        let shared = self.is_shared();
        let mut logs = self.registry.logs();
        for (writer, log) in &mut logs {
            log.elsewhere = shared && log.unsealed && !self.registry.is_claimed(*writer);
        }
        let open =
            |(writer, log): (&_, &Log)| *writer != own && log.unsealed && (log.pending.is_some() || log.elsewhere);
        let others_open = logs.iter().any(open);
        Frame {
            policies,
            logs,
            others_open,
            shared,
        }
    }

    /// Goes on with a pass for about `budget_us`, at least by one step. The caller holds rounds back.
    pub(super) fn look(&self, own: &mut Own, pass: &mut Pass, budget_us: u64) -> Result<(), Error> {
        let end_us = self.world.clock.monotonic_us().saturating_add(budget_us);
        let end_rows = pass.view.rows.saturating_add(SLICE_ROWS);
        let frame = self.frame();
        let mut findings = Findings::default();
        while !pass.ended() {
            self.step(own, pass, &frame, &mut findings)?;
            if self.world.clock.monotonic_us() >= end_us || pass.view.rows >= end_rows {
                break;
            }
        }
        let repaired = if pass.view.repairs {
            self.repair(own, &mut findings)
        } else {
            Ok(())
        };
        for drift in findings.drifts {
            pass.note(drift);
        }
        repaired
    }

    fn step(&self, own: &Own, pass: &mut Pass, frame: &Frame, findings: &mut Findings) -> Result<(), Error> {
        let Pass { view, phase, .. } = pass;
        match phase {
            Phase::Counters(walk) => {
                if self.look_at_counters(walk, view, frame, findings)? {
                    *phase = Phase::Hot(0);
                }
            }
            Phase::Hot(next) => {
                if self.look_at_memory(next, view, frame, findings)? {
                    *phase = Phase::Names(Vec::new());
                }
            }
            Phase::Names(after) => {
                if self.look_at_names(after, view, frame, findings)? {
                    *phase = Phase::Windows(Walk::default());
                }
            }
            Phase::Windows(walk) => {
                if self.look_at_windows(walk, view, frame, findings)? {
                    *phase = Phase::Ledger(Walk::default());
                }
            }
            Phase::Ledger(walk) => {
                if self.look_at_ledger(own, walk, view, frame, findings)? {
                    *phase = Phase::Strong(Walk::default());
                }
            }
            Phase::Strong(walk) => {
                if self.look_at_strong(walk, view, frame, findings)? {
                    *phase = Phase::Ended;
                }
            }
            Phase::Ended => {}
        }
        Ok(())
    }

    /// Some counters' rows against one another, and their names.
    fn look_at_counters(
        &self,
        walk: &mut Walk,
        view: &mut PassView,
        frame: &Frame,
        findings: &mut Findings,
    ) -> Result<bool, Error> {
        let (names, ended) = self.next_counters(Table::Counters, walk, &mut 0)?;
        let keys: Vec<Key<'_>> = names.iter().filter_map(|name| Key::new(name.as_bytes()).ok()).collect();
        let counters = rows::read(self.world.store.as_ref(), &keys, true)?;
        let named = self.named(&keys)?;
        let mut nameless: Vec<Key<'_>> = Vec::new();
        for ((key, counter), named) in keys.iter().zip(&counters).zip(named) {
            view.counters = view.counters.saturating_add(1);
            view.rows = view.rows.saturating_add(counter.read);
            let Some(terms) = frame.terms(key.as_str()) else {
                continue;
            };
            for (check, detail) in find(counter, &terms) {
                findings.counter(check, key.as_str(), detail);
            }
            if counter.is_there() && named.is_none() {
                nameless.push(*key);
            }
        }
        for key in self.still(nameless, |named, there| there && !named)? {
            findings.counter(Check::Names, key.as_str(), "its name is not in the store".to_owned());
        }
        Ok(ended)
    }

    /// Names of which no counter is there.
    fn look_at_names(
        &self,
        after: &mut Vec<u8>,
        view: &mut PassView,
        frame: &Frame,
        findings: &mut Findings,
    ) -> Result<bool, Error> {
        let mut names: Vec<(String, u64)> = Vec::new();
        let store = self.world.store.as_ref();
        store.names(b"", after, STEP_ROWS, &mut |_, row| {
            if let Ok(name) = std::str::from_utf8(row.address.key) {
                names.push((name.to_owned(), row.position));
            }
            Ok(())
        })?;
        let Some((last, _)) = names.last() else { return Ok(true) };
        *after = last.as_bytes().to_vec();
        let (keys, lives): (Vec<Key<'_>>, Vec<u64>) = names
            .iter()
            .filter_map(|(name, life)| Some((Key::new(name.as_bytes()).ok()?, *life)))
            .unzip();
        let counters = rows::read(store, &keys, false)?;
        let mut lonely: Vec<Key<'_>> = Vec::new();
        for ((key, counter), life) in keys.iter().zip(&counters).zip(lives) {
            view.names = view.names.saturating_add(1);
            view.rows = view.rows.saturating_add(counter.read).saturating_add(1);
            // A store that may be late may bring the name of an ended life back after it was removed: the sweep takes it again (rule 14).
            let came_back = life < counter.life() && !store.forgets();
            if !counter.is_there() && !frame.others_open && !came_back && !self.is_ending(key.as_str()) {
                lonely.push(*key);
            }
        }
        for key in self.still(lonely, |named, there| named && !there)? {
            findings.counter(
                Check::Names,
                key.as_str(),
                "neither a cell nor a head says that it exists".to_owned(),
            );
        }
        Ok(false)
    }

    /// Those of which this is so when name and counter are looked at again: a strong counter may have been deleted between the two reads, and
    /// made anew since.
    fn still<'k>(&self, mut keys: Vec<Key<'k>>, so: impl Fn(bool, bool) -> bool) -> Result<Vec<Key<'k>>, Error> {
        for _ in 0..LOOKS_AGAIN {
            if keys.is_empty() {
                break;
            }
            let named = self.named(&keys)?;
            let counters = rows::read(self.world.store.as_ref(), &keys, false)?;
            let both = keys.into_iter().zip(named).zip(&counters);
            keys = both
                .filter(|((_, named), counter)| so(named.is_some(), counter.is_there()))
                .map(|((key, _), _)| key)
                .collect();
        }
        Ok(keys)
    }

    /// Whether the open round ends this counter's life, and so takes its name away.
    fn is_ending(&self, name: &str) -> bool {
        let core = self.core.lock();
        let open = core.find(name).and_then(|id| core.deltas(id).0);
        open.is_some_and(|open| open.ends == tally_counter::Ends::Life)
    }

    /// Windows of counters that have no other row: the walk over counters does not meet those.
    fn look_at_windows(
        &self,
        walk: &mut Walk,
        view: &mut PassView,
        frame: &Frame,
        findings: &mut Findings,
    ) -> Result<bool, Error> {
        let (names, ended) = self.next_counters(Table::Windows, walk, &mut view.rows)?;
        let keys: Vec<Key<'_>> = names.iter().filter_map(|name| Key::new(name.as_bytes()).ok()).collect();
        let prefixes: Vec<Vec<u8>> = keys.iter().map(|key| rows::prefix(*key)).collect();
        let ranges: Vec<_> = keys
            .iter()
            .zip(&prefixes)
            .map(|(key, prefix)| rows::range(*key, Table::Counters, prefix, 1))
            .collect();
        let mut there = vec![false; keys.len()];
        self.world.store.scan(&ranges, &mut |index, _| {
            if let Some(there) = there.get_mut(index) {
                *there = true;
            }
            Ok(())
        })?;
        let lonely: Vec<Key<'_>> = keys
            .into_iter()
            .zip(there)
            .filter(|(_, there)| !there)
            .map(|(key, _)| key)
            .collect();
        let counters = rows::read(self.world.store.as_ref(), &lonely, true)?;
        for (key, counter) in lonely.iter().zip(&counters) {
            // A source's round that is cut off may have come as far as the windows.
            if frame
                .terms(key.as_str())
                .is_some_and(|terms| is_coming(counter, &terms))
            {
                continue;
            }
            let detail = "it has windows, and neither a cell nor a head".to_owned();
            findings.counter(Check::History, key.as_str(), detail);
        }
        Ok(ended)
    }

    /// The counters that a step of a walk over a table meets, each once.
    fn next_counters(&self, table: Table, walk: &mut Walk, rows: &mut u64) -> Result<(Vec<String>, bool), Error> {
        let Walk { cursor, last } = walk;
        let mut names: Vec<String> = Vec::new();
        let next = self.world.store.walk(table, cursor, STEP_ROWS, &mut |_, row| {
            *rows = rows.saturating_add(1);
            let (key, _) = tally_counter::CounterRow::decode(row.address.key)?;
            if last.as_slice() != key.as_bytes() {
                *last = key.as_bytes().to_vec();
                names.push(key.as_str().to_owned());
            }
            Ok(())
        })?;
        let ended = next.is_none();
        *cursor = next.unwrap_or_default();
        Ok((names, ended))
    }

    /// The positions of some counters' names, `None` for one that is not in the store.
    pub(super) fn named(&self, keys: &[Key<'_>]) -> Result<Vec<Option<u64>>, Error> {
        let mut addresses = Addresses::new();
        for key in keys {
            addresses.push_with(Table::Names, key.slot().number(), |out| {
                out.extend_from_slice(key.as_bytes());
            });
        }
        let mut named = vec![None; keys.len()];
        self.world.store.get(&addresses, &mut |index, row| {
            if let Some(place) = named.get_mut(index) {
                *place = Some(row.position);
            }
            Ok(())
        })?;
        Ok(named)
    }
}
