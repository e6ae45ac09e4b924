//! The history half of a round: the chunks of windows that it adds to, and what left the retention (rules 15 to 18).

use tally_counter::{Chunk, CounterRow, Keep, Left, Minute, Position, Step, Window, WriterNumber, planted, row_key};
use tally_store::{Addresses, Batch, Store, StoreError, Table};

use super::{Cut, Item, Stored, generation};

/// Reads the chunks that the round adds to. A counter that the writer has no cell of has no windows of it either.
pub(super) fn read_windows(
    store: &dyn Store,
    writer: WriterNumber,
    items: &[Item<'_>],
    stored: &mut [Stored],
) -> Result<(), StoreError> {
    let mut addresses = Addresses::new();
    let mut owners = Vec::new();
    for (index, (item, stored)) in items.iter().zip(stored.iter()).enumerate() {
        if stored.cell.is_none() {
            continue;
        }
        let life = generation(item, stored.head.as_ref()).life;
        for (step, chunk) in chunks(item) {
            if stored.windows.iter().any(|(of, at, _)| (*of, *at) == (step, chunk)) {
                continue;
            }
            addresses.push_with(Table::Windows, item.key.slot().number(), |out| {
                row_key(
                    item.key,
                    CounterRow::Window {
                        life,
                        step,
                        chunk,
                        writer,
                    },
                    out,
                );
            });
            owners.push((index, step, chunk));
        }
    }
    store.get(&addresses, &mut |at, row| {
        let Some((index, step, chunk)) = owners.get(at) else {
            return Ok(());
        };
        let window = Window::decode(row.position, row.value, *step)?;
        if let Some(stored) = stored.get_mut(*index) {
            stored.windows.push((*step, *chunk, window));
        }
        Ok(())
    })
}

/// Reads what left the retention, of the steps where the round adds to that.
pub(super) fn read_lefts(
    store: &dyn Store,
    writer: WriterNumber,
    items: &[Item<'_>],
    stored: &mut [Stored],
) -> Result<(), StoreError> {
    let mut addresses = Addresses::new();
    let mut owners = Vec::new();
    for (index, (item, stored)) in items.iter().zip(stored.iter()).enumerate() {
        let life = generation(item, stored.head.as_ref()).life;
        for (step, boundary) in Step::ALL.into_iter().zip(item.boundaries) {
            let leaves = item
                .delta
                .minutes
                .iter()
                .any(|(minute, _)| has_left(step, minute, boundary));
            if leaves && !stored.lefts.iter().any(|(of, _)| *of == step) {
                addresses.push_with(Table::Counters, item.key.slot().number(), |out| {
                    row_key(item.key, CounterRow::Left { life, step, writer }, out);
                });
                owners.push((index, step));
            }
        }
    }
    store.get(&addresses, &mut |at, row| {
        let Some((index, step)) = owners.get(at) else {
            return Ok(());
        };
        let left = Left::decode(row.position, row.value)?;
        if let Some(stored) = stored.get_mut(*index) {
            stored.lefts.push((*step, left));
        }
        Ok(())
    })
}

/// Whether an add at this minute no longer has a window: its chunk lies before the boundary.
pub(crate) fn has_left(step: Step, minute: Minute, boundary: Minute) -> bool {
    step.chunk_start(step.place(minute).0) < boundary
}

/// The chunks that a counter's round adds to, each once.
fn chunks(item: &Item<'_>) -> Vec<(Step, Chunk)> {
    let mut chunks = Vec::new();
    for (step, boundary) in Step::ALL.into_iter().zip(item.boundaries) {
        if item.policy.history.keep(step) == Keep::Off {
            continue;
        }
        for (minute, _) in item.delta.minutes.iter() {
            let chunk = step.place(minute).0;
            if !has_left(step, minute, boundary)
                && chunks.last() != Some(&(step, chunk))
                && !chunks.contains(&(step, chunk))
            {
                chunks.push((step, chunk));
            }
        }
    }
    chunks
}

pub(super) fn build_history(
    item: &Item<'_>,
    stored: &mut Stored,
    cut: Cut,
    life: u64,
    rows: &mut Batch,
) -> Result<(), tally_counter::Beyond> {
    let slot = item.key.slot().number();
    for (step, boundary) in Step::ALL.into_iter().zip(item.boundaries) {
        if item.policy.history.keep(step) == Keep::Off {
            continue;
        }
        let mut left_amount = None;
        let mut changed: Vec<Chunk> = Vec::new();
        for (minute, amount) in item.delta.minutes.iter() {
            let (chunk, place) = step.place(minute);
            if has_left(step, minute, boundary) {
                if planted!(LeftForgotten) {
                    continue;
                }
                left_amount = Some(left_amount.unwrap_or(0_i128).saturating_add(amount));
                continue;
            }
            let index = place_of(stored, step, chunk);
            let Some((.., window)) = stored.windows.get_mut(index) else {
                continue;
            };
            if window.position > cut.at {
                return Err(tally_counter::Beyond {
                    stored: window.position,
                    cut: cut.at,
                });
            }
            let fresh = changed.contains(&chunk);
            if window.position == cut.at && !fresh {
                continue;
            }
            let overflow = tally_counter::Beyond {
                stored: window.position,
                cut: cut.at,
            };
            window.add(place, amount).ok_or(overflow)?;
            window.position = cut.at;
            if !fresh {
                changed.push(chunk);
            }
        }
        for chunk in changed {
            let row = CounterRow::Window {
                life,
                step,
                chunk,
                writer: cut.writer,
            };
            let index = place_of(stored, step, chunk);
            let Some((.., window)) = stored.windows.get(index) else {
                continue;
            };
            rows.push_with(
                Table::Windows,
                slot,
                cut.at.number(),
                |out| row_key(item.key, row, out),
                |out| window.encode(step, out),
            );
        }
        if let Some(amount) = left_amount {
            build_left(item, stored, cut, (life, step), amount, rows);
        }
    }
    Ok(())
}

fn build_left(
    item: &Item<'_>,
    stored: &mut Stored,
    cut: Cut,
    (life, step): (u64, Step),
    amount: i128,
    rows: &mut Batch,
) {
    let old = stored.lefts.iter().find(|(of, _)| *of == step).map(|(_, left)| *left);
    if old.is_some_and(|left| left.position >= cut.at) {
        return;
    }
    // Windows between an older boundary and the newest are still rows of their own: only a sweep takes them in and moves it.
    let kept = old.map_or(Minute(0), |left| left.boundary);
    let left = Left {
        position: cut.at,
        boundary: kept,
        amount: old.map_or(0, |left| left.amount).saturating_add(amount),
    };
    let row = CounterRow::Left {
        life,
        step,
        writer: cut.writer,
    };
    rows.push_with(
        Table::Counters,
        item.key.slot().number(),
        cut.at.number(),
        |out| row_key(item.key, row, out),
        |out| left.encode(out),
    );
    stored.lefts.retain(|(of, _)| *of != step);
    stored.lefts.push((step, left));
}

/// The place of a chunk among what is stored; an empty one where there is none.
fn place_of(stored: &mut Stored, step: Step, chunk: Chunk) -> usize {
    let found = stored
        .windows
        .iter()
        .position(|(of, at, _)| (*of, *at) == (step, chunk));
    found.unwrap_or_else(|| {
        stored.windows.push((step, chunk, Window::new(Position::ZERO)));
        stored.windows.len().saturating_sub(1)
    })
}
