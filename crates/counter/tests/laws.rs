//! The laws that exactness rests on, held against random values: merges (here), folds (`laws/fold.rs`), bytes
//! (`laws/codecs.rs`). What they guard: a row written again, late, twice or in part changes nothing; what a log adds up to
//! depends on the log alone; nothing wraps; no byte is read that was not written.

#[path = "laws/codecs.rs"]
mod codecs;
#[path = "laws/fold.rs"]
mod fold;
#[path = "laws/values.rs"]
mod values;

use std::fmt::Debug;

use proptest::prelude::*;
use tally_counter::{
    Cell, Delta, Figures, Generation, Minute, Minutes, Outcome, Position, Step, Window, WriterNumber, sum,
};

use values::{amount, cases, cell, figures, head, position, step, window};

/// Idempotent, commutative, associative; and monotone: what was merged in once is never undone by merging it again.
fn hold<T: Clone + PartialEq + Debug>(a: &T, b: &T, c: &T, merge: impl Fn(T, T) -> T) -> Result<(), TestCaseError> {
    let merge = |x: &T, y: &T| merge(x.clone(), y.clone());
    prop_assert_eq!(&merge(a, a), a, "idempotent");
    prop_assert_eq!(merge(a, b), merge(b, a), "commutative");
    prop_assert_eq!(merge(&merge(a, b), c), merge(a, &merge(b, c)), "associative");
    let both = merge(a, b);
    prop_assert_eq!(&merge(&both, a), &both, "monotone");
    prop_assert_eq!(&merge(b, &both), &both, "monotone");
    prop_assert!(
        &both == a || &both == b,
        "a merge takes one of the two, it makes nothing up"
    );
    Ok(())
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn cells_merge(a in cell(), b in cell(), c in cell()) {
        hold(&a, &b, &c, Cell::merge)?;
        prop_assert_eq!(a.merge(b).position, a.position.max(b.position), "the larger position wins");
    }

    #[test]
    fn heads_merge(a in head(), b in head(), c in head()) {
        hold(&a, &b, &c, tally_counter::Head::merge)?;
        prop_assert_eq!(a.clone().merge(b.clone()).generation, a.generation.max(b.generation));
    }

    #[test]
    fn windows_merge((step, a, b, c) in step().prop_flat_map(|step| (Just(step), window(step), window(step), window(step)))) {
        hold(&a, &b, &c, |x, y| x.merge(y, step))?;
        prop_assert_eq!(a.clone().merge(b.clone(), step).position, a.position.max(b.position));
    }

    /// At one position the larger bytes win, which is what a store that only sees bytes does.
    #[test]
    fn ties_fall_as_in_a_store_of_bytes(a in cell(), b in cell(), position in position()) {
        let bytes = |cell: Cell| {
            let mut bytes = Vec::new();
            cell.encode(&mut bytes);
            bytes
        };
        let (a, b) = (Cell { position, ..a }, Cell { position, ..b });
        prop_assert_eq!(bytes(a.merge(b)), bytes(a).max(bytes(b)));
    }

    /// Any order, any repeats: the same row is left.
    #[test]
    fn cells_that_arrive_in_any_order(cells in proptest::collection::vec(cell(), 1..8), order in any::<u64>()) {
        let merged = cells.iter().copied().reduce(Cell::merge);
        let mut seed = order;
        let mut shuffled = [cells.clone(), cells].concat();
        shuffled.sort_by_cached_key(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 17
        });
        prop_assert_eq!(shuffled.into_iter().reduce(Cell::merge), merged);
    }

    /// Base plus the totals of the head's SET; other SETs' totals are not summed; past 128 bits there is no value.
    #[test]
    fn a_value_is_the_sum_or_none(base in any::<i64>(), n in 0..2_u64, cells in proptest::collection::vec(cell(), 0..6)) {
        let wide = cells.iter().filter(|cell| cell.n == n).map(|cell| cell.total);
        let expected = wide.clone().try_fold(i128::from(base), i128::checked_add);
        let generation = Generation { n, ..Generation::default() };
        let numbered = cells.iter().zip(1..).map(|(cell, number)| (WriterNumber(number), cell));
        prop_assert_eq!(sum(base.into(), generation, numbered), expected);
    }

    #[test]
    fn minutes_are_summed_one_by_one(adds in proptest::collection::vec((0..6_u32, amount()), 0..40)) {
        let mut minutes = Minutes::default();
        let mut expected = std::collections::BTreeMap::<_, i128>::new();
        for (minute, amount) in adds {
            minutes.add(Minute(minute), amount.into());
            *expected.entry(Minute(minute)).or_default() += i128::from(amount);
        }
        prop_assert_eq!(minutes.is_empty(), expected.is_empty());
        let mut listed: Vec<_> = minutes.iter().collect();
        listed.sort_unstable();
        prop_assert_eq!(listed, expected.into_iter().collect::<Vec<_>>(), "each minute once, with its sum");
    }

    /// `received = counted + duplicate + late + rejected + ignored`, whatever is absorbed in which order.
    #[test]
    fn the_ledger_adds_up(a in figures(), b in figures(), c in figures()) {
        let absorb = |x: &Figures, y: &Figures| { let mut sum = x.clone(); sum.absorb(y); sum };
        let left = absorb(&absorb(&a, &b), &c);
        let right = absorb(&a, &absorb(&b, &c));
        for outcome in Outcome::ALL {
            prop_assert_eq!(left.of(outcome), right.of(outcome));
            prop_assert_eq!(left.of(outcome), a.of(outcome) + b.of(outcome) + c.of(outcome));
        }
        prop_assert_eq!(left.received(), Outcome::ALL.into_iter().map(|outcome| left.of(outcome)).sum::<u64>());
        let reasons: u64 = left.reasons.values().map(|reason| reason.count).sum();
        prop_assert_eq!(reasons, left.of(Outcome::Rejected), "every rejected one has a reason");
        prop_assert!(left.reasons.len() <= Figures::MAX_REASONS);
    }

    /// The window of a minute begins at or before it and is where the minute is put; coarse ones hold whole fine ones.
    #[test]
    fn places_are_inverted(minute in 0..u32::try_from(tally_counter::MAX_TIME_MS / 60_000).expect("minutes fit"), step in step()) {
        let (chunk, within) = step.place(Minute(minute));
        prop_assert!(within < step.chunk_windows());
        let start = step.window_start(chunk, within);
        prop_assert_eq!(start.0, minute - minute % step.minutes());
        prop_assert_eq!(step.place(start), (chunk, within));
        prop_assert_eq!(step.place(step.chunk_start(chunk)), (chunk, 0));
        let last = Minute(start.0 + (step.minutes() - 1));
        prop_assert_eq!(step.place(last), (chunk, within));
        prop_assert_eq!(Minute::of_ms(Minute(minute).start_ms() + 59_999), Some(Minute(minute)));
    }
}

