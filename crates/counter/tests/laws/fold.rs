//! The fold of a writer's log: however it is cut into rounds, wherever a SET, DEL or EXPIRE falls, and when rounds break off
//! and are repeated over the rows that already stand at the cut, the same value, counted and windows are left, and at every
//! cut they are those of a plain account of the log up to there.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tally_counter::{Cell, Chunk, Delta, Generation, Head, Minute, Position, Step, Window, WriterNumber, sum};

use crate::values::{amount, cases};

const WRITER: WriterNumber = WriterNumber(7);

#[derive(Clone, Debug)]
enum Op {
    Add { amount: i64, minute: Minute },
    Set { base: i64 },
    Del,
    Expire { at_ms: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    // Two hours over midnight at a month's end, so that the windows of every step and chunk are met.
    let minute = (43_140..43_260_u32).prop_map(|minute| Minute(minute + 1_440));
    prop_oneof![
        8 => (amount(), minute).prop_map(|(amount, minute)| Op::Add { amount, minute }),
        1 => amount().prop_map(|base| Op::Set { base }),
        1 => Just(Op::Del),
        1 => any::<u64>().prop_map(|at_ms| Op::Expire { at_ms }),
    ]
}

/// What a reader of the log with a pencil comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Account {
    value: i128,
    counted: i128,
    minutes: BTreeMap<Minute, i128>,
    exists: bool,
}

impl Account {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Add { amount, minute } => {
                self.value += i128::from(*amount);
                self.counted += i128::from(*amount);
                *self.minutes.entry(*minute).or_default() += i128::from(*amount);
                self.exists = true;
            }
            Op::Set { base } => {
                self.value = (*base).into();
                self.exists = true;
            }
            Op::Del => *self = Self::default(),
            Op::Expire { .. } => {}
        }
    }

    fn windows(&self, step: Step) -> BTreeMap<Minute, i128> {
        let mut windows = BTreeMap::<_, i128>::new();
        for (minute, amount) in &self.minutes {
            let (chunk, within) = step.place(*minute);
            *windows.entry(step.window_start(chunk, within)).or_default() += amount;
        }
        windows
    }
}

/// The log as a journal holds it: each reset with its whole head and the generation it found in force. Both must come from
/// the log: a stored head may be that of a later entry of the round that is being repeated.
fn log(ops: &[Op]) -> Vec<(Op, Option<(Generation, Head)>)> {
    let mut head = Head::default();
    let mut entries = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        let before = head.generation;
        let mut next = head.clone();
        match op {
            Op::Add { .. } => {
                entries.push((op.clone(), None));
                continue;
            }
            Op::Set { base } => {
                next = Head {
                    generation: before.next_n(),
                    base: *base,
                    created: true,
                    expires_ms: None,
                    ..next
                };
                next.see(WRITER, place(at));
            }
            Op::Del => {
                next = Head {
                    generation: before.next_life(),
                    base: 0,
                    created: false,
                    expires_ms: None,
                    ..next
                };
                next.see(WRITER, place(at));
            }
            Op::Expire { at_ms } => {
                next = Head {
                    generation: before.next_revision(),
                    expires_ms: Some(*at_ms),
                    ..next
                }
            }
        }
        head = next;
        entries.push((op.clone(), Some((before, head.clone()))));
    }
    entries
}

/// After `entries` entries of the log.
fn place(entries: usize) -> Position {
    Position::new(u64::try_from(entries).expect("a short log")).expect("below 2^50")
}

#[derive(Clone, Debug, Default)]
struct Rows {
    head: Head,
    cells: BTreeMap<u64, Cell>,
    windows: BTreeMap<(u64, Step, Chunk), Window>,
}

