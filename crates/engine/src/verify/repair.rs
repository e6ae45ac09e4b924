//! Mends what a slice found. Through the node's own writer: first a round as usual, then one of an entry that says nothing, whose rows are
//! the mended ones. So they stand at a position of the log like all others, and a crash leaves some of them written, each
//! whole, and the rest to be found again. Other writers' rows are mended at the position that their log has come to, which no
//! later round of theirs hands out again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tally_counter::{CounterRow, Key, Position, WriterNumber, row_key};
use tally_store::{Address, Addresses, Batch, Condition, Order, Row, Swap, Swapped, Table};

use super::drift::find;
use super::mend::{Mended, changes, mended};
use super::pass::{Findings, Frame};
use super::{Check, ledger, rows};
use crate::Error;
use crate::core::{Closing, Open, Progress};
use crate::engine::Engine;
use crate::entry;
use crate::flush::Cut;
use crate::ledger::Subject;
use crate::round::{Own, Policies};
use crate::table::Round;

/// How often the replacing of a row whose outcome was unknown is tried again.
const SETTLE_ATTEMPTS: usize = 100;

/// What the next round that says nothing is to mend, and what became of it, by subject.
#[derive(Debug, Default)]
pub(crate) struct Mends {
    counters: BTreeSet<String>,
    subjects: BTreeSet<(Subject, WriterNumber)>,
    done: BTreeMap<String, Result<String, String>>,
}

impl Engine {
    /// Mends what was found, and notes it there. The caller holds rounds back.
    pub(super) fn repair(&self, own: &mut Own, findings: &mut Findings) -> Result<(), Error> {
        let counters = std::mem::take(&mut findings.counters);
        let subjects = std::mem::take(&mut findings.subjects);
        if counters.is_empty() && subjects.is_empty() {
            return Ok(());
        }
        own.mends = Some(Mends {
            counters,
            subjects,
            done: BTreeMap::new(),
        });
        let put = self.mending_round(own);
        let done = own.mends.take().map(|mends| mends.done).unwrap_or_default();
        for drift in &mut findings.drifts {
            if drift.check == Check::Hot {
                continue;
            }
            match done.get(&drift.subject) {
                Some(Ok(said)) if put.is_ok() => drift.mended = Some(said.clone()),
                Some(Err(why)) => drift.detail = format!("{}; cannot be mended: {why}", drift.detail),
                _ => {}
            }
        }
        put
    }

    /// A round as usual, then one whose only rows are the mended ones.
    fn mending_round(&self, own: &mut Own) -> Result<(), Error> {
        self.put_in_place(own)?;
        let (usual, mending) = self.cut_twice()?;
        if let Some(usual) = usual {
            // The mends are not of this round.
            let mends = own.mends.take();
            let done = self.finish_round(own, &usual, Order::Growing);
            own.mends = mends;
            done?;
        }
        // From here on it is like any round: one that fails is taken up again, without the mends.
        self.core.lock().closing = Some(Arc::clone(&mending));
        self.finish_round(own, &mending, Order::Any)
    }

    /// Brings this node's rows that stand beyond its rounds back to where those have come: the round to come would refuse to go on from
    /// them.
    fn put_in_place(&self, own: &mut Own) -> Result<(), Error> {
        let (writer, applied) = (own.row.number, own.row.applied);
        let frame = self.frame();
        let names: Vec<String> = own
            .mends
            .iter()
            .flat_map(|mends| mends.counters.iter().cloned())
            .collect();
        for name in names {
            let (Ok(key), Some(terms)) = (Key::new(name.as_bytes()), frame.terms(&name)) else {
                continue;
            };
            let counters = rows::read(self.world.store.as_ref(), &[key], true)?;
            for counter in counters {
                let Some(rows) = counter.writers.get(&writer) else {
                    continue;
                };
                let again = terms.misplaced(writer, rows);
                let rows = changes(rows, rows, &again, (counter.life(), writer, applied));
                self.replace_rows(key, &rows)?;
                if !rows.is_empty() {
                    own.flusher.forget(&name);
                }
            }
        }
        Ok(())
    }

