//! Purchases by what the buyer was told, and how long that took: kinds of answers apart.

use flash_core::outcome::Refusal;
use flash_core::stats::{Latency, OutcomeCount, Timings};
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
const RESERVED: usize = 0;
const REPLAYED: usize = 1;
const SOLD_OUT: usize = 2;
/// The first outcome that is nobody's fault but ours.
const FIRST_FAILURE: usize = 15;

const fn index(refusal: &Refusal) -> usize {
    match refusal {
        Refusal::SoldOut(_) => SOLD_OUT,
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
        Refusal::Overloaded => FIRST_FAILURE,
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

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    counts: [AtomicU64; OUTCOMES.len()],
    won: Timings,
    sold_out: Timings,
    refused: Timings,
    failed: Timings,
}

impl Outcomes {
    /// A purchase that was told "yes".
    pub(super) fn won(&self, replayed: bool, took: Duration) {
        self.counts[if replayed { REPLAYED } else { RESERVED }].fetch_add(1, Relaxed);
        self.won.observe(took);
    }

    /// A purchase that was told anything else.
    pub(super) fn refused(&self, refusal: &Refusal, took: Duration) {
        let index = index(refusal);
        self.counts[index].fetch_add(1, Relaxed);
        let timings = match index {
            SOLD_OUT => &self.sold_out,
            FIRST_FAILURE.. => &self.failed,
            _ => &self.refused,
        };
        timings.observe(took);
    }

    /// Every outcome, zeros included.
    pub(crate) fn counts(&self) -> Vec<OutcomeCount> {
        let count = |((status, reason), count): (&(&str, &str), &AtomicU64)| OutcomeCount {
            status: (*status).to_owned(),
            reason: (*reason).to_owned(),
            count: count.load(Relaxed),
        };
        OUTCOMES.iter().zip(&self.counts).map(count).collect()
    }

    /// From the end of the request head to the answer.
    pub(crate) fn latency(&self) -> Latency {
        Latency {
            won: self.won.read(),
            sold_out: self.sold_out.read(),
            refused: self.refused.read(),
            failed: self.failed.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flash_core::outcome::SoldOut;

    #[test]
    fn an_outcome_is_counted_and_timed_as_what_it_is() {
        let outcomes = Outcomes::default();
        let took = Duration::from_millis(3);
        outcomes.won(false, took);
        outcomes.refused(&Refusal::SoldOut(SoldOut { is_final: true, held: 0, retry_after: None }), took);
        outcomes.refused(&Refusal::RateLimited, took);
        outcomes.refused(&Refusal::Overloaded, took);
        outcomes.refused(&Refusal::OutcomeUnknown { idempotency_key: String::new() }, took);
        let told: Vec<_> = outcomes.counts().into_iter().filter(|outcome| outcome.count > 0).collect();
        let told: Vec<_> = told.iter().map(|outcome| (outcome.status.as_str(), outcome.reason.as_str())).collect();
        let expected = [
            ("won", "reserved"),
            ("refused", "sold_out"),
            ("refused", "rate_limited"),
            ("failed", "overloaded"),
            ("failed", "outcome_unknown"),
        ];
        assert_eq!(told, expected);
        let Latency { won, sold_out, refused, failed } = outcomes.latency();
        assert_eq!([won, sold_out, refused, failed].map(|timed| timed.count()), [1, 1, 1, 2]);
    }

    #[test]
    fn failures_begin_where_they_should() {
        for (place, (status, reason)) in OUTCOMES.iter().enumerate() {
            assert_eq!(*status == "failed", place >= FIRST_FAILURE, "{reason}");
        }
    }
}
