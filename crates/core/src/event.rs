//! The events of the topic `order-events`: the truth that everything else is projected from.
//!
//! An event is one JSON object (schema: `schema/event.schema.json`), keyed by order id so that the events of one order
//! stay in order, and self-contained so that a reader needs nothing but the log. All fields travel in the payload, none
//! in record headers: some brokers serve records with headers very slowly.

use crate::ids::{Epoch, OrderId, ReservationId, SkuId, UserId};
use crate::order::OrderState;
use crate::payment::{Payment, RefundReason};
use serde::{Deserialize, Serialize};

/// Version of the event layout. A reader refuses versions it does not know instead of guessing.
pub const EVENT_VERSION: u8 = 1;

/// The whole order, carried by each of its events so that any of them can stand alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Order {
    /// The order; also the record's key.
    pub order_id: OrderId,
    /// The hold behind the order.
    pub reservation_id: ReservationId,
    /// The buyer.
    pub user_id: UserId,
    /// What was bought.
    pub sku_id: SkuId,
    /// Units, 1–10.
    pub quantity: u32,
    /// Price of one unit when it was reserved, in minor units of the SKU's currency.
    pub unit_price_minor: u64,
    /// The SKU's stock sequence number of the reservation: one step per stock change.
    pub seq: u64,
    /// The buyer's idempotency key, or the one made up for them.
    pub idempotency_key: String,
    /// When Redis decided the reservation, in milliseconds since 1970 by Redis' clock.
    pub reserved_at_ms: u64,
    /// When the hold ends, in milliseconds since 1970 by Redis' clock.
    pub expires_at_ms: u64,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// An order moved to `state`.
    Order {
        /// The state the event moves the order to.
        state: OrderState,
        /// The SKU's stock sequence number of this move; for a reservation it is the order's own.
        seq: u64,
        /// The order.
        order: Order,
        /// What confirmed it; only a `CONFIRMED` order has one.
        payment: Option<Payment>,
    },
    /// Money arrived that bought nothing; it has to be given back. No stock moves.
    Refund {
        /// The order it was paid for.
        order: Order,
        /// The money.
        payment: Payment,
        /// Why it bought nothing.
        reason: RefundReason,
    },
    /// Every event of an older epoch behind this record in this partition is void.
    Fence,
}

/// One record of `order-events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The epoch it was decided under; for a fence, the epoch that begins here.
    pub epoch: Epoch,
    /// When it was decided, in milliseconds since 1970 by Redis' clock (a fence: by the coordinator's).
    pub at_ms: u64,
    /// What it says.
    pub body: Body,
}

/// Why a record is not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The layout version is not one this program knows.
    #[error("event layout version {0} is not supported (this program knows {EVENT_VERSION})")]
    Version(u8),
    /// The payload is not an event.
    #[error("not an event: {0}")]
    Malformed(#[from] serde_json::Error),
    /// An order event without an order, or a fence with one.
    #[error("the fields do not belong to the event's type")]
    Inconsistent,
    /// A field is outside its bounds.
    #[error("{0} is out of range")]
    Range(&'static str),
}

impl Body {
    /// A reservation.
    #[must_use]
    pub const fn reserved(order: Order) -> Self {
        Self::Order { state: OrderState::Reserved, seq: order.seq, order, payment: None }
    }

    /// The order it is about; none for a fence.
    #[must_use]
    pub const fn order(&self) -> Option<&Order> {
        match self {
            Self::Order { order, .. } | Self::Refund { order, .. } => Some(order),
            Self::Fence => None,
        }
    }

    /// The name of its type, as in the log.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Order { state, .. } => state.as_str(),
            Self::Refund { .. } => "REFUND_PENDING",
            Self::Fence => "FENCE",
        }
    }
}

impl Event {
    /// The record's payload.
    ///
    /// # Errors
    /// Only if the serializer itself fails, which these types give it no reason to.
    pub fn encode(&self) -> Result<Vec<u8>, EventError> {
        let mut wire = Wire {
            v: EVENT_VERSION,
            kind: Kind::Fence,
            epoch: self.epoch,
            at_ms: self.at_ms,
            seq: None,
            order: None,
            payment: None,
            reason: None,
        };
        match &self.body {
            Body::Order { state, seq, order, payment } => {
                wire.kind = Kind::from(*state);
                wire.seq = (*state != OrderState::Reserved).then_some(*seq);
                (wire.order, wire.payment) = (Some(order), payment.as_ref());
            }
            Body::Refund { order, payment, reason } => {
                wire.kind = Kind::RefundPending;
                (wire.order, wire.payment, wire.reason) = (Some(order), Some(payment), Some(*reason));
            }
            Body::Fence => {}
        }
        let mut payload = Vec::with_capacity(384);
        serde_json::to_writer(&mut payload, &wire)?;
        Ok(payload)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`EventError`] for anything that is not exactly an event of a known layout. Such a record is poison: it is parked
    /// in the dead letters, never guessed at.
    pub fn decode(payload: &[u8]) -> Result<Self, EventError> {
        let wire: Wire<Order, Payment> =
            serde_json::from_slice(payload).map_err(|error| foreign_version(payload, error))?;
        if wire.v != EVENT_VERSION {
            return Err(EventError::Version(wire.v));
        }
        let (epoch, at_ms) = (wire.epoch, wire.at_ms);
        Ok(Self { epoch, at_ms, body: read_body(wire)? })
    }
}

