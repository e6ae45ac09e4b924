//! Bytes: what is written is read back as it was; a byte less or more is an error; arbitrary bytes never panic, and what is
//! read out of them can be written and read again. Row keys sort as their rows do.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use tally_counter::{
    Cell, Corrupt, CounterRow, Figures, Head, History, Keep, Key, Left, MAX_KEY_BYTES, Policy, Position, Reader, Step,
    Window, WriterRow, counter_prefix, put_bytes, put_signed, put_varint, row_key,
};

use crate::values::{
    cases, cell, count, counter_row, figures, head, left, policy, position, step, wide, window, writer_row,
};

/// Round trip, and neither less nor more.
fn round<T: PartialEq + Debug>(
    value: &T,
    bytes: &[u8],
    rubbish: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Corrupt>,
) -> Result<(), TestCaseError> {
    let read = decode(bytes);
    prop_assert_eq!(read.as_ref(), Ok(value));
    for length in 0..bytes.len() {
        prop_assert!(
            decode(bytes.get(..length).unwrap_or_default()).is_err(),
            "{} of {} bytes",
            length,
            bytes.len()
        );
    }
    prop_assert!(decode(&[bytes, rubbish].concat()).is_err(), "trailing rubbish");
    Ok(())
}

/// Never a panic; and whatever is accepted is a value that can be stored.
fn survive<T: PartialEq + Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Corrupt>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Result<(), TestCaseError> {
    if let Ok(value) = decode(bytes) {
        prop_assert_eq!(decode(&encode(&value)), Ok(value));
    }
    Ok(())
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

fn rubbish() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..4)
}

/// Bytes that are nearly something: short numbers, with full bytes among them.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        vec(prop_oneof![4 => 0..5_u8, 1 => any::<u8>(), 1 => Just(0xff)], 0..40)
    ]
}

/// One of many valid values' bytes with one of them changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let valid = prop_oneof![
        cell().prop_map(|cell| written(|out| cell.encode(out))),
        head().prop_map(|head| head.encoded()),
        step().prop_flat_map(|step| window(step).prop_map(move |window| window.encoded(step))),
        left().prop_map(|left| written(|out| left.encode(out))),
        (figures(), position()).prop_map(|(figures, position)| figures.encoded(position)),
        writer_row().prop_map(|row| row.encoded()),
        policy().prop_map(|policy| policy.encoded()),
        ("[a-z:]{1,9}", counter_row()).prop_map(|(key, row)| written(|out| row_key(key_of(&key), row, out))),
    ];
    (valid, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
        if let Some(place) = bytes.get_mut(at.index(1_000) % 40) {
            *place = byte;
        }
        bytes
    })
}

