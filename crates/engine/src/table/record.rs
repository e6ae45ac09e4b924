//! A counter's bytes in a page: sixteen of fields, then its name. A hole, where a counter was, has the same first word, so that a
//! page can be walked from its start to its end.

/// The fields before the name.
pub(super) const HEADER_BYTES: usize = 16;
/// Records begin at multiples of this; it is the unit that ids count.
pub(super) const UNIT_BYTES: usize = 4;

const LENGTH_BITS: u32 = 11;
const LENGTH: u32 = (1 << LENGTH_BITS) - 1;
const NAMESPACE_BITS: u32 = 14;
const NAMESPACE: u32 = (1 << NAMESPACE_BITS) - 1;
const LOADED: u32 = 1 << 25;
const EXISTS: u32 = 1 << 26;
const REFERENCED: u32 = 1 << 27;
const HEADED: u32 = 1 << 28;
const STORED: u32 = 1 << 29;
const ROUND_SHIFT: u32 = 30;
/// Of a hole: it waits in the list of gaps.
const QUEUED: u32 = 1 << 31;

/// A value that does not fit the field stands in the table's side map; this one says so.
const ELSEWHERE: i64 = i64::MIN;

/// The fields of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    word: u32,
    /// Where its amounts of the newest round stand that touched it.
    pub(super) link: u32,
    value: i64,
}

/// What begins at a place of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Record(Fields),
    /// So many units, and whether they wait in the list of gaps.
    Hole(usize, bool),
}

impl Fields {
    /// Of a counter of which nothing is known yet.
    pub(super) fn new(name_bytes: usize, namespace: u16, link: u32) -> Self {
        let length = u32::try_from(name_bytes).unwrap_or(LENGTH) & LENGTH;
        Self {
            word: length | (u32::from(namespace) & NAMESPACE) << LENGTH_BITS | REFERENCED,
            link,
            value: 0,
        }
    }

    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let word = u128::from(self.word) | u128::from(self.link) << 32;
        (word | u128::from(self.value.cast_unsigned()) << 64).to_le_bytes()
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "takes the parts of 128 bits out one by one"
    )]
    pub(super) fn decode(bytes: [u8; HEADER_BYTES]) -> Self {
        let all = u128::from_le_bytes(bytes);
        Self {
            word: all as u32,
            link: (all >> 32) as u32,
            value: ((all >> 64) as u64).cast_signed(),
        }
    }

    pub(super) fn name_bytes(self) -> usize {
        usize::try_from(self.word & LENGTH).unwrap_or(0)
    }

    pub(super) fn namespace(self) -> u16 {
        u16::try_from(self.word >> LENGTH_BITS & NAMESPACE).unwrap_or(0)
    }

    pub(super) fn set_namespace(&mut self, namespace: u16) {
        self.word = self.word & !(NAMESPACE << LENGTH_BITS) | (u32::from(namespace) & NAMESPACE) << LENGTH_BITS;
    }

    /// The value; `None`: it stands elsewhere.
    pub(super) fn value(self) -> Option<i64> {
        (self.value != ELSEWHERE).then_some(self.value)
    }

    /// Sets the value; `None`: it stands elsewhere.
    pub(super) fn set_value(&mut self, value: Option<i64>) {
        self.value = value.unwrap_or(ELSEWHERE);
    }

    pub(super) fn loaded(self) -> bool {
        self.word & LOADED != 0
    }

    pub(super) fn exists(self) -> bool {
        self.word & EXISTS != 0
    }

    pub(super) fn referenced(self) -> bool {
        self.word & REFERENCED != 0
    }

    pub(super) fn headed(self) -> bool {
        self.word & HEADED != 0
    }

    pub(super) fn stored(self) -> bool {
        self.word & STORED != 0
    }

    pub(super) fn set_loaded(&mut self, on: bool) {
        self.set(LOADED, on);
    }

    pub(super) fn set_exists(&mut self, on: bool) {
        self.set(EXISTS, on);
    }

    pub(super) fn set_referenced(&mut self, on: bool) {
        self.set(REFERENCED, on);
    }

    pub(super) fn set_headed(&mut self, on: bool) {
        self.set(HEADED, on);
    }

    pub(super) fn set_stored(&mut self, on: bool) {
        self.set(STORED, on);
    }

    fn set(&mut self, flag: u32, on: bool) {
        self.word = if on { self.word | flag } else { self.word & !flag };
    }

    /// The last two bits of the round that touched it last.
    pub(super) fn round(self) -> u32 {
        self.word >> ROUND_SHIFT
    }

    pub(super) fn set_round(&mut self, round: u32) {
        self.word = self.word & !(3 << ROUND_SHIFT) | (round & 3) << ROUND_SHIFT;
    }

    /// How many units it takes with its name.
    pub(super) fn units(self) -> usize {
        units(self.name_bytes())
    }
}

/// How many units a record with a name of this length takes.
pub(super) fn units(name_bytes: usize) -> usize {
    HEADER_BYTES.saturating_add(name_bytes).div_ceil(UNIT_BYTES)
}

/// The first word of a hole.
pub(super) fn hole(units: usize, queued: bool) -> [u8; 4] {
    let units = u32::try_from(units).unwrap_or(0) << LENGTH_BITS;
    (units | if queued { QUEUED } else { 0 }).to_le_bytes()
}

/// What begins here.
pub(super) fn find(bytes: &[u8]) -> Option<Found> {
    let word = u32::from_le_bytes(*bytes.first_chunk()?);
    if word & LENGTH == 0 {
        let units = (word & !QUEUED) >> LENGTH_BITS;
        return Some(Found::Hole(usize::try_from(units).ok()?, word & QUEUED != 0));
    }
    Some(Found::Record(Fields::decode(*bytes.first_chunk()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_their_bytes_and_do_not_touch_each_other() {
        let mut fields = Fields::new(1_024, 9_999, u32::MAX);
        fields.set_value(Some(-5));
        fields.set_round(7);
        fields.set_loaded(true);
        fields.set_stored(true);
        let read = Fields::decode(fields.encode());
        assert_eq!(read, fields);
        assert_eq!((read.name_bytes(), read.namespace(), read.round()), (1_024, 9_999, 3));
        assert_eq!((read.loaded(), read.exists(), read.referenced()), (true, false, true));
        assert_eq!(read.value(), Some(-5));
        fields.set_value(None);
        assert_eq!(Fields::decode(fields.encode()).value(), None);
        assert_eq!(find(&hole(16_384, true)), Some(Found::Hole(16_384, true)));
        assert_eq!(find(&fields.encode()), Some(Found::Record(fields)));
    }
}
