//! The conservation figures (promise 1, rule 24): for a source in events, for a namespace in adds,
//! `received = counted + duplicate + late + rejected + ignored`. A ledger row is a cell: absolute, by writer, with a position.

use std::collections::BTreeMap;

use crate::{Corrupt, Position, Reader, put_bytes, put_varint};

/// What became of an event or add that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It is in the totals.
    Counted,
    /// Its token or position had been counted before.
    Duplicate,
    /// Older than the policy's lateness.
    Late,
    /// It could not be understood or may not be counted.
    Rejected,
    /// No rule matched.
    Ignored,
}

impl Outcome {
    /// All, in the order of the ledger.
    pub const ALL: [Self; 5] = [
        Self::Counted,
        Self::Duplicate,
        Self::Late,
        Self::Rejected,
        Self::Ignored,
    ];

    /// The word for people, and for metrics' labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Rejected => "rejected",
            Self::Ignored => "ignored",
        }
    }

    /// The byte for it in logs.
    pub fn code(self) -> u8 {
        match self {
            Self::Counted => 0,
            Self::Duplicate => 1,
            Self::Late => 2,
            Self::Rejected => 3,
            Self::Ignored => 4,
        }
    }

    /// The outcome with this byte.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
}

/// How often events were rejected for one reason, and which was the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// How many.
    pub count: u64,
    /// Names the newest: its id, or its place in the file.
    pub last: String,
}

/// The figures of one subject: a source or a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    counts: [u64; 5],
    /// Why some were rejected. At most [`Figures::MAX_REASONS`]; further ones count as `other`.
    pub reasons: BTreeMap<String, Reason>,
}

impl Figures {
    /// How many different reasons a subject keeps apart.
    pub const MAX_REASONS: usize = 32;
    const OTHER: &'static str = "other";

    /// How many had this outcome.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.counts.get(usize::from(outcome.code())).copied().unwrap_or(0)
    }

    /// All that were received.
    pub fn received(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Whether nothing was received.
    pub fn is_empty(&self) -> bool {
        self.received() == 0
    }

    /// `count` more had this outcome.
    pub fn note(&mut self, outcome: Outcome, count: u64) {
        if let Some(figure) = self.counts.get_mut(usize::from(outcome.code())) {
            *figure = figure.saturating_add(count);
        }
    }

    /// One was rejected for `reason`; `which` names it.
    pub fn reject(&mut self, reason: &str, which: &str) {
        self.note(Outcome::Rejected, 1);
        self.reason(reason, 1, which);
    }

    fn reason(&mut self, reason: &str, count: u64, last: &str) {
        let known = self.reasons.contains_key(reason) || self.reasons.len() < Self::MAX_REASONS.saturating_sub(1);
        let entry = self
            .reasons
            .entry(if known { reason } else { Self::OTHER }.to_owned())
            .or_default();
        entry.count = entry.count.saturating_add(count);
        last.clone_into(&mut entry.last);
    }

    /// Adds the figures of a later stretch of the log, or of another writer.
    pub fn absorb(&mut self, later: &Self) {
        for outcome in Outcome::ALL {
            self.note(outcome, later.of(outcome));
        }
        for (reason, entry) in &later.reasons {
            self.reason(reason, entry.count, &entry.last);
        }
    }

    /// The row's value.
    pub fn encoded(&self, position: Position) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, position.number().into());
        self.encode(&mut out);
        out
    }

    /// The figures alone.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for count in self.counts {
            put_varint(out, count.into());
        }
        put_varint(out, self.reasons.len() as u128);
        for (reason, entry) in &self.reasons {
            put_bytes(out, reason.as_bytes());
            put_varint(out, entry.count.into());
            put_bytes(out, entry.last.as_bytes());
        }
    }

    /// Reads a row's value.
    pub fn decode(bytes: &[u8]) -> Result<(Position, Self), Corrupt> {
        let mut reader = Reader::new("ledger row", bytes);
        let position = Position::new(reader.varint()?).map_err(|_| reader.corrupt())?;
        let figures = Self::read(&mut reader)?;
        reader.end()?;
        Ok((position, figures))
    }

    /// Reads figures out of a longer value.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let mut figures = Self::default();
        for count in &mut figures.counts {
            *count = reader.varint()?;
        }
        let reasons: usize = reader.varint()?;
        for _ in 0..reasons {
            let reason = reader.text()?.to_owned();
            let count = reader.varint()?;
            let last = reader.text()?.to_owned();
            figures.reasons.insert(reason, Reason { count, last });
        }
        Ok(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both are kept for good: codes in logs and rows, words in what people's dashboards ask for.
    #[test]
    fn outcomes_keep_their_codes_and_words() {
        let words = ["counted", "duplicate", "late", "rejected", "ignored"];
        for (code, (outcome, word)) in (0..).zip(Outcome::ALL.into_iter().zip(words)) {
            assert_eq!((outcome.code(), outcome.word()), (code, word));
            assert_eq!(Outcome::from_code(code), Some(outcome));
        }
        assert_eq!(Outcome::from_code(5), None);
    }
}
