//! Counting, wait-free: every purchase costs a handful of relaxed additions, no lock and no allocation.

use crate::settle::Fated;
use flash_core::order::OrderState;
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
/// What became of a reported payment, as `flash_payments_total{fate}` carries it.
const PAYMENTS: [&str; 3] = ["confirmed", "rebooked", "refund_pending"];
/// What a sweeper did, as `flash_swept_total{state}` carries it. Confirmed and cancelled ones were taken over.
const SWEPT: [OrderState; 3] = [OrderState::Confirmed, OrderState::Cancelled, OrderState::Expired];
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
            let comma = if label.is_empty() { "" } else { "," };
            let _ = writeln!(text, "{name}_bucket{{{label}{comma}le=\"{le}\"}} {total}");
        }
        let label = if label.is_empty() { String::new() } else { format!("{{{label}}}") };
        let _ = writeln!(text, "{name}_sum{label} {}", self.sum_us.load(Relaxed) as f64 / 1e6);
        let _ = writeln!(text, "{name}_count{label} {total}");
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
    payments: [AtomicU64; PAYMENTS.len()],
    cancelled: AtomicU64,
    settle_refused: AtomicU64,
    swept: [AtomicU64; SWEPT.len()],
    sweep_delay: Histogram,
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

    /// A batch of which some keys could not be claimed because Redis was not allowed to take them.
    pub(crate) fn claims_fenced(&self) {
        self.fenced.fetch_add(1, Relaxed);
    }

    /// A report of a payment that was answered.
    pub(crate) fn paid(&self, fated: &Fated) {
        let fate = match fated {
            Fated::Confirmed { .. } => 0,
            Fated::Rebooked { .. } => 1,
            Fated::Refund { .. } => 2,
        };
        self.payments[fate].fetch_add(1, Relaxed);
    }

    /// An order that its buyer cancelled.
    pub(crate) fn cancelled(&self) {
        self.cancelled.fetch_add(1, Relaxed);
    }

    /// A wish to pay or cancel that was refused, or whose outcome is unknown.
    pub(crate) fn settle_refused(&self) {
        self.settle_refused.fetch_add(1, Relaxed);
    }

    /// A settlement that a sweeper finished, so long after it was due.
    pub(crate) fn swept(&self, state: OrderState, delay_ms: u64) {
        if let Some(index) = SWEPT.iter().position(|known| *known == state) {
            self.swept[index].fetch_add(1, Relaxed);
        }
        self.sweep_delay.observe(Duration::from_millis(delay_ms));
    }

    /// What the sweeper of this process has finished, for `/stats`: `(state, count)`.
    pub(crate) fn swept_so_far(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        SWEPT.iter().zip(&self.swept).map(|(state, count)| (state.as_str(), count.load(Relaxed)))
    }

    /// Prometheus text of what this process settles for buyers.
    fn render_settling(&self, text: &mut String) {
        header(
            text,
            "flash_payments_total",
            "counter",
            "Reported payments by what became of them, repeated reports included.",
        );
        for (fate, count) in PAYMENTS.iter().zip(&self.payments) {
            let _ = writeln!(text, "flash_payments_total{{fate=\"{fate}\"}} {}", count.load(Relaxed));
        }
        for (name, help, count) in [
            ("flash_cancelled_total", "Orders cancelled by their buyers.", &self.cancelled),
            ("flash_settle_refused_total", "Wishes to pay or cancel that were not fulfilled.", &self.settle_refused),
        ] {
            header(text, name, "counter", help);
            let _ = writeln!(text, "{name} {}", count.load(Relaxed));
        }
    }

    /// Prometheus text of what this process sweeps.
    pub(crate) fn render_sweeping(&self, text: &mut String) {
        header(
            text,
            "flash_swept_total",
            "counter",
            "Settlements a sweeper finished; only EXPIRED ones were its own idea.",
        );
        for (state, count) in self.swept_so_far() {
            let _ = writeln!(text, "flash_swept_total{{state=\"{state}\"}} {count}");
        }
        header(
            text,
            "flash_sweep_delay_seconds",
            "histogram",
            "From the end of a hold to its units being on sale again, by Redis' clock (resolution 1 ms).",
        );
        self.sweep_delay.render("flash_sweep_delay_seconds", "", text);
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
        self.render_settling(text);
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
