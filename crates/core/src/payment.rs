//! Payments: what a shop or a payment provider tells us, read strictly, and what became of the money.
//!
//! The rule behind it all: money is never silently lost. A payment either confirms an order or is recorded as to be given
//! back, with the reason.

use crate::ids::OrderId;
use crate::limits::{PAYMENT_ID_MAX_BYTES, PRICE_MAX_MINOR, QUANTITY_MAX};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The provider's name for one payment: 1–100 of `A–Z a–z 0–9 . _ -`. No separator of ours can hide in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PaymentId(String);

impl PaymentId {
    /// Reads the wire form; `None` if it is empty, too long or has other characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let fits = (1..=PAYMENT_ID_MAX_BYTES).contains(&text.len());
        (fits && text.bytes().all(legal)).then(|| Self(text.to_owned()))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PaymentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a payment id"))
    }
}

/// Money that arrived for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Payment {
    /// The provider's name for it.
    pub payment_id: PaymentId,
    /// How much, in minor units of the SKU's currency.
    pub amount_minor: u64,
    /// The order the buyer paid for. It differs from the order that the payment confirms when the payment came late and
    /// units were reserved again.
    pub paid_order: OrderId,
}

/// Why a payment bought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefundReason {
    /// The hold had expired and nothing was free to be reserved again.
    Expired,
    /// The buyer had cancelled.
    Cancelled,
    /// Another payment had confirmed the order.
    AlreadyPaid,
    /// It was not the order's price.
    Amount,
}

impl RefundReason {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Expired, Self::Cancelled, Self::AlreadyPaid, Self::Amount];

    /// The name used in MySQL, in events and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "EXPIRED",
            Self::Cancelled => "CANCELLED",
            Self::AlreadyPaid => "ALREADY_PAID",
            Self::Amount => "AMOUNT",
        }
    }

    /// Reads the name written by [`RefundReason::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// A checked request to settle an order with a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayRequest {
    /// The payment.
    pub payment_id: PaymentId,
    /// Its amount in minor units.
    pub amount_minor: u64,
    /// ISO 4217 code, if the sender names one; it must be the SKU's.
    pub currency: Option<String>,
}

/// Why a request is refused with 400. The text is for the client and says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PayError(String);

/// Largest amount one order can cost, in minor units.
pub const AMOUNT_MAX_MINOR: u64 = PRICE_MAX_MINOR * QUANTITY_MAX as u64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PayWire<'a> {
    #[serde(borrow)]
    payment_id: Cow<'a, str>,
    amount: u64,
    #[serde(borrow, default)]
    currency: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NoticeWire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    payment_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    order_id: Option<Cow<'a, str>>,
    #[serde(default)]
    amount: Option<u64>,
    #[serde(borrow, default)]
    currency: Option<Cow<'a, str>>,
}

/// The kind of notice that says that money has arrived.
pub const PAYMENT_SUCCEEDED: &str = "payment.succeeded";

/// What a provider's webhook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Money has arrived for an order.
    Paid {
        /// The order.
        order_id: OrderId,
        /// The payment.
        request: PayRequest,
    },
    /// Something else that providers also report; it is acknowledged and nothing more.
    Other,
}

impl PayRequest {
    /// Reads the body of `POST …/orders/{orderId}/pay`.
    ///
    /// # Errors
    /// [`PayError`] names the field.
    pub fn parse(body: &[u8]) -> Result<Self, PayError> {
        let wire: PayWire<'_> = object(body)?;
        Self::check(&wire.payment_id, wire.amount, wire.currency)
    }

    fn check(payment_id: &str, amount_minor: u64, currency: Option<Cow<'_, str>>) -> Result<Self, PayError> {
        let payment_id = PaymentId::parse(payment_id).ok_or_else(|| {
            let rule =
                format!("paymentId: must be 1 to {PAYMENT_ID_MAX_BYTES} letters, digits, dots, dashes or underscores");
            PayError(rule)
        })?;
        if amount_minor > AMOUNT_MAX_MINOR {
            return Err(PayError(format!("amount: must be at most {AMOUNT_MAX_MINOR} minor units")));
        }
        if currency.as_ref().is_some_and(|code| code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase())) {
            return Err(PayError("currency: must be three capital letters, like EUR".to_owned()));
        }
        Ok(Self { payment_id, amount_minor, currency: currency.map(Cow::into_owned) })
    }
}

