//! Latencies by class: percentiles for reading, whole distributions for drawing.

use flash_core::stats;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::code::Class;

/// Latencies by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latencies {
    /// Accepted purchases.
    pub wins: Latency,
    /// Sold-out answers.
    pub sold_out: Latency,
    /// Other refusals.
    pub refusals: Latency,
    /// Errors.
    pub errors: Latency,
}

impl Latencies {
    pub(crate) fn of(histograms: &[Histogram<u64>; 4]) -> Self {
        let of = |class: Class| Latency::of(&histograms[class as usize]);
        Self {
            wins: of(Class::Win),
            sold_out: of(Class::SoldOut),
            refusals: of(Class::Refusal),
            errors: of(Class::Error),
        }
    }
}

/// One latency distribution, exact to three digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Number of samples; without any, all figures are 0.
    pub count: u64,
    /// Mean.
    pub mean_us: u64,
    /// Median.
    pub p50_us: u64,
    /// 95th percentile.
    pub p95_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// 99.9th percentile.
    pub p999_us: u64,
    /// Slowest.
    pub max_us: u64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of bounded durations")]
        let mean_us = histogram.mean().round() as u64;
        Self {
            count: histogram.len(),
            mean_us,
            p50_us: at(0.5),
            p95_us: at(0.95),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
        }
    }
}

/// Whole distributions by class, in buckets that are at most 6.25 % wide: small enough for a report, good enough for a chart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Distributions {
    /// Accepted purchases.
    pub wins: stats::Histogram,
    /// Sold-out answers.
    pub sold_out: stats::Histogram,
    /// Other refusals.
    pub refusals: stats::Histogram,
    /// Errors.
    pub errors: stats::Histogram,
}

impl Distributions {
    pub(crate) fn of(histograms: &[Histogram<u64>; 4]) -> Self {
        let of = |class: Class| coarse(&histograms[class as usize]);
        Self {
            wins: of(Class::Win),
            sold_out: of(Class::SoldOut),
            refusals: of(Class::Refusal),
            errors: of(Class::Error),
        }
    }
}

/// The same distribution in the buckets that daemon and terminal use.
fn coarse(histogram: &Histogram<u64>) -> stats::Histogram {
    let mut counts = vec![0_u64; stats::BUCKETS];
    let mut sum_us = 0_u64;
    for value in histogram.iter_recorded() {
        let (us, count) = (value.value_iterated_to(), value.count_at_value());
        counts[stats::bucket_of(us)] += count;
        sum_us = sum_us.saturating_add(us.saturating_mul(count));
    }
    stats::Histogram::of(counts, sum_us)
}
