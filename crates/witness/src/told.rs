//! What buyers were told, written down by whoever bought. Times are milliseconds since 1970 by the clock of the machine;
//! they may be compared with Redis' times only if Redis runs on the same machine, as it does in a chaos run.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A purchase that was answered with 200. The same answer may be there several times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The buyer.
    pub user_id: u64,
    /// The SKU that was asked for.
    pub sku_id: u64,
    /// Units that were asked for.
    pub quantity: u32,
    /// The idempotency key that was sent.
    pub key: String,
    /// Order id as told.
    pub order_id: u64,
    /// Reservation id as told.
    pub reservation_id: u64,
    /// End of the hold as told.
    pub expires_at_ms: u64,
    /// When the answer had arrived.
    pub at_ms: u64,
}

impl fmt::Display for Told {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user_id, sku_id, quantity, key, order_id, reservation_id, .. } = self;
        write!(out, "order {order_id}: {quantity} of SKU {sku_id} for user {user_id} under key {key}, ")?;
        write!(out, "reservation {reservation_id} until {}", self.expires_at_ms)
    }
}

/// The last word about a wish to pay or to cancel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settled {
    /// The payment confirmed this order: the one that was paid for, or the one that stands for it.
    Confirmed {
        /// Which order.
        order_id: u64,
    },
    /// The payment is to be given back.
    Refund,
    /// The order is cancelled.
    Cancelled,
}

/// A settlement that was told for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledTold {
    /// The order that was paid for or cancelled.
    pub order_id: u64,
    /// The payment, unless it was cancelled.
    pub payment_id: Option<String>,
    /// What was told.
    pub settled: Settled,
    /// When the wish was first sent: nothing of it can have happened before.
    pub asked_ms: u64,
    /// When the answer had arrived.
    pub at_ms: u64,
}

/// Everything that was told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ToldList {
    /// Purchases answered with 200.
    pub told: Vec<Told>,
    /// Settlements told for good.
    pub settled: Vec<SettledTold>,
    /// When a cancellation was first asked for, whether it was answered or not: `(order, time)`.
    pub cancels_asked: Vec<(u64, u64)>,
    /// Orders that were told and then denied (404) to whoever wanted to settle them: `(order, time)`.
    pub denied: Vec<(u64, u64)>,
}