impl Rows {
    /// One attempt at a round over `entries`, cut at `cut`. `reaches` says of each row whether it is written before the
    /// attempt breaks off; the head goes first (rule 11).
    fn round(
        &mut self,
        entries: &[(Op, Option<(Generation, Head)>)],
        cut: Position,
        mut reaches: impl FnMut() -> bool,
    ) {
        let mut delta = Delta::default();
        for (op, reset) in entries {
            match (op, reset) {
                (Op::Add { amount, minute }, _) => delta.add((*amount).into(), Some(*minute)),
                (_, Some((before, head))) => assert!(delta.reset(*before, head.clone()), "a next generation wins"),
                (_, None) => unreachable!("every reset has a head"),
            }
        }
        if let Some(head) = &delta.head {
            if !reaches() {
                return;
            }
            self.head = self.head.clone().merge((**head).clone());
        }
        let generation = self.head.generation;
        let life = generation.life;
        let cell = delta
            .next_cell(self.cells.get(&life), generation, cut)
            .expect("one history, within 128 bits");
        let mut windows = BTreeMap::new();
        for (minute, amount) in delta.minutes.iter() {
            for step in Step::ALL {
                let (chunk, within) = step.place(minute);
                let stored = self.windows.get(&(life, step, chunk));
                if stored.is_some_and(|window| window.position == cut) {
                    continue;
                }
                let next = windows.entry((life, step, chunk)).or_insert_with(|| {
                    let mut next = stored.cloned().unwrap_or_else(|| Window::new(cut));
                    next.position = cut;
                    next
                });
                next.add(within, amount).expect("within 128 bits");
            }
        }
        if let Some(cell) = cell.filter(|_| reaches()) {
            self.cells.insert(life, cell);
        }
        self.windows.extend(windows.into_iter().filter(|_| reaches()));
    }

    fn agrees_with(&self, account: &Account) -> Result<(), TestCaseError> {
        let life = self.head.generation.life;
        let cell = self.cells.get(&life);
        let numbered = cell.iter().map(|cell| (WRITER, *cell));
        prop_assert_eq!(
            sum(self.head.base.into(), self.head.generation, numbered),
            Some(account.value),
            "value"
        );
        prop_assert_eq!(cell.map_or(0, |cell| cell.counted), account.counted, "counted");
        prop_assert_eq!(self.head.created || cell.is_some(), account.exists, "exists");
        for step in Step::ALL {
            let mut windows = BTreeMap::new();
            let mut sum = 0_i128;
            for ((_, _, chunk), window) in self.windows.iter().filter(|((l, s, _), _)| (*l, *s) == (life, step)) {
                sum += window.sum().expect("within 128 bits");
                windows.extend(
                    window
                        .amounts()
                        .map(|(within, amount)| (step.window_start(*chunk, within), amount)),
                );
            }
            prop_assert_eq!(sum, account.counted, "counted equals the sum of the windows");
            prop_assert_eq!(windows, account.windows(step), "{:?}", step);
        }
        Ok(())
    }
}

/// Folds the log, cut after every entry whose bit in `cuts` is set and at its end. Each round breaks off as often as
/// `broken` has bit patterns for it and is then repeated whole.
fn fold(ops: &[Op], cuts: &[bool], broken: &[Vec<u32>]) -> Result<Rows, TestCaseError> {
    let entries = log(ops);
    let mut rows = Rows::default();
    let mut account = Account::default();
    let mut from = 0;
    for (at, op) in ops.iter().enumerate() {
        account.apply(op);
        let end = at + 1;
        if end < ops.len() && !cuts.get(at).copied().unwrap_or(false) {
            continue;
        }
        let round = entries.get(from..end).unwrap_or_default();
        for pattern in broken.get(at).into_iter().flatten() {
            let mut bits = *pattern;
            rows.round(round, place(end), || {
                bits = bits.rotate_right(1);
                bits & 1 == 1
            });
        }
        rows.round(round, place(end), || true);
        rows.agrees_with(&account)?;
        let whole = format!("{rows:?}");
        rows.round(round, place(end), || true);
        prop_assert_eq!(format!("{:?}", rows), whole, "a whole round, repeated, changes nothing");
        from = end;
    }
    Ok(rows)
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn the_cuts_do_not_matter(
        ops in vec(op(), 1..30),
        cuts in vec(prop::bool::weighted(0.3), 30),
        broken in vec(vec(any::<u32>(), 0..3), 30),
    ) {
        let one_round = fold(&ops, &[], &[])?;
        let many = fold(&ops, &cuts, &broken)?;
        let each = fold(&ops, &[true; 30], &broken)?;
        for rows in [many, each] {
            prop_assert_eq!(&rows.head, &one_round.head);
            let life = rows.head.generation.life;
            let counted = |rows: &Rows| rows.cells.get(&life).map(|cell| cell.counted);
            prop_assert_eq!(counted(&rows), counted(&one_round));
        }
    }
}

#[test]
fn an_older_head_ends_nothing() {
    let mut delta = Delta::default();
    delta.add(5, Some(Minute(1)));
    let before = Generation::default().next_n().next_n();
    let head = Head {
        generation: Generation::default().next_n(),
        ..Head::default()
    };
    let kept = delta.clone();
    assert!(!delta.reset(before, head.clone()));
    assert!(!delta.reset(head.generation, head), "nor does the same one again");
    assert_eq!(delta, kept);
}
