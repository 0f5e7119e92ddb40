//! The stock of one SKU as plain data: the oracle for the scripts in `lua/`.
//!
//! It follows their rules in plain Rust. Random sequences run against both and must agree after every step. The daemon
//! itself never decides from it.

use super::fill::{Filling, Oversold};
use super::{Ask, Counters, Decision, Hold, Receipt, Terms};
use crate::ids::{Epoch, OrderId, UserId};
use crate::limits::{IDEMPOTENCY_TTL_MS, RATE_BURST, RATE_PER_SECOND};
use crate::order::OrderState;
use crate::payment::Payment;
use crate::settlement::{Cancel, Confirm, Settlement};
use std::collections::BTreeMap;

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
    /// How the order was settled, once that is finished.
    settled: Option<(OrderState, Receipt)>,
}

/// A settlement under way, and when it was begun or last taken over.
#[derive(Debug, Clone)]
struct Closing {
    settlement: Settlement,
    since_ms: u64,
}

/// The stock of one SKU under one epoch.
#[derive(Debug, Clone)]
pub struct StockModel {
    epoch: Epoch,
    terms: Terms,
    counters: Counters,
    claims: u64,
    closing: BTreeMap<OrderId, Closing>,
    holds: BTreeMap<OrderId, Hold>,
    buyers: BTreeMap<UserId, Buyer>,
    keys: BTreeMap<(UserId, String), KeyAnswer>,
}

impl StockModel {
    /// A SKU that nobody has bought from.
    #[must_use]
    pub fn new(epoch: Epoch, terms: Terms) -> Self {
        Self {
            epoch,
            terms,
            counters: Counters { available: terms.capacity, ..Counters::default() },
            claims: 0,
            closing: BTreeMap::new(),
            holds: BTreeMap::new(),
            buyers: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// A SKU filled from the truth: its orders as the log has them, by the rules of [`Filling`].
    ///
    /// # Errors
    /// [`Oversold`].
    pub fn filled(
        epoch: Epoch,
        terms: Terms,
        orders: impl IntoIterator<Item = (Hold, OrderState)>,
        now_ms: u64,
    ) -> Result<Self, Oversold> {
        let mut model = Self::new(epoch, terms);
        let mut filling = Filling::default();
        for (hold, state) in orders {
            filling.add(hold.user_id, hold.quantity, hold.seq, state);
            let until_ms = hold.reserved_at_ms + IDEMPOTENCY_TTL_MS;
            if until_ms > now_ms {
                filling.know(hold.user_id);
                let settled = (state != OrderState::Reserved).then(|| (state, hold.receipt()));
                let answer = KeyAnswer { order_id: hold.order_id, quantity: hold.quantity, until_ms, settled };
                model.keys.insert((hold.user_id, hold.idempotency_key.clone()), answer);
            }
            if state == OrderState::Reserved {
                model.holds.insert(hold.order_id, hold);
            }
        }
        model.counters = filling.counters(terms.capacity)?;
        let full = Bucket { milli_tokens: u64::from(RATE_BURST) * 1000, at_ms: now_ms };
        model.buyers = filling.buyers().map(|(user_id, units)| (user_id, Buyer { units, bucket: full })).collect();
        Ok(model)
    }

    /// The epoch it was filled under.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Units that exist.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.terms.capacity
    }

    /// Holds that are not being settled, ended ones included.
    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values()
    }

    /// Settlements under way.
    pub fn closing(&self) -> impl Iterator<Item = &Settlement> {
        self.closing.values().map(|closing| &closing.settlement)
    }

    /// Units of every buyer that ever won.
    pub fn units(&self) -> impl Iterator<Item = (UserId, u32)> {
        self.buyers.iter().map(|(user_id, buyer)| (*user_id, buyer.units))
    }

    /// Decides a batch in order at one instant of Redis' clock.
    pub fn reserve(&mut self, asks: &[Ask], unit_price_minor: u64, now_ms: u64) -> Vec<Decision> {
        asks.iter().map(|ask| self.decide(ask, unit_price_minor, now_ms)).collect()
    }

    fn decide(&mut self, ask: &Ask, unit_price_minor: u64, now_ms: u64) -> Decision {
        if let Some(answer) = self.answered(ask, now_ms) {
            return answer;
        }
        if ask.replay_only {
            return Decision::Paused;
        }
        if !self.take_token(ask.user_id, now_ms) {
            return Decision::RateLimited;
        }
        if self.terms.paused {
            return Decision::Paused;
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
        if let Some(settled) = &answer.settled {
            return Some(match settled {
                (OrderState::Confirmed, receipt) => Decision::Kept(*receipt),
                (OrderState::Cancelled, _) => Decision::Cancelled,
                _ => Decision::Expired,
            });
        }
        if let Some(hold) = self.holds.get(&answer.order_id) {
            let live = hold.expires_at_ms > now_ms;
            return Some(if live { Decision::Replayed(hold.clone()) } else { Decision::Expired });
        }
        let settling = self.closing.get(&answer.order_id).map(|closing| &closing.settlement);
        Some(match settling.map(|settlement| (settlement.state, &settlement.hold)) {
            Some((OrderState::Confirmed, hold)) => Decision::Replayed(hold.clone()),
            Some((OrderState::Cancelled, _)) => Decision::Cancelled,
            _ => Decision::Expired,
        })
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
        let answer = KeyAnswer {
            order_id: ask.order_id,
            quantity: ask.quantity,
            until_ms: now_ms + IDEMPOTENCY_TTL_MS,
            settled: None,
        };
        self.keys.insert((ask.user_id, ask.idempotency_key.clone()), answer);
        self.holds.insert(ask.order_id, hold.clone());
        hold
    }
}

/// Settling.
impl StockModel {
    /// Begins to confirm an order.
    pub fn confirm(&mut self, order_id: OrderId, payment: &Payment, now_ms: u64) -> Confirm {
        if let Some(closing) = self.closing.get(&order_id) {
            return Confirm::Settling(closing.settlement.clone());
        }
        let Some(hold) = self.holds.get(&order_id) else { return Confirm::Gone };
        if hold.expires_at_ms <= now_ms {
            return Confirm::Expired(hold.clone());
        }
        if payment.amount_minor != hold.total_minor() {
            return Confirm::Amount(hold.clone());
        }
        self.counters.sold += hold.quantity;
        Confirm::Settling(self.begin(hold.clone(), OrderState::Confirmed, Some(payment.clone()), now_ms))
    }

