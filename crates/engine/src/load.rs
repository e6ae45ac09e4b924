//! Reads counters and tokens that are not in memory, in bulk and without the engine's lock, and puts what was read together with
//! what the memory knows and the store does not have yet.

use tally_counter::{
    Cell, CounterRow, Generation, Head, Key, Position, WriterNumber, counter_prefix, planted, row_key,
};
use tally_store::{Addresses, Range, Row, Store, StoreError, Table};

use crate::core::{Core, Token};
use crate::figures::Loaded;
use crate::plan::{Plan, ReadToken};
use crate::registry::Registry;
use crate::table::CounterId;

/// A counter as the store has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) head: Option<Head>,
    /// The cells of all lives: whose, of which life.
    pub(crate) cells: Vec<(WriterNumber, u64, Cell)>,
}

/// How many writers are asked for one by one; with more of them, a counter's rows are scanned.
const FEW_WRITERS: usize = 3;

/// Reads counters. In the order of `keys`.
pub(crate) fn counters(store: &dyn Store, registry: &Registry, keys: &[Key<'_>]) -> Result<Vec<Snapshot>, StoreError> {
    let writers = registry.numbers();
    let mut snapshots = if writers.len() <= FEW_WRITERS {
        point_reads(store, keys, &writers)?
    } else {
        scans(store, keys)?
    };
    for snapshot in &mut snapshots {
        snapshot.cells.retain(|(writer, ..)| writers.contains(writer));
    }
    Ok(snapshots)
}

/// Reads what the plans need and the memory lacks, all in one read of the store. Answers how much that was.
pub(crate) fn plans(
    store: &dyn Store,
    registry: &Registry,
    plans: &mut [Plan],
    read_us: u64,
) -> Result<Loaded, StoreError> {
    let (mut cold, mut names) = (Vec::new(), Vec::new());
    let (mut unread, mut token_keys) = (Vec::new(), Vec::new());
    for plan in plans {
        plan.read_us = Some(read_us);
        let Plan {
            bytes, keys, tokens, ..
        } = plan;
        for key in keys.iter_mut().filter(|key| key.cold) {
            names.extend(Key::new(bytes.get(key.start..key.end).unwrap_or_default()));
            cold.push(key);
        }
        for token in tokens {
            if matches!(token.loaded, ReadToken::Unread) {
                token_keys.push(&*token.key);
                unread.push(&mut token.loaded);
            }
        }
    }
    let snapshots = counters(store, registry, &names)?;
    let loaded = Loaded::of(&snapshots);
    for (key, snapshot) in cold.into_iter().zip(snapshots) {
        key.loaded = Some(Box::new(snapshot));
        key.cold = false;
    }
    let found = tokens(store, &token_keys)?;
    for (loaded, found) in unread.into_iter().zip(found) {
        *loaded = found.map_or(ReadToken::Absent, ReadToken::Found);
    }
    Ok(loaded)
}

/// A read a row, which a filter answers at once for rows that are not there: head and first life, then later lives.
pub(crate) fn point_reads(
    store: &dyn Store,
    keys: &[Key<'_>],
    writers: &[WriterNumber],
) -> Result<Vec<Snapshot>, StoreError> {
    let mut snapshots = vec![Snapshot::default(); keys.len()];
    let mut addresses = Addresses::new();
    let mut owners = Vec::new();
    let ask = |addresses: &mut Addresses, owners: &mut Vec<usize>, index: usize, key: Key<'_>, row: CounterRow| {
        addresses.push_with(Table::Counters, key.slot().number(), |out| row_key(key, row, out));
        owners.push(index);
    };
    for (index, key) in keys.iter().enumerate() {
        ask(&mut addresses, &mut owners, index, *key, CounterRow::Head);
        for writer in writers {
            ask(
                &mut addresses,
                &mut owners,
                index,
                *key,
                CounterRow::Cell {
                    life: 0,
                    writer: *writer,
                },
            );
        }
    }
    read(store, &addresses, &owners, &mut snapshots)?;
    addresses.clear();
    owners.clear();
    for (index, key) in keys.iter().enumerate() {
        let life = snapshots
            .get(index)
            .and_then(|snapshot| snapshot.head.as_ref())
            .map_or(0, |head| head.generation.life);
        if life > 0 {
            for writer in writers {
                ask(
                    &mut addresses,
                    &mut owners,
                    index,
                    *key,
                    CounterRow::Cell { life, writer: *writer },
                );
            }
        }
    }
    if !addresses.is_empty() {
        read(store, &addresses, &owners, &mut snapshots)?;
    }
    Ok(snapshots)
}

fn read(
    store: &dyn Store,
    addresses: &Addresses,
    owners: &[usize],
    snapshots: &mut [Snapshot],
) -> Result<(), StoreError> {
    store.get(addresses, &mut |index, row| {
        let (_, kind) = CounterRow::decode(row.address.key)?;
        let owner = owners.get(index).and_then(|owner| snapshots.get_mut(*owner));
        owner.map_or(Ok(()), |snapshot| snapshot.take(kind, row))
    })
}

fn scans(store: &dyn Store, keys: &[Key<'_>]) -> Result<Vec<Snapshot>, StoreError> {
    let mut snapshots = vec![Snapshot::default(); keys.len()];
    let prefixes: Vec<Vec<u8>> = keys
        .iter()
        .map(|key| {
            let mut prefix = Vec::new();
            counter_prefix(*key, &mut prefix);
            prefix
        })
        .collect();
    let ranges: Vec<Range<'_>> = keys
        .iter()
        .zip(&prefixes)
        .map(|(key, prefix)| Range {
            table: Table::Counters,
            slot: key.slot().number(),
            prefix,
            from: &[],
            limit: usize::MAX,
        })
        .collect();
    store.scan(&ranges, &mut |index, row| {
        let (_, kind) = CounterRow::decode(row.address.key)?;
        snapshots
            .get_mut(index)
            .map_or(Ok(()), |snapshot| snapshot.take(kind, row))
    })?;
    Ok(snapshots)
}

impl Snapshot {
    fn take(&mut self, kind: CounterRow, row: Row<'_>) -> Result<(), StoreError> {
        match kind {
            CounterRow::Head => self.head = Some(Head::decode(row.value)?),
            CounterRow::Cell { life, writer } => {
                self.cells.push((writer, life, Cell::decode(row.position, row.value)?));
            }
            CounterRow::Left { .. } | CounterRow::Window { .. } => {}
        }
        Ok(())
    }

    /// The positions of other writers' cells that may still be written: what a reset has seen of them.
    pub(crate) fn seen(&self, own: WriterNumber, registry: &Registry) -> Vec<(WriterNumber, Position)> {
        self.cells
            .iter()
            .filter(|(writer, ..)| *writer != own && registry.is_unsealed(*writer))
            .map(|(writer, _, cell)| (*writer, cell.position))
            .collect()
    }
}

/// Reads tokens: of each its newest row, `None` where there is none.
pub(crate) fn tokens(store: &dyn Store, keys: &[&[u8]]) -> Result<Vec<Option<Token>>, StoreError> {
    let mut found: Vec<Option<Token>> = vec![None; keys.len()];
    let ranges: Vec<Range<'_>> = keys
        .iter()
        .map(|key| Range {
            table: Table::Tokens,
            slot: crate::token::slot(key),
            prefix: key,
            from: &[],
            limit: usize::MAX,
        })
        .collect();
    store.scan(&ranges, &mut |index, row| {
        let token = crate::token::decode(row.value)?;
        if let Some(place) = found.get_mut(index)
            && place.as_ref().is_none_or(|other| other.time_ms <= token.time_ms)
        {
            *place = Some(token);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Makes a counter in memory know its value: what the store has, and what the closing and the open round add to it.
pub(crate) fn install(core: &mut Core, id: CounterId, snapshot: &Snapshot, own: WriterNumber, registry: &Registry) {
    let Some(counter) = core.table.get(id) else { return };
    let head = newest(counter.head(), snapshot.head.as_ref()).cloned();
    let generation = head.as_ref().map_or(Generation::default(), |head| head.generation);
    let (open, closed) = core.deltas(id);
    let closed = core.closing.as_ref().map(|closing| closing.cut).zip(closed);
    let mut value = i128::from(head.as_ref().map_or(0, |head| head.base));
    let mut exists = head.as_ref().is_some_and(|head| head.created);
    let mut add = |amount: i128| value = value.saturating_add(amount);
    let mut own_position = None;
    for (writer, life, cell) in &snapshot.cells {
        if (*life != generation.life && !planted!(DeadLivesSummed)) || !registry.is_summed(*writer) {
            continue;
        }
        exists = true;
        if *writer == own {
            own_position = Some(cell.position);
        }
        if cell.n == generation.n {
            add(cell.total);
        }
    }
    let ends = open.as_ref().map(|delta| delta.ends).unwrap_or_default();
    if let Some((cut, delta)) = closed {
        // What a reset in the open round ended is in the value no more.
        if own_position != Some(cut) && ends == tally_counter::Ends::Nothing {
            add(delta.total);
        }
        exists |= delta.touched && ends != tally_counter::Ends::Life;
    }
    if let Some(delta) = open {
        add(delta.total);
        exists |= delta.touched;
    }
    core.table.set_head(id, head);
    core.table.set_value(id, value);
    core.table.set_exists(id, exists);
    core.table.set_loaded(id, true);
    // Names go before cells.
    if snapshot.cells.iter().any(|(_, life, _)| *life == generation.life) {
        core.table.set_stored(id, true);
    }
}

/// The newer of two heads.
pub(crate) fn newest<'h>(one: Option<&'h Head>, other: Option<&'h Head>) -> Option<&'h Head> {
    match (one, other) {
        (Some(_), Some(other)) if planted!(StoredHeadWins) => Some(other),
        (Some(one), Some(other)) => Some(if other.generation > one.generation { other } else { one }),
        (one, other) => one.or(other),
    }
}
