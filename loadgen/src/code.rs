//! Every way a purchase attempt can end, as the buyer sees it.
//!
//! Owns the table of codes, their names in reports and the class each one is measured in.

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// 200 with a readable reservation.
    Won,
    /// 410 because the stock is held or sold.
    SoldOut,
    /// 410 because the sale is over.
    SaleClosed,
    /// 410 for a key whose reservation has expired.
    ReservationExpired,
    /// 409 because of the per-user cap.
    LimitReached,
    /// 409 before the sale opens.
    SaleNotOpen,
    /// 409 while an operator has paused the sale; what was decided before stands.
    SalePaused,
    /// 409 while the same key is being decided.
    RequestInProgress,
    /// 422: the key came with another payload before.
    KeyReused,
    /// 429.
    RateLimited,
    /// 503 before anything was decided.
    Overloaded,
    /// 503 while the stock is closed for recovery.
    StockRecovering,
    /// 503: decided perhaps; the same key must be tried again.
    OutcomeUnknown,
    /// 400.
    ValidationError,
    /// 404.
    SkuNotFound,
    /// Any other 4xx.
    OtherClientError,
    /// Any other 5xx.
    OtherServerError,
    /// A status that the purchase call does not have.
    UnexpectedStatus,
    /// 200 without a readable order and reservation.
    UnreadableWin,
    /// Bytes that are not an HTTP response.
    BrokenResponse,
    /// No complete answer within the request time-out.
    TimedOut,
    /// The connection ended after the request was sent.
    ConnectionLost,
    /// No connection could be opened: nothing was sent.
    ConnectFailed,
    /// The run, its drain included, was over before the answer came.
    Unanswered,
}

/// Which histogram an attempt belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Accepted purchases.
    Win,
    /// Sold out, final or held.
    SoldOut,
    /// A clear "no" or "later" for another reason.
    Refusal,
    /// Anything that left the buyer without a proper answer.
    Error,
}

/// All codes with their report names and classes, in the order of the enum.
const TABLE: [(Code, &str, Class); Code::COUNT] = [
    (Code::Won, "WON", Class::Win),
    (Code::SoldOut, "SOLD_OUT", Class::SoldOut),
    (Code::SaleClosed, "SALE_CLOSED", Class::Refusal),
    (Code::ReservationExpired, "RESERVATION_EXPIRED", Class::Refusal),
    (Code::LimitReached, "LIMIT_REACHED", Class::Refusal),
    (Code::SaleNotOpen, "SALE_NOT_OPEN", Class::Refusal),
    (Code::SalePaused, "SALE_PAUSED", Class::Refusal),
    (Code::RequestInProgress, "REQUEST_IN_PROGRESS", Class::Refusal),
    (Code::KeyReused, "IDEMPOTENCY_KEY_REUSED", Class::Error),
    (Code::RateLimited, "RATE_LIMIT_EXCEEDED", Class::Refusal),
    (Code::Overloaded, "OVERLOADED", Class::Refusal),
    (Code::StockRecovering, "STOCK_RECOVERING", Class::Refusal),
    (Code::OutcomeUnknown, "OUTCOME_UNKNOWN", Class::Error),
    (Code::ValidationError, "VALIDATION_ERROR", Class::Error),
    (Code::SkuNotFound, "SKU_NOT_FOUND", Class::Error),
    (Code::OtherClientError, "OTHER_4XX", Class::Error),
    (Code::OtherServerError, "OTHER_5XX", Class::Error),
    (Code::UnexpectedStatus, "UNEXPECTED_STATUS", Class::Error),
    (Code::UnreadableWin, "UNREADABLE_WIN", Class::Error),
    (Code::BrokenResponse, "BROKEN_RESPONSE", Class::Error),
    (Code::TimedOut, "TIMED_OUT", Class::Error),
    (Code::ConnectionLost, "CONNECTION_LOST", Class::Error),
    (Code::ConnectFailed, "CONNECT_FAILED", Class::Error),
    (Code::Unanswered, "UNANSWERED", Class::Error),
];

impl Code {
    /// How many codes there are.
    pub const COUNT: usize = 24;

    /// Every code, in report order.
    pub fn all() -> impl Iterator<Item = Code> {
        TABLE.iter().map(|(code, _, _)| *code)
    }

    /// Place in an array of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in reports; the server's own word where it has one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        TABLE[self.index()].1
    }

    /// The class it is measured in.
    #[must_use]
    pub const fn class(self) -> Class {
        TABLE[self.index()].2
    }

    /// What a refusal means: the server's word if it is known, else the status alone.
    pub(crate) fn of_refusal(status: u16, word: &[u8]) -> Self {
        match word {
            b"SOLD_OUT" => Code::SoldOut,
            b"SALE_CLOSED" => Code::SaleClosed,
            b"RESERVATION_EXPIRED" => Code::ReservationExpired,
            b"LIMIT_REACHED" => Code::LimitReached,
            b"SALE_NOT_OPEN" => Code::SaleNotOpen,
            b"SALE_PAUSED" => Code::SalePaused,
            b"REQUEST_IN_PROGRESS" => Code::RequestInProgress,
            b"IDEMPOTENCY_KEY_REUSED" => Code::KeyReused,
            b"RATE_LIMIT_EXCEEDED" => Code::RateLimited,
            b"OVERLOADED" => Code::Overloaded,
            b"STOCK_RECOVERING" => Code::StockRecovering,
            b"OUTCOME_UNKNOWN" => Code::OutcomeUnknown,
            b"VALIDATION_ERROR" => Code::ValidationError,
            b"SKU_NOT_FOUND" => Code::SkuNotFound,
            _ => Self::of_status(status),
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            410 => Code::SoldOut,
            429 => Code::RateLimited,
            // A proxy's 502 and 504 and a 503 without a word all leave open what happened behind it.
            502..=504 => Code::OutcomeUnknown,
            400..=499 => Code::OtherClientError,
            500..=599 => Code::OtherServerError,
            _ => Code::UnexpectedStatus,
        }
    }

    /// True if the purchase may have happened although nobody said so.
    pub(crate) const fn leaves_doubt(self) -> bool {
        matches!(
            self,
            Code::OutcomeUnknown
                | Code::OtherServerError
                | Code::UnexpectedStatus
                | Code::UnreadableWin
                | Code::BrokenResponse
                | Code::TimedOut
                | Code::ConnectionLost
                | Code::Unanswered
        )
    }

    /// True if the server asks to come back with the same request.
    #[must_use]
    pub const fn asks_to_return(self) -> bool {
        matches!(
            self,
            Code::RateLimited | Code::Overloaded | Code::StockRecovering | Code::RequestInProgress | Code::SalePaused
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_follows_the_enum() {
        for (index, code) in Code::all().enumerate() {
            assert_eq!(code.index(), index, "{code:?}");
        }
    }

    #[test]
    fn words_win_over_statuses() {
        assert_eq!(Code::of_refusal(410, b"SALE_CLOSED"), Code::SaleClosed);
        assert_eq!(Code::of_refusal(410, b""), Code::SoldOut);
        assert_eq!(Code::of_refusal(503, b"?"), Code::OutcomeUnknown);
        assert_eq!(Code::of_refusal(500, b""), Code::OtherServerError);
        assert_eq!(Code::of_refusal(301, b""), Code::UnexpectedStatus);
    }
}