    fn replace_rows(&self, key: Key<'_>, rows: &[(CounterRow, Mended)]) -> Result<(), Error> {
        for (row, value) in rows {
            let mut row_of = Vec::new();
            row_key(key, *row, &mut row_of);
            let table = match row {
                CounterRow::Window { .. } => Table::Windows,
                _ => Table::Counters,
            };
            let address = Address {
                table,
                slot: key.slot().number(),
                key: &row_of,
            };
            let (position, value) = (value.position().number(), value.encoded());
            self.replace(Row {
                address,
                position,
                value: &value,
            })?;
        }
        Ok(())
    }

    /// Cuts a round over what was written until now, where there is anything, and one behind it over an entry that says nothing.
    fn cut_twice(&self) -> Result<(Option<Arc<Closing>>, Arc<Closing>), Error> {
        let now_ms = self.world.clock.now_ms();
        let mut core = self.core.lock();
        if let Some(why) = &core.stopped {
            return Err(Error::Unavailable(why.clone()));
        }
        if !core.room {
            return Err(Error::Unavailable(
                "the disk is full: nothing can be mended until there is room".to_owned(),
            ));
        }
        let at = core.tail.position();
        let usual = core.cut(at);
        entry::begin(core.tail.entry(), now_ms);
        let cut = core.tail.finish().map_err(|error| Error::Failed(error.to_string()))?;
        let cut = cut.unwrap_or(at);
        let round = core.round;
        core.round = Round(round.0.wrapping_add(1));
        let policies = usual
            .as_ref()
            .map_or_else(|| Policies { list: Vec::new() }, |usual| usual.policies.clone());
        let kept = usual
            .as_ref()
            .map_or_else(|| core.namespaces.kept(), |usual| usual.kept.clone());
        let mending = Closing {
            cut,
            round,
            open: Open::default(),
            namespaces: BTreeMap::new(),
            policies,
            kept,
            progress: Progress::default(),
        };
        Ok((usual, Arc::new(mending)))
    }

    /// Writes what the round at hand is to mend; most have nothing.
    pub(crate) fn put_mends(&self, own: &mut Own, cut: Cut) -> Result<(), Error> {
        let Some(mut mends) = own.mends.take() else {
            return Ok(());
        };
        let put = self.put_all(own, cut, &mut mends);
        own.mends = Some(mends);
        put
    }

    fn put_all(&self, own: &mut Own, cut: Cut, mends: &mut Mends) -> Result<(), Error> {
        let frame = self.frame();
        for name in &mends.counters {
            let done = self.mend_counter(own, cut, name, &frame)?;
            mends.done.insert(name.clone(), done);
        }
        for (subject, writer) in &mends.subjects {
            let done = self.mend_subject(own, cut, subject, *writer, &frame)?;
            mends.done.insert(ledger::name(subject, *writer), done);
        }
        Ok(())
    }

    /// Makes one counter's rows agree. `Err`: why that cannot be.
    fn mend_counter(
        &self,
        own: &mut Own,
        cut: Cut,
        name: &str,
        frame: &Frame,
    ) -> Result<Result<String, String>, Error> {
        let store = self.world.store.as_ref();
        let (Ok(key), Some(terms)) = (Key::new(name.as_bytes()), frame.terms(name)) else {
            return Ok(Err("it is no name of a counter".to_owned()));
        };
        let read = || rows::read(store, &[key], true).map(|read| read.into_iter().next().unwrap_or_default());
        let before = read()?;
        let generation = before.head.as_ref().map(|head| head.generation).unwrap_or_default();
        let mut new = Vec::new();
        for (writer, rows) in &before.writers {
            let Some(log) = terms.logs.get(writer) else { continue };
            if terms.is_under_way(*writer, rows) && *writer != cut.writer {
                continue;
            }
            let at = if *writer == cut.writer { cut.at } else { log.applied };
            let after = mended(rows, generation.n, &terms);
            let again = terms.misplaced(*writer, rows);
            new.extend(changes(rows, &after, &again, (generation.life, *writer, at)));
        }
        let written = new.len();
        let mut said = Vec::new();
        let has_cell = before.is_there() || new.iter().any(|(_, row)| matches!(row, Mended::Cell(_)));
        said.extend(self.mend_name(own, key, generation.life, has_cell, !before.unheard.is_empty())?);
        self.replace_rows(key, &new)?;
        if written > 0 {
            said.push(format!("{written} rows written anew"));
        }
        own.flusher.forget(name);
        self.forget_counter(name);
        let after = read()?;
        // The round at hand is this node's: what stands at its cut stands well.
        let mut logs = frame.logs.clone();
        if let Some(log) = logs.get_mut(&cut.writer) {
            (log.applied, log.pending) = (cut.at, None);
        }
        let left = find(&after, &super::drift::Terms { logs: &logs, ..terms });
        Ok(match left.into_iter().next() {
            Some((_, detail)) => Err(detail),
            None if said.is_empty() => Ok("agreed by itself".to_owned()),
            None => Ok(said.join(", ")),
        })
    }

