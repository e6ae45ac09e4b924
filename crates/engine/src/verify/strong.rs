//! Partitions of strong counters: each counter's rows against one another and against the version of its partition, tokens and ledger rows
//! against the version. Conditional batches go on meanwhile, of this process and of others: a counter whose rows stand beyond the version
//! that was read first is read again, and left to the next pass where that goes on.
//!
//! It repairs nothing there, and does not look at what nodes have of these partitions in memory.

use std::collections::{BTreeMap, BTreeSet};

use tally_counter::{CounterRow, Key, WriterNumber};
use tally_store::{Row, Table};

use super::drift::{Log, Terms, find};
use super::ledger::with_reasons;
use super::pass::{Findings, Frame, Walk};
use super::{Check, PassView, rows};
use crate::engine::Engine;
use crate::strong::{PartRows, Version, WRITER, read_row};
use crate::{Error, ledger, token};

/// Rows that one step reads to find counters.
const STEP_ROWS: usize = 256;
/// A partition that changes while it is looked at is read so often.
const ATTEMPTS: usize = 4;

/// What a step meets of one partition.
#[derive(Default)]
struct Met {
    counters: BTreeSet<String>,
    /// Counters of which windows were met.
    with_windows: BTreeSet<String>,
    /// What stands at no position of its log, if a version is before this: the row in words, and where it stands.
    places: Vec<(Check, String, u64)>,
}

impl Engine {
    /// Some rows of partitions of strong counters; whether these were the last.
    pub(super) fn look_at_strong(
        &self,
        walk: &mut Walk,
        view: &mut PassView,
        frame: &Frame,
        findings: &mut Findings,
    ) -> Result<bool, Error> {
        let mut parts: BTreeMap<u16, Met> = BTreeMap::new();
        let Walk { cursor, last } = walk;
        let next = self.world.store.walk(Table::Strong, cursor, STEP_ROWS, &mut |_, row| {
            view.rows = view.rows.saturating_add(1);
            let part = Table::Strong.partition(row.address.slot);
            if let Some(row) = read_row(row)? {
                parts.entry(part).or_default().meet(row, last, findings)?;
            }
            Ok(())
        })?;
        for (part, met) in parts {
            let rows = PartRows::of(self.world.store.as_ref(), part);
            self.look_at_counters_of(&rows, &met, view, frame, findings)?;
            let (version, _) = rows.version()?;
            let beyond = met
                .places
                .into_iter()
                .filter(|(.., stands)| *stands > version.position.number());
            for (check, what, stands) in beyond {
                let detail = format!(
                    "it stands at {stands}, and the partition's batches came to {}",
                    version.position
                );
                findings.push(check, &format!("{what} of strong partition {part}"), detail, None);
            }
        }
        let ended = next.is_none();
        walk.cursor = next.unwrap_or_default();
        Ok(ended)
    }

    fn look_at_counters_of(
        &self,
        rows: &PartRows<'_>,
        met: &Met,
        view: &mut PassView,
        frame: &Frame,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let names = met.counters.union(&met.with_windows);
        let keys: Vec<Key<'_>> = names.filter_map(|name| Key::new(name.as_bytes()).ok()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let (version, counters, named, moved) = self.read_still(rows, &keys)?;
        let log = Log {
            applied: version.position,
            pending: None,
            unsealed: true,
            elsewhere: moved,
        };
        let logs = BTreeMap::from([(WRITER, log)]);
        for ((key, counter), named) in keys.iter().zip(&counters).zip(named) {
            let name = key.as_str();
            view.rows = view.rows.saturating_add(counter.read);
            let Some((policy, _)) = frame.policies.of(name) else {
                continue;
            };
            let terms = Terms {
                policy,
                boundaries: version.boundaries(&self.namespace_of(*key)),
                logs: &logs,
                may_be_new: false,
            };
            if met.counters.contains(name) {
                view.counters = view.counters.saturating_add(1);
                for (check, detail) in find(counter, &terms) {
                    findings.push(check, name, detail, None);
                }
            }
            let (check, detail) = match (counter.is_there(), named) {
                (true, None) => (Check::Names, "its name is not in the store"),
                (false, _) if counter.head.is_none() => {
                    (Check::History, "it has windows, and neither a cell nor a head")
                }
                _ => continue,
            };
            // It may have been deleted between the reads, or made.
            if !moved || self.is_still_so(rows, *key, check)? {
                findings.push(check, name, detail.to_owned(), None);
            }
        }
        Ok(())
    }

    /// Whether this is so of the counter alone, read while no batch comes between. Where that does not come about it is left to the next pass.
    fn is_still_so(&self, rows: &PartRows<'_>, key: Key<'_>, check: Check) -> Result<bool, Error> {
        let (_, counters, named, moved) = self.read_still(rows, &[key])?;
        let there = counters.first().is_some_and(rows::CounterRows::is_there);
        let headed = counters.first().is_some_and(|counter| counter.head.is_some());
        let named = named.first().copied().flatten().is_some();
        let so = match check {
            Check::Names => there && !named,
            _ => !there && !headed,
        };
        Ok(so && !moved)
    }

    /// Reads counters while no batch of their partition comes between, or says at last that one did.
    #[expect(
        clippy::type_complexity,
        reason = "four plain lists that belong together for one caller"
    )]
    fn read_still(
        &self,
        rows: &PartRows<'_>,
        keys: &[Key<'_>],
    ) -> Result<(Version, Vec<rows::CounterRows>, Vec<Option<u64>>, bool), Error> {
        let mut attempt = 0_usize;
        loop {
            let (before, _) = rows.version()?;
            let counters = rows::read(rows, keys, true)?;
            let named = self.named(keys)?;
            let moved = rows.version()?.0.batch != before.batch;
            attempt = attempt.saturating_add(1);
            if !moved || attempt >= ATTEMPTS {
                return Ok((before, counters, named, moved));
            }
        }
    }
}

impl Met {
    /// Takes a row in. `last`: the counter that was met last, since its rows follow one another.
    fn meet(
        &mut self,
        row: Row<'_>,
        last: &mut Vec<u8>,
        findings: &mut Findings,
    ) -> Result<(), tally_store::StoreError> {
        let stands = row.position;
        match row.address.table {
            table @ (Table::Counters | Table::Windows) => {
                let (key, _) = CounterRow::decode(row.address.key)?;
                let of_windows = table == Table::Windows;
                let here = [&[u8::from(of_windows)], key.as_bytes()].concat();
                if *last != here {
                    *last = here;
                    let set = if of_windows {
                        &mut self.with_windows
                    } else {
                        &mut self.counters
                    };
                    set.insert(key.as_str().to_owned());
                }
            }
            Table::Tokens => {
                token::decode(row.value)?;
                if !row.address.key.ends_with(&WRITER.0.to_be_bytes()) {
                    let detail = "it is of another writer".to_owned();
                    findings.push(Check::Positions, "a token of strong counters", detail, None);
                }
                self.places.push((Check::Positions, "a token".to_owned(), stands));
            }
            _ => {
                let row = ledger::decode(row)?;
                let name = super::ledger::name(&row.subject, WriterNumber(row.writer.0));
                if stands != row.position {
                    let detail = format!("its row stands at {stands} and says {}", row.position);
                    findings.push(Check::Ledger, &name, detail, None);
                }
                if with_reasons(&row.figures).is_some() {
                    let detail = "its reasons explain more adds than were rejected".to_owned();
                    findings.push(Check::Ledger, &name, detail, None);
                }
                self.places.push((Check::Ledger, name, stands));
            }
        }
        Ok(())
    }
}
