//! Reading orders for an audit: everything a range of users holds, and what a SKU has given away.
//!
//! Owns the statements behind the verdict of a load test. Never writes and never judges.

use super::{Db, MySqlError};
use flash_core::order::OrderState;
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Row};

/// The part of an order that a buyer was told, or must not have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedOrder {
    /// Primary key.
    pub order_id: u64,
    /// Reservation of the order.
    pub reservation_id: u64,
    /// Its buyer.
    pub user_id: u64,
    /// What was bought.
    pub sku_id: u64,
    /// How many units.
    pub quantity: u32,
    /// Where it stands.
    pub state: OrderState,
    /// The key the buyer sent.
    pub idempotency_key: String,
}

/// What a SKU may give away and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuStock {
    /// The SKU.
    pub sku_id: u64,
    /// Its name.
    pub name: String,
    /// Units for sale in total.
    pub capacity: u64,
    /// Units in orders that occupy stock, of whichever buyer.
    pub live_units: u64,
}

/// Most SKUs in one statement.
const SKUS_PER_STATEMENT: usize = 500;

/// How many orders the users `first` to `last` have, in any state.
///
/// # Errors
/// [`MySqlError`].
pub async fn count_of_users(db: &Db, first: u64, last: u64) -> Result<u64, MySqlError> {
    let sql = "SELECT CAST(COUNT(*) AS UNSIGNED) FROM orders WHERE user_id BETWEEN ? AND ?";
    Ok(sqlx::query_scalar(sql).bind(first).bind(last).fetch_one(db.pool()).await?)
}

/// Orders of the users up to `last_user`, by user and order, behind the position `after`, at most `limit`: a page.
///
/// # Errors
/// [`MySqlError`].
pub async fn page_of_users(
    db: &Db,
    after: (u64, u64),
    last_user: u64,
    limit: u32,
) -> Result<Vec<AuditedOrder>, MySqlError> {
    // Written out instead of comparing row values: MariaDB would not use the index for those.
    let sql = "SELECT order_id, reservation_id, user_id, sku_id, quantity, state, idempotency_key FROM orders \
               WHERE user_id >= ? AND user_id <= ? AND (user_id > ? OR order_id > ?) \
               ORDER BY user_id, order_id LIMIT ?";
    let query = sqlx::query(sql).bind(after.0).bind(last_user).bind(after.0).bind(after.1).bind(limit);
    query.fetch_all(db.pool()).await?.iter().map(read_order).collect()
}

/// Capacity and occupied units of the given SKUs; those MySQL does not know are missing.
///
/// # Errors
/// [`MySqlError`].
pub async fn stock_of(db: &Db, sku_ids: &[u64]) -> Result<Vec<SkuStock>, MySqlError> {
    let mut found = Vec::with_capacity(sku_ids.len());
    for chunk in sku_ids.chunks(SKUS_PER_STATEMENT) {
        let marks = vec!["?"; chunk.len()].join(",");
        let sql = format!(
            "SELECT s.sku_id, s.name, CAST(s.capacity AS UNSIGNED) AS capacity, \
                    CAST(COALESCE(SUM(o.quantity), 0) AS UNSIGNED) AS live_units \
             FROM skus s LEFT JOIN orders o ON o.sku_id = s.sku_id AND o.state IN ('RESERVED', 'CONFIRMED') \
             WHERE s.sku_id IN ({marks}) GROUP BY s.sku_id, s.name, s.capacity ORDER BY s.sku_id"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for sku_id in chunk {
            query = query.bind(*sku_id);
        }
        for row in query.fetch_all(db.pool()).await? {
            found.push(SkuStock {
                sku_id: row.try_get("sku_id")?,
                name: row.try_get("name")?,
                capacity: row.try_get("capacity")?,
                live_units: row.try_get("live_units")?,
            });
        }
    }
    Ok(found)
}

fn read_order(row: &MySqlRow) -> Result<AuditedOrder, MySqlError> {
    let state: String = row.try_get("state")?;
    let state = OrderState::parse(&state).ok_or_else(|| MySqlError::Foreign(format!("order state {state:?}")))?;
    Ok(AuditedOrder {
        order_id: row.try_get("order_id")?,
        reservation_id: row.try_get("reservation_id")?,
        user_id: row.try_get("user_id")?,
        sku_id: row.try_get("sku_id")?,
        quantity: row.try_get("quantity")?,
        state,
        idempotency_key: row.try_get("idempotency_key")?,
    })
}
