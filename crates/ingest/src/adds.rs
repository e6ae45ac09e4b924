//! What an event adds: keys and amounts, in one buffer that is used again for the next event.

use tally_counter::MAX_KEY_BYTES;

/// Keys and amounts. Every key is valid: 1 to [`MAX_KEY_BYTES`] bytes. One key may stand here more than once, when several
/// rules count into it: the amounts of one position are summed by whoever folds them (rule 4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adds {
    keys: String,
    /// Where each key ends, and its amount.
    entries: Vec<(usize, i64)>,
}

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    Empty,
    TooLong,
}

impl Adds {
    /// The keys and amounts, in the order of the rules.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        let mut start = 0;
        self.entries.iter().map(move |(end, amount)| {
            let key = self.keys.get(start..*end).unwrap_or_default();
            start = *end;
            (key, *amount)
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets them and keeps the memory.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.entries.clear();
    }

    /// Where the next key is written, at the end of the others.
    pub(crate) fn key_buffer(&mut self) -> &mut String {
        &mut self.keys
    }

    /// Makes what was written since the last key the next one.
    pub(crate) fn finish_key(&mut self, amount: i64) -> Result<(), NoKey> {
        let start = self.entries.last().map_or(0, |(end, _)| *end);
        match self.keys.len() - start {
            0 => Err(NoKey::Empty),
            1..=MAX_KEY_BYTES => {
                self.entries.push((self.keys.len(), amount));
                Ok(())
            }
            _ => Err(NoKey::TooLong),
        }
    }
}
