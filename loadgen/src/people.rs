//! Who of a recorded trace has come.
//!
//! Owns a mark for each person, so that one who comes many times is one user. Schedules without a trace need none: there everybody
//! comes once by plan.

/// Marks for people counted from 0: a bit each, 2.5 MB for the longest trace.
#[derive(Debug, Default)]
pub(crate) struct People(Vec<u64>);

impl People {
    /// Marks somebody.
    pub(crate) fn came(&mut self, person: u64) {
        let word = usize::try_from(person / 64).unwrap_or(usize::MAX);
        if word >= self.0.len() {
            // Bounded: people are numbered without gaps, and a trace has at most so many arrivals.
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (person % 64);
    }

    /// Adds those who came to another thread; the same person may have come to both.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// How many different people came.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_again_is_no_other() {
        let (mut one, mut other) = (People::default(), People::default());
        [0, 63, 64, 0, 63].into_iter().for_each(|person| one.came(person));
        [64, 1_000].into_iter().for_each(|person| other.came(person));
        assert_eq!((one.count(), other.count(), People::default().count()), (3, 2, 0));
        one.merge(&other);
        assert_eq!(one.count(), 4);
        other.merge(&one);
        assert_eq!(other.count(), 4);
    }
}