#[test]
fn sums_past_128_bits_are_errors() {
    let at = |number| Position::new(number).expect("a small position");
    let mut up = Delta::default();
    up.add(1, None);
    let mut down = Delta::default();
    down.add(-1, None);
    for (total, counted) in [(i128::MAX, 0), (0, i128::MAX), (i128::MAX, i128::MAX)] {
        let full = Cell {
            position: at(1),
            n: 0,
            total,
            counted,
        };
        assert!(up.next_cell(Some(&full), Generation::default(), at(2)).is_err());
        assert!(down.next_cell(Some(&full), Generation::default(), at(2)).is_ok());
        let empty = Cell {
            total: total.wrapping_neg().wrapping_sub(1),
            counted: counted.wrapping_neg().wrapping_sub(1),
            ..full
        };
        assert!(down.next_cell(Some(&empty), Generation::default(), at(2)).is_err());
    }
    let cell = Cell {
        position: at(1),
        n: 0,
        total: 1,
        counted: 1,
    };
    assert_eq!(sum(i128::MAX, Generation::default(), [(WriterNumber(1), &cell)]), None);

    let mut window = Window::new(at(1));
    assert_eq!(window.add(3, i128::MAX), Some(()));
    let before = window.clone();
    assert_eq!(window.add(3, 1), None);
    assert_eq!(window, before, "a refused add changes nothing");
    assert_eq!(window.add(4, 1), Some(()));
    assert_eq!(window.sum(), None);
    assert_eq!(
        Window::decode(1, &window.encoded(Step::Minute), Step::Minute),
        Ok(window)
    );
}

#[test]
fn values_beyond_64_bits_keep_every_digit() {
    let mut delta = Delta::default();
    for _ in 0..1_000 {
        delta.add(i64::MAX.into(), Some(Minute(7)));
    }
    assert_eq!(delta.total, i128::from(i64::MAX) * 1_000);
    assert_eq!(
        delta.minutes.iter().collect::<Vec<_>>(),
        [(Minute(7), i128::from(i64::MAX) * 1_000)]
    );
    for _ in 0..2_000 {
        delta.add(i64::MIN.into(), Some(Minute(7)));
    }
    assert_eq!(
        delta.counted,
        i128::from(i64::MAX) * 1_000 + i128::from(i64::MIN) * 2_000
    );
}

#[test]
fn a_cell_beyond_the_cut_is_another_history() {
    let at = |number| Position::new(number).expect("a small position");
    let mut delta = Delta::default();
    delta.add(1, None);
    let stored = Cell {
        position: at(9),
        n: 0,
        total: 4,
        counted: 4,
    };
    assert!(delta.next_cell(Some(&stored), Generation::default(), at(8)).is_err());
    assert_eq!(
        delta.next_cell(Some(&stored), Generation::default(), at(9)),
        Ok(None),
        "it stands at the cut already"
    );
    assert_eq!(
        delta.next_cell(Some(&stored), Generation::default(), at(10)),
        Ok(Some(Cell {
            position: at(10),
            n: 0,
            total: 5,
            counted: 5
        }))
    );
}