/// Each type has exactly its own fields.
fn read_body(wire: Wire<Order, Payment>) -> Result<Body, EventError> {
    let Wire { kind, seq, order, payment, reason, .. } = wire;
    let order = order.map(check).transpose()?;
    if seq.is_some_and(|seq| seq > i64::MAX.unsigned_abs()) {
        return Err(EventError::Range("seq"));
    }
    match (kind.state(), seq, order, payment, reason) {
        (Some(OrderState::Reserved), None, Some(order), None, None) => Ok(Body::reserved(order)),
        (Some(OrderState::Confirmed), Some(seq), Some(order), Some(payment), None) => {
            Ok(Body::Order { state: OrderState::Confirmed, seq, order, payment: Some(payment) })
        }
        (Some(state @ (OrderState::Cancelled | OrderState::Expired)), Some(seq), Some(order), None, None) => {
            Ok(Body::Order { state, seq, order, payment: None })
        }
        (None, None, Some(order), Some(payment), Some(reason)) if matches!(kind, Kind::RefundPending) => {
            Ok(Body::Refund { order, payment, reason })
        }
        (None, None, None, None, None) if matches!(kind, Kind::Fence) => Ok(Body::Fence),
        _ => Err(EventError::Inconsistent),
    }
}

/// A newer layout may have other fields: if the record says it is one, that is the truer complaint.
fn foreign_version(payload: &[u8], error: serde_json::Error) -> EventError {
    #[derive(Deserialize)]
    struct OnlyVersion {
        v: u8,
    }
    match serde_json::from_slice::<OnlyVersion>(payload) {
        Ok(OnlyVersion { v }) if v != EVENT_VERSION => EventError::Version(v),
        _ => EventError::Malformed(error),
    }
}

