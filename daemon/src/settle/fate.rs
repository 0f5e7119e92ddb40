//! What becomes of a payment, as whoever reported it is told.

use flash_core::ids::OrderId;
use flash_core::payment::RefundReason;

/// Who reports a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The shop asks to settle an order; what does not fit is refused, and nothing is recorded.
    Shop,
    /// The provider says that money has been taken; what does not fit must be given back.
    Provider,
}

/// What became of a payment. All of it is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fated {
    /// It confirmed the order it was made for.
    Confirmed {
        /// Whether it had done so before.
        replayed: bool,
    },
    /// It came late, units were free, and it confirmed this order for the same buyer instead.
    Rebooked {
        /// The order that now stands for the one that was paid for.
        order_id: OrderId,
        /// Whether it had done so before.
        replayed: bool,
    },
    /// It bought nothing and will be given back.
    Refund {
        /// Why.
        reason: RefundReason,
    },
}
