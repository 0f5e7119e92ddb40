//! Names of a SKU's keys. They share one hash tag, so a SKU lives in one slot of a Redis Cluster.

use flash_core::ids::{OrderId, SkuId, UserId};
use flash_core::payment::PaymentId;

/// The key names of one SKU, built once.
#[derive(Debug, Clone)]
pub struct SkuKeys {
    prefix: String,
    /// Stock hash: epoch, counters, terms.
    pub stock: String,
    /// Sorted set of live holds by expiry.
    pub holds: String,
    /// Details of live holds.
    pub hold: String,
    /// Units and token bucket per buyer.
    pub buyers: String,
    /// Every buyer that ever won, in order.
    pub winners: String,
    /// Settlements under way.
    pub closing: String,
    /// Sorted set of settlements under way by when they were begun.
    pub closings: String,
}

impl SkuKeys {
    /// Key names under a namespace (may be empty).
    #[must_use]
    pub fn new(namespace: &str, sku_id: SkuId) -> Self {
        let space = if namespace.is_empty() { String::new() } else { format!("{namespace}:") };
        let prefix = format!("{space}{{sku:{sku_id}}}:");
        let key = |name: &str| format!("{prefix}{name}");
        let names = ["stock", "holds", "hold", "buyers", "winners", "closing", "closings"];
        let [stock, holds, hold, buyers, winners, closing, closings] = names.map(key);
        Self { prefix, stock, holds, hold, buyers, winners, closing, closings }
    }

    /// Name of the key that keeps the answer for one idempotency key of one buyer. Ids are digits only, so the first
    /// colon ends the user: `1` + `23` and `12` + `3` are different names.
    #[must_use]
    pub fn answer(&self, user_id: UserId, idempotency_key: &str) -> String {
        format!("{}key:{user_id}:{idempotency_key}", self.prefix)
    }
}

/// Name of the key that says which SKU a buyer's idempotency key was used for. It has a hash tag of its own: one buyer's
/// keys span SKUs, which may live on different primaries.
pub(super) fn binding(namespace: &str, user_id: UserId, idempotency_key: &str) -> String {
    let space = if namespace.is_empty() { "" } else { ":" };
    format!("{namespace}{space}{{user:{user_id}}}:key:{idempotency_key}")
}

/// Name of the key that says which SKU an order belongs to.
pub(super) fn order_index(namespace: &str, order_id: OrderId) -> String {
    let space = if namespace.is_empty() { "" } else { ":" };
    format!("{namespace}{space}{{order:{order_id}}}")
}

/// Name of the key that keeps the fate of a payment.
pub(super) fn payment(namespace: &str, payment_id: &PaymentId) -> String {
    let space = if namespace.is_empty() { "" } else { ":" };
    format!("{namespace}{space}{{pay:{payment_id}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_keys_never_run_together() {
        let keys = SkuKeys::new("", SkuId::new(1));
        assert_eq!(keys.answer(UserId::new(1), "23"), "{sku:1}:key:1:23");
        assert_ne!(keys.answer(UserId::new(1), "23"), keys.answer(UserId::new(12), "3"));
        assert_eq!(SkuKeys::new("t1", SkuId::new(2)).stock, "t1:{sku:2}:stock");
    }
}
