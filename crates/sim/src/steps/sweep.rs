//! Sweeping: slices of it, some in a row, and at the end, when nothing is open any more, that nothing is left that should be gone.

use std::collections::{BTreeMap, BTreeSet};

use tally_counter::{CounterRow, Head, Key, Minute, Step, WriterNumber, WriterRow};
use tally_engine::Engine;
use tally_store::{Faults, Store, Table};

use crate::random::Rng;
use crate::run::Run;
use crate::violation::{Violation, violated};

/// Slices that see everything of a run's few counters, whatever phase the walk is in.
const ALL: usize = 16;

/// What stands in the store of one counter.
#[derive(Debug, Default)]
struct Stands {
    head: Option<Head>,
    rows: Vec<CounterRow>,
}

impl Run {
    pub(super) fn sweep(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let slices = rng.between(1, 8);
        for _ in 0..slices {
            self.tidy()?;
        }
        Ok(format!("{slices} slices"))
    }

    /// Everything that may go is gone. After a start on a store without faults, with all that was late arrived.
    pub(super) fn sweep_all(&mut self) -> Result<String, Violation> {
        for _ in 0..ALL {
            self.tidy()?;
        }
        let Some(engine) = &self.engine else {
            return Ok("not there".to_owned());
        };
        let writers = self.writers()?;
        let nothing_is_open = writers.values().all(|writer| writer.pending.is_none());
        let mut names = BTreeSet::new();
        let all = self.stored(&mut names)?;
        for (name, stands) in &all {
            check_windows(engine, name, stands, &writers)?;
            let life = stands.head.as_ref().map_or(0, |head| head.generation.life);
            if stands.rows.iter().any(|row| life_of(*row) < life) {
                return violated(format!("{name} keeps rows of an ended life: {stands:?}"));
            }
            let deleted = stands.rows.is_empty() && stands.head.as_ref().is_some_and(|head| !head.created);
            if deleted && nothing_is_open && self.world.model.forgets() {
                return violated(format!("{name} is gone and keeps its head: {stands:?}"));
            }
        }
        let unknown: Vec<&String> = names.iter().filter(|name| !all.contains_key(*name)).collect();
        if nothing_is_open && self.world.model.forgets() && !unknown.is_empty() {
            return violated(format!("names without a counter: {unknown:?}"));
        }
        Ok(String::new())
    }

    fn stored(&self, names: &mut BTreeSet<String>) -> Result<BTreeMap<String, Stands>, Violation> {
        let store = self.world.model.snapshot();
        store.set_faults(Faults::none());
        store.fail_from(None);
        let mut all: BTreeMap<String, Stands> = BTreeMap::new();
        for table in [Table::Counters, Table::Windows] {
            let walked = store.walk(table, &[], usize::MAX, &mut |_, row| {
                let (key, kind) = CounterRow::decode(row.address.key)?;
                let stands = all.entry(key.as_str().to_owned()).or_default();
                match kind {
                    CounterRow::Head => stands.head = Some(Head::decode(row.value)?),
                    other => stands.rows.push(other),
                }
                Ok(())
            });
            if let Err(error) = walked {
                return violated(error.to_string());
            }
        }
        let named = store.names(b"", b"", usize::MAX, &mut |_, row| {
            names.insert(String::from_utf8_lossy(row.address.key).into_owned());
            Ok(())
        });
        match named {
            Ok(()) => Ok(all),
            Err(error) => violated(error.to_string()),
        }
    }
}

fn life_of(row: CounterRow) -> u64 {
    match row {
        CounterRow::Head => 0,
        CounterRow::Cell { life, .. } | CounterRow::Left { life, .. } | CounterRow::Window { life, .. } => life,
    }
}

/// No window of a writer without an open round lies before what is kept.
fn check_windows(
    engine: &Engine,
    name: &str,
    stands: &Stands,
    writers: &BTreeMap<WriterNumber, WriterRow>,
) -> Result<(), Violation> {
    let Ok(key) = Key::new(name.as_bytes()) else {
        return violated("a key that is none");
    };
    for step in Step::ALL {
        let Ok(history) = engine.history(key, step, Minute(0), Minute(0)) else {
            return violated("history cannot be read");
        };
        for row in &stands.rows {
            if let CounterRow::Window {
                step: of,
                chunk,
                writer,
                ..
            } = row
                && *of == step
                && step.chunk_start(*chunk) < history.kept_from
                && writers.get(writer).is_some_and(|writer| writer.pending.is_none())
            {
                return violated(format!(
                    "{name} keeps {row:?}, which begins before {:?}: {stands:?}",
                    history.kept_from
                ));
            }
        }
    }
    Ok(())
}
