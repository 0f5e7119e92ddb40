//! The log as the witness understands it: records in, orders out. Own codec, own state machine, own void rule.
//!
//! An event of an older epoch that stands behind the fence of a newer one in its partition is void. Of the others the first
//! word about an order creates it and the first end ends it.

use serde::Deserialize;
use std::{collections::BTreeMap, fmt};

/// One record, in the order of its partition.
#[derive(Debug, Clone)]
pub struct Record {
    /// Partition.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// The payload.
    pub payload: Vec<u8>,
}

/// State of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Held.
    Reserved,
    /// Paid.
    Confirmed,
    /// Given back by its buyer.
    Cancelled,
    /// Given back by time.
    Expired,
}

impl State {
    /// Whether its units are taken.
    #[must_use]
    pub fn occupies(self) -> bool {
        matches!(self, Self::Reserved | Self::Confirmed)
    }

    /// As MySQL spells it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "RESERVED" => Self::Reserved,
            "CONFIRMED" => Self::Confirmed,
            "CANCELLED" => Self::Cancelled,
            "EXPIRED" => Self::Expired,
            _ => return None,
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Reserved => "RESERVED",
            Self::Confirmed => "CONFIRMED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
        })
    }
}

/// What an order is, beside its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Reservation.
    pub reservation_id: u64,
    /// Buyer.
    pub user_id: u64,
    /// SKU.
    pub sku_id: u64,
    /// Units.
    pub quantity: u32,
    /// Price of one unit.
    pub unit_price_minor: u64,
    /// Idempotency key.
    pub key: String,
    /// When it was decided, by Redis' clock.
    pub reserved_at_ms: u64,
    /// End of the hold, by Redis' clock.
    pub expires_at_ms: u64,
}

impl fmt::Display for Terms {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quantity, sku_id, user_id, key, reservation_id, unit_price_minor, .. } = self;
        write!(out, "{quantity} of SKU {sku_id} at {unit_price_minor} for user {user_id} under key {key}, ")?;
        write!(out, "reservation {reservation_id} until {}", self.expires_at_ms)
    }
}

/// An order that the log counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOrder {
    /// Its terms, from the first event about it.
    pub terms: Terms,
    /// Where it stands at the end of the log.
    pub state: State,
    /// When it ended (cancelled or expired), by Redis' clock.
    pub ended_ms: Option<u64>,
    /// What was paid, if it is confirmed.
    pub paid: Option<Payment>,
}

/// A payment in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub payment_id: String,
    /// Its amount.
    pub amount_minor: u64,
    /// The order that the buyer paid for.
    pub paid_order: u64,
}

impl fmt::Display for Payment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "payment {} of {} for order {}", self.payment_id, self.amount_minor, self.paid_order)
    }
}

