//! A counter's head: which generation is counted now, what it began with, when it ends. The larger generation wins; SET, DEL
//! and expiry begin the next one and say which adds they had seen, so that no add is drained twice (rules 11 and 12).

use crate::{Corrupt, Position, Reader, WriterNumber, put_signed, put_varint};

/// Where a counter's heads stand in their order. Ordered by `revision` first: it counts every change of the head, so that one
/// 63-bit number ranks heads in every back end, however many lives a name has had (decision 0002).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation {
    /// How often the head changed: SET, DEL, expiry, EXPIRE, PERSIST.
    pub revision: u64,
    /// Which life of the name: DEL, GETDEL and expiry begin the next.
    pub life: u64,
    /// Which SET within the life.
    pub n: u64,
}

impl Generation {
    /// After a SET.
    #[must_use]
    pub fn next_n(self) -> Self {
        Self {
            n: self.n.saturating_add(1),
            ..self.next_revision()
        }
    }

    /// After a DEL or an expiry.
    #[must_use]
    pub fn next_life(self) -> Self {
        Self {
            life: self.life.saturating_add(1),
            n: 0,
            ..self.next_revision()
        }
    }

    /// After an EXPIRE or a PERSIST, which end nothing.
    #[must_use]
    pub fn next_revision(self) -> Self {
        Self {
            revision: self.revision.saturating_add(1),
            ..self
        }
    }
}

/// The head row of a counter. A counter without one is in the first generation, from zero, for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The generation that is counted now.
    pub generation: Generation,
    /// What the generation began with: SET's value, else zero.
    pub base: i64,
    /// Whether the counter exists without any add: after SET yes, after DEL no.
    pub created: bool,
    /// When it ends, Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// For each unsealed writer that counted into it, up to where its adds were in the ended value. Sorted by writer.
    pub seen: Vec<(WriterNumber, Position)>,
    /// The same as of the end of the life before: an add at or below it belongs to no part of this life. Sorted by writer.
    pub born: Vec<(WriterNumber, Position)>,
}

impl Head {
    /// The one with the larger generation; at equal ones the larger bytes, as in every back end.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let rank = |head: &Self| (head.generation, head.encoded());
        if rank(&other) > rank(&self) { other } else { self }
    }

    /// Notes that `writer`'s adds up to `position` were in the ended value; an earlier note is only raised.
    pub fn see(&mut self, writer: WriterNumber, position: Position) {
        match self.seen.binary_search_by_key(&writer, |(number, _)| *number) {
            Ok(at) => {
                if let Some((_, old)) = self.seen.get_mut(at) {
                    *old = position.max(*old);
                }
            }
            Err(at) => self.seen.insert(at, (writer, position)),
        }
    }

    /// Up to where this writer's adds belong to the ended generation; zero if it had none.
    pub fn seen_of(&self, writer: WriterNumber) -> Position {
        position_of(&self.seen, writer)
    }

    /// Up to where this writer's adds belong to a life that has ended; zero if it had none.
    pub fn born_of(&self, writer: WriterNumber) -> Position {
        position_of(&self.born, writer)
    }

    /// Whether it has ended at this time.
    pub fn expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms)
    }

    /// The row's value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Generation { revision, life, n } = self.generation;
        for part in [revision, life, n] {
            put_varint(out, part.into());
        }
        put_signed(out, self.base.into());
        out.push(u8::from(self.created));
        put_varint(out, self.expires_ms.map_or(0, |ms| u128::from(ms).saturating_add(1)));
        for list in [&self.seen, &self.born] {
            put_varint(out, list.len() as u128);
            for (writer, position) in list {
                put_varint(out, writer.0.into());
                put_varint(out, position.number().into());
            }
        }
    }

    /// The row's value, owned.
    pub fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }

    /// Reads a row's value.
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new("head", bytes);
        let head = Self::read(&mut reader)?;
        reader.end()?;
        Ok(head)
    }

    /// Reads a head out of a longer value.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let generation = Generation {
            revision: reader.varint()?,
            life: reader.varint()?,
            n: reader.varint()?,
        };
        let base = i64::try_from(reader.signed()?).map_err(|_| reader.corrupt())?;
        let created = reader.byte()? != 0;
        let expires_ms = reader.optional()?;
        let seen = positions(reader)?;
        let born = positions(reader)?;
        Ok(Self {
            generation,
            base,
            created,
            expires_ms,
            seen,
            born,
        })
    }
}

fn position_of(list: &[(WriterNumber, Position)], writer: WriterNumber) -> Position {
    list.iter()
        .find(|(number, _)| *number == writer)
        .map_or(Position::ZERO, |(_, position)| *position)
}

fn positions(reader: &mut Reader<'_>) -> Result<Vec<(WriterNumber, Position)>, Corrupt> {
    let count: usize = reader.varint()?;
    let mut list = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let writer = WriterNumber(reader.varint()?);
        let position = Position::new(reader.varint()?).map_err(|_| reader.corrupt())?;
        list.push((writer, position));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_life_begins_with_no_set_and_the_next_revision() {
        let generation = Generation {
            life: 4,
            n: 3,
            revision: 2,
        };
        let next = Generation {
            life: 5,
            n: 0,
            revision: 3,
        };
        assert_eq!(generation.next_life(), next);
    }
}
