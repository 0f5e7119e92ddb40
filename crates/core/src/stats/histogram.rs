//! Durations counted in log-linear buckets: 16 to each power of two, so that a bucket is never wider than a sixteenth of
//! what it holds – every percentile read from it is at most 6.25 % too high, and never too low.
//!
//! Owns the buckets' arithmetic; who counts under load (atomics) and who draws both use it. Powers of two are always
//! bounds of buckets, which is what makes the coarse buckets of the metrics exact.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Buckets of a power of two.
const PER_OCTAVE: usize = 16;
/// `log2` of [`PER_OCTAVE`].
const PER_OCTAVE_BITS: u32 = 4;
/// The highest power of two that has buckets of its own: 2^26 µs, 67 s; everything longer than 134 s is in the last one.
const OCTAVE_MAX: u32 = 26;

/// Number of buckets.
pub const BUCKETS: usize = (OCTAVE_MAX - PER_OCTAVE_BITS + 2) as usize * PER_OCTAVE;

/// The bucket of a duration in microseconds.
#[must_use]
pub const fn bucket_of(us: u64) -> usize {
    if us < PER_OCTAVE as u64 {
        #[expect(clippy::cast_possible_truncation, reason = "below 16")]
        return us as usize;
    }
    let octave = us.ilog2();
    if octave > OCTAVE_MAX {
        return BUCKETS - 1;
    }
    let within = (us >> (octave - PER_OCTAVE_BITS)) & (PER_OCTAVE as u64 - 1);
    #[expect(clippy::cast_possible_truncation, reason = "below 16")]
    let within = within as usize;
    (octave - PER_OCTAVE_BITS + 1) as usize * PER_OCTAVE + within
}

/// The longest duration that belongs to a bucket, in microseconds. The last bucket has no bound and says where it begins to be
/// too coarse.
#[must_use]
pub const fn highest_us(bucket: usize) -> u64 {
    if bucket < PER_OCTAVE {
        return bucket as u64;
    }
    let bucket = if bucket >= BUCKETS { BUCKETS - 1 } else { bucket };
    let shift = (bucket / PER_OCTAVE - 1) as u64;
    let within = (bucket % PER_OCTAVE + PER_OCTAVE) as u64;
    ((within + 1) << shift) - 1
}

/// The same where the longest duration of all is known: nothing took longer, and it alone bounds the last bucket.
#[must_use]
pub const fn highest_up_to_us(bucket: usize, longest_us: u64) -> u64 {
    let highest = highest_us(bucket);
    if bucket >= BUCKETS - 1 || highest > longest_us { longest_us } else { highest }
}

/// How many durations fell into each bucket. In JSON: `{"count": …, "sumUs": …, "buckets": [[bucket, count], …]}` with the
/// empty ones left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// All durations together, in microseconds.
    pub sum_us: u64,
    /// Bucket and count, in order, none of them zero.
    counts: Vec<(usize, u64)>,
}

impl Histogram {
    /// A histogram out of one count per bucket.
    #[must_use]
    pub fn of(counts: impl IntoIterator<Item = u64>, sum_us: u64) -> Self {
        let counts = counts.into_iter().take(BUCKETS).enumerate().filter(|(_, count)| *count > 0).collect();
        Self { sum_us, counts }
    }

