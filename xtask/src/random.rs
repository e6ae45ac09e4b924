//! Numbers that are the same at every run: SplitMix64 (Steele, Lea, Flood 2014) with a seed of ours.

use std::time::Duration;

/// A stream of numbers, fixed by its seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`, which is far below 2^64, so that the bias does not matter.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Whether one of `times` came up.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A time from `least` up to `most`.
    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }

    /// In [0, 1).
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How often something happens that happens `mean` times on average (Poisson; Knuth's product of fractions, in
    /// parts small enough for its powers of e).
    pub(crate) fn occurrences(&mut self, mean: f64) -> u64 {
        const PART: f64 = 30.0;
        let (mut left, mut count) = (mean, 0);
        while left > 0.0 {
            let floor = (-left.min(PART)).exp();
            let mut product = self.fraction();
            while product > floor {
                count += 1;
                product *= self.fraction();
            }
            left -= PART;
        }
        count
    }
}

/// Numbers below a limit by Zipf's law with the exponent 0.99, spread so that the frequent ones are no neighbours. By inverting the
/// distribution's integral, whose error is a few hundredths at the first ranks and nothing further on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zipf {
    limit: u64,
    whole: f64,
}

impl Zipf {
    const TAIL: f64 = 0.01;

    pub(crate) fn new(limit: u64) -> Self {
        let whole = ((limit as f64 + 1.0).powf(Self::TAIL) - 1.0) / Self::TAIL;
        Self { limit, whole }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and below the limit"
    )]
    pub(crate) fn rank(self, random: &mut Random) -> u64 {
        let share = random.fraction() * self.whole * Self::TAIL;
        let rank = ((share + 1.0).powf(1.0 / Self::TAIL) - 1.0) as u64;
        rank.min(self.limit - 1).wrapping_mul(2_654_435_761) % self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let mut random = Random::seeded(0);
        assert_eq!(random.next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.next(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn occurrences_have_their_mean() {
        let mut random = Random::seeded(1);
        for mean in [0.1, 3.0, 100.0] {
            let sum: u64 = (0..2000).map(|_| random.occurrences(mean)).sum();
            let found = sum as f64 / 2000.0;
            assert!((found - mean).abs() < mean * 0.1 + 0.05, "{found} instead of {mean}");
        }
    }
}