fn check(order: Order) -> Result<Order, EventError> {
    use crate::limits::{IDEMPOTENCY_KEY_MAX_BYTES, PRICE_MAX_MINOR, QUANTITY_MAX};
    if order.quantity == 0 || order.quantity > QUANTITY_MAX {
        return Err(EventError::Range("quantity"));
    }
    if order.unit_price_minor > PRICE_MAX_MINOR {
        return Err(EventError::Range("unitPriceMinor"));
    }
    let key = order.idempotency_key.as_bytes();
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_MAX_BYTES || !key.iter().all(u8::is_ascii_graphic) {
        return Err(EventError::Range("idempotencyKey"));
    }
    if order.seq > i64::MAX.unsigned_abs() || order.expires_at_ms > i64::MAX.unsigned_abs() {
        return Err(EventError::Range("seq or expiresAtMs"));
    }
    Ok(order)
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Kind {
    Reserved,
    Confirmed,
    Cancelled,
    Expired,
    RefundPending,
    Fence,
}

impl From<OrderState> for Kind {
    fn from(state: OrderState) -> Self {
        match state {
            OrderState::Reserved => Self::Reserved,
            OrderState::Confirmed => Self::Confirmed,
            OrderState::Cancelled => Self::Cancelled,
            OrderState::Expired => Self::Expired,
        }
    }
}

impl Kind {
    const fn state(self) -> Option<OrderState> {
        match self {
            Self::Reserved => Some(OrderState::Reserved),
            Self::Confirmed => Some(OrderState::Confirmed),
            Self::Cancelled => Some(OrderState::Cancelled),
            Self::Expired => Some(OrderState::Expired),
            Self::RefundPending | Self::Fence => None,
        }
    }
}

/// The record as it stands in the log: flat where every event has the field, one nested object for the order.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire<O, P> {
    v: u8,
    #[serde(rename = "type")]
    kind: Kind,
    epoch: Epoch,
    at_ms: u64,
    /// Of a settlement; a reservation's stands in its order.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default = "Option::default")]
    order: Option<O>,
    #[serde(skip_serializing_if = "Option::is_none", default = "Option::default")]
    payment: Option<P>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<RefundReason>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::PaymentId;

    fn order() -> Order {
        Order {
            order_id: OrderId::new(9_007_199_254_740_993),
            reservation_id: ReservationId::new(9_007_199_254_740_994),
            user_id: UserId::new(123),
            sku_id: SkuId::new(1),
            quantity: 2,
            unit_price_minor: 4900,
            seq: 17,
            idempotency_key: "key-'\\1".into(),
            reserved_at_ms: 1_700_000_000_000,
            expires_at_ms: 1_700_000_300_000,
        }
    }

    fn payment() -> Payment {
        Payment {
            payment_id: PaymentId::parse("pi_3-x.Y").unwrap(),
            amount_minor: 9800,
            paid_order: OrderId::new(9_007_199_254_740_993),
        }
    }

    #[test]
    fn every_event_survives_the_log() {
        let settled = |state, payment| Body::Order { state, seq: 18, order: order(), payment };
        let bodies = [
            Body::reserved(order()),
            settled(OrderState::Confirmed, Some(payment())),
            settled(OrderState::Cancelled, None),
            settled(OrderState::Expired, None),
            Body::Refund { order: order(), payment: payment(), reason: RefundReason::Expired },
            Body::Fence,
        ];
        for body in bodies {
            let event = Event { epoch: Epoch(3), at_ms: 5, body };
            assert_eq!(Event::decode(&event.encode().unwrap()).unwrap(), event);
        }
    }

    #[test]
    fn the_layout_is_what_the_schema_says() {
        let event = Event { epoch: Epoch(3), at_ms: 5, body: Body::reserved(order()) };
        let text = String::from_utf8(event.encode().unwrap()).unwrap();
        assert_eq!(
            text,
            r#"{"v":1,"type":"RESERVED","epoch":3,"atMs":5,"order":{"orderId":"9007199254740993","reservationId":"9007199254740994","userId":"123","skuId":"1","quantity":2,"unitPriceMinor":4900,"seq":17,"idempotencyKey":"key-'\\1","reservedAtMs":1700000000000,"expiresAtMs":1700000300000}}"#
        );
    }

    #[test]
    fn a_settlement_says_its_own_sequence_number_and_payment() {
        let body = Body::Order { state: OrderState::Confirmed, seq: 18, order: order(), payment: Some(payment()) };
        let text = String::from_utf8(Event { epoch: Epoch(3), at_ms: 5, body }.encode().unwrap()).unwrap();
        assert!(text.starts_with(r#"{"v":1,"type":"CONFIRMED","epoch":3,"atMs":5,"seq":18,"order":{"#), "{text}");
        let tail = r#","payment":{"paymentId":"pi_3-x.Y","amountMinor":9800,"paidOrder":"9007199254740993"}}"#;
        assert!(text.ends_with(tail), "{text}");
        for (from, to) in [
            (tail, "}"),
            ("\"seq\":18,", ""),
            ("CONFIRMED", "EXPIRED"),
            ("CONFIRMED", "RESERVED"),
            ("CONFIRMED", "REFUND_PENDING"),
            ("pi_3-x.Y", "pi 3"),
        ] {
            let bad = text.replacen(from, to, 1);
            assert_ne!(bad, text, "{from}");
            assert!(Event::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn anything_else_is_poison() {
        let good = Event { epoch: Epoch(3), at_ms: 5, body: Body::reserved(order()) };
        let text = String::from_utf8(good.encode().unwrap()).unwrap();
        for (from, to) in [
            ("\"v\":1", "\"v\":2"),
            ("\"quantity\":2", "\"quantity\":0"),
            ("\"quantity\":2", "\"quantity\":11"),
            ("\"quantity\":2", "\"quantity\":\"2\""),
            ("RESERVED", "RESOLD"),
            ("RESERVED", "FENCE"),
            ("\"seq\":17,", ""),
            ("\"userId\":\"123\"", "\"userId\":\"0123\""),
            ("key-", "key\\n"),
            ("}}", "},\"extra\":1}"),
        ] {
            let bad = text.replacen(from, to, 1);
            assert_ne!(bad, text, "{from}");
            assert!(Event::decode(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(matches!(Event::decode(br#"{"v":9,"new":"layout"}"#), Err(EventError::Version(9))));
        assert!(Event::decode(b"\xff\xfe").is_err());
        assert!(Event::decode(br#"{"v":1,"type":"RESERVED","epoch":1,"atMs":1}"#).is_err());
    }
}