    /// Durations counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |all, (_, count)| all.saturating_add(*count))
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// `(bucket, count)` of the buckets that are not empty, in order.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.counts.iter().copied()
    }

    /// The duration that a share of all does not exceed, in microseconds: 0.99 for p99, 1 for the longest. Never too low, at
    /// most 6.25 % too high; `None` if nothing was counted.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank; exact up to 2^53 durations, and clamped"
    )]
    pub fn quantile_us(&self, share: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((share * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0_u64;
        self.counts.iter().find_map(|(bucket, count)| {
            seen = seen.saturating_add(*count);
            (seen >= rank).then(|| highest_us(*bucket))
        })
    }

    /// The mean in microseconds; `None` if nothing was counted.
    #[must_use]
    pub fn mean_us(&self) -> Option<u64> {
        self.sum_us.checked_div(self.count())
    }

    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Self) {
        *self = self.combine(other, u64::saturating_add);
    }

    /// What was counted after an earlier look at the same counters. If it has counted less than then, the process began anew
    /// and everything is new.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let shrunk = earlier.counts.iter().any(|(bucket, count)| self.at(*bucket) < *count);
        if shrunk { self.clone() } else { self.combine(earlier, u64::saturating_sub) }
    }

    fn at(&self, bucket: usize) -> u64 {
        self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket).map_or(0, |index| self.counts[index].1)
    }

    fn combine(&self, other: &Self, with: impl Fn(u64, u64) -> u64) -> Self {
        let mut all = vec![0; BUCKETS];
        for (bucket, count) in &self.counts {
            all[*bucket] = *count;
        }
        for (bucket, count) in &other.counts {
            all[*bucket] = with(all[*bucket], *count);
        }
        Self::of(all, with(self.sum_us, other.sum_us))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    count: u64,
    sum_us: u64,
    buckets: Vec<(usize, u64)>,
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire { count: self.count(), sum_us: self.sum_us, buckets: self.counts.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let mut all = vec![0_u64; BUCKETS];
        for (bucket, count) in wire.buckets {
            // Whatever a stranger sends, it becomes a histogram of ours.
            let bucket = bucket.min(BUCKETS - 1);
            all[bucket] = all[bucket].saturating_add(count);
        }
        Ok(Self::of(all, wire.sum_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(durations: &[u64]) -> Histogram {
        let mut counts = vec![0; BUCKETS];
        for us in durations {
            counts[bucket_of(*us)] += 1;
        }
        Histogram::of(counts, durations.iter().sum())
    }

    #[test]
    fn buckets_follow_each_other_without_gap_and_are_narrow() {
        let mut lowest = 0;
        for bucket in 0..BUCKETS {
            let highest = highest_us(bucket);
            assert!(bucket_of(lowest) == bucket && bucket_of(highest) == bucket, "{bucket}: {lowest}..={highest}");
            assert!((highest - lowest) * 16 <= highest.max(1), "bucket {bucket} is too wide");
            lowest = highest + 1;
        }
        assert_eq!((lowest, bucket_of(u64::MAX)), (1 << 27, BUCKETS - 1));
    }

    #[test]
    fn nothing_is_longer_than_the_longest() {
        let told = |us, longest_us| highest_up_to_us(bucket_of(us), longest_us);
        assert_eq!([told(1_000, 1_010), told(1_000, 5_000)], [1_010, 1_023]);
        assert_eq!([told(200_000_000, 300_000_000), told(132_000_000, 133_000_000)], [300_000_000, 133_000_000]);
    }

    #[test]
    fn powers_of_two_begin_a_bucket() {
        for power in 1..27 {
            assert_eq!(bucket_of(1 << power), bucket_of((1 << power) - 1) + 1);
        }
    }

    #[test]
    fn quantiles_are_never_too_low() {
        let durations: Vec<u64> = (1..=1_000).map(|n| n * 37).collect();
        let histogram = of(&durations);
        for (share, exact) in [(0.5, 500 * 37), (0.99, 990 * 37), (1.0, 37_000)] {
            let told = histogram.quantile_us(share).unwrap();
            assert!(told >= exact && told * 16 <= exact * 17, "{share}: {told} for {exact}");
        }
        assert_eq!(Histogram::default().quantile_us(0.5), None);
    }

    #[test]
    fn a_window_is_the_difference_unless_the_process_began_anew() {
        let (earlier, later) = (of(&[5, 70, 70]), of(&[5, 70, 70, 70, 900]));
        assert_eq!(later.since(&earlier), of(&[70, 900]));
        assert_eq!(earlier.since(&later), earlier, "a restart");
        let mut both = earlier.clone();
        both.add(&of(&[70, 900]));
        assert_eq!(both, later);
    }

    #[test]
    fn json_keeps_everything_and_believes_nothing() {
        let histogram = of(&[3, 3, 123_456]);
        let text = serde_json::to_string(&histogram).unwrap();
        assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
        let strange: Histogram =
            serde_json::from_str(r#"{"count":9,"sumUs":1,"buckets":[[99999,1],[3,18446744073709551615],[3,1]]}"#)
                .unwrap();
        assert_eq!(strange.buckets().map(|(bucket, _)| bucket).collect::<Vec<_>>(), [3, BUCKETS - 1]);
        assert_eq!((strange.count(), strange.quantile_us(1.0)), (u64::MAX, Some(3)));
    }
}
