//! Changes inputs at random, by a seed: for the short run, which knows no coverage. The same seed makes the same inputs.

/// Numbers that lengths and counts break at, as they are typed and as they are stored.
const TEXTS: [&[u8]; 12] = [
    b"0",
    b"-1",
    b"65536",
    b"2147483648",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"1e400",
    b"\r\n",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\x00",
];
/// The largest input.
const LONGEST: usize = 4_096;

/// Makes inputs out of others.
#[derive(Debug)]
pub struct Mutator(u64);

impl Mutator {
    /// By this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let mixed = usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap_or(0);
        mixed.checked_rem(end).unwrap_or(0)
    }

    /// Another input, from one of the corpus and a second one.
    pub fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let pick = self.below(corpus.len());
        let mut input = corpus.get(pick).cloned().unwrap_or_default();
        let other = self.below(corpus.len());
        let other = corpus.get(other).map(Vec::as_slice).unwrap_or_default();
        for _ in 0..=self.below(6) {
            self.change(&mut input, other);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len().saturating_add(1));
        let byte = u8::try_from(self.below(256)).unwrap_or(0);
        match self.below(7) {
            0 => {
                if let Some(place) = input.get_mut(at) {
                    *place ^= 1 << (byte & 7);
                }
            }
            1 => {
                if let Some(place) = input.get_mut(at) {
                    *place = byte;
                }
            }
            2 => input.insert(at, byte),
            3 => drop(input.drain(at..at.saturating_add(self.below(8)).min(input.len()))),
            4 => {
                let text = self.below(TEXTS.len());
                input.splice(at..at, TEXTS.get(text).copied().unwrap_or_default().iter().copied());
            }
            5 => input.truncate(at),
            _ => {
                let from = self.below(other.len().saturating_add(1));
                let more = other.get(from..).unwrap_or_default();
                let to = at.saturating_add(more.len()).min(input.len());
                input.splice(at..to, more.iter().copied());
            }
        }
    }
}