    /// Begins to cancel an order.
    pub fn cancel(&mut self, order_id: OrderId, user_id: Option<UserId>, now_ms: u64) -> Cancel {
        let settling = self.closing.get(&order_id).map(|closing| &closing.settlement);
        let Some(hold) = settling.map(|settlement| &settlement.hold).or(self.holds.get(&order_id)) else {
            return Cancel::Gone;
        };
        if user_id.is_some_and(|user_id| user_id != hold.user_id) {
            return Cancel::NotTheirs;
        }
        if let Some(settlement) = settling {
            return Cancel::Settling(settlement.clone());
        }
        if hold.expires_at_ms <= now_ms {
            return Cancel::Expired;
        }
        self.counters.closing += hold.quantity;
        Cancel::Settling(self.begin(hold.clone(), OrderState::Cancelled, None, now_ms))
    }

    /// Takes over what was left unfinished, then takes what has ended; at most `most` orders.
    pub fn take_due(&mut self, most: usize, takeover_ms: u64, now_ms: u64) -> Vec<Settlement> {
        let stale = self.closing.iter().filter(|(_, closing)| closing.since_ms + takeover_ms <= now_ms);
        let mut stale: Vec<_> = stale.map(|(order_id, closing)| (closing.since_ms, *order_id)).collect();
        stale.sort_unstable();
        stale.truncate(most);
        let mut taken: Vec<Settlement> =
            stale.into_iter().filter_map(|(_, order_id)| self.take_over(order_id, now_ms)).collect();
        let ended = self.holds.values().filter(|hold| hold.expires_at_ms <= now_ms);
        let mut ended: Vec<_> = ended.map(|hold| (hold.expires_at_ms, hold.clone())).collect();
        ended.sort_unstable_by_key(|(expires_at_ms, hold)| (*expires_at_ms, hold.order_id));
        ended.truncate(most - taken.len());
        for (_, hold) in ended {
            self.counters.closing += hold.quantity;
            taken.push(self.begin(hold, OrderState::Expired, None, now_ms));
        }
        taken
    }

    /// Finishes a settlement; false if the token is not the one that may.
    pub fn finish(&mut self, order_id: OrderId, token: &str) -> bool {
        if self.closing.get(&order_id).is_none_or(|closing| closing.settlement.token != token) {
            return false;
        }
        let Some(Closing { settlement, .. }) = self.closing.remove(&order_id) else { return false };
        let hold = &settlement.hold;
        if settlement.state != OrderState::Confirmed {
            self.counters.closing -= hold.quantity;
            self.counters.available += hold.quantity;
            if let Some(buyer) = self.buyers.get_mut(&hold.user_id) {
                buyer.units -= hold.quantity;
            }
        }
        let key = (hold.user_id, hold.idempotency_key.clone());
        if let Some(answer) = self.keys.get_mut(&key).filter(|answer| answer.order_id == order_id) {
            answer.settled = Some((settlement.state, hold.receipt()));
        }
        true
    }

    /// Changes how many units exist; false, and nothing changes, below what is held, sold or on its way back.
    pub fn set_capacity(&mut self, capacity: u32) -> bool {
        let Counters { held, sold, closing, .. } = self.counters;
        let Some(available) = capacity.checked_sub(held + sold + closing) else { return false };
        self.counters.available = available;
        self.terms.capacity = capacity;
        true
    }

    fn begin(&mut self, hold: Hold, state: OrderState, payment: Option<Payment>, now_ms: u64) -> Settlement {
        self.holds.remove(&hold.order_id);
        self.counters.held -= hold.quantity;
        self.counters.seq += 1;
        let settlement =
            Settlement { state, token: self.token(), seq: self.counters.seq, at_ms: now_ms, payment, hold };
        let order_id = settlement.hold.order_id;
        self.closing.insert(order_id, Closing { settlement: settlement.clone(), since_ms: now_ms });
        settlement
    }

    fn take_over(&mut self, order_id: OrderId, now_ms: u64) -> Option<Settlement> {
        let token = self.token();
        let closing = self.closing.get_mut(&order_id)?;
        closing.settlement.token = token;
        closing.since_ms = now_ms;
        Some(closing.settlement.clone())
    }

    fn token(&mut self) -> String {
        self.claims += 1;
        format!("{}-{}", self.epoch, self.claims)
    }
}

/// Token bucket: `RATE_PER_SECOND` tokens per second up to `RATE_BURST`, counted in thousandths so that milliseconds are
/// exact. A clock that steps back refills nothing.
fn refill(bucket: Bucket, now_ms: u64) -> Bucket {
    let gained = now_ms.saturating_sub(bucket.at_ms).saturating_mul(u64::from(RATE_PER_SECOND));
    let milli_tokens = bucket.milli_tokens.saturating_add(gained).min(u64::from(RATE_BURST) * 1000);
    Bucket { milli_tokens, at_ms: now_ms.max(bucket.at_ms) }
}
