//! Counting, wait-free: every purchase costs a handful of relaxed additions, no lock and no allocation.

use flash_core::outcome::Refusal;
use flash_stores::redis::{Reserved, StockError};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Names of the outcomes, as `purchase_attempts_total{status,reason}` carries them.
const OUTCOMES: [(&str, &str); 19] = [
    ("won", "reserved"),
    ("won", "replayed"),
    ("refused", "sold_out"),
    ("refused", "limit_reached"),
    ("refused", "sale_not_open"),
    ("refused", "sale_closed"),
    ("refused", "reservation_expired"),
    ("refused", "key_reused"),
    ("refused", "rate_limited"),
    ("refused", "validation"),
    ("refused", "sku_not_found"),
    ("refused", "transport"),
    ("refused", "sale_paused"),
    ("refused", "in_progress"),
    ("refused", "reservation_cancelled"),
    ("failed", "overloaded"),
    ("failed", "stock_recovering"),
    ("failed", "view_unavailable"),
    ("failed", "outcome_unknown"),
];
const WON: usize = 0;
const REPLAYED: usize = 1;

const fn index(refusal: &Refusal) -> usize {
    match refusal {
        Refusal::SoldOut(_) => 2,
        Refusal::LimitReached => 3,
        Refusal::SaleNotOpen { .. } => 4,
        Refusal::SaleClosed => 5,
        Refusal::ReservationExpired => 6,
        Refusal::KeyReused => 7,
        Refusal::RateLimited => 8,
        Refusal::Validation(_) | Refusal::Framing => 9,
        Refusal::SkuNotFound => 10,
        Refusal::RouteNotFound
        | Refusal::MethodNotAllowed
        | Refusal::RequestTimeout
        | Refusal::PayloadTooLarge
        | Refusal::UnsupportedMediaType
        | Refusal::ExpectationFailed
        | Refusal::OrderNotFound => 11,
        Refusal::SalePaused => 12,
        Refusal::InProgress => 13,
        Refusal::ReservationCancelled => 14,
        Refusal::Overloaded => 15,
        Refusal::StockRecovering => 16,
        Refusal::ViewUnavailable => 17,
        Refusal::OutcomeUnknown { .. } => 18,
        // Told to settlements only, which are counted by what became of them.
        Refusal::AlreadyPaid
        | Refusal::PaymentReused { .. }
        | Refusal::AmountMismatch { .. }
        | Refusal::CurrencyMismatch { .. }
        | Refusal::Refunded { .. }
        | Refusal::SignatureInvalid(_)
        | Refusal::OrderPending
        | Refusal::SettlementUnknown => 11,
    }
}

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS_US: [u64; 14] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000];

/// A fixed histogram of durations.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_us.fetch_add(us, Relaxed);
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds for people; exact to 2^53 microseconds")]
    fn render(&self, name: &str, label: &str, text: &mut String) {
        let mut total = 0;
        for (bucket, bound) in self.buckets.iter().zip(BUCKETS_US.map(Some).into_iter().chain([None])) {
            total += bucket.load(Relaxed);
            let le = bound.map_or_else(|| "+Inf".to_owned(), |us| (us as f64 / 1e6).to_string());
            let _ = writeln!(text, "{name}_bucket{{{label},le=\"{le}\"}} {total}");
        }
        let _ = writeln!(text, "{name}_sum{{{label}}} {}", self.sum_us.load(Relaxed) as f64 / 1e6);
        let _ = writeln!(text, "{name}_count{{{label}}} {total}");
    }
}

/// All counters of the API.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    outcomes: [AtomicU64; OUTCOMES.len()],
    wins: Histogram,
    refusals: Histogram,
    redis: Histogram,
    batches: AtomicU64,
    batched: AtomicU64,
    fenced: AtomicU64,
    /// Open API connections.
    pub(crate) connections: AtomicU64,
    /// Connections closed because there were too many.
    pub(crate) connections_refused: AtomicU64,
}

impl Meters {
    /// A purchase that was told "yes".
    pub(crate) fn won(&self, replayed: bool, took: Duration) {
        self.outcomes[if replayed { REPLAYED } else { WON }].fetch_add(1, Relaxed);
        self.wins.observe(took);
    }

    /// A purchase that was told anything else.
    pub(crate) fn refused(&self, refusal: &Refusal, took: Duration) {
        self.outcomes[index(refusal)].fetch_add(1, Relaxed);
        self.refusals.observe(took);
    }

    /// A batch that came back from Redis.
    pub(crate) fn batch(&self, asks: usize, result: &Result<Reserved, StockError>, took_ms: u64) {
        self.batches.fetch_add(1, Relaxed);
        self.batched.fetch_add(asks as u64, Relaxed);
        self.redis.observe(Duration::from_millis(took_ms));
        if matches!(result, Err(StockError::Fenced(_))) {
            self.fenced.fetch_add(1, Relaxed);
        }
    }

    /// `(status, reason, count)` of every outcome, zeros included.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
        OUTCOMES.iter().zip(&self.outcomes).map(|((status, reason), count)| (*status, *reason, count.load(Relaxed)))
    }

    /// Prometheus text of everything counted here.
    pub(crate) fn render(&self, text: &mut String) {
        header(text, "purchase_attempts_total", "counter", "Purchases by what the buyer was told.");
        for (status, reason, count) in self.outcomes() {
            let _ = writeln!(text, "purchase_attempts_total{{status=\"{status}\",reason=\"{reason}\"}} {count}");
        }
        header(text, "purchase_duration_seconds", "histogram", "From the end of the request head to the answer.");
        self.wins.render("purchase_duration_seconds", "outcome=\"won\"", text);
        self.refusals.render("purchase_duration_seconds", "outcome=\"other\"", text);
        header(
            text,
            "redis_operation_duration_seconds",
            "histogram",
            "Round trip of one batch to Redis (resolution 1 ms).",
        );
        self.redis.render("redis_operation_duration_seconds", "operation=\"reserve\"", text);
        for (name, help, count) in [
            ("flash_lane_batches_total", "Batches decided by Redis.", &self.batches),
            ("flash_lane_purchases_total", "Purchases in those batches.", &self.batched),
            ("flash_fenced_total", "Batches that Redis was not allowed to decide.", &self.fenced),
            (
                "flash_connections_refused_total",
                "Connections closed because there were too many.",
                &self.connections_refused,
            ),
        ] {
            header(text, name, "counter", help);
            let _ = writeln!(text, "{name} {}", count.load(Relaxed));
        }
        gauge(text, "flash_connections", "Open API connections.", self.connections.load(Relaxed));
    }
}

/// `# HELP` and `# TYPE` of a metric.
pub(crate) fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A gauge without labels.
pub(crate) fn gauge(text: &mut String, name: &str, help: &str, value: u64) {
    header(text, name, "gauge", help);
    let _ = writeln!(text, "{name} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_cumulative() {
        let histogram = Histogram::default();
        for us in [50, 100, 101, 10_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let mut text = String::new();
        histogram.render("x", "a=\"b\"", &mut text);
        assert!(text.contains("x_bucket{a=\"b\",le=\"0.0001\"} 2\n"), "{text}");
        assert!(text.contains("x_bucket{a=\"b\",le=\"0.00025\"} 3\n"), "{text}");
        assert!(text.contains("x_bucket{a=\"b\",le=\"+Inf\"} 4\n") && text.contains("x_count{a=\"b\"} 4\n"), "{text}");
    }
}
