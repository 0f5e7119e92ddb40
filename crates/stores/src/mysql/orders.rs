//! Reading orders, and what the ledger has of them, as the projection has them. Writing them is the projector's business alone (`projection`).

use super::bounded::{in_the_end, soon};
use super::{Db, MySqlError};
use flash_core::event::Order;
use flash_core::ids::{Epoch, OrderId, ReservationId, SkuId, UserId};
use flash_core::order::OrderState;
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeSet;

/// One row of `orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// The order; its `seq` is that of the event that put it into its state.
    pub order: Order,
    /// Where it stands.
    pub state: OrderState,
    /// Epoch of the event that put it there.
    pub epoch: Epoch,
    /// Time of the event that put it there, in milliseconds since 1970.
    pub updated_at_ms: u64,
}

/// One row of the ledger `inventory_audit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerRow {
    /// The order whose stock changed.
    pub order_id: OrderId,
    /// The state it changed to.
    pub reason: OrderState,
    /// The SKU.
    pub sku_id: SkuId,
    /// The SKU's sequence number of the change.
    pub seq: u64,
    /// Change of the available units.
    pub delta: i64,
    /// Epoch of the event.
    pub epoch: Epoch,
    /// Where the event stands in the log.
    pub partition: i32,
    /// Where the event stands in the log.
    pub offset: u64,
    /// Time of the event in milliseconds since 1970.
    pub at_ms: u64,
}

const COLUMNS: &str = "order_id, reservation_id, user_id, sku_id, quantity, unit_price_minor, state, epoch, seq, \
                       idempotency_key, reserved_at_ms, expires_at_ms, updated_at_ms";

/// One order by its id.
///
/// # Errors
/// [`MySqlError`].
pub async fn get(db: &Db, order_id: OrderId) -> Result<Option<OrderRow>, MySqlError> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE order_id = ?");
    let row = soon(sqlx::query(AssertSqlSafe(sql)).bind(order_id.get()).fetch_optional(db.pool())).await?;
    row.as_ref().map(read).transpose()
}

/// One order by its id, with what the ledger has of it, oldest first. Read by one statement, so the two agree.
///
/// # Errors
/// [`MySqlError`].
pub async fn get_with_history(db: &Db, order_id: OrderId) -> Result<Option<(OrderRow, Vec<LedgerRow>)>, MySqlError> {
    let sql = format!(
        "SELECT o.*, h_reason, h_seq, h_delta, h_epoch, h_partition, h_offset, h_at_ms \
         FROM (SELECT {COLUMNS} FROM orders WHERE order_id = ?) AS o \
         LEFT JOIN (SELECT order_id AS h_order, reason AS h_reason, seq AS h_seq, delta AS h_delta, epoch AS h_epoch, \
                           partition_id AS h_partition, offset_no AS h_offset, at_ms AS h_at_ms \
                    FROM inventory_audit WHERE order_id = ?) AS h ON h_order = order_id"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(order_id.get()).bind(order_id.get());
    let rows = soon(query.fetch_all(db.pool())).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let order = read(first)?;
    let steps: Result<Vec<Option<LedgerRow>>, MySqlError> =
        rows.iter().map(|row| read_step(&order.order, row)).collect();
    let mut steps: Vec<LedgerRow> = steps?.into_iter().flatten().collect();
    // Every order is reserved first and ends at most once.
    steps.sort_by_key(|step| step.reason != OrderState::Reserved);
    Ok(Some((order, steps)))
}

/// Orders of one buyer before `before` (all if `None`), newest first, at most `limit`: a page.
///
/// # Errors
/// [`MySqlError`].
pub async fn page_of_user(
    db: &Db,
    user_id: UserId,
    before: Option<OrderId>,
    limit: u32,
) -> Result<Vec<OrderRow>, MySqlError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM orders WHERE user_id = ? AND order_id < ? ORDER BY user_id DESC, order_id DESC LIMIT ?"
    );
    let before = before.map_or(u64::MAX, OrderId::get);
    let query = sqlx::query(AssertSqlSafe(sql)).bind(user_id.get()).bind(before).bind(limit);
    soon(query.fetch_all(db.pool())).await?.iter().map(read).collect()
}

/// Orders of one SKU after `after`, by id, at most `limit`: a page for whoever rebuilds or inspects stock.
///
/// # Errors
/// [`MySqlError`].
pub async fn page_of_sku(
    db: &Db,
    sku_id: SkuId,
    state: OrderState,
    after: OrderId,
    limit: u32,
) -> Result<Vec<OrderRow>, MySqlError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM orders WHERE sku_id = ? AND state = ? AND order_id > ? ORDER BY order_id LIMIT ?"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(sku_id.get()).bind(state.as_str()).bind(after.get()).bind(limit);
    soon(query.fetch_all(db.pool())).await?.iter().map(read).collect()
}

