//! What rows hold: keys and values of counters, windows, ledger, policies and writers. What is decoded can be encoded, and decoding that
//! gives the same again.

use std::fmt::Debug;

use tally_counter::{
    Cell, Corrupt, CounterRow, Figures, Head, Left, Policy, Reader, Step, Window, WriterRow, put_bytes, put_signed,
    put_varint, row_key,
};

/// The position of the row, which stands beside its value.
const AT: u64 = 1_000_000;

/// The first byte says which value the rest is.
pub(crate) fn rows(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    match kind % 10 {
        0 => again(
            rest,
            |bytes| Cell::decode(AT, bytes),
            |cell| {
                let mut out = Vec::new();
                cell.encode(&mut out);
                out
            },
        ),
        1 => again(rest, Head::decode, Head::encoded),
        2 => again(
            rest,
            |bytes| Left::decode(AT, bytes),
            |left| {
                let mut out = Vec::new();
                left.encode(&mut out);
                out
            },
        ),
        3..=5 => {
            let step = Step::ALL.get(usize::from(kind % 10 - 3)).copied().unwrap_or(Step::Day);
            again(
                rest,
                |bytes| Window::decode(AT, bytes, step),
                |window| window.encoded(step),
            );
            if let Ok(window) = Window::decode(AT, rest, step) {
                assert!(window.amounts().all(|(place, _)| place < step.chunk_windows()));
            }
        }
        6 => again(rest, Figures::decode, |(position, figures)| figures.encoded(*position)),
        7 => again(rest, |bytes| Policy::decode("name", bytes), Policy::encoded),
        8 => again(rest, WriterRow::decode, WriterRow::encoded),
        _ => {
            if let Ok((key, row)) = CounterRow::decode(rest) {
                let mut out = Vec::new();
                row_key(key, row, &mut out);
                assert_eq!(CounterRow::decode(&out), Ok((key, row)));
            }
            codec(rest);
        }
    }
}

/// What is decoded, encoded and decoded again is the same; and what is encoded is so once and for all.
fn again<T: PartialEq + Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Corrupt>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    let Ok(value) = decode(bytes) else { return };
    let encoded = encode(&value);
    let second = decode(&encoded);
    assert_eq!(second.as_ref(), Ok(&value));
    assert!(second.is_ok_and(|second| encode(&second) == encoded));
    // A shorter value is never the same one, nor any at all: rows say where they end.
    if let Some((_, shorter)) = encoded.split_last() {
        assert_ne!(decode(shorter).ok(), Some(value));
    }
}

/// Numbers and texts one after the other.
fn codec(bytes: &[u8]) {
    let mut reader = Reader::new("fuzz", bytes);
    while reader.remaining() > 0 {
        let before = reader.remaining();
        let mut out = Vec::new();
        match before % 3 {
            0 => {
                let Ok(number) = reader.varint::<u64>() else { return };
                put_varint(&mut out, number.into());
                assert_eq!(Reader::new("again", &out).varint::<u64>(), Ok(number));
            }
            1 => {
                let Ok(number) = reader.signed() else { return };
                put_signed(&mut out, number);
                assert_eq!(Reader::new("again", &out).signed(), Ok(number));
            }
            _ => {
                let Ok(text) = reader.bytes() else { return };
                put_bytes(&mut out, text);
                assert_eq!(Reader::new("again", &out).bytes(), Ok(text));
            }
        }
        assert!(reader.remaining() < before);
    }
}
