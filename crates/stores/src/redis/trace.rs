//! Looking for one order, one key, one buyer or one payment: what Redis has of it, for whoever explains a ticket.
//!
//! Never changes anything, and never asks for the fence: what a closed or half-filled Redis holds is worth seeing too.
//! Each answer is one plain command on keys of one slot, so it is true by itself and no more than that: between two of
//! them an order may move on.

use super::keys::{binding, payment};
use super::payments::Fate;
use super::reply::{hold, settlement, text, unexpected};
use super::{Gate, SkuKeys, StockError};
use flash_core::ids::{Epoch, OrderId, SkuId, UserId};
use flash_core::payment::PaymentId;
use flash_core::settlement::Settlement;
use flash_core::stock::Hold;
use redis::{Cmd, Value};
use std::collections::BTreeMap;

/// What Redis has of one order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderTrace {
    /// The SKU's epoch field: a number, or a closing, loading or blocking mark. `None`: the SKU is not in Redis.
    pub stock_epoch: Option<String>,
    /// Its live hold.
    pub hold: Option<Hold>,
    /// Its settlement, if one is under way.
    pub closing: Option<Settlement>,
}

/// The answer that an idempotency key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAnswer {
    /// The epoch it was given or rewritten under; in any other it does not count.
    pub epoch: Epoch,
    /// Units that were asked for.
    pub quantity: u32,
    /// The order it stands for.
    pub order_id: OrderId,
    /// `C`: paid for, `K`: cancelled, `X`: expired; `None` while the order is held or being settled.
    pub settled: Option<char>,
}

/// The fate of a payment as the register has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptFate {
    /// The epoch it was decided or rewritten under; in any other it does not count.
    pub epoch: Epoch,
    /// The order it was paid for.
    pub order_id: OrderId,
    /// What became of it.
    pub fate: Fate,
}

impl Gate {
    /// What Redis has of an order. The hold is read before the settlement it may turn into, so one of the two is seen.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn trace(&self, keys: &SkuKeys, order_id: OrderId) -> Result<OrderTrace, StockError> {
        let field = |key: &str, field: String| -> Cmd {
            let mut command = redis::cmd("HGET");
            command.arg(key).arg(field);
            command
        };
        let held = self.words(&field(&keys.hold, order_id.to_string())).await?;
        let closing = self.words(&field(&keys.closing, order_id.to_string())).await?;
        let stock_epoch = self.words(&field(&keys.stock, "epoch".to_owned())).await?;
        let held = held.map(|details| hold(&format!("{order_id}:{details}")).ok_or_else(|| unexpected("hold")));
        let closing =
            closing.map(|entry| settlement(&format!("{order_id}:{entry}")).ok_or_else(|| unexpected("closing")));
        Ok(OrderTrace { stock_epoch, hold: held.transpose()?, closing: closing.transpose()? })
    }

    /// The answer that a buyer's key has for a SKU.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn answer_of(&self, keys: &SkuKeys, user: UserId, key: &str) -> Result<Option<KeyAnswer>, StockError> {
        let answer = self.get(&keys.answer(user, key)).await?;
        answer.map(|text| key_answer(&text).ok_or_else(|| unexpected("answer of a key"))).transpose()
    }

    /// Which SKU a buyer's key was used for.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn sku_of_key(&self, user: UserId, key: &str) -> Result<Option<SkuId>, StockError> {
        let sku = self.get(&binding(self.namespace(), user, key)).await?;
        sku.map(|text| SkuId::parse(&text).map_err(|_| unexpected("binding of a key"))).transpose()
    }

    /// Units of a SKU that count against a buyer's cap; `None` if the buyer never won any.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn units_of(&self, keys: &SkuKeys, user: UserId) -> Result<Option<u32>, StockError> {
        let mut command = redis::cmd("HGET");
        command.arg(&keys.buyers).arg(user.get());
        let buyer = self.words(&command).await?;
        let units = |text: String| text.split(':').next().and_then(|units| units.parse().ok());
        buyer.map(|text| units(text).ok_or_else(|| unexpected("buyer"))).transpose()
    }

    /// What the register says about a payment.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn fate_of(&self, payment_id: &PaymentId) -> Result<Option<KeptFate>, StockError> {
        let kept = self.get(&payment(self.namespace(), payment_id)).await?;
        kept.map(|text| kept_fate(&text).ok_or_else(|| unexpected("payment"))).transpose()
    }

    /// The live holds of a SKU that `wanted` picks, looking at no more than about `most`; and whether all were looked at.
    ///
    /// # Errors
    /// [`StockError`].
    pub async fn find_holds(
        &self,
        keys: &SkuKeys,
        most: usize,
        wanted: impl Fn(&Hold) -> bool,
    ) -> Result<(Vec<Hold>, bool), StockError> {
        // By order: a walk may show an entry twice.
        let mut found = BTreeMap::new();
        let pick = |order: &str, details: &str| {
            let held = hold(&format!("{order}:{details}")).ok_or_else(|| unexpected("hold"))?;
            found.extend(wanted(&held).then_some((held.order_id, held)));
            Ok(())
        };
        let complete = self.walk(&keys.hold, most, pick).await?;
        Ok((found.into_values().collect(), complete))
    }

    async fn get(&self, key: &str) -> Result<Option<String>, StockError> {
        let mut command = redis::cmd("GET");
        command.arg(key);
        self.words(&command).await
    }

    async fn words(&self, command: &Cmd) -> Result<Option<String>, StockError> {
        match self.query(command).await? {
            Value::Nil => Ok(None),
            value => text(&value).map(|text| Some(text.to_owned())).ok_or_else(|| unexpected("not a text")),
        }
    }
}

/// Reads `epoch:quantity:order`, and how it was settled behind it (`lua/reserve.lua`).
fn key_answer(text: &str) -> Option<KeyAnswer> {
    let mut parts = text.splitn(4, ':');
    Some(KeyAnswer {
        epoch: Epoch(parts.next()?.parse().ok()?),
        quantity: parts.next()?.parse().ok()?,
        order_id: OrderId::parse(parts.next()?).ok()?,
        // `R` and a time says that a repeated purchase was given the hold again: it is still held.
        settled: parts.next().and_then(|rest| rest.chars().next()).filter(|how| *how != 'R'),
    })
}

/// Reads `epoch:order:fate` (`lua/payment.lua`).
fn kept_fate(text: &str) -> Option<KeptFate> {
    let mut parts = text.splitn(3, ':');
    Some(KeptFate {
        epoch: Epoch(parts.next()?.parse().ok()?),
        order_id: OrderId::parse(parts.next()?).ok()?,
        fate: Fate::read(parts.next()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_held_and_settled() {
        let held = key_answer("3:2:77").unwrap();
        assert_eq!((held.epoch, held.quantity, held.order_id.get(), held.settled), (Epoch(3), 2, 77, None));
        assert_eq!(key_answer("3:2:77:C:1:2:3").unwrap().settled, Some('C'));
        assert_eq!(key_answer("3:2:77:X").unwrap().settled, Some('X'));
        assert_eq!(key_answer("3:2:77:R1795383430153").unwrap().settled, None, "asked for again, and still held");
        assert_eq!(key_answer("3:2"), None);
        let fate = kept_fate("4:77:C4900").unwrap();
        assert_eq!((fate.epoch, fate.order_id.get(), fate.fate), (Epoch(4), 77, Fate::Confirmed(4_900)));
        assert_eq!(kept_fate("4:77"), None);
    }
}
