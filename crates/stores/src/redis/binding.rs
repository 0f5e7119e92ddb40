//! Which SKU an idempotency key was used for.
//!
//! A key's answer lives with its SKU, in one slot with the stock, so that one script can look at both. But a key belongs
//! to the buyer: used for another SKU it must be refused, and that SKU may live on another primary. So every win also
//! claims its key under the buyer, before it is decided. Who finds the key claimed for another SKU is told so.
//!
//! A claim is a word like any decision (P4): one that a lagging heir, or the other side of a split brain, has not heard of
//! would let the same key win twice. So only a primary of the open epoch may take it.

use super::keys::{binding, order_index};
use super::meters::Operation;
use super::reply::{text, unexpected};
use super::{Fence, Gate, StockError};
use flash_core::ids::{SkuId, UserId};
use flash_core::limits::{CLAIM_TTL_MS, IDEMPOTENCY_TTL_MS, ORDER_INDEX_MARGIN_MS};
use flash_core::stock::Hold;
use redis::Value;

impl Gate {
    /// Claims each key for `sku_id`, for a minute; the answer says for each, in order, whether it is, or already was, claimed
    /// for this very SKU.
    ///
    /// # Errors
    /// [`StockError`], for each key on its own: keys of different buyers may live on different primaries. Claiming again is
    /// harmless.
    pub async fn claim_keys(
        &self,
        fence: &Fence,
        sku_id: SkuId,
        keys: &[(UserId, &str)],
    ) -> Vec<Result<bool, StockError>> {
        let mut claims = redis::pipe();
        for (user_id, key) in keys {
            let name = binding(self.namespace(), *user_id, key);
            claims.cmd("SET").arg(name).arg(sku_id.get()).arg("NX").arg("GET").arg("PX").arg(CLAIM_TTL_MS);
        }
        let mine = |former: Result<Value, StockError>| match former? {
            Value::Nil => Ok(true),
            // Read, not compared: an answer that names no SKU is no proof that the key is another's.
            other => text(&other)
                .and_then(|sku| SkuId::parse(sku).ok())
                .map(|sku| sku == sku_id)
                .ok_or_else(|| unexpected("claim")),
        };
        self.pipeline_behind(Operation::ClaimKeys, fence, &claims).await.into_iter().map(mine).collect()
    }

    /// Keeps the claims of purchases that won for as long as their keys have an answer, one result per win, in order. And
    /// remembers which SKU each order belongs to until MySQL certainly knows – if it can: without that, paying and
    /// cancelling wait for MySQL.
    ///
    /// # Errors
    /// [`StockError`], for each win on its own; keeping again is harmless.
    pub async fn keep_claims(&self, sku_id: SkuId, wins: &[&Hold]) -> Vec<Result<(), StockError>> {
        let mut claims = redis::pipe();
        for Hold { order_id, user_id, idempotency_key, reserved_at_ms, expires_at_ms, .. } in wins {
            let name = binding(self.namespace(), *user_id, idempotency_key);
            claims.cmd("SET").arg(name).arg(sku_id.get()).arg("PX").arg(IDEMPOTENCY_TTL_MS);
            let life_ms = expires_at_ms.saturating_sub(*reserved_at_ms) + ORDER_INDEX_MARGIN_MS;
            let name = order_index(self.namespace(), *order_id);
            claims.cmd("SET").arg(name).arg(sku_id.get()).arg("PX").arg(life_ms);
        }
        let mut replies = self.pipeline(Operation::Write, &claims).await.into_iter();
        let mut kept = Vec::with_capacity(wins.len());
        while let (Some(claim), Some(index)) = (replies.next(), replies.next()) {
            if let (Ok(_), Err(error)) = (&claim, &index) {
                tracing::debug!(sku = %sku_id, %error, "an order's SKU is not remembered; MySQL will know it");
            }
            kept.push(claim.map(drop));
        }
        kept
    }

    /// Writes claims as the truth has them, whatever was there: `(buyer, key, life in milliseconds)`.
    pub(super) async fn write_claims(&self, sku_id: SkuId, keys: &[(UserId, &str, u64)]) -> Result<(), StockError> {
        let mut claims = redis::pipe();
        for (user_id, key, life_ms) in keys {
            let name = binding(self.namespace(), *user_id, key);
            claims.cmd("SET").arg(name).arg(sku_id.get()).arg("PX").arg(*life_ms);
        }
        self.pipeline(Operation::Write, &claims).await.into_iter().try_for_each(|written| written.map(drop))
    }
}
