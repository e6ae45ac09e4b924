//! What one writer's rows of a counter are to be. Pure. What is believed, in this order (decision on repair):
//!
//! 1. The cell, for what was counted; where its own two figures differ, the one that every step of history confirms, else the total.
//!    A cell that is gone is made anew only where every step of history says the same and no SET divides the life.
//! 2. A step of history that adds up to what was counted, for one that does not: coarse windows are summed from fine ones; a fine
//!    step is set right in the first window of the coarse one that it contradicts.
//! 3. Between two steps that both add up, the finer one.
//! 4. What no window explains is what left: its time is lost, the sum is not.

use std::collections::BTreeMap;

use tally_counter::{Cell, CounterRow, Left, Minute, Position, Step, Window, WriterNumber};

use super::drift::Terms;
use super::rows::{WriterRows, at};

/// A row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mended {
    Cell(Cell),
    Left(Left),
    Window(Step, Window),
}

/// What a writer's rows are to be; `n`: the SET that its counter's head says.
pub(super) fn mended(rows: &WriterRows, n: u64, terms: &Terms<'_>) -> WriterRows {
    let mut rows = rows.clone();
    mend_cell(&mut rows, n, terms);
    if let Some(cell) = rows.cell {
        mend_history(&mut rows, cell.counted, terms);
    }
    rows
}

fn mend_cell(rows: &mut WriterRows, n: u64, terms: &Terms<'_>) {
    let mut sums: Vec<i128> = terms.steps().map(|step| rows.sum(step)).collect();
    sums.dedup();
    let agreed = match sums.as_slice() {
        [one] => Some(*one),
        _ => None,
    };
    match &mut rows.cell {
        Some(cell) if cell.n == 0 && cell.total != cell.counted => {
            if agreed == Some(cell.counted) {
                cell.total = cell.counted;
            } else {
                cell.counted = cell.total;
            }
        }
        None if n == 0 && !rows.places.is_empty() => {
            rows.cell = agreed.map(|counted| Cell {
                position: Position::ZERO,
                n,
                total: counted,
                counted,
            });
        }
        _ => {}
    }
}

fn mend_history(rows: &mut WriterRows, counted: i128, terms: &Terms<'_>) {
    let pairs = terms.pairs();
    // From coarse to fine: a step that does not add up, by the coarser one that does.
    for (fine, coarse) in pairs.iter().rev() {
        if rows.sum(*fine) != counted && rows.sum(*coarse) == counted {
            let mut amounts = rows.amounts(*fine);
            for (start, (sum, says)) in terms.compared(rows, *fine, *coarse) {
                if sum != says {
                    let amount = amounts.entry(start).or_default();
                    *amount = amount.saturating_add(says.saturating_sub(sum));
                }
            }
            set_amounts(rows, *fine, &amounts);
            settle(rows, *fine, counted);
        }
    }
    if let Some(finest) = terms.steps().next() {
        settle(rows, finest, counted);
    }
    // From fine to coarse: by now the finer one adds up.
    for (fine, coarse) in pairs {
        let mut amounts = rows.amounts(coarse);
        for (start, (sum, says)) in terms.compared(rows, fine, coarse) {
            if sum != says {
                amounts.insert(start, sum);
            }
        }
        set_amounts(rows, coarse, &amounts);
        settle(rows, coarse, counted);
    }
}

/// What no window explains has left.
fn settle(rows: &mut WriterRows, step: Step, counted: i128) {
    let missing = counted.saturating_sub(rows.sum(step));
    if missing == 0 {
        return;
    }
    if let Some(place) = rows.lefts.get_mut(at(step)) {
        let left = place.get_or_insert(Left {
            position: Position::ZERO,
            boundary: Minute(0),
            amount: 0,
        });
        left.amount = left.amount.saturating_add(missing);
    }
}

/// Makes the windows of a step what `amounts` says, in chunks as they are packed; those that `left` has taken in stay.
fn set_amounts(rows: &mut WriterRows, step: Step, amounts: &BTreeMap<Minute, i128>) {
    let boundary = rows.left(step).map_or(Minute(0), |left| left.boundary);
    let Some(windows) = rows.windows.get_mut(at(step)) else {
        return;
    };
    let mut anew = BTreeMap::new();
    for (start, amount) in amounts {
        let (chunk, place) = step.place(*start);
        let window: &mut Window = anew.entry(chunk).or_insert_with(|| Window::new(Position::ZERO));
        if window.add(place, *amount).is_none() {
            // Out of reach: each window of a new chunk is set once.
            return;
        }
    }
    // A chunk of which nothing is left stays, empty: a row is never taken away here.
    for (chunk, window) in windows
        .iter_mut()
        .filter(|(chunk, _)| step.chunk_start(**chunk) >= boundary)
    {
        let position = window.position;
        let mut new = anew.remove(chunk).unwrap_or_else(|| Window::new(position));
        new.position = position;
        *window = new;
    }
    windows.extend(anew);
}

/// The rows that are to be written so that `before` becomes `after`, and those in `again` as they are, all at `position`.
pub(super) fn changes(
    before: &WriterRows,
    after: &WriterRows,
    again: &[CounterRow],
    (life, writer, position): (u64, WriterNumber, Position),
) -> Vec<(CounterRow, Mended)> {
    let mut changes = Vec::new();
    let row = CounterRow::Cell { life, writer };
    if let Some(cell) = after
        .cell
        .filter(|cell| before.cell != Some(*cell) || again.contains(&row))
    {
        changes.push((row, Mended::Cell(Cell { position, ..cell })));
    }
    for step in Step::ALL {
        let row = CounterRow::Left { life, step, writer };
        if let Some(left) = after
            .left(step)
            .filter(|left| before.left(step) != Some(*left) || again.contains(&row))
        {
            changes.push((row, Mended::Left(Left { position, ..left })));
        }
        let old = before.windows.get(at(step));
        for (chunk, window) in after.chunks(step) {
            let row = CounterRow::Window {
                life,
                step,
                chunk: *chunk,
                writer,
            };
            if old.and_then(|old| old.get(chunk)) != Some(window) || again.contains(&row) {
                let mut window = window.clone();
                window.position = position;
                changes.push((row, Mended::Window(step, window)));
            }
        }
    }
    changes
}

impl Mended {
    /// Where the row is to stand.
    pub(super) fn position(&self) -> Position {
        match self {
            Self::Cell(cell) => cell.position,
            Self::Left(left) => left.position,
            Self::Window(_, window) => window.position,
        }
    }

    /// The row's value.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut value = Vec::new();
        match self {
            Self::Cell(cell) => cell.encode(&mut value),
            Self::Left(left) => left.encode(&mut value),
            Self::Window(step, window) => window.encode(*step, &mut value),
        }
        value
    }
}
