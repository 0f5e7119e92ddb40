//! What the stock of one SKU answers, and a pure model of it.
//!
//! The deciding is done by `lua/reserve.lua` inside Redis. [`StockModel`] follows the same rules in plain Rust and is the
//! oracle it is tested against: random sequences run against both and must agree after every step. The daemon itself
//! never decides from the model.

use crate::ids::{OrderId, ReservationId, UserId};
use crate::limits::{IDEMPOTENCY_TTL_MS, RATE_BURST, RATE_PER_SECOND};
use std::collections::BTreeMap;

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
    /// The sale is paused.
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

#[derive(Debug, Clone, Copy)]
struct Bucket {
    milli_tokens: u64,
    at_ms: u64,
}

#[derive(Debug, Clone)]
struct Buyer {
    units: u32,
    bucket: Bucket,
}

#[derive(Debug, Clone)]
struct KeyAnswer {
    order_id: OrderId,
    quantity: u32,
    until_ms: u64,
}

/// The stock of one SKU as plain data: the oracle for `lua/reserve.lua`.
#[derive(Debug, Clone)]
pub struct StockModel {
    terms: Terms,
    counters: Counters,
    holds: BTreeMap<OrderId, Hold>,
    buyers: BTreeMap<UserId, Buyer>,
    keys: BTreeMap<(UserId, String), KeyAnswer>,
}

impl StockModel {
    /// A SKU that nobody has bought from.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        let counters = Counters { available: terms.capacity, ..Counters::default() };
        Self { terms, counters, holds: BTreeMap::new(), buyers: BTreeMap::new(), keys: BTreeMap::new() }
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The hold of an order, if it is live.
    #[must_use]
    pub fn hold(&self, order_id: OrderId) -> Option<&Hold> {
        self.holds.get(&order_id)
    }

    /// Decides a batch in order at one instant of Redis' clock.
    pub fn reserve(&mut self, asks: &[Ask], unit_price_minor: u64, now_ms: u64) -> Vec<Decision> {
        asks.iter().map(|ask| self.decide(ask, unit_price_minor, now_ms)).collect()
    }

    fn decide(&mut self, ask: &Ask, unit_price_minor: u64, now_ms: u64) -> Decision {
        if let Some(answer) = self.answered(ask, now_ms) {
            return answer;
        }
        if !self.take_token(ask.user_id, now_ms) {
            return Decision::RateLimited;
        }
        if now_ms < self.terms.opens_at_ms {
            return Decision::NotOpen;
        }
        if self.terms.closes_at_ms > 0 && now_ms >= self.terms.closes_at_ms {
            return Decision::Closed;
        }
        let owned = self.buyers.get(&ask.user_id).map_or(0, |buyer| buyer.units);
        if owned + ask.quantity > self.terms.per_user {
            return Decision::LimitReached;
        }
        if ask.quantity > self.counters.available {
            return Decision::SoldOut;
        }
        Decision::Won(self.hold_units(ask, unit_price_minor, now_ms))
    }

    fn answered(&self, ask: &Ask, now_ms: u64) -> Option<Decision> {
        let answer = self.keys.get(&(ask.user_id, ask.idempotency_key.clone()))?;
        if answer.until_ms <= now_ms {
            return None;
        }
        if answer.quantity != ask.quantity {
            return Some(Decision::KeyReused);
        }
        let live = self.holds.get(&answer.order_id).filter(|hold| hold.expires_at_ms > now_ms);
        Some(live.map_or(Decision::Expired, |hold| Decision::Replayed(hold.clone())))
    }

    /// Refills and charges a buyer's bucket. A buyer who never won has no bucket, so refusals cost no memory.
    fn take_token(&mut self, user_id: UserId, now_ms: u64) -> bool {
        let Some(buyer) = self.buyers.get_mut(&user_id) else { return true };
        buyer.bucket = refill(buyer.bucket, now_ms);
        let enough = buyer.bucket.milli_tokens >= 1000;
        if enough {
            buyer.bucket.milli_tokens -= 1000;
        }
        enough
    }

    fn hold_units(&mut self, ask: &Ask, unit_price_minor: u64, now_ms: u64) -> Hold {
        self.counters.available -= ask.quantity;
        self.counters.held += ask.quantity;
        self.counters.seq += 1;
        let hold = Hold {
            order_id: ask.order_id,
            reservation_id: ask.reservation_id,
            user_id: ask.user_id,
            quantity: ask.quantity,
            unit_price_minor,
            seq: self.counters.seq,
            reserved_at_ms: now_ms,
            expires_at_ms: now_ms + self.terms.hold_ms,
            idempotency_key: ask.idempotency_key.clone(),
        };
        let full = Bucket { milli_tokens: u64::from(RATE_BURST - 1) * 1000, at_ms: now_ms };
        self.buyers.entry(ask.user_id).or_insert(Buyer { units: 0, bucket: full }).units += ask.quantity;
        let answer =
            KeyAnswer { order_id: ask.order_id, quantity: ask.quantity, until_ms: now_ms + IDEMPOTENCY_TTL_MS };
        self.keys.insert((ask.user_id, ask.idempotency_key.clone()), answer);
        self.holds.insert(ask.order_id, hold.clone());
        hold
    }
}

/// Token bucket: `RATE_PER_SECOND` tokens per second up to `RATE_BURST`, counted in thousandths so that milliseconds are
/// exact. A clock that steps back refills nothing.
fn refill(bucket: Bucket, now_ms: u64) -> Bucket {
    let gained = now_ms.saturating_sub(bucket.at_ms).saturating_mul(u64::from(RATE_PER_SECOND));
    let milli_tokens = bucket.milli_tokens.saturating_add(gained).min(u64::from(RATE_BURST) * 1000);
    Bucket { milli_tokens, at_ms: now_ms.max(bucket.at_ms) }
}
