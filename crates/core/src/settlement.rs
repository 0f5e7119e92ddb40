//! Settling a hold: paid, cancelled or expired.
//!
//! Every settlement has three steps (DESIGN section 6). Redis *begins* it in one script: the hold is taken away under a
//! token, and nobody else can settle it otherwise. Its *event* is acknowledged by the log. Then Redis *finishes* it for that
//! token: units that were not paid for go back on sale. A settlement that was begun and never finished is taken over by
//! any sweeper, under a new token, to the same end.

use crate::event::{Body, Event, Order};
use crate::ids::{Epoch, SkuId};
use crate::order::OrderState;
use crate::payment::Payment;
use crate::stock::Hold;

/// A settlement that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The hold it ends.
    pub hold: Hold,
    /// What becomes of the order; never `RESERVED`.
    pub state: OrderState,
    /// Who may finish it: epoch and a counter, so a token is unique for ever.
    pub token: String,
    /// The SKU's sequence number of this stock change.
    pub seq: u64,
    /// When it was begun, by Redis' clock.
    pub at_ms: u64,
    /// The payment, if the order is confirmed.
    pub payment: Option<Payment>,
}

impl Settlement {
    /// Its event under the epoch it was begun in.
    #[must_use]
    pub fn event(&self, sku_id: SkuId, epoch: Epoch) -> Event {
        let body = Body::Order {
            state: self.state,
            seq: self.seq,
            order: order_of(&self.hold, sku_id),
            payment: self.payment.clone(),
        };
        Event { epoch, at_ms: self.at_ms, body }
    }
}

/// The order a hold stands for, as every event of it carries it.
#[must_use]
pub fn order_of(hold: &Hold, sku_id: SkuId) -> Order {
    Order {
        order_id: hold.order_id,
        reservation_id: hold.reservation_id,
        user_id: hold.user_id,
        sku_id,
        quantity: hold.quantity,
        unit_price_minor: hold.unit_price_minor,
        seq: hold.seq,
        idempotency_key: hold.idempotency_key.clone(),
        reserved_at_ms: hold.reserved_at_ms,
        expires_at_ms: hold.expires_at_ms,
    }
}

/// What came of asking Redis to confirm an order with a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirm {
    /// The order is being settled: by this payment now, by it before, by another one, or otherwise. Look at `state` and
    /// `payment`.
    Settling(Settlement),
    /// The hold had ended by Redis' clock; it can never be confirmed any more.
    Expired(Hold),
    /// The payment is not the price.
    Amount(Hold),
    /// Redis does not know the order: it was settled and finished, or it is not of this SKU.
    Gone,
}

/// What came of asking Redis to cancel an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancel {
    /// The order is being settled: cancelled now or before, or otherwise. Look at `state`.
    Settling(Settlement),
    /// The hold had ended by Redis' clock.
    Expired,
    /// It is somebody else's.
    NotTheirs,
    /// Redis does not know the order.
    Gone,
}
