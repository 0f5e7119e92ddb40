//! A run over time: outcomes and latencies per slice, and the stock as anybody can see it.

use serde::{Deserialize, Serialize};

/// One slice of the run, `slice_ms` long: a second, or more in runs longer than twenty minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moment {
    /// Begin of the slice, milliseconds since the start of the run.
    pub at_ms: u64,
    /// Arrivals that the schedule has in this slice; 0 in a closed loop.
    pub due: u64,
    /// Purchases begun.
    pub started: u64,
    /// Answers: purchases accepted.
    pub wins: u64,
    /// Answers: sold out.
    pub sold_out: u64,
    /// Answers: other refusals.
    pub refusals: u64,
    /// Attempts that ended without a proper answer.
    pub errors: u64,
    /// Latency, from the intended start, of the wins answered in this slice.
    pub win_latency: Spread,
    /// Latency, from the intended start, of everything answered in this slice.
    pub latency: Spread,
    /// Service time of everything answered in this slice.
    pub service: Spread,
}

/// A small distribution; never too low and at most 6.25 % too high – from 130 s on it is not told apart any more, and a percentile
/// there is the slowest. All 0 where nothing was counted: draw a gap, not a zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spread {
    /// Number of samples.
    pub count: u64,
    /// Median.
    pub p50_us: u64,
    /// 95th percentile.
    pub p95_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Slowest.
    pub max_us: u64,
}

/// What the catalogue endpoint said is still available, asked at most once per second while the run goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StockPoint {
    /// When it was answered, milliseconds since the start of the run.
    pub at_ms: u64,
    /// Units available of all SKUs of the run together; `None` if the catalogue did not answer or does not tell.
    pub available: Option<u64>,
    /// The same for each SKU, in the order of the report's `skus`; empty where there are more than
    /// [`crate::MAX_STOCK_LINES`] SKUs or no answer.
    pub by_sku: Vec<Option<u64>>,
}
