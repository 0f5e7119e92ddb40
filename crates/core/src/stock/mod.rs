//! What the stock of one SKU is asked and answers. The deciding is done by the scripts in `lua/` inside Redis;
//! [`StockModel`] is their oracle, [`ModelServer`] that of the guards they begin with.

mod fill;
mod model;
mod server;

pub use fill::{Filling, Oversold};
pub use model::StockModel;
pub use server::ModelServer;

use crate::ids::{OrderId, ReservationId, UserId};

/// One purchase as it goes into a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The buyer.
    pub user_id: UserId,
    /// Units wanted.
    pub quantity: u32,
    /// Id the order gets if it wins.
    pub order_id: OrderId,
    /// Id the hold gets if it wins.
    pub reservation_id: ReservationId,
    /// The buyer's key, or the one made up for them.
    pub idempotency_key: String,
    /// Only the answer that the key already has is wanted; if it has none, the answer is [`Decision::Paused`].
    pub replay_only: bool,
}

/// A hold as Redis keeps it: everything the reservation's event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The order.
    pub order_id: OrderId,
    /// The hold's own id.
    pub reservation_id: ReservationId,
    /// The buyer.
    pub user_id: UserId,
    /// Units held.
    pub quantity: u32,
    /// Price of one unit when it was reserved, in minor units.
    pub unit_price_minor: u64,
    /// Sequence number of the stock change.
    pub seq: u64,
    /// When it was decided, by Redis' clock.
    pub reserved_at_ms: u64,
    /// When it ends, by Redis' clock.
    pub expires_at_ms: u64,
    /// The key it was made with.
    pub idempotency_key: String,
}

/// What a buyer is told about a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The order.
    pub order_id: OrderId,
    /// The hold's own id.
    pub reservation_id: ReservationId,
    /// When it was decided, by Redis' clock.
    pub reserved_at_ms: u64,
    /// When the hold ends, by Redis' clock.
    pub expires_at_ms: u64,
}

impl Hold {
    /// What the buyer is told.
    #[must_use]
    pub const fn receipt(&self) -> Receipt {
        Receipt {
            order_id: self.order_id,
            reservation_id: self.reservation_id,
            reserved_at_ms: self.reserved_at_ms,
            expires_at_ms: self.expires_at_ms,
        }
    }

    /// What all its units cost, in minor units.
    #[must_use]
    pub fn total_minor(&self) -> u64 {
        self.unit_price_minor.saturating_mul(u64::from(self.quantity))
    }
}

/// What was decided about one ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Units are held for the buyer.
    Won(Hold),
    /// The key already has an answer: this hold.
    Replayed(Hold),
    /// The key already has an answer: this order, which is paid for and in the log.
    Kept(Receipt),
    /// The key was used with another payload.
    KeyReused,
    /// The buyer's token bucket is empty.
    RateLimited,
    /// The sale opens later.
    NotOpen,
    /// The sale is paused, or only an answer that the key does not have was wanted.
    Paused,
    /// The sale is over.
    Closed,
    /// The per-user cap would be exceeded.
    LimitReached,
    /// Fewer units are free than were asked for.
    SoldOut,
    /// The key's hold has ended without payment.
    Expired,
    /// The key's hold was cancelled by the buyer.
    Cancelled,
}

/// The counters of a SKU after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Units on sale now.
    pub available: u32,
    /// Units on hold.
    pub held: u32,
    /// Units paid for.
    pub sold: u32,
    /// Units on their way back: cancelled or expired, and not on sale before the log knows.
    pub closing: u32,
    /// Stock changes so far.
    pub seq: u64,
}

/// The settings of a SKU that its stock is decided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Units that exist.
    pub capacity: u32,
    /// Cap per buyer.
    pub per_user: u32,
    /// Length of a hold, in milliseconds.
    pub hold_ms: u64,
    /// First instant of the sale; zero: open from the start.
    pub opens_at_ms: u64,
    /// First instant after the sale; zero: never closes.
    pub closes_at_ms: u64,
    /// Nothing is sold for the moment.
    pub paused: bool,
}
