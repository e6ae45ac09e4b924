//! Drift of history: what decides where rows disagree, and that any disagreement ends in rows that agree.

use std::collections::BTreeMap;

use tally_counter::{Cell, Chunk, CounterRow, Key, Left, Minute, Policy, Position, Step, Window, WriterNumber};

use super::super::Check;
use super::super::drift::{Log, Terms, find};
use super::super::mend::{changes, mended};
use super::super::rows::{CounterRows, WriterRows};
use super::bench::{BEGIN_MS, Bench, assert_found, fill, get, numbers};
use super::damage::{OWN, change_cell, damage_row};

#[test]
fn what_nothing_else_says_goes_by_the_cell_and_is_noted_as_left() {
    let bench = Bench::new();
    let engine = bench.open();
    fill(&engine);
    drop(engine);
    change_cell(bench.store.as_ref(), "plain", OWN, |cell| {
        cell.total += 50;
        cell.counted += 50;
    });
    let engine = bench.open();
    let pass = engine.verify(true).unwrap();
    assert_found(&pass, "a cell", Check::History, "plain");
    assert_eq!(pass.mended(), 1);
    assert_eq!(
        (engine.verify(false).unwrap().found(), get(&engine, "plain")),
        (0, Some(950))
    );
    let explained = engine.explain(Key::new(b"plain").unwrap()).unwrap();
    for (step, left, windows, _) in explained.history {
        assert_eq!((left, windows), (50, 900), "{step:?}");
    }
}

#[test]
fn what_cannot_be_known_is_said_and_left_alone() {
    let bench = Bench::new();
    let engine = bench.open();
    fill(&engine);
    drop(engine);
    let row = CounterRow::Cell {
        life: 0,
        writer: WriterNumber(1),
    };
    damage_row(bench.store.as_ref(), "reset", row, |_, _| None);
    let engine = bench.open();
    let pass = engine.verify(true).unwrap();
    assert_found(&pass, "a cell behind a SET", Check::History, "reset");
    assert_eq!(pass.mended(), 0);
    assert!(pass.drifts[0].detail.contains("cannot be mended"), "{pass:?}");
}

/// Any damage to cell, windows and left of a writer is mended into rows that agree, and that are written whole.
#[test]
fn any_damage_to_history_is_mended_into_rows_that_agree() {
    let policy = Policy::default();
    let writer = WriterNumber(3);
    let log = Log {
        applied: Position::new(100).unwrap(),
        pending: None,
        unsealed: true,
        elsewhere: false,
    };
    let logs = BTreeMap::from([(writer, log)]);
    let mut next = numbers(7);
    for case in 0..20_000 {
        let begin = Minute::of_ms(BEGIN_MS).unwrap().0;
        let boundaries = [Minute(0), Minute(0), Minute(0)].map(|_: Minute| {
            Minute(if next(2) == 0 {
                0
            } else {
                begin + u32::try_from(next(3) * 1_440).unwrap()
            })
        });
        let boundaries = [boundaries[0].0 / 60 * 60, boundaries[1].0 / 1_440 * 1_440, 0].map(Minute);
        let terms = Terms {
            policy: &policy,
            boundaries,
            logs: &logs,
            may_be_new: false,
        };
        let (rows, n) = random_rows(&mut next, begin, boundaries);
        let good = counter_of(writer, rows.clone(), n);
        assert_eq!(find(&good, &terms), [], "case {case}");
        let mut bad = rows.clone();
        for _ in 0..=next(3) {
            spoil(&mut bad, &mut next);
        }
        let after = mended(&bad, n, &terms);
        let again = terms.misplaced(writer, &bad);
        let mut written = bad.clone();
        for (row, value) in changes(&bad, &after, &again, (0, writer, log.applied)) {
            store_in(&mut written, row, log.applied.number(), &value.encoded());
        }
        assert_eq!(
            find(&counter_of(writer, written, n), &terms),
            [],
            "case {case}: {rows:?}\n{bad:?}"
        );
    }
}

fn counter_of(writer: WriterNumber, rows: WriterRows, n: u64) -> CounterRows {
    let head = tally_counter::Head {
        generation: tally_counter::Generation {
            revision: n,
            life: 0,
            n,
        },
        ..tally_counter::Head::default()
    };
    CounterRows {
        head: Some(head),
        writers: BTreeMap::from([(writer, rows)]),
        unheard: Vec::new(),
        read: 0,
    }
}

fn random_rows(next: &mut impl FnMut(u64) -> u64, begin: u32, boundaries: [Minute; 3]) -> (WriterRows, u64) {
    let position = Position::new(50).unwrap();
    let n = next(2);
    let mut rows = WriterRows::default();
    let mut counted = 0;
    let mut windows: [BTreeMap<Chunk, Window>; 3] = Default::default();
    for _ in 0..=next(12) {
        let minute = Minute(begin + u32::try_from(next(4 * 1_440)).unwrap());
        let amount = i128::from(next(20)) - 4;
        counted += amount;
        for (at, step) in Step::ALL.into_iter().enumerate() {
            let (chunk, place) = step.place(minute);
            if step.chunk_start(chunk) < boundaries[at] {
                let left = rows.lefts[at].get_or_insert(Left {
                    position,
                    boundary: Minute(0),
                    amount: 0,
                });
                left.amount += amount;
            } else {
                windows[at]
                    .entry(chunk)
                    .or_insert_with(|| Window::new(position))
                    .add(place, amount)
                    .unwrap();
            }
        }
    }
    let total = if n == 0 { counted } else { i128::from(next(50)) };
    rows.cell = Some(Cell {
        position,
        n,
        total,
        counted,
    });
    rows.windows = windows;
    (rows, n)
}

fn spoil(rows: &mut WriterRows, next: &mut impl FnMut(u64) -> u64) {
    let at = usize::try_from(next(3)).unwrap();
    let amount = i128::from(next(9)) + 1;
    match next(5) {
        0 => rows.cell.as_mut().unwrap().total += amount,
        1 => rows.cell.as_mut().unwrap().counted -= amount,
        2 => {
            let left = rows.lefts[at].get_or_insert(Left {
                position: Position::ZERO,
                boundary: Minute(0),
                amount: 0,
            });
            left.amount += amount;
        }
        3 => drop(rows.windows[at].pop_first()),
        _ => {
            let step = Step::ALL[at];
            if let Some(mut entry) = rows.windows[at].last_entry() {
                let place = u8::try_from(next(u64::from(step.chunk_windows().min(28)))).unwrap();
                entry.get_mut().add(place, amount).unwrap();
            }
        }
    }
}

fn store_in(rows: &mut WriterRows, row: CounterRow, position: u64, value: &[u8]) {
    match row {
        CounterRow::Head => unreachable!(),
        CounterRow::Cell { .. } => rows.cell = Some(Cell::decode(position, value).unwrap()),
        CounterRow::Left { step, .. } => {
            rows.lefts[usize::from(step.code())] = Some(Left::decode(position, value).unwrap());
        }
        CounterRow::Window { step, chunk, .. } => {
            rows.windows[usize::from(step.code())].insert(chunk, Window::decode(position, value, step).unwrap());
        }
    }
}