/// Orders whose units are held or sold, of all SKUs.
///
/// # Errors
/// [`MySqlError`].
pub async fn live(db: &Db) -> Result<u64, MySqlError> {
    let sql = "SELECT CAST(COUNT(*) AS UNSIGNED) FROM orders WHERE state IN ('RESERVED', 'CONFIRMED')";
    Ok(in_the_end(sqlx::query_scalar(sql).fetch_one(db.pool())).await?)
}

/// Units of one SKU that the ledger has given away and not taken back: what its orders occupy, unless somebody has deleted or
/// changed orders by hand.
///
/// # Errors
/// [`MySqlError`].
pub async fn given_away(db: &Db, sku_id: SkuId) -> Result<i64, MySqlError> {
    let sql = "SELECT CAST(COALESCE(-SUM(delta), 0) AS SIGNED) FROM inventory_audit WHERE sku_id = ?";
    Ok(in_the_end(sqlx::query_scalar(sql).bind(sku_id.get()).fetch_one(db.pool())).await?)
}

/// SKUs that have any order, ledger row or payment. All others can be filled without being asked about.
///
/// # Errors
/// [`MySqlError`].
pub async fn skus_with_any(db: &Db) -> Result<BTreeSet<SkuId>, MySqlError> {
    let sql = "SELECT DISTINCT sku_id FROM orders UNION SELECT DISTINCT sku_id FROM inventory_audit \
               UNION SELECT DISTINCT sku_id FROM payments";
    let ids: Vec<u64> = in_the_end(sqlx::query_scalar(sql).fetch_all(db.pool())).await?;
    Ok(ids.into_iter().map(SkuId::new).collect())
}

/// Units of one SKU in each state that occupies stock: `(held, sold)`.
///
/// # Errors
/// [`MySqlError`].
pub async fn occupied(db: &Db, sku_id: SkuId) -> Result<(u64, u64), MySqlError> {
    let sql = "SELECT CAST(COALESCE(SUM(IF(state = 'RESERVED', quantity, 0)), 0) AS UNSIGNED), \
                CAST(COALESCE(SUM(IF(state = 'CONFIRMED', quantity, 0)), 0) AS UNSIGNED) \
         FROM orders WHERE sku_id = ? AND state IN ('RESERVED', 'CONFIRMED')";
    Ok(soon(sqlx::query_as(sql).bind(sku_id.get()).fetch_one(db.pool())).await?)
}

/// Reads one row with exactly the columns of [`COLUMNS`].
fn read(row: &MySqlRow) -> Result<OrderRow, MySqlError> {
    let state: &str = row.try_get("state")?;
    Ok(OrderRow {
        order: Order {
            order_id: OrderId::new(row.try_get("order_id")?),
            reservation_id: ReservationId::new(row.try_get("reservation_id")?),
            user_id: UserId::new(row.try_get("user_id")?),
            sku_id: SkuId::new(row.try_get("sku_id")?),
            quantity: row.try_get("quantity")?,
            unit_price_minor: row.try_get("unit_price_minor")?,
            seq: row.try_get("seq")?,
            idempotency_key: row.try_get("idempotency_key")?,
            reserved_at_ms: row.try_get("reserved_at_ms")?,
            expires_at_ms: row.try_get("expires_at_ms")?,
        },
        state: OrderState::parse(state).ok_or_else(|| MySqlError::Foreign(format!("order state {state}")))?,
        epoch: Epoch(row.try_get("epoch")?),
        updated_at_ms: row.try_get("updated_at_ms")?,
    })
}

/// Reads the ledger's columns of one row; `None` if the ledger has nothing of the order.
fn read_step(order: &Order, row: &MySqlRow) -> Result<Option<LedgerRow>, MySqlError> {
    let Some(reason) = row.try_get::<Option<&str>, _>("h_reason")? else { return Ok(None) };
    let partition: u32 = row.try_get("h_partition")?;
    Ok(Some(LedgerRow {
        order_id: order.order_id,
        reason: OrderState::parse(reason).ok_or_else(|| MySqlError::Foreign(format!("ledger reason {reason}")))?,
        sku_id: order.sku_id,
        seq: row.try_get("h_seq")?,
        delta: i64::from(row.try_get::<i32, _>("h_delta")?),
        epoch: Epoch(row.try_get("h_epoch")?),
        partition: i32::try_from(partition).map_err(|_| MySqlError::Foreign(format!("partition {partition}")))?,
        offset: row.try_get("h_offset")?,
        at_ms: row.try_get("h_at_ms")?,
    }))
}
