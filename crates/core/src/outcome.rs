//! Every answer that is not a success, and the one table that maps it to status, code and advice. Handlers pick a
//! variant; nothing else in the system knows status codes.

use crate::ids::OrderId;
use crate::order::OrderState;
use crate::payment::{PaymentId, RefundReason};
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
    /// An operator has paused the sale.
    SalePaused,
    /// The sale is over.
    SaleClosed,
    /// The same key is being decided right now.
    InProgress,
    /// Not enough units are free.
    SoldOut(SoldOut),
    /// The key's reservation has expired.
    ReservationExpired,
    /// The reservation was cancelled by the buyer.
    ReservationCancelled,
    /// The order is paid for.
    AlreadyPaid,
    /// The key was used with another payload.
    KeyReused,
    /// The payment id was used for another order.
    PaymentReused {
        /// The order it was used for.
        order_id: OrderId,
    },
    /// The amount is not the order's price. Nothing was recorded.
    AmountMismatch {
        /// The price, in minor units.
        expected_minor: u64,
    },
    /// The currency is not the SKU's.
    CurrencyMismatch {
        /// The SKU's.
        expected: String,
    },
    /// Money arrived that bought nothing. It is recorded and will be given back.
    Refunded {
        /// The payment.
        payment_id: PaymentId,
        /// Why it bought nothing.
        reason: RefundReason,
    },
    /// A webhook without a valid signature.
    SignatureInvalid(&'static str),
    /// Too many purchases by this buyer.
    RateLimited,
    /// The daemon has as much work as it can do in time. Nothing was decided.
    Overloaded,
    /// Stock cannot be decided right now: Redis is away, is being rebuilt, or the epoch lease is stale. Nothing was decided.
    StockRecovering,
    /// The order is known but not written down yet, so it cannot be settled this instant.
    OrderPending,
    /// A settlement may or may not have happened; asking again will find out.
    SettlementUnknown,
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
    /// One of each, and one per reason where there are several: for documents and tests, which must not forget any.
    #[must_use]
    pub fn one_of_each() -> Vec<Self> {
        let payment_id = || PaymentId::parse("pi_1").into_iter();
        let refunded = |reason| payment_id().map(move |payment_id| Self::Refunded { payment_id, reason });
        let wait = Some(Duration::from_secs(42));
        let mut all = vec![
            Self::Validation("quantity: must be a whole number from 1 to 10".to_owned()),
            Self::Framing,
            Self::RouteNotFound,
            Self::MethodNotAllowed,
            Self::RequestTimeout,
            Self::PayloadTooLarge,
            Self::UnsupportedMediaType,
            Self::ExpectationFailed,
            Self::SkuNotFound,
            Self::OrderNotFound,
            Self::LimitReached,
            Self::SaleNotOpen { opens_at_ms: 1_795_383_600_000 },
            Self::SalePaused,
            Self::SaleClosed,
            Self::InProgress,
            Self::SoldOut(SoldOut { is_final: true, held: 0, retry_after: None }),
            Self::SoldOut(SoldOut { is_final: false, held: 3, retry_after: wait }),
            Self::ReservationExpired,
            Self::ReservationCancelled,
            Self::AlreadyPaid,
            Self::KeyReused,
            Self::PaymentReused { order_id: OrderId::new(383_006_771_100_254_208) },
            Self::AmountMismatch { expected_minor: 4_900 },
            Self::CurrencyMismatch { expected: "EUR".to_owned() },
            Self::SignatureInvalid("no v1 signature matches the body"),
            Self::RateLimited,
            Self::Overloaded,
            Self::StockRecovering,
            Self::OrderPending,
            Self::SettlementUnknown,
            Self::ViewUnavailable,
            Self::OutcomeUnknown { idempotency_key: "auto-383006771100254208".to_owned() },
        ];
        all.extend(RefundReason::ALL.into_iter().flat_map(refunded));
        all
    }

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
            Self::SalePaused => advice(409, "SALE_PAUSED", "The sale is paused for a moment.").retry(5),
            Self::InProgress => advice(
                409,
                "REQUEST_IN_PROGRESS",
                "A purchase with this idempotency key is being decided; ask again for its answer.",
            )
            .retry(1),
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
            Self::ReservationCancelled => advice(410, "RESERVATION_CANCELLED", "The reservation was cancelled."),
            Self::AlreadyPaid => advice(409, "ALREADY_PAID", "The order is paid for."),
            Self::PaymentReused { .. } => {
                advice(422, "PAYMENT_ID_REUSED", "This payment id was used for another order.")
            }
            Self::AmountMismatch { .. } => advice(422, "AMOUNT_MISMATCH", "The amount is not the order's price."),
            Self::CurrencyMismatch { .. } => {
                advice(422, "CURRENCY_MISMATCH", "The currency is not the one the order was priced in.")
            }
            Self::Refunded { reason, .. } => refunded(*reason),
            Self::SignatureInvalid(_) => advice(401, "SIGNATURE_INVALID", "The webhook's signature is not valid."),
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
            Self::OrderPending => {
                advice(503, "ORDER_PENDING", "The order is being written down; please try again.").retry(1)
            }
            Self::SettlementUnknown => {
                advice(503, "OUTCOME_UNKNOWN", "It may have happened; sending the same request again finds out.")
                    .retry(1)
            }
            Self::ViewUnavailable => advice(503, "VIEW_UNAVAILABLE", "Orders cannot be read right now.").retry(2),
            Self::OutcomeUnknown { .. } => {
                advice(503, "OUTCOME_UNKNOWN", "The purchase may have succeeded; retry with the same idempotency key.")
                    .retry(1)
            }
        }
    }

    /// What a settled order answers to somebody who would settle it otherwise.
    #[must_use]
    pub const fn of_state(state: OrderState) -> Self {
        match state {
            OrderState::Reserved => Self::OrderPending,
            OrderState::Confirmed => Self::AlreadyPaid,
            OrderState::Cancelled => Self::ReservationCancelled,
            OrderState::Expired => Self::ReservationExpired,
        }
    }

    /// What this very request did wrong or should know, beyond the fixed message.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Validation(text) => Some(text.clone()),
            Self::SignatureInvalid(why) => Some((*why).to_owned()),
            Self::AmountMismatch { expected_minor } => {
                Some(format!("amount: the order costs {expected_minor} minor units"))
            }
            Self::CurrencyMismatch { expected } => Some(format!("currency: the order was priced in {expected}")),
            Self::PaymentReused { order_id } => Some(format!("paymentId: it was used for order {order_id}")),
            _ => None,
        }
    }
}

