//! The orders and payments behind a difference.

use super::super::MySqlError;
use super::super::bounded::in_the_end;
use super::Look;
use flash_core::ids::{Epoch, OrderId, SkuId, UserId};

/// An order on hold in MySQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// The order.
    pub order_id: OrderId,
    /// Its units.
    pub quantity: u32,
}

/// A buyer with more units than the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverCap {
    /// The SKU.
    pub sku_id: SkuId,
    /// The buyer.
    pub user_id: UserId,
    /// Units held and owned.
    pub units: u64,
}

/// A payment that is recorded for an order which is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The payment.
    pub payment_id: String,
    /// The SKU.
    pub sku_id: SkuId,
    /// The order it is recorded for.
    pub order_id: OrderId,
    /// Where the order stands; `None`: it has no row.
    pub state: Option<String>,
}

impl Look {
    /// Orders of one SKU that have ledger rows and no row of their own, and those with a row and none in the ledger.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn one_sided(&mut self, sku_id: SkuId, most: u32) -> Result<(Vec<OrderId>, Vec<OrderId>), MySqlError> {
        let ledger_only = "SELECT DISTINCT a.order_id FROM inventory_audit a LEFT JOIN orders o ON o.order_id = a.order_id \
                           WHERE a.sku_id = ? AND o.order_id IS NULL LIMIT ?";
        let orders_only = "SELECT o.order_id FROM orders o LEFT JOIN inventory_audit a \
                           ON a.order_id = o.order_id AND a.reason = 'RESERVED' \
                           WHERE o.sku_id = ? AND a.order_id IS NULL LIMIT ?";
        Ok((self.ids(ledger_only, sku_id, most).await?, self.ids(orders_only, sku_id, most).await?))
    }

    /// Orders of one SKU whose state the ledger does not confirm, by state or by units.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn at_odds(&mut self, sku_id: SkuId, most: u32) -> Result<Vec<OrderId>, MySqlError> {
        let sql = "SELECT o.order_id FROM orders o JOIN \
                     (SELECT order_id, -SUM(delta) AS units, SUM(reason = 'CONFIRMED') AS confirmed, COUNT(*) AS steps \
                      FROM inventory_audit WHERE sku_id = ? GROUP BY order_id) AS a ON a.order_id = o.order_id \
                   WHERE a.units <> IF(o.state IN ('RESERVED', 'CONFIRMED'), o.quantity, 0) \
                      OR (a.confirmed = 1) <> (o.state = 'CONFIRMED') OR (a.steps = 1) <> (o.state = 'RESERVED') LIMIT ?";
        self.ids(sql, sku_id, most).await
    }

    async fn ids(&mut self, sql: &'static str, sku_id: SkuId, most: u32) -> Result<Vec<OrderId>, MySqlError> {
        let ids: Vec<u64> =
            in_the_end(sqlx::query_scalar(sql).bind(sku_id.get()).bind(most).fetch_all(&mut self.connection)).await?;
        Ok(ids.into_iter().map(OrderId::new).collect())
    }

    /// Orders of one SKU that are on hold and whose hold ended before `before_ms`, by id, behind `after`: a page.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn on_hold(
        &mut self,
        sku_id: SkuId,
        before_ms: u64,
        after: OrderId,
        most: u32,
    ) -> Result<Vec<Overdue>, MySqlError> {
        let sql = "SELECT order_id, quantity FROM orders WHERE sku_id = ? AND state = 'RESERVED' AND expires_at_ms < ? \
                   AND order_id > ? ORDER BY order_id LIMIT ?";
        let query = sqlx::query_as(sql).bind(sku_id.get()).bind(before_ms).bind(after.get()).bind(most);
        let rows: Vec<(u64, u32)> = in_the_end(query.fetch_all(&mut self.connection)).await?;
        Ok(rows
            .into_iter()
            .map(|(order_id, quantity)| Overdue { order_id: OrderId::new(order_id), quantity })
            .collect())
    }

    /// Which of these orders are still on hold.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn still_on_hold(&mut self, orders: &[OrderId]) -> Result<Vec<OrderId>, MySqlError> {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = orders.iter().map(|order| order.get().to_string()).collect();
        let sql = format!("SELECT order_id FROM orders WHERE state = 'RESERVED' AND order_id IN ({})", ids.join(","));
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).persistent(false);
        let found: Vec<u64> = in_the_end(query.fetch_all(&mut self.connection)).await?;
        Ok(found.into_iter().map(OrderId::new).collect())
    }

    /// Buyers who have more units than the cap at this instant, in which partitions may stand unevenly; see [`Look::units_at`].
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn over_cap(&mut self, only: Option<SkuId>, most: u32) -> Result<Vec<OverCap>, MySqlError> {
        let sql = "SELECT o.sku_id, o.user_id, CAST(SUM(o.quantity) AS UNSIGNED) AS units FROM orders o \
                   JOIN skus s ON s.sku_id = o.sku_id \
                   WHERE o.state IN ('RESERVED', 'CONFIRMED') AND (? = 0 OR o.sku_id = ?) \
                   GROUP BY o.sku_id, o.user_id HAVING SUM(o.quantity) > MAX(s.per_user) LIMIT ?";
        let sku = only.map_or(0, SkuId::get);
        let rows: Vec<(u64, u64, u64)> =
            in_the_end(sqlx::query_as(sql).bind(sku).bind(sku).bind(most).fetch_all(&mut self.connection)).await?;
        Ok(rows
            .into_iter()
            .map(|(sku, user, units)| OverCap { sku_id: SkuId::new(sku), user_id: UserId::new(user), units })
            .collect())
    }

    /// Units of one buyer of one SKU by the ledger up to `seq`, with the orders behind them.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn units_at(
        &mut self,
        buyer: &OverCap,
        epoch: Epoch,
        seq: u64,
    ) -> Result<(i64, Vec<OrderId>), MySqlError> {
        let sql = "SELECT o.order_id, CAST(-SUM(a.delta) AS SIGNED) FROM orders o \
                   JOIN inventory_audit a ON a.order_id = o.order_id \
                   WHERE o.user_id = ? AND o.sku_id = ? AND (a.epoch < ? OR a.seq <= ?) \
                   GROUP BY o.order_id HAVING SUM(a.delta) < 0";
        let query = sqlx::query_as(sql).bind(buyer.user_id.get()).bind(buyer.sku_id.get()).bind(epoch.0).bind(seq);
        let rows: Vec<(u64, i64)> = in_the_end(query.fetch_all(&mut self.connection)).await?;
        Ok((rows.iter().map(|(_, units)| units).sum(), rows.into_iter().map(|(id, _)| OrderId::new(id)).collect()))
    }

    /// The largest cap a SKU has ever had: who bought under it may keep what they have.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn largest_cap(&mut self, sku_id: SkuId) -> Result<u64, MySqlError> {
        let sql = "SELECT CAST(GREATEST(s.per_user, COALESCE((SELECT MAX(CAST(c.old_value AS UNSIGNED)) FROM sku_changes c \
                   WHERE c.sku_id = s.sku_id AND c.what = 'per_user'), 0)) AS UNSIGNED) FROM skus s WHERE s.sku_id = ?";
        Ok(in_the_end(sqlx::query_scalar(sql).bind(sku_id.get()).fetch_optional(&mut self.connection))
            .await?
            .unwrap_or(0))
    }

    /// Payments that are recorded for an order which is not confirmed.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn unconfirmed(&mut self, only: Option<SkuId>, most: u32) -> Result<Vec<Unconfirmed>, MySqlError> {
        let sql = "SELECT p.payment_id, p.sku_id, p.order_id, o.state FROM payments p \
                   LEFT JOIN orders o ON o.order_id = p.order_id \
                   WHERE p.status = 'CAPTURED' AND p.order_id IS NOT NULL AND (? = 0 OR p.sku_id = ?) \
                     AND (o.state IS NULL OR o.state <> 'CONFIRMED') LIMIT ?";
        let sku = only.map_or(0, SkuId::get);
        let query = sqlx::query_as(sql).bind(sku).bind(sku).bind(most);
        let rows: Vec<(String, u64, u64, Option<String>)> = in_the_end(query.fetch_all(&mut self.connection)).await?;
        let read = |(payment_id, sku, order, state)| Unconfirmed {
            payment_id,
            sku_id: SkuId::new(sku),
            order_id: OrderId::new(order),
            state,
        };
        Ok(rows.into_iter().map(read).collect())
    }
}