fn key_of(text: &str) -> Key<'_> {
    Key::new(text.as_bytes()).expect("a valid key")
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn values_come_back(
        cell in cell(), head in head(), left in left(), row in writer_row(), policy in policy(), rubbish in rubbish(),
    ) {
        round(&cell, &written(|out| cell.encode(out)), &rubbish, |bytes| Cell::decode(cell.position.number(), bytes))?;
        round(&head, &head.encoded(), &rubbish, Head::decode)?;
        round(&left, &written(|out| left.encode(out)), &rubbish, |bytes| Left::decode(left.position.number(), bytes))?;
        round(&row, &row.encoded(), &rubbish, WriterRow::decode)?;
        round(&policy, &policy.encoded(), &rubbish, |bytes| Policy::decode("req", bytes))?;
    }

    /// At one position the later boundary holds more, and is what every back end keeps.
    #[test]
    fn what_left_sorts_by_its_boundary(one in left(), other in left()) {
        let bytes = |left: Left| written(|out| left.encode(out));
        if one.boundary != other.boundary {
            prop_assert_eq!(bytes(one) < bytes(other), one.boundary < other.boundary);
        }
    }

    /// At one position the cell of the later SET is what every back end keeps, however many SETs there were.
    #[test]
    fn cells_sort_by_their_set(one in cell(), other in cell(), n in 0..600_u64, more in 1..600_u64) {
        let bytes = |cell: Cell| written(|out| cell.encode(out));
        let (one, other) = (Cell { n, ..one }, Cell { n: n + more, ..other });
        prop_assert!(bytes(one) < bytes(other));
    }

    #[test]
    fn figures_come_back(figures in figures(), position in position(), rubbish in rubbish()) {
        let pair: (Position, Figures) = (position, figures);
        round(&pair, &pair.1.encoded(position), &rubbish, Figures::decode)?;
    }

    #[test]
    fn windows_come_back((step, window) in step().prop_flat_map(|step| (Just(step), window(step))), rubbish in rubbish()) {
        round(&window, &window.encoded(step), &rubbish, |bytes| Window::decode(window.position.number(), bytes, step))?;
    }

    #[test]
    fn numbers_come_back(signed in wide(), count in count(), bytes in nearly()) {
        let out = written(|out| {
            put_signed(out, signed);
            put_varint(out, count.into());
            put_varint(out, signed.unsigned_abs());
            put_bytes(out, &bytes);
        });
        let mut reader = Reader::new("test", &out);
        prop_assert_eq!(reader.signed(), Ok(signed));
        prop_assert_eq!(reader.varint(), Ok(count));
        prop_assert_eq!(reader.wide(), Ok(signed.unsigned_abs()));
        prop_assert_eq!(reader.bytes(), Ok(bytes.as_slice()));
        prop_assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop_oneof![nearly(), damaged()]) {
        survive(&bytes, |bytes| Cell::decode(9, bytes), |cell| written(|out| cell.encode(out)))?;
        survive(&bytes, Head::decode, Head::encoded)?;
        survive(&bytes, |bytes| Left::decode(9, bytes), |left| written(|out| left.encode(out)))?;
        survive(&bytes, WriterRow::decode, WriterRow::encoded)?;
        survive(&bytes, |bytes| Policy::decode("req", bytes), Policy::encoded)?;
        survive(&bytes, Figures::decode, |(position, figures)| figures.encoded(*position))?;
        for step in Step::ALL {
            survive(&bytes, |bytes| Window::decode(9, bytes, step), |window| window.encoded(step))?;
        }
        if let Ok((key, row)) = CounterRow::decode(&bytes) {
            let again = written(|out| row_key(key, row, out));
            prop_assert_eq!(CounterRow::decode(&again), Ok((key, row)));
        }
    }

    #[test]
    fn rows_come_back(key in "[a-z:/é{}]{1,40}", row in counter_row(), rubbish in rubbish()) {
        let bytes = written(|out| row_key(key_of(&key), row, out));
        round(&(key_of(&key), row), &bytes, &rubbish, |bytes| {
            // The key borrows from the bytes: compared by its own text.
            let (found, row) = CounterRow::decode(bytes)?;
            assert_eq!(found.as_str(), key);
            Ok((key_of(&key), row))
        })?;
    }

    /// Head first, then by life and writer: the bytes sort as the rows do, and each row is one place.
    #[test]
    fn rows_sort(key in "[a-z:]{1,9}", a in counter_row(), b in counter_row()) {
        let bytes = |row| written(|out| row_key(key_of(&key), row, out));
        prop_assert_eq!(bytes(a).cmp(&bytes(b)), a.cmp(&b), "{:?} {:?}", a, b);
    }

    /// A scan by prefix finds the windows of that life and step, and nothing else.
    #[test]
    fn windows_are_found_by_prefix(life in count(), step in step(), row in counter_row()) {
        let prefix = written(|out| CounterRow::window_prefix(life, step, out));
        let found = written(|out| row.encode(out)).starts_with(&prefix);
        let wanted = matches!(row, CounterRow::Window { life: l, step: s, .. } if (l, s) == (life, step));
        prop_assert_eq!(found, wanted);
    }

    /// No counter's rows stand among another's.
    #[test]
    fn counters_keep_apart(a in "[ab:]{1,4}", b in "[ab:]{1,4}", row in counter_row()) {
        prop_assume!(a != b);
        let prefix = written(|out| counter_prefix(key_of(&a), out));
        prop_assert!(!written(|out| row_key(key_of(&b), row, out)).starts_with(&prefix));
    }

    #[test]
    fn keys_are_text_of_1_to_1024_bytes(bytes in prop_oneof![nearly(), vec(Just(b'k'), 1_020..1_030)]) {
        let valid = std::str::from_utf8(&bytes).is_ok() && (1..=MAX_KEY_BYTES).contains(&bytes.len());
        prop_assert_eq!(Key::new(&bytes).is_ok(), valid);
    }
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    let mut too_wide = vec![0xff; 18];
    too_wide.push(0x04);
    assert!(Reader::new("test", &too_wide).wide().is_err(), "2^128");
    assert!(Reader::new("test", &[0xff; 40]).wide().is_err(), "without an end");
    let bytes = written(|out| put_varint(out, u128::from(u64::MAX) + 1));
    assert!(Reader::new("test", &bytes).varint::<u64>().is_err());
    let bytes = written(|out| put_varint(out, u128::MAX));
    assert!(
        Reader::new("test", &bytes).bytes().is_err(),
        "a length beyond the memory"
    );
    assert!(Cell::decode(1 << 50, &[0, 0, 0]).is_err(), "a position beyond 2^50");
}

/// One is added to what may be absent; the largest number had no room for it.
#[test]
fn the_largest_of_what_may_be_absent_comes_back() {
    let head = Head {
        expires_ms: Some(u64::MAX),
        ..Head::default()
    };
    assert_eq!(Head::decode(&head.encoded()), Ok(head));
    let history = History {
        minutes: Keep::Minutes(u32::MAX),
        hours: Keep::Minutes(0),
        days: Keep::Off,
    };
    let policy = Policy {
        history,
        lateness_ms: Some(u64::MAX),
        ..Policy::default()
    };
    assert_eq!(Policy::decode("req", &policy.encoded()), Ok(policy));
}

/// What no writer wrote is refused: windows that the chunk does not have, or that stand twice or out of order.
#[test]
fn windows_that_cannot_be_are_refused() {
    let listed = |windows: &[u8]| {
        let amounts = vec![1; windows.len()];
        let form = u8::try_from(windows.len() << 2).expect("few windows");
        Window::decode(9, &[&[form], windows, &amounts].concat(), Step::Hour).is_ok()
    };
    assert!(listed(&[0, 22, 23]));
    assert!(!listed(&[24]), "a day has 24 hours");
    assert!(!listed(&[3, 3]));
    assert!(!listed(&[4, 3]));
    assert!(
        Window::decode(9, &[1, 0, 0, 0, 0x80, 1], Step::Day).is_err(),
        "day 31, counted from 0"
    );
}

/// A day of hours with small counts: a map of three bytes and a byte an hour, not a list.
#[test]
fn full_chunks_are_small() {
    let mut window = Window::new(Position::ZERO);
    for hour in 0..24 {
        assert_eq!(window.add(hour, 100), Some(()));
    }
    assert_eq!(window.encoded(Step::Hour).len(), 1 + 3 + 24);
}

#[test]
fn the_longest_key_comes_back() {
    let name = "k".repeat(MAX_KEY_BYTES);
    let bytes = written(|out| row_key(key_of(&name), CounterRow::Head, out));
    assert_eq!(CounterRow::decode(&bytes), Ok((key_of(&name), CounterRow::Head)));
}