const fn refunded(reason: RefundReason) -> Advice {
    match reason {
        RefundReason::Expired => advice(
            410,
            "RESERVATION_EXPIRED",
            "The reservation had expired and nothing is free; the money is returned.",
        ),
        RefundReason::Cancelled => {
            advice(410, "RESERVATION_CANCELLED", "The reservation was cancelled; the money is returned.")
        }
        RefundReason::AlreadyPaid => {
            advice(409, "ALREADY_PAID", "The order is paid for by another payment; this money is returned.")
        }
        RefundReason::Amount => {
            advice(422, "AMOUNT_MISMATCH", "The amount is not the order's price; the money is returned.")
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
    use std::collections::BTreeSet;

    #[test]
    fn every_429_and_503_says_when_to_come_back() {
        for refusal in Refusal::one_of_each() {
            let advice = refusal.advice();
            if matches!(advice.status, 429 | 503) {
                assert!(advice.retry_after_s.is_some(), "{refusal:?}");
            }
        }
    }

    /// A new variant does not compile here until it has a place; then it must be in the list.
    #[test]
    fn one_of_each_forgets_none() {
        const KINDS: usize = 32;
        let place = |refusal: &Refusal| match refusal {
            Refusal::Validation(_) => 0,
            Refusal::Framing => 1,
            Refusal::RouteNotFound => 2,
            Refusal::MethodNotAllowed => 3,
            Refusal::RequestTimeout => 4,
            Refusal::PayloadTooLarge => 5,
            Refusal::UnsupportedMediaType => 6,
            Refusal::ExpectationFailed => 7,
            Refusal::SkuNotFound => 8,
            Refusal::OrderNotFound => 9,
            Refusal::LimitReached => 10,
            Refusal::SaleNotOpen { .. } => 11,
            Refusal::SalePaused => 12,
            Refusal::SaleClosed => 13,
            Refusal::InProgress => 14,
            Refusal::SoldOut(_) => 15,
            Refusal::ReservationExpired => 16,
            Refusal::ReservationCancelled => 17,
            Refusal::AlreadyPaid => 18,
            Refusal::KeyReused => 19,
            Refusal::PaymentReused { .. } => 20,
            Refusal::AmountMismatch { .. } => 21,
            Refusal::CurrencyMismatch { .. } => 22,
            Refusal::Refunded { .. } => 23,
            Refusal::SignatureInvalid(_) => 24,
            Refusal::RateLimited => 25,
            Refusal::Overloaded => 26,
            Refusal::StockRecovering => 27,
            Refusal::OrderPending => 28,
            Refusal::SettlementUnknown => 29,
            Refusal::ViewUnavailable => 30,
            Refusal::OutcomeUnknown { .. } => 31,
        };
        let there: BTreeSet<usize> = Refusal::one_of_each().iter().map(place).collect();
        assert!(there.into_iter().eq(0..KINDS));
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