    /// Names follow from cells and heads.
    fn mend_name(
        &self,
        own: &mut Own,
        key: Key<'_>,
        life: u64,
        is_there: bool,
        unheard: bool,
    ) -> Result<Option<String>, Error> {
        let stands = self.named(&[key])?.into_iter().next().flatten();
        let (mut put, mut gone) = (Batch::new(), Batch::new());
        let row = |position| Row {
            address: Address {
                table: Table::Names,
                slot: key.slot().number(),
                key: key.as_bytes(),
            },
            position,
            value: &[],
        };
        match stands {
            None if is_there => put.push(row(life)),
            // Rows of a life whose head is lost may be all that is left of it.
            Some(position) if !is_there && !unheard => gone.push(row(position)),
            _ => return Ok(None),
        }
        let store = self.world.store.as_ref();
        own.flusher.census.note(store, &put, &gone)?;
        let done = if is_there {
            self.replace(row(life))
        } else {
            Ok(store.remove(&gone)?)
        };
        if done.is_err() {
            own.flusher.census.restart();
        }
        done?;
        Ok(Some(
            if is_there { "name put back" } else { "name taken away" }.to_owned(),
        ))
    }

    fn mend_subject(
        &self,
        own: &mut Own,
        cut: Cut,
        subject: &Subject,
        writer: WriterNumber,
        frame: &Frame,
    ) -> Result<Result<String, String>, Error> {
        let Some(log) = frame.logs.get(&writer) else {
            return Ok(Err("its writer is not registered".to_owned()));
        };
        let stands = ledger::stands(self.world.store.as_ref(), &[subject], writer)?
            .into_iter()
            .next()
            .flatten();
        let Some(figures) = ledger::right(own, subject, writer, stands.as_ref().map(|(_, value)| value.as_slice()))
        else {
            return Ok(Err("its figures cannot be read".to_owned()));
        };
        let at: Position = if writer == cut.writer { cut.at } else { log.applied };
        let mut key = Vec::new();
        subject.put_key(&mut key, writer);
        let value = ledger::encoded(&figures, at);
        let address = Address {
            table: Table::Ledger,
            slot: 0,
            key: &key,
        };
        self.replace(Row {
            address,
            position: at.number(),
            value: &value,
        })?;
        if writer == cut.writer {
            own.ledger.insert(subject.clone(), (at.number(), figures));
        }
        Ok(Ok("its row was written anew".to_owned()))
    }

    /// Puts a row over the one that stands: by its larger position; where that is not larger, or none stands (it may have been removed at
    /// a larger one), by a conditional write, all of it or nothing.
    fn replace(&self, row: Row<'_>) -> Result<(), Error> {
        let store = self.world.store.as_ref();
        let mut new = Batch::new();
        new.push(row);
        for _ in 0..SETTLE_ATTEMPTS {
            let mut addresses = Addresses::new();
            let Address { table, slot, key } = row.address;
            addresses.push_with(table, slot, |out| out.extend_from_slice(key));
            let mut stands = None;
            store.get(&addresses, &mut |_, found| {
                stands = Some((found.position, found.value.to_vec()));
                Ok(())
            })?;
            if stands.as_ref().is_some_and(|(position, _)| *position < row.position) {
                return Ok(store.put(&new, Order::Any)?);
            }
            let condition = Condition {
                address: row.address,
                value: stands.as_ref().map(|(_, value)| value.as_slice()),
            };
            if let Swapped::Applied = store.swap(Swap {
                conditions: &[condition],
                rows: &new,
                gone: &Addresses::new(),
            })? {
                return Ok(());
            }
        }
        Err(Error::Unavailable(
            "the store did not settle the mending of a row".to_owned(),
        ))
    }

    /// What memory knows of a counter is old now.
    fn forget_counter(&self, name: &str) {
        let mut core = self.core.lock();
        if let Some(id) = core.find(name) {
            core.table.set_loaded(id, false);
        }
        core.stamp.others_moved();
    }
}
