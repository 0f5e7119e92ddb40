//! Finding one order by what people know of it, and what MySQL has beside its row, for whoever explains a ticket.

use super::bounded::soon;
use super::orders::{self, OrderRow};
use super::{Db, MySqlError};
use flash_core::ids::{Epoch, OrderId, ReservationId, UserId};
use sqlx::Row;

/// How much earlier than its reservation an order's id may have been issued, in milliseconds. They are drawn one after the
/// other, so this is generous.
const DRAWN_WITHIN_MS: u64 = 1_000;
/// Bits of an id below its milliseconds.
const BELOW_MS_BITS: u32 = 22;

/// An event about an order that was recorded and not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoidedEvent {
    /// Where it stands in the log.
    pub partition: i32,
    /// Where it stands in the log.
    pub offset: u64,
    /// `RESERVED`, `CONFIRMED`, …
    pub event_type: String,
    /// The epoch it was decided under.
    pub epoch: Epoch,
    /// The newer fence before it.
    pub fence_epoch: Epoch,
    /// Time of the event, in milliseconds since 1970.
    pub at_ms: u64,
}

/// The order of a reservation. There is no index of reservations; but an order's id is drawn just before that of its
/// reservation, so a narrow range of the primary key is looked through.
///
/// # Errors
/// [`MySqlError`].
pub async fn order_of_reservation(db: &Db, reservation_id: ReservationId) -> Result<Option<OrderId>, MySqlError> {
    let first = reservation_id.get().saturating_sub(DRAWN_WITHIN_MS << BELOW_MS_BITS);
    let sql = "SELECT order_id FROM orders WHERE order_id BETWEEN ? AND ? AND reservation_id = ? LIMIT 1";
    let query = sqlx::query_scalar(sql).bind(first).bind(reservation_id.get()).bind(reservation_id.get());
    Ok(soon(query.fetch_optional(db.pool())).await?.map(OrderId::new))
}

/// The orders that a buyer made with an idempotency key, newest first. More than one if the key was used again after a day.
///
/// # Errors
/// [`MySqlError`].
pub async fn orders_of_key(db: &Db, user_id: UserId, key: &str) -> Result<Vec<OrderRow>, MySqlError> {
    let sql = "SELECT order_id FROM orders WHERE user_id = ? AND idempotency_key = ? ORDER BY order_id DESC LIMIT 20";
    let ids: Vec<u64> = soon(sqlx::query_scalar(sql).bind(user_id.get()).bind(key).fetch_all(db.pool())).await?;
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        rows.extend(orders::get(db, OrderId::new(id)).await?);
    }
    Ok(rows)
}

/// The events about an order that stand behind a newer fence, in log order.
///
/// # Errors
/// [`MySqlError`].
pub async fn voided_of_order(db: &Db, topic: &str, order_id: OrderId) -> Result<Vec<VoidedEvent>, MySqlError> {
    let sql = "SELECT partition_id, offset_no, event_type, epoch, fence_epoch, at_ms FROM voided_events \
               WHERE order_id = ? AND topic = ? ORDER BY partition_id, offset_no LIMIT 100";
    let rows = soon(sqlx::query(sql).bind(order_id.get()).bind(topic).fetch_all(db.pool())).await?;
    let read = |row: &sqlx::mysql::MySqlRow| {
        let partition: u32 = row.try_get("partition_id")?;
        Ok(VoidedEvent {
            partition: i32::try_from(partition).map_err(|_| MySqlError::Foreign(format!("partition {partition}")))?,
            offset: row.try_get("offset_no")?,
            event_type: row.try_get("event_type")?,
            epoch: Epoch(row.try_get("epoch")?),
            fence_epoch: Epoch(row.try_get("fence_epoch")?),
            at_ms: row.try_get("at_ms")?,
        })
    };
    rows.iter().map(read).collect()
}