/// The whole log, understood.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Orders that count.
    pub orders: BTreeMap<u64, LogOrder>,
    /// Orders of which every event is void, with how many there were.
    pub voided: BTreeMap<u64, usize>,
    /// Payments that bought nothing, by id.
    pub refunds: BTreeMap<String, Payment>,
    /// What contradicts the log itself: events that cannot be read or do not fit each other.
    pub nonsense: Vec<(Option<u64>, String)>,
    /// Next offset per partition.
    pub ends: BTreeMap<i32, i64>,
    /// Events, fences among them.
    pub events: usize,
    /// Events that are void.
    pub void_events: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireOrder {
    order_id: String,
    reservation_id: String,
    user_id: String,
    sku_id: String,
    quantity: u32,
    unit_price_minor: u64,
    #[serde(rename = "seq")]
    _seq: u64,
    idempotency_key: String,
    reserved_at_ms: u64,
    expires_at_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WirePayment {
    payment_id: String,
    amount_minor: u64,
    paid_order: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    v: u32,
    #[serde(rename = "type")]
    kind: String,
    epoch: u64,
    at_ms: u64,
    #[serde(rename = "seq")]
    _seq: Option<u64>,
    order: Option<WireOrder>,
    payment: Option<WirePayment>,
    #[serde(rename = "reason")]
    _reason: Option<String>,
}

impl Log {
    /// Understands records. Those of one partition must come in their order; between partitions any order will do.
    #[must_use]
    pub fn from_records<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut log = Self::default();
        let mut fences: BTreeMap<i32, u64> = BTreeMap::new();
        let mut all_voided: BTreeMap<u64, usize> = BTreeMap::new();
        for record in records {
            log.ends.insert(record.partition, record.offset + 1);
            log.events += 1;
            let at = format!("partition {} offset {}", record.partition, record.offset);
            let wire: Wire = match serde_json::from_slice(&record.payload) {
                Ok(wire) => wire,
                Err(error) => {
                    log.nonsense.push((None, format!("{at}: {error}")));
                    continue;
                }
            };
            let fence = fences.entry(record.partition).or_default();
            if wire.epoch < *fence {
                log.void_events += 1;
                if let Some(id) = wire.order.as_ref().and_then(|order| order.order_id.parse().ok()) {
                    *all_voided.entry(id).or_default() += 1;
                }
                continue;
            }
            if wire.kind == "FENCE" {
                *fence = wire.epoch;
                continue;
            }
            if let Err(problem) = log.apply(wire) {
                log.nonsense.push((problem.0, format!("{at}: {}", problem.1)));
            }
        }
        all_voided.retain(|order, _| !log.orders.contains_key(order));
        log.voided = all_voided;
        log
    }

    /// The same log as far as it has been applied, for whoever knows nothing of the rest; `None` if that is all of it.
    #[must_use]
    pub fn until(records: &[Record], applied: &BTreeMap<i32, i64>) -> Option<Self> {
        let is_known = |record: &&Record| applied.get(&record.partition).is_some_and(|next| record.offset < *next);
        (!records.iter().all(|record| is_known(&record))).then(|| Self::from_records(records.iter().filter(is_known)))
    }

    fn apply(&mut self, wire: Wire) -> Result<(), (Option<u64>, String)> {
        let plain = |text: String| (None, text);
        if wire.v != 1 {
            return Err(plain(format!("layout version {}", wire.v)));
        }
        let order = wire.order.ok_or_else(|| plain(format!("{} without an order", wire.kind)))?;
        let order_id = id(&order.order_id).map_err(plain)?;
        let problem = |text: String| (Some(order_id), text);
        let terms = terms(order).map_err(problem)?;
        let payment = wire.payment.map(payment).transpose().map_err(problem)?;
        if wire.kind == "REFUND_PENDING" {
            let payment = payment.ok_or_else(|| problem("a refund without a payment".to_owned()))?;
            let known = self.refunds.entry(payment.payment_id.clone()).or_insert_with(|| payment.clone());
            return if *known == payment {
                Ok(())
            } else {
                Err(problem(format!(
                    "payment {} is to be given back in two ways: {known}, {payment}",
                    known.payment_id
                )))
            };
        }
        let state = State::parse(&wire.kind).ok_or_else(|| problem(format!("an event of type {}", wire.kind)))?;
        if state == State::Confirmed && payment.is_none() {
            return Err(problem("confirmed without a payment".to_owned()));
        }
        self.order(order_id, terms, state, wire.at_ms, payment).map_err(problem)
    }

    fn order(
        &mut self,
        order_id: u64,
        terms: Terms,
        state: State,
        at_ms: u64,
        payment: Option<Payment>,
    ) -> Result<(), String> {
        let fresh = LogOrder { terms: terms.clone(), state: State::Reserved, ended_ms: None, paid: None };
        let order = self.orders.entry(order_id).or_insert(fresh);
        if order.terms != terms {
            return Err(format!("one order id, two orders: {} and {terms}", order.terms));
        }
        match (order.state, state) {
            // The first word, or a repetition.
            (_, State::Reserved) => {}
            (State::Reserved, end) => {
                order.state = end;
                order.ended_ms = (!end.occupies()).then_some(at_ms);
                order.paid = payment;
            }
            (known, again) if known == again => {
                if state == State::Confirmed && order.paid != payment {
                    let of = |paid: &Option<Payment>| paid.as_ref().map_or_else(String::new, Payment::to_string);
                    return Err(format!("paid twice: {} and {}", of(&order.paid), of(&payment)));
                }
            }
            (known, other) => return Err(format!("ended twice: {known}, then {other}")),
        }
        Ok(())
    }
}

fn terms(order: WireOrder) -> Result<Terms, String> {
    Ok(Terms {
        reservation_id: id(&order.reservation_id)?,
        user_id: id(&order.user_id)?,
        sku_id: id(&order.sku_id)?,
        quantity: order.quantity,
        unit_price_minor: order.unit_price_minor,
        key: order.idempotency_key,
        reserved_at_ms: order.reserved_at_ms,
        expires_at_ms: order.expires_at_ms,
    })
}

fn payment(payment: WirePayment) -> Result<Payment, String> {
    let paid_order = id(&payment.paid_order)?;
    Ok(Payment { payment_id: payment.payment_id, amount_minor: payment.amount_minor, paid_order })
}

fn id(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|id| *id > 0).ok_or_else(|| format!("{text:?} is no id"))
}
