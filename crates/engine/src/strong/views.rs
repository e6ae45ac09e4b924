//! What is shown of strong counters: always what the store has, never what waits for a batch.

use std::collections::BTreeMap;

use tally_counter::{Figures, Generation, Key, Minute, Step};
use tally_store::{Range, Store, Table};

use crate::engine::Engine;
use crate::history::{StepRead, stored_head, stored_windows};
use crate::ledger::Subject;
use crate::load::{self, Snapshot};
use crate::view::{CellView, Explained};
use crate::{Error, namespaces};

use super::{PartRows, Strong, StrongPart, WRITER, rows};

impl Snapshot {
    /// The value, `None` where the counter does not exist.
    fn strong_value(&self, now_ms: u64) -> Option<i128> {
        let head = self.head.as_ref();
        let generation = head.map_or(Generation::default(), |head| head.generation);
        if head.is_some_and(|head| head.expired(now_ms)) {
            return None;
        }
        let mut cells = self.cells.iter().filter(|(_, life, _)| *life == generation.life);
        let cell = cells.next().map(|(.., cell)| cell);
        let exists = cell.is_some() || head.is_some_and(|head| head.created);
        let total = cell.filter(|cell| cell.n == generation.n).map_or(0, |cell| cell.total);
        let base = i128::from(head.map_or(0, |head| head.base));
        exists.then(|| base.saturating_add(total))
    }
}

impl Engine {
    fn part_rows(&self, part: StrongPart) -> PartRows<'_> {
        PartRows::new(self.world.store.as_ref(), self.strong.part(part).slot)
    }

    /// The values of counters of one partition, as the store has them.
    pub(crate) fn strong_values(&self, part: u16, keys: &[Key<'_>]) -> Result<Vec<Option<i128>>, Error> {
        let snapshots = load::point_reads(&self.part_rows(StrongPart(part)), keys, &[WRITER])?;
        let now_ms = self.world.clock.now_ms();
        Ok(snapshots.iter().map(|snapshot| snapshot.strong_value(now_ms)).collect())
    }

    /// The windows of a strong counter.
    pub(crate) fn read_strong_step(
        &self,
        key: Key<'_>,
        step: Step,
        from: Option<Minute>,
        to: Minute,
    ) -> Result<StepRead, Error> {
        let rows = self.part_rows(StrongPart::of(key));
        let head = stored_head(&rows, key)?;
        let life = head.map_or(0, |head| head.generation.life);
        let (windows, lefts) = stored_windows(&rows, &self.strong.registry, key, step, life, from, to)?;
        Ok(StepRead::of_rows(&windows, &lefts, step))
    }

    /// Everything behind the number of a strong counter.
    pub(crate) fn explain_strong(&self, key: Key<'_>) -> Result<Explained, Error> {
        let rows = self.part_rows(StrongPart::of(key));
        let snapshots = load::point_reads(&rows, &[key], &[WRITER])?;
        let snapshot = snapshots.into_iter().next().unwrap_or_default();
        let value = snapshot.strong_value(self.world.clock.now_ms());
        let head = snapshot.head.clone();
        let generation = head.as_ref().map_or(Generation::default(), |head| head.generation);
        let cell = |(writer, life, cell): &(_, u64, tally_counter::Cell)| CellView {
            writer: *writer,
            life: *life,
            cell: *cell,
            summed: *life == generation.life && cell.n == generation.n,
        };
        let mut history = Vec::new();
        for step in Step::ALL {
            let read = self.read_strong_step(key, step, None, Minute(u32::MAX))?;
            let windows = read
                .windows
                .values()
                .fold(0_i128, |sum, more| sum.saturating_add(*more));
            history.push((step, read.left, windows, read.chunks));
        }
        let namespace = self.namespace_of(key);
        Ok(Explained {
            key: key.as_str().to_owned(),
            namespace,
            slot: key.slot().number(),
            value,
            generation,
            cells: snapshot.cells.iter().map(cell).collect(),
            head,
            writers: Vec::new(),
            unflushed: None,
            history,
        })
    }

    pub(crate) fn namespace_of(&self, key: Key<'_>) -> String {
        let core = self.core.lock();
        let index = core.namespaces.of(key.as_str());
        let namespace = core.namespaces.get(index);
        namespace
            .map_or(namespaces::DEFAULT, |namespace| &namespace.name)
            .to_owned()
    }

    /// Adds what strong counters came to, by namespace.
    pub(crate) fn add_strong_ledger(&self, sums: &mut BTreeMap<Subject, Figures>) -> Result<(), Error> {
        if !self.any_strong() {
            return Ok(());
        }
        let ranges: Vec<Range<'_>> = Strong::slots()
            .map(|slot| Range {
                table: Table::Strong,
                slot,
                prefix: rows::LEDGER,
                from: &[],
                limit: usize::MAX,
            })
            .collect();
        let store: &dyn Store = self.world.store.as_ref();
        store.scan(&ranges, &mut |_, row| {
            let row = rows::read_ledger(row)?;
            sums.entry(row.subject).or_default().absorb(&row.figures);
            Ok(())
        })?;
        Ok(())
    }
}
