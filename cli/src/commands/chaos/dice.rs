//! Chance from a seed: splitmix64, written here so that a seed means the same schedule for ever.

use std::ops::RangeInclusive;

/// A stream of numbers that only its seed decides.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent stream for `who`.
    pub(super) fn fork(seed: u64, who: u64) -> Self {
        let mut dice = Self(seed ^ who.wrapping_mul(0xD134_2543_DE82_EF95));
        Self(dice.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// One of the range, all equally likely (but for a bias of less than 2^-30).
    pub(super) fn range(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = (*range.start(), *range.end());
        low + self.next() % (high.saturating_sub(low) + 1)
    }

    /// Yes in so many of a hundred cases.
    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.range(0..=99) < chance
    }

    /// One of them; they must not be empty.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.next() % from.len() as u64).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn a_seed_is_a_sequence() {
        let roll = |seed| (0..4).scan(Dice::new(seed), |dice, _: u64| Some(dice.range(1..=6))).collect::<Vec<_>>();
        assert_eq!(roll(1), roll(1));
        assert_ne!(roll(1), roll(2));
        assert!((0..1_000).all(|seed| (3..=5).contains(&Dice::new(seed).range(3..=5))));
    }
}
