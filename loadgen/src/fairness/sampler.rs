//! Records for the fairness figures, bounded in memory.

use super::{Decided, Sampling};
use crate::identity::SplitMix;

/// One thread's records. The rule is in [`Sampling`].
#[derive(Debug)]
pub(crate) struct Sampler {
    records: Vec<(u64, Decided)>,
    most: usize,
    decided: u64,
    /// Records stay whose hash has this many zero bits at its end.
    zero_bits: u32,
}

impl Sampler {
    pub(crate) fn new(most: usize) -> Self {
        Self { records: Vec::new(), most: most.max(2), decided: 0, zero_bits: 0 }
    }

    /// Takes in a purchase with a clear end.
    pub(crate) fn take(&mut self, key: u64, record: Decided) {
        self.decided += 1;
        let hash = SplitMix(key).next();
        if hash.trailing_zeros() < self.zero_bits {
            return;
        }
        self.records.push((hash, record));
        while self.records.len() > self.most {
            self.thin_out(self.zero_bits + 1);
        }
    }

    fn thin_out(&mut self, zero_bits: u32) {
        self.zero_bits = zero_bits;
        self.records.retain(|(hash, _)| hash.trailing_zeros() >= zero_bits);
    }

    /// Adds another thread's records, under the stricter of both rules and without a new bound: there are few threads.
    pub(crate) fn merge(&mut self, other: Self) {
        let zero_bits = self.zero_bits.max(other.zero_bits);
        self.decided += other.decided;
        self.records.extend(other.records);
        self.thin_out(zero_bits);
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = Decided> + '_ {
        self.records.iter().map(|(_, record)| *record)
    }

    pub(crate) fn sampling(&self) -> Sampling {
        let share = 0.5_f64.powi(i32::try_from(self.zero_bits).unwrap_or(64));
        Sampling { decided: self.decided, kept: self.records.len() as u64, share }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(arrived_us: u64) -> Decided {
        Decided { arrived_us, decided_us: arrived_us + 1, sku: 0, won: arrived_us.is_multiple_of(2) }
    }

    #[test]
    fn few_are_all_kept() {
        let mut sampler = Sampler::new(100);
        (0..100).for_each(|key| sampler.take(key, record(key)));
        assert_eq!(sampler.sampling(), Sampling { decided: 100, kept: 100, share: 1.0 });
    }

    #[test]
    fn many_are_thinned_out_evenly() {
        let mut sampler = Sampler::new(10_000);
        (0..100_000).for_each(|key| sampler.take(key, record(key)));
        let Sampling { decided, kept, share } = sampler.sampling();
        assert_eq!(decided, 100_000);
        assert!(kept <= 10_000 && (kept as f64 / 100_000.0 - share).abs() < share * 0.1, "{kept} {share}");
        // Early and late, winners and losers: nobody is preferred.
        let early = sampler.records().filter(|r| r.arrived_us < 50_000).count() as f64 / kept as f64;
        let won = sampler.records().filter(|r| r.won).count() as f64 / kept as f64;
        assert!((early - 0.5).abs() < 0.05 && (won - 0.5).abs() < 0.05, "{early} {won}");
    }

    #[test]
    fn merging_keeps_the_stricter_rule() {
        let (mut full, mut small) = (Sampler::new(1_000), Sampler::new(1_000));
        (0..20_000).for_each(|key| full.take(key, record(key)));
        (20_000..20_500).for_each(|key| small.take(key, record(key)));
        let share = full.sampling().share;
        small.merge(full);
        let merged = small.sampling();
        assert!(merged.decided == 20_500 && (merged.share - share).abs() < 1e-12 && merged.kept < 1_200, "{merged:?}");
    }
}
