//! What the own writer has stored for counters that change round after round, so that their rows are not read again each time.
//! Encoded, in two generations: when the younger one is full, the older one is dropped and they change places. Guards that it takes
//! no more memory than it may, and that what it has is taken out before it may become old.

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use tally_counter::{Cell, Chunk, Corrupt, Head, Left, Reader, Step, Window, put_bytes, put_varint};

use super::Stored;

/// The cache.
pub(super) struct Cache {
    young: Generation,
    old: Generation,
    hasher: FixedState,
    /// What one generation may take.
    limit_bytes: usize,
}

/// Entries one after the other: a name and what is stored, each behind its length.
#[derive(Default)]
struct Generation {
    index: HashTable<u32>,
    bytes: Vec<u8>,
}

impl Cache {
    pub(super) fn new(limit_bytes: usize, hasher: FixedState) -> Self {
        Self {
            young: Generation::default(),
            old: Generation::default(),
            hasher,
            limit_bytes: limit_bytes / 2,
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.young = Generation::default();
        self.old = Generation::default();
    }

    /// Takes out what is stored for a counter; `None` where it is not known.
    pub(super) fn take(&mut self, key: &str) -> Option<Stored> {
        let hash = self.hasher.hash_one(key.as_bytes());
        let generations = [&mut self.young, &mut self.old];
        let found = generations
            .into_iter()
            .find_map(|generation| generation.take(hash, key));
        found.and_then(Result::ok)
    }

    /// Remembers what is stored for a counter that is not in the cache.
    pub(super) fn put(&mut self, key: &str, stored: &Stored) {
        let hasher = &self.hasher;
        self.young.put(hasher.hash_one(key.as_bytes()), key, stored, hasher);
        if self.young.size_bytes() > self.limit_bytes {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

impl Generation {
    fn size_bytes(&self) -> usize {
        self.bytes.len().saturating_add(self.index.capacity().saturating_mul(5))
    }

    fn take(&mut self, hash: u64, key: &str) -> Option<Result<Stored, Corrupt>> {
        let bytes = &self.bytes;
        let is = |at: &u32| entry(bytes, *at).is_ok_and(|(name, _)| name == key.as_bytes());
        let (at, _) = self.index.find_entry(hash, is).ok()?.remove();
        Some(entry(bytes, at).and_then(|(_, stored)| decode(stored)))
    }

    fn put(&mut self, hash: u64, key: &str, stored: &Stored, hasher: &FixedState) {
        let Ok(at) = u32::try_from(self.bytes.len()) else {
            return;
        };
        put_bytes(&mut self.bytes, key.as_bytes());
        encode(stored, &mut self.bytes);
        let bytes = &self.bytes;
        self.index.insert_unique(hash, at, |other| {
            entry(bytes, *other).map_or(0, |(name, _)| hasher.hash_one(name))
        });
    }
}

/// The name of an entry, and what follows it.
fn entry(bytes: &[u8], at: u32) -> Result<(&[u8], Reader<'_>), Corrupt> {
    let from = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
    let mut reader = Reader::new("cached rows", from.unwrap_or_default());
    Ok((reader.bytes()?, reader))
}

fn encode(stored: &Stored, out: &mut Vec<u8>) {
    let mut value = Vec::new();
    let mut part = |out: &mut Vec<u8>, write: &dyn Fn(&mut Vec<u8>)| {
        value.clear();
        write(&mut value);
        put_bytes(out, &value);
    };
    part(out, &|value| {
        if let Some(head) = &stored.head {
            head.encode(value);
        }
    });
    part(out, &|value| {
        if let Some(cell) = &stored.cell {
            put_varint(value, cell.position.number().into());
            cell.encode(value);
        }
    });
    put_varint(out, stored.windows.len() as u128);
    for (step, chunk, window) in &stored.windows {
        out.push(step.code());
        put_varint(out, chunk.0.into());
        put_varint(out, window.position.number().into());
        part(out, &|value| window.encode(*step, value));
    }
    put_varint(out, stored.lefts.len() as u128);
    for (step, left) in &stored.lefts {
        out.push(step.code());
        put_varint(out, left.position.number().into());
        part(out, &|value| left.encode(value));
    }
}

fn decode(mut reader: Reader<'_>) -> Result<Stored, Corrupt> {
    let some = |bytes: &[u8]| !bytes.is_empty();
    let head = Some(reader.bytes()?)
        .filter(|bytes| some(bytes))
        .map(Head::decode)
        .transpose()?;
    let cell = Some(reader.bytes()?)
        .filter(|bytes| some(bytes))
        .map(cell)
        .transpose()?;
    let mut stored = Stored {
        head,
        cell,
        ..Stored::default()
    };
    for _ in 0..reader.varint::<usize>()? {
        let step = step(&mut reader)?;
        let chunk = Chunk(reader.varint()?);
        let window = Window::decode(reader.varint()?, reader.bytes()?, step)?;
        stored.windows.push((step, chunk, window));
    }
    for _ in 0..reader.varint::<usize>()? {
        let step = step(&mut reader)?;
        let left = Left::decode(reader.varint()?, reader.bytes()?)?;
        stored.lefts.push((step, left));
    }
    Ok(stored)
}

/// A cell behind its position, which a row of the store has beside its value.
fn cell(bytes: &[u8]) -> Result<Cell, Corrupt> {
    let mut reader = Reader::new("cached cell", bytes);
    let position = reader.varint()?;
    Cell::decode(position, reader.take(reader.remaining())?)
}

fn step(reader: &mut Reader<'_>) -> Result<Step, Corrupt> {
    Step::from_code(reader.byte()?).ok_or_else(|| reader.corrupt())
}

#[cfg(test)]
mod tests {
    use tally_counter::{Minute, Position};

    use super::*;

    fn cache(limit_bytes: usize) -> Cache {
        Cache::new(limit_bytes, FixedState::with_seed(1))
    }

    fn stored(number: u32) -> Stored {
        let position = Position::new(u64::from(number) + 1).unwrap();
        let mut window = Window::new(position);
        window.add(3, i128::from(number)).unwrap();
        let cell = Cell {
            position,
            n: 2,
            total: i128::from(number) - 50,
            counted: 5,
        };
        let left = Left {
            position,
            boundary: Minute(7),
            amount: -1,
        };
        Stored {
            head: number.is_multiple_of(2).then(Head::default),
            cell: (!number.is_multiple_of(3)).then_some(cell),
            windows: vec![(Step::Hour, Chunk(number), window)],
            lefts: vec![(Step::Day, left)],
        }
    }

    #[test]
    fn what_is_put_is_taken_once_and_as_it_was() {
        let mut cache = cache(1 << 20);
        for number in 0..1_000 {
            cache.put(&format!("counter:{number}"), &stored(number));
        }
        for number in 0..1_000 {
            let key = format!("counter:{number}");
            assert_eq!(cache.take(&key), Some(stored(number)));
            assert_eq!(cache.take(&key), None);
        }
    }

    #[test]
    fn it_takes_no_more_than_it_may() {
        let mut cache = cache(100_000);
        for number in 0..20_000 {
            cache.put(&format!("counter:{number}"), &stored(number));
            let taken = cache.young.size_bytes() + cache.old.size_bytes();
            assert!(taken < 110_000, "{taken} bytes");
        }
        assert_eq!(cache.take("counter:19999"), Some(stored(19_999)));
        assert_eq!(cache.take("counter:1"), None);
    }
}
