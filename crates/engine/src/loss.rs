//! A journal that was lost: the old epoch is sealed as it is, and a new one begins (rule 1). Guards that what the store has by then stays
//! whole: values as they were at one time or another, and a name for each of them. What was only in the journal is gone.

use tally_counter::{CounterRow, Head, Position, StartId, WriterId, WriterNumber, WriterRow, WriterState, planted};
use tally_store::{Batch, Order, Row, Store, StoreError, Table};

use crate::journal;
use crate::registry::Registry;
use crate::{Error, World};

/// Rows walked over at once.
const ROWS: usize = 2_000;

/// Whether the journal was lost: it ends before what the store has or was about to have. Then the old epoch is sealed, as it is, and
/// a new one begins (rule 1).
pub(crate) fn after_loss(
    world: &World,
    registry: &Registry,
    row: WriterRow,
    start: StartId,
    cut_damage: bool,
) -> Result<WriterRow, Error> {
    let needed = row.pending.unwrap_or(row.applied);
    if needed == Position::ZERO || planted!(NoNewEpoch) {
        return Ok(row);
    }
    // Most often the newest segment says that nothing is missing; if something before it is, the replay that follows says so.
    if journal::newest_end(&world.disk, row.number.0)?.is_some_and(|end| end >= needed) {
        return Ok(row);
    }
    let found = journal::replay(
        &world.disk,
        row.number.0,
        Position::LAST,
        cut_damage,
        &mut |_, _| Ok(()),
    )?;
    if found.end.is_some_and(|end| end >= needed) {
        return Ok(row);
    }
    tracing::error!(
        ends = found.end.map_or(0, Position::number),
        needed = needed.number(),
        "the journal was lost or put back from an older copy: what it held beyond the store is gone; going on in a new epoch"
    );
    for name in world.disk.names().map_err(|error| Error::Failed(error.to_string()))? {
        if name.starts_with("journal-") && name.strip_suffix(".log").is_some() && found.end.is_some() {
            world
                .disk
                .remove(&name)
                .map_err(|error| Error::Failed(error.to_string()))?;
        }
    }
    // They must not come back under the new epoch, which would take them for another node's.
    world
        .disk
        .sync_names()
        .map_err(|error| Error::Failed(error.to_string()))?;
    if let Some(pending) = row.pending.filter(|_| !planted!(TornRoundUnnamed)) {
        put_names_again(world.store.as_ref(), row.number, pending)?;
        world.store.durable()?;
    }
    let sealed = WriterRow {
        state: WriterState::Sealed,
        ..row.clone()
    };
    let sealed = registry.change(&row, sealed)?;
    let writer = WriterId {
        epoch: sealed.writer.epoch.saturating_add(1),
        ..sealed.writer.clone()
    };
    registry.create(writer, start, Some(&sealed))
}

/// Names what the open round brought: of a round that is never repeated, a loss of power may have taken the names and left the rest.
fn put_names_again(store: &dyn Store, writer: WriterNumber, pending: Position) -> Result<(), StoreError> {
    let mut cursor = Vec::new();
    loop {
        let mut names = Batch::new();
        let next = store.walk(Table::Counters, &cursor, ROWS, &mut |_, row| {
            let (key, of) = CounterRow::decode(row.address.key)?;
            let life = match of {
                CounterRow::Head => {
                    let head = Head::decode(row.value)?;
                    head.created.then_some(head.generation.life)
                }
                CounterRow::Cell { life, writer: of } => {
                    (of == writer && row.position == pending.number()).then_some(life)
                }
                CounterRow::Left { .. } | CounterRow::Window { .. } => None,
            };
            if let Some(life) = life {
                let address = tally_store::Address {
                    table: Table::Names,
                    slot: row.address.slot,
                    key: key.as_bytes(),
                };
                names.push(Row {
                    address,
                    position: life,
                    value: &[],
                });
            }
            Ok(())
        })?;
        store.put(&names, Order::Any)?;
        match next {
            Some(next) => cursor = next,
            None => return Ok(()),
        }
    }
}
