//! Reading what the scripts answer. Anything unexpected is "unknown", never a guess.

use super::StockError;
use flash_core::ids::{OrderId, ReservationId, UserId};
use flash_core::order::OrderState;
use flash_core::payment::{Payment, PaymentId};
use flash_core::settlement::Settlement;
use flash_core::stock::{Hold, Receipt};
use redis::Value;

/// A script's reply, read item by item.
pub(super) struct Reply {
    items: std::vec::IntoIter<Value>,
}

pub(super) fn unexpected(what: &str) -> StockError {
    StockError::Unknown(format!("unexpected reply: {what}"))
}

/// Whether a script said that this Redis may not decide.
pub(super) fn is_fenced(reply: &Value) -> bool {
    matches!(reply, Value::Array(items) if matches!(items.first(), Some(Value::BulkString(word)) if word == b"FENCED"))
}

impl Reply {
    /// Opens an array reply, and turns `{'FENCED', reason}` into the error it is.
    pub(super) fn open(value: Value) -> Result<Self, StockError> {
        let fenced = is_fenced(&value);
        let Value::Array(items) = value else { return Err(unexpected("not an array")) };
        if fenced {
            return Err(StockError::Fenced(items.get(1).and_then(text).unwrap_or("no reason").to_owned()));
        }
        Ok(Self { items: items.into_iter() })
    }

    pub(super) fn left(&self) -> usize {
        self.items.len()
    }

    pub(super) fn next(&mut self) -> Result<Value, StockError> {
        self.items.next().ok_or_else(|| unexpected("too short"))
    }

    /// A number that may have been written by hand, and be negative.
    pub(super) fn signed(&mut self) -> Result<i64, StockError> {
        match self.next()? {
            Value::Int(number) => Ok(number),
            _ => Err(unexpected("not a number")),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, StockError> {
        match self.next()? {
            Value::Int(number) => u64::try_from(number).map_err(|_| unexpected("negative number")),
            _ => Err(unexpected("not a number")),
        }
    }

    pub(super) fn count(&mut self) -> Result<u32, StockError> {
        u32::try_from(self.number()?).map_err(|_| unexpected("number too large"))
    }
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        Value::Okay => Some("OK"),
        _ => None,
    }
}

/// Writes a hold's details as the scripts keep them (without the order id).
pub(super) fn details(hold: &Hold) -> String {
    let Hold {
        reservation_id,
        user_id,
        quantity,
        unit_price_minor,
        seq,
        reserved_at_ms,
        expires_at_ms,
        idempotency_key,
        ..
    } = hold;
    format!(
        "{reservation_id}:{user_id}:{quantity}:{unit_price_minor}:{seq}:{reserved_at_ms}:{expires_at_ms}:{idempotency_key}"
    )
}

/// Reads `order:reservation:reserved_at:expires_at`.
pub(super) fn receipt(text: &str) -> Option<Receipt> {
    let mut parts = text.split(':');
    let mut next = || parts.next();
    Some(Receipt {
        order_id: OrderId::parse(next()?).ok()?,
        reservation_id: ReservationId::parse(next()?).ok()?,
        reserved_at_ms: next()?.parse().ok()?,
        expires_at_ms: next()?.parse().ok()?,
    })
}

/// Reads `order:` and the entry of `closing` after it.
pub(super) fn settlement(text: &str) -> Option<Settlement> {
    let mut parts = text.splitn(9, ':');
    let mut next = || parts.next();
    let order = next()?;
    let state = OrderState::parse(next()?).filter(|state| *state != OrderState::Reserved)?;
    let (token, seq, at_ms) = (next()?.to_owned(), next()?.parse().ok()?, next()?.parse().ok()?);
    let (payment_id, amount, paid) = (next()?, next()?, next()?);
    let payment = if state == OrderState::Confirmed {
        Some(Payment {
            payment_id: PaymentId::parse(payment_id)?,
            amount_minor: amount.parse().ok()?,
            paid_order: OrderId::parse(paid).ok()?,
        })
    } else {
        None
    };
    let hold = hold(&format!("{order}:{}", next()?))?;
    Some(Settlement { hold, state, token, seq, at_ms, payment })
}

/// Reads `order:` and the details after it.
pub(super) fn hold(text: &str) -> Option<Hold> {
    let mut parts = text.splitn(9, ':');
    let mut next = || parts.next();
    Some(Hold {
        order_id: OrderId::parse(next()?).ok()?,
        reservation_id: ReservationId::parse(next()?).ok()?,
        user_id: UserId::parse(next()?).ok()?,
        quantity: next()?.parse().ok()?,
        unit_price_minor: next()?.parse().ok()?,
        seq: next()?.parse().ok()?,
        reserved_at_ms: next()?.parse().ok()?,
        expires_at_ms: next()?.parse().ok()?,
        idempotency_key: next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settlement_is_read_with_and_without_payment() {
        let details = "2:3:4:4900:5:6:7:a:b:c";
        let paid = settlement(&format!("1:CONFIRMED:9-1:6:8:pi_1:19600:1:{details}")).unwrap();
        assert_eq!((paid.token.as_str(), paid.seq, paid.hold.idempotency_key.as_str()), ("9-1", 6, "a:b:c"));
        assert_eq!(paid.payment.unwrap().amount_minor, 19_600);
        let expired = settlement(&format!("1:EXPIRED:9-2:6:8::::{details}")).unwrap();
        assert_eq!((expired.state, expired.payment, expired.hold.order_id.get()), (OrderState::Expired, None, 1));
        assert!(settlement(&format!("1:RESERVED:9-2:6:8::::{details}")).is_none());
        assert!(settlement(&format!("1:CONFIRMED:9-2:6:8::::{details}")).is_none(), "paid by nothing");
    }

    #[test]
    fn details_survive_keys_with_colons() {
        let held = Hold {
            order_id: OrderId::new(9_007_199_254_740_993),
            reservation_id: ReservationId::new(2),
            user_id: UserId::new(3),
            quantity: 4,
            unit_price_minor: 4900,
            seq: 5,
            reserved_at_ms: 6,
            expires_at_ms: 7,
            idempotency_key: "a:b:c".into(),
        };
        assert_eq!(hold(&format!("{}:{}", held.order_id, details(&held))), Some(held));
    }
}
