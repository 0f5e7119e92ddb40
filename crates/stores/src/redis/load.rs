//! Filling Redis from the truth: the guarded loader of a rebuild, and the first load of a new SKU.

use super::reply::{Reply, details, text};
use super::scripts::{CLOSE, Call, LOAD};
use super::{Fence, Gate, SkuKeys, StockError};
use flash_core::ids::{Epoch, SkuId, UserId};
use flash_core::order::OrderState;
use flash_core::stock::{Counters, Hold, Receipt, Terms};
use redis::Value;

/// Rows per call: a call of 500 rows takes Redis about a millisecond.
const ROWS_PER_CALL: usize = 500;

/// Why a load did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The guard said no: another server, a restart, or a higher epoch. Start again with a higher one.
    #[error("the loader was refused: {0}")]
    Refused(String),
    /// Redis gave no answer; loading again under a higher epoch is safe.
    #[error(transparent)]
    Stock(#[from] StockError),
}

/// An idempotency answer to be written.
#[derive(Debug, Clone)]
pub struct LoadKey {
    /// The buyer.
    pub user_id: UserId,
    /// The key.
    pub idempotency_key: String,
    /// Units of the order (the payload's fingerprint within buyer and SKU).
    pub quantity: u32,
    /// Where the order stands.
    pub state: OrderState,
    /// What its buyer was told.
    pub receipt: Receipt,
    /// Remaining life in milliseconds, at least 1.
    pub life_ms: u64,
}

impl LoadKey {
    /// The answer as `reserve.lua` reads it, without the epoch.
    fn value(&self) -> String {
        let Receipt { order_id, reservation_id, reserved_at_ms, expires_at_ms } = self.receipt;
        let settled = match self.state {
            OrderState::Reserved => String::new(),
            OrderState::Confirmed => format!(":C:{reservation_id}:{reserved_at_ms}:{expires_at_ms}"),
            OrderState::Cancelled => ":K".to_owned(),
            OrderState::Expired => ":X".to_owned(),
        };
        format!("{}:{order_id}{settled}", self.quantity)
    }
}

/// Counters and terms of a SKU to be opened.
#[derive(Debug, Clone, Copy)]
pub struct LoadStock {
    /// Terms.
    pub terms: Terms,
    /// available + held + sold = capacity; nothing is on its way back.
    pub counters: Counters,
}

/// Loads one SKU under one epoch.
pub struct Loader<'a> {
    gate: &'a Gate,
    keys: &'a SkuKeys,
    fence: &'a Fence,
}

impl<'a> Loader<'a> {
    /// A loader for one SKU. `fence` carries the new epoch and the noted replication ids.
    #[must_use]
    pub fn new(gate: &'a Gate, keys: &'a SkuKeys, fence: &'a Fence) -> Self {
        Self { gate, keys, fence }
    }

    /// A call with the SKU's own keys and the given idempotency keys.
    fn call(&self, step: &str, answers: &[LoadKey]) -> Call {
        let SkuKeys { stock, holds, hold, buyers, winners, closing, closings, .. } = self.keys;
        let mut call = Call::new(&LOAD, 7 + answers.len());
        call.arg(stock).arg(holds).arg(hold).arg(buyers).arg(winners).arg(closing).arg(closings);
        for answer in answers {
            call.arg(self.keys.answer(answer.user_id, &answer.idempotency_key));
        }
        call.fence(self.fence).arg(step);
        call
    }

    async fn run(&self, call: &Call) -> Result<(), LoadError> {
        let reply = self.gate.run(call).await?;
        match &reply {
            reply if text(reply) == Some("OK") => Ok(()),
            Value::Array(items) => {
                let reason = items.get(1).and_then(text).unwrap_or("no reason").to_owned();
                Err(LoadError::Refused(reason))
            }
            _ => Err(Reply::open(reply).err().unwrap_or_else(|| super::reply::unexpected("load")).into()),
        }
    }

    /// Takes the SKU off sale for every epoch below this one (`lua/close.lua`).
    ///
    /// # Errors
    /// [`LoadError::Refused`] if a higher epoch owns it.
    pub async fn close(&self) -> Result<(), LoadError> {
        let mut call = Call::new(&CLOSE, 1);
        call.arg(&self.keys.stock).arg(self.fence.epoch.0);
        let reply = self.gate.run(&call).await?;
        match text(&reply) {
            Some("CLOSED" | "MISSING") => Ok(()),
            Some(other) => Err(LoadError::Refused(other.to_owned())),
            None => Err(LoadError::Stock(super::reply::unexpected("close"))),
        }
    }

    /// Empties the SKU and marks it as being loaded.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn begin(&self) -> Result<(), LoadError> {
        self.run(&self.call("begin", &[])).await
    }

    /// Empties the SKU and marks it as left closed under this epoch.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn block(&self) -> Result<(), LoadError> {
        self.run(&self.call("block", &[])).await
    }

    /// Writes live holds.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn holds(&self, holds: &[Hold]) -> Result<(), LoadError> {
        for chunk in holds.chunks(ROWS_PER_CALL) {
            let mut call = self.call("holds", &[]);
            for hold in chunk {
                call.arg(hold.order_id.get()).arg(details(hold)).arg(hold.expires_at_ms);
            }
            self.run(&call).await?;
        }
        Ok(())
    }

    /// Writes the answers that keys already have, and that they were used for `sku_id`.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn answers(&self, sku_id: SkuId, answers: &[LoadKey]) -> Result<(), LoadError> {
        for chunk in answers.chunks(ROWS_PER_CALL) {
            let claims: Vec<_> =
                chunk.iter().map(|key| (key.user_id, key.idempotency_key.as_str(), key.life_ms.max(1))).collect();
            self.gate.write_claims(sku_id, &claims).await?;
            let mut call = self.call("keys", chunk);
            for answer in chunk {
                call.arg(answer.value()).arg(answer.life_ms.max(1));
            }
            self.run(&call).await?;
        }
        Ok(())
    }

    /// Writes how many units each buyer holds or owns. Their token buckets start full.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn buyers(&self, buyers: &[(UserId, u32)]) -> Result<(), LoadError> {
        for chunk in buyers.chunks(ROWS_PER_CALL) {
            let mut call = self.call("buyers", &[]);
            for (user_id, units) in chunk {
                call.arg(user_id.get()).arg(*units);
            }
            self.run(&call).await?;
        }
        Ok(())
    }

    /// Writes counters and terms and gives the SKU its epoch: from here on it can be decided under it.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn open(&self, stock: &LoadStock) -> Result<(), LoadError> {
        self.stock("open", stock).await
    }

    /// Loads a SKU that was never loaded before, under the epoch that is already open.
    ///
    /// # Errors
    /// [`LoadError::Refused`] if Redis has anything for it.
    pub async fn create(&self, stock: &LoadStock) -> Result<(), LoadError> {
        self.stock("create", stock).await
    }

    async fn stock(&self, step: &str, stock: &LoadStock) -> Result<(), LoadError> {
        let LoadStock { terms, counters } = stock;
        let mut call = self.call(step, &[]);
        call.arg(terms.capacity).arg(counters.available).arg(counters.held).arg(counters.sold).arg(counters.seq);
        call.arg(terms.per_user).arg(terms.hold_ms).arg(terms.opens_at_ms).arg(terms.closes_at_ms);
        call.arg(u8::from(terms.paused));
        self.run(&call).await
    }
}

/// Epoch number that a stock hash's epoch field speaks of, also in its closing and loading marks.
#[must_use]
pub fn marked_epoch(field: &str) -> Option<Epoch> {
    field.rsplit(':').next()?.parse().ok().map(Epoch)
}