impl Notice {
    /// Reads the body of a webhook. Fields we do not know are the provider's business.
    ///
    /// # Errors
    /// [`PayError`] if it is not a notice, or a payment without its fields.
    pub fn parse(body: &[u8]) -> Result<Self, PayError> {
        let wire: NoticeWire<'_> = object(body)?;
        if wire.kind != PAYMENT_SUCCEEDED {
            return Ok(Self::Other);
        }
        let missing = |name: &str| PayError(format!("{name}: is missing"));
        let order_id = wire.order_id.ok_or_else(|| missing("orderId"))?;
        let order_id = OrderId::parse(&order_id).map_err(|error| PayError(format!("orderId: {error}")))?;
        let payment_id = wire.payment_id.ok_or_else(|| missing("paymentId"))?;
        let amount = wire.amount.ok_or_else(|| missing("amount"))?;
        Ok(Self::Paid { order_id, request: PayRequest::check(&payment_id, amount, wire.currency)? })
    }
}

/// Longest part of a parser's message that is repeated to the client; the message may quote the request.
const MESSAGE_MAX_CHARS: usize = 160;

/// One JSON object; the parser would also read the fields from an array, in order.
fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, PayError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(PayError("body: must be one JSON object".to_owned()));
    }
    let told = |error: serde_json::Error| error.to_string().chars().take(MESSAGE_MAX_CHARS).collect::<String>();
    serde_json::from_slice(body).map_err(|error| PayError(format!("body: {}", told(error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_is_read_strictly() {
        let good = PayRequest::parse(br#"{"paymentId":"pi_1","amount":9800,"currency":"EUR"}"#).unwrap();
        assert_eq!((good.payment_id.as_str(), good.amount_minor), ("pi_1", 9800));
        let longest = "a".repeat(PAYMENT_ID_MAX_BYTES);
        assert!(PaymentId::parse(&longest).is_some());
        for bad in [
            r#"{"paymentId":"","amount":1}"#.to_owned(),
            r#"{"paymentId":"a:b","amount":1}"#.to_owned(),
            r#"{"paymentId":"a b","amount":1}"#.to_owned(),
            format!(r#"{{"paymentId":"{longest}a","amount":1}}"#),
            r#"{"paymentId":"a","amount":-1}"#.to_owned(),
            r#"{"paymentId":"a","amount":1.5}"#.to_owned(),
            r#"{"paymentId":"a","amount":"1"}"#.to_owned(),
            r#"{"paymentId":"a","amount":1000000000001}"#.to_owned(),
            r#"{"paymentId":"a","amount":1,"currency":"eur"}"#.to_owned(),
            r#"{"paymentId":"a","amount":1,"tip":1}"#.to_owned(),
            r#"{"paymentId":"a","amount":1,"amount":2}"#.to_owned(),
            r#"{"amount":1}"#.to_owned(),
            r#"["a",1]"#.to_owned(),
            "null".to_owned(),
        ] {
            assert!(PayRequest::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_notice_needs_its_fields_only_if_it_is_about_money() {
        let paid = br#"{"type":"payment.succeeded","paymentId":"p","orderId":"7","amount":5,"livemode":true}"#;
        assert!(matches!(Notice::parse(paid), Ok(Notice::Paid { order_id, .. }) if order_id.get() == 7));
        assert_eq!(Notice::parse(br#"{"type":"customer.created","id":1}"#), Ok(Notice::Other));
        for bad in [
            r#"{"type":"payment.succeeded","paymentId":"p","amount":5}"#,
            r#"{"type":"payment.succeeded","orderId":"7","amount":5}"#,
            r#"{"type":"payment.succeeded","orderId":"7","paymentId":"p"}"#,
            r#"{"type":"payment.succeeded","orderId":"07","paymentId":"p","amount":1}"#,
            r#"{"paymentId":"p"}"#,
        ] {
            assert!(Notice::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        for reason in RefundReason::ALL {
            assert_eq!(RefundReason::parse(reason.as_str()), Some(reason));
        }
    }
}
