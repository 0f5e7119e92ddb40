//! Counting durations while they happen: the histogram's buckets as atomics. Two relaxed additions per duration, no lock and
//! no allocation, so it may be called on every path; reading is for whoever watches.

use super::histogram::{BUCKETS, Histogram, bucket_of};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Durations counted by many at once; about 3 KB.
pub struct Timings {
    counts: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Default for Timings {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BUCKETS], sum_us: AtomicU64::new(0) }
    }
}

impl Timings {
    /// Counts one duration, in whole microseconds.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get(bucket_of(us)) {
            count.fetch_add(1, Relaxed);
        }
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// What was counted so far. The buckets are read one by one: each is true, together they may be a moment apart.
    #[must_use]
    pub fn read(&self) -> Histogram {
        Histogram::of(self.counts.iter().map(|count| count.load(Relaxed)), self.sum_us.load(Relaxed))
    }
}

impl fmt::Debug for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_observed_is_read() {
        let timings = Timings::default();
        for us in [0, 15, 16, 1_000, 1_000] {
            timings.observe(Duration::from_micros(us));
        }
        timings.observe(Duration::from_secs(1_000));
        let read = timings.read();
        assert_eq!((read.count(), read.sum_us), (6, 1_000_002_031));
        assert_eq!(read.buckets().map(|(_, count)| count).collect::<Vec<_>>(), [1, 1, 1, 2, 1]);
        assert_eq!(read.buckets().last().map(|(bucket, _)| bucket), Some(BUCKETS - 1), "too long for any other");
    }
}
