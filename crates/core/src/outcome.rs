//! Every answer that is not a success, and the one table that maps it to status, code and advice. Handlers pick a
//! variant; nothing else in the system knows status codes.

use std::time::Duration;

/// A refusal or failure, as the buyer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request is malformed; the text says what to change.
    Validation(String),
    /// The request says in two ways where its body ends; nothing behind it can be trusted.
    Framing,
    /// No such path.
    RouteNotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The body is larger than the API reads.
    PayloadTooLarge,
    /// The body is not `application/json` in UTF-8.
    UnsupportedMediaType,
    /// `Expect` asks for something other than `100-continue`.
    ExpectationFailed,
    /// No such SKU.
    SkuNotFound,
    /// No such order, as far as this buyer may know.
    OrderNotFound,
    /// The buyer holds or owns as many units as the cap allows.
    LimitReached,
    /// The sale opens later, in milliseconds since 1970.
    SaleNotOpen {
        /// When, by Redis' clock.
        opens_at_ms: u64,
    },
    /// The sale is over.
    SaleClosed,
    /// Not enough units are free.
    SoldOut(SoldOut),
    /// The key's reservation has expired.
    ReservationExpired,
    /// The key was used with another payload.
    KeyReused,
    /// Too many purchases by this buyer.
    RateLimited,
    /// The daemon has as much work as it can do in time. Nothing was decided.
    Overloaded,
    /// Stock cannot be decided right now: Redis is away, is being rebuilt, or the epoch lease is stale. Nothing was decided.
    StockRecovering,
    /// The order view cannot be read right now.
    ViewUnavailable,
    /// The purchase may or may not have happened; the same key will find out.
    OutcomeUnknown {
        /// The key to retry with; made up by the daemon if the client sent none.
        idempotency_key: String,
    },
}

/// What is known about a sold-out SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoldOut {
    /// Every unit is paid for: nothing will come back.
    pub is_final: bool,
    /// Units on hold that may come back.
    pub held: u32,
    /// How long until the first hold may end, if any is held.
    pub retry_after: Option<Duration>,
}

/// How a refusal looks on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// HTTP status.
    pub status: u16,
    /// The seed's `error` code.
    pub code: &'static str,
    /// One sentence for people; [`Refusal::detail`] may say more.
    pub message: &'static str,
    /// `Retry-After` in whole seconds.
    pub retry_after_s: Option<u32>,
    /// Whether the connection must not be used again, because its framing can no longer be trusted.
    pub close: bool,
}

const fn advice(status: u16, code: &'static str, message: &'static str) -> Advice {
    Advice { status, code, message, retry_after_s: None, close: false }
}

impl Advice {
    const fn retry(self, after_s: u32) -> Self {
        Self { retry_after_s: Some(after_s), ..self }
    }
    const fn closing(self) -> Self {
        Self { close: true, ..self }
    }
}

impl Refusal {
    /// Status, code, message and retry advice: the one table.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self {
            Self::Validation(_) => advice(400, "VALIDATION_ERROR", "The request is not valid."),
            Self::Framing => advice(400, "VALIDATION_ERROR", "The request's body has contradictory lengths.").closing(),
            Self::RouteNotFound => advice(404, "NOT_FOUND", "There is nothing at this path."),
            Self::MethodNotAllowed => advice(405, "METHOD_NOT_ALLOWED", "This path does not have this method."),
            Self::RequestTimeout => advice(408, "REQUEST_TIMEOUT", "The request took too long to arrive.").closing(),
            Self::PayloadTooLarge => advice(413, "PAYLOAD_TOO_LARGE", "The request body is too large.").closing(),
            Self::UnsupportedMediaType => {
                advice(415, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json in UTF-8, not compressed.")
            }
            Self::ExpectationFailed => {
                advice(417, "EXPECTATION_FAILED", "Only Expect: 100-continue is understood.").closing()
            }
            Self::SkuNotFound => advice(404, "SKU_NOT_FOUND", "There is no such SKU."),
            Self::OrderNotFound => advice(404, "ORDER_NOT_FOUND", "There is no such order."),
            Self::LimitReached => {
                advice(409, "LIMIT_REACHED", "You already hold or own as many units as one buyer may.")
            }
            Self::SaleNotOpen { .. } => advice(409, "SALE_NOT_OPEN", "The sale has not opened yet."),
            Self::SaleClosed => advice(410, "SALE_CLOSED", "The sale is over."),
            Self::SoldOut(sold) => {
                let known = if sold.is_final {
                    advice(410, "SOLD_OUT", "Sold out.")
                } else {
                    advice(410, "SOLD_OUT", "All units are sold or on hold; some may come back.")
                };
                Advice { retry_after_s: sold.retry_after.map(whole_seconds), ..known }
            }
            Self::ReservationExpired => {
                advice(410, "RESERVATION_EXPIRED", "The reservation of this key was not paid in time.")
            }
            Self::KeyReused => {
                advice(422, "IDEMPOTENCY_KEY_REUSED", "This idempotency key was used with another request.")
            }
            Self::RateLimited => {
                advice(429, "RATE_LIMIT_EXCEEDED", "Too many purchases at once by this buyer.").retry(1)
            }
            Self::Overloaded => advice(503, "OVERLOADED", "Too busy right now; nothing was decided.").retry(1),
            Self::StockRecovering => {
                advice(503, "STOCK_RECOVERING", "Stock is being checked; nothing was decided. Please try again.")
                    .retry(2)
            }
            Self::ViewUnavailable => advice(503, "VIEW_UNAVAILABLE", "Orders cannot be read right now.").retry(2),
            Self::OutcomeUnknown { .. } => {
                advice(503, "OUTCOME_UNKNOWN", "The purchase may have succeeded; retry with the same idempotency key.")
                    .retry(1)
            }
        }
    }

    /// What this very request did wrong or should know, beyond the fixed message.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Validation(text) => Some(text.clone()),
            _ => None,
        }
    }
}

/// Rounds up: a client that waits this long is never early.
fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_429_and_503_says_when_to_come_back() {
        let unknown = Refusal::OutcomeUnknown { idempotency_key: "k".into() };
        for refusal in
            [Refusal::RateLimited, Refusal::Overloaded, Refusal::StockRecovering, Refusal::ViewUnavailable, unknown]
        {
            let advice = refusal.advice();
            assert!(matches!(advice.status, 429 | 503) && advice.retry_after_s.is_some(), "{refusal:?}");
        }
    }

    #[test]
    fn held_out_is_not_sold_out() {
        let wait = Some(Duration::from_millis(1_001));
        let held_out = Refusal::SoldOut(SoldOut { is_final: false, held: 3, retry_after: wait }).advice();
        assert_eq!((held_out.status, held_out.retry_after_s), (410, Some(2)));
        let gone = Refusal::SoldOut(SoldOut { is_final: true, held: 0, retry_after: None }).advice();
        assert_eq!((gone.status, gone.retry_after_s), (410, None));
    }
}
