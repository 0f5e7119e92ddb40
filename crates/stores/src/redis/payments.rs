//! The fate of a payment: decided once, wherever and however often it is reported.
//!
//! A payment may be reported by the shop and by the provider, several times, to several daemons. Confirming an order is
//! decided with the stock; but whether a late payment reserves again or is given back must be decided by one word too,
//! or the buyer might get both. That word stands under the payment's id.

use super::keys::payment as payment_key;
use super::meters::Operation;
use super::reply::{Reply, text, unexpected};
use super::scripts::{Call, PAYMENT};
use super::{Fence, Gate, StockError};
use flash_core::ids::{Epoch, OrderId, SkuId};
use flash_core::limits::{CLAIM_TTL_MS, PAYMENT_TTL_MS};
use flash_core::payment::{PaymentId, RefundReason};

/// What becomes, or became, of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing is decided yet.
    Open,
    /// With this amount (minor units) it confirmed the order it was made for, and the log knows.
    Confirmed(u64),
    /// It came late and confirms this order instead, which holds units for it.
    Rebooking(OrderId),
    /// It came late and with this amount (minor units) confirmed this order instead, and the log knows.
    Rebooked(OrderId, u64),
    /// It is to be given back.
    Refunding(RefundReason),
    /// It is to be given back, and the log knows.
    Refunded(RefundReason),
}

impl Fate {
    fn write(self) -> String {
        match self {
            Self::Open => String::new(),
            Self::Confirmed(amount_minor) => format!("C{amount_minor}"),
            Self::Rebooking(order_id) => format!("b{order_id}"),
            Self::Rebooked(order_id, amount_minor) => format!("B{order_id}.{amount_minor}"),
            Self::Refunding(reason) => format!("r{}", reason.as_str()),
            Self::Refunded(reason) => format!("R{}", reason.as_str()),
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let mut chars = text.chars();
        let first = chars.next();
        let rest = chars.as_str();
        match first {
            None => Some(Self::Open),
            Some('C') => rest.parse().ok().map(Self::Confirmed),
            Some('b') => OrderId::parse(rest).ok().map(Self::Rebooking),
            Some('B') => {
                let (order_id, amount_minor) = rest.split_once('.')?;
                Some(Self::Rebooked(OrderId::parse(order_id).ok()?, amount_minor.parse().ok()?))
            }
            Some('r') => RefundReason::parse(rest).map(Self::Refunding),
            Some('R') => RefundReason::parse(rest).map(Self::Refunded),
            Some(_) => None,
        }
    }
}

/// What the register says about a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// It was made for another order.
    Other(OrderId),
    /// Its fate as it stands now.
    Fate(Fate),
}

impl Gate {
    /// Proposes a fate for a payment made for `order_id` and returns the one it has: the first that was proposed
    /// (`lua/payment.lua`), unless that is `instead_of`, which has turned out to be impossible. [`Fate::Open`] proposes
    /// nothing and only claims the payment for the order, for a minute.
    ///
    /// # Errors
    /// [`StockError`]; asking again is harmless.
    pub async fn propose(
        &self,
        fence: &Fence,
        payment_id: &PaymentId,
        order_id: OrderId,
        fate: Fate,
        instead_of: Fate,
    ) -> Result<Register, StockError> {
        let mut call = Call::new(&PAYMENT, 1);
        let life_ms = if fate == Fate::Open { CLAIM_TTL_MS } else { PAYMENT_TTL_MS };
        call.arg(payment_key(self.namespace(), payment_id)).fence(fence).arg(order_id.get());
        call.arg(fate.write()).arg(life_ms).arg(instead_of.write());
        let mut reply = Reply::open(self.run(&call).await?)?;
        let word = reply.next()?;
        let said = reply.next()?;
        let said = text(&said).ok_or_else(|| unexpected("payment"))?;
        match text(&word) {
            Some("OTHER") => OrderId::parse(said).ok().map(Register::Other),
            Some("FATE") => Fate::read(said).map(Register::Fate),
            _ => None,
        }
        .ok_or_else(|| unexpected("payment"))
    }

    /// Writes fates that the log knows, whatever was there: `(payment, the order it was made for, fate)`.
    ///
    /// # Errors
    /// [`StockError`]; writing again is harmless.
    pub async fn write_fates(&self, epoch: Epoch, fates: &[(&PaymentId, OrderId, Fate)]) -> Result<(), StockError> {
        if fates.is_empty() {
            return Ok(());
        }
        let mut writes = redis::pipe();
        for (payment_id, order_id, fate) in fates {
            let value = format!("{epoch}:{order_id}:{}", fate.write());
            writes.cmd("SET").arg(payment_key(self.namespace(), payment_id)).arg(value).arg("PX").arg(PAYMENT_TTL_MS);
        }
        self.pipeline(Operation::Write, &writes).await.into_iter().try_for_each(|written| written.map(drop))
    }

    /// Which SKU an order belongs to, if Redis remembers.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn sku_of_order(&self, order_id: OrderId) -> Result<Option<SkuId>, StockError> {
        let mut get = redis::cmd("GET");
        get.arg(super::keys::order_index(self.namespace(), order_id));
        match self.query(&get).await? {
            redis::Value::Nil => Ok(None),
            value => text(&value).and_then(|text| SkuId::parse(text).ok()).map(Some).ok_or_else(|| unexpected("order")),
        }
    }

    /// Redis' clock, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn now_ms(&self) -> Result<u64, StockError> {
        let time: (u64, u64) = redis::from_redis_value(self.query(&redis::cmd("TIME")).await?)
            .map_err(|error| StockError::Unknown(error.to_string()))?;
        Ok(time.0 * 1000 + time.1 / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fate_is_read_as_it_was_written() {
        let order = OrderId::new(9_007_199_254_740_993);
        let mut fates = vec![Fate::Open, Fate::Confirmed(4_900), Fate::Rebooking(order), Fate::Rebooked(order, 0)];
        fates.extend(RefundReason::ALL.map(Fate::Refunding));
        fates.extend(RefundReason::ALL.map(Fate::Refunded));
        for fate in fates {
            assert_eq!(Fate::read(&fate.write()), Some(fate));
        }
        assert_eq!(Fate::read("x"), None);
    }
}
