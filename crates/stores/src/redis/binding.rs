//! Which SKU an idempotency key was used for.
//!
//! A key's answer lives with its SKU, in one slot with the stock, so that one script can look at both. But a key belongs
//! to the buyer: used for another SKU it must be refused, and that SKU may live on another primary. So every win also
//! claims its key under the buyer, before it is recorded. Who finds the key claimed for another SKU is told so, and the
//! hold it just got is never recorded: it expires by itself.

use super::keys::{binding, order_index};
use super::reply::{text, unexpected};
use super::{Gate, StockError};
use flash_core::ids::{SkuId, UserId};
use flash_core::limits::{CLAIM_TTL_MS, IDEMPOTENCY_TTL_MS, ORDER_INDEX_MARGIN_MS};
use flash_core::stock::Hold;
use redis::Value;

impl Gate {
    /// Claims each key for `sku_id`, for a minute; the answer says for each whether it is, or already was, claimed for this
    /// very SKU.
    ///
    /// # Errors
    /// [`StockError`]; claiming again is harmless.
    pub async fn claim_keys(&self, sku_id: SkuId, keys: &[(UserId, &str)]) -> Result<Vec<bool>, StockError> {
        let mut claims = redis::pipe();
        for (user_id, key) in keys {
            let name = binding(self.namespace(), *user_id, key);
            claims.cmd("SET").arg(name).arg(sku_id.get()).arg("NX").arg("GET").arg("PX").arg(CLAIM_TTL_MS);
        }
        let former = self.pipeline(&claims, keys.len()).await?;
        let mine = |former: &Value| match former {
            Value::Nil => Ok(true),
            // Read, not compared: an answer that names no SKU is no proof that the key is another's.
            other => text(other)
                .and_then(|sku| SkuId::parse(sku).ok())
                .map(|sku| sku == sku_id)
                .ok_or_else(|| unexpected("claim")),
        };
        former.iter().map(mine).collect()
    }

    /// Keeps the claims of purchases that won for as long as their keys have an answer, and remembers which SKU each order
    /// belongs to until MySQL certainly knows.
    ///
    /// # Errors
    /// [`StockError`]; keeping again is harmless.
    pub async fn keep_claims(&self, sku_id: SkuId, wins: &[&Hold]) -> Result<(), StockError> {
        let mut claims = redis::pipe();
        for Hold { order_id, user_id, idempotency_key, reserved_at_ms, expires_at_ms, .. } in wins {
            let name = binding(self.namespace(), *user_id, idempotency_key);
            claims.cmd("SET").arg(name).arg(sku_id.get()).arg("PX").arg(IDEMPOTENCY_TTL_MS);
            let life_ms = expires_at_ms.saturating_sub(*reserved_at_ms) + ORDER_INDEX_MARGIN_MS;
            let name = order_index(self.namespace(), *order_id);
            claims.cmd("SET").arg(name).arg(sku_id.get()).arg("PX").arg(life_ms);
        }
        self.pipeline(&claims, 2 * wins.len()).await.map(drop)
    }

    /// Writes claims as the truth has them, whatever was there: `(buyer, key, life in milliseconds)`.
    pub(super) async fn write_claims(&self, sku_id: SkuId, keys: &[(UserId, &str, u64)]) -> Result<(), StockError> {
        let mut claims = redis::pipe();
        for (user_id, key, life_ms) in keys {
            let name = binding(self.namespace(), *user_id, key);
            claims.cmd("SET").arg(name).arg(sku_id.get()).arg("PX").arg(*life_ms);
        }
        self.pipeline(&claims, keys.len()).await.map(drop)
    }
}
