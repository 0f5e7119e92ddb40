//! Writing the projection: the rows of a batch and the offsets they stand for, in one transaction.
//!
//! Offsets move first, by compare-and-set. That takes the row locks of the partitions before anything else is touched, so
//! of two projectors that believe to own a partition one waits and then learns that it [`Moved`](MySqlError::Moved) –
//! and between those locks and the commit nobody else writes orders of these partitions, which makes plain reads of their
//! states safe.

use super::insert::{Insert, MySqlQuery};
use super::orders::{LedgerRow, OrderRow};
use super::{Db, MySqlError};
use flash_core::ids::{Epoch, OrderId, SkuId, UserId};
use flash_core::order::OrderState;
use flash_core::payment::{Payment, RefundReason};
use sqlx::{AssertSqlSafe, MySql, Row, Transaction};
use std::collections::HashMap;
use std::fmt::Write as _;

/// A step of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// The partition.
    pub partition: i32,
    /// The offset MySQL must hold for the step to be ours to make.
    pub from: u64,
    /// The offset after the last record of the batch; equal to `from` if only time has passed.
    pub to: u64,
    /// The newest fence passed.
    pub fence_epoch: Epoch,
    /// Everything that was in the partition by this time is applied; an older value than the stored one changes nothing.
    pub applied_ms: u64,
}

/// An event that was recorded but not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoidedRow {
    /// Where the event stands in the log.
    pub partition: i32,
    /// Where the event stands in the log.
    pub offset: u64,
    /// `RESERVED`, … or `FENCE`.
    pub event_type: &'static str,
    /// Epoch of the event.
    pub epoch: Epoch,
    /// The newer fence before it.
    pub fence_epoch: Epoch,
    /// Time of the event in milliseconds since 1970.
    pub at_ms: u64,
    /// The order it was about; none for a fence.
    pub order: Option<VoidedOrder>,
}

/// What a voided event said about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoidedOrder {
    /// The order.
    pub order_id: OrderId,
    /// The buyer.
    pub user_id: UserId,
    /// The SKU.
    pub sku_id: SkuId,
    /// Units.
    pub quantity: u32,
    /// The SKU's sequence number.
    pub seq: u64,
}

/// One row of `payments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentRow {
    /// The money.
    pub payment: Payment,
    /// The order it confirmed; none if it bought nothing.
    pub order_id: Option<OrderId>,
    /// The buyer.
    pub user_id: UserId,
    /// The SKU.
    pub sku_id: SkuId,
    /// Why it bought nothing; none if it did.
    pub refund: Option<RefundReason>,
    /// Epoch of the event.
    pub epoch: Epoch,
    /// Time of the event in milliseconds since 1970.
    pub at_ms: u64,
}

/// Everything a batch writes besides its offsets. Rows are unique by primary key and best sorted by it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rows {
    /// Orders to create, or to move on if they are still reserved.
    pub orders: Vec<OrderRow>,
    /// Ledger rows; those that exist already stay as they are.
    pub ledger: Vec<LedgerRow>,
    /// Payments; those that exist already stay as they are: the first word about a payment counts.
    pub payments: Vec<PaymentRow>,
    /// Voided events.
    pub voided: Vec<VoidedRow>,
}

/// A batch under way. Dropping it rolls everything back.
#[derive(Debug)]
pub struct ProjectionTx {
    pub(super) tx: Transaction<'static, MySql>,
}

impl ProjectionTx {
    /// Begins a batch by moving the offsets.
    ///
    /// # Errors
    /// [`MySqlError::Moved`] if an offset is not what `advances` expects: re-read the positions and start over from there.
    pub async fn begin(db: &Db, topic: &str, advances: &[Advance]) -> Result<Self, MySqlError> {
        let mut tx = db.pool().begin().await?;
        // One fixed order of locking, so that two projectors cannot deadlock over two partitions.
        let mut sorted: Vec<&Advance> = advances.iter().collect();
        sorted.sort_unstable_by_key(|advance| advance.partition);
        let mut sql = String::with_capacity(sorted.len() * 200);
        for Advance { partition, from, to, fence_epoch, applied_ms } in sorted {
            let _ = write!(
                sql,
                "UPDATE projector_offsets SET next_offset = {to}, fence_epoch = GREATEST(fence_epoch, {fence_epoch}), \
                 applied_ms = GREATEST(applied_ms, {applied_ms}) WHERE topic = {} AND partition_id = {partition} \
                 AND next_offset = {from};",
                Hex(topic)
            );
        }
        let hit = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await?.rows_affected();
        if hit == advances.len() as u64 {
            return Ok(Self { tx });
        }
        // At once, not when the pool gets to it: whoever was quicker may be waiting for these row locks.
        tx.rollback().await?;
        Err(MySqlError::Moved)
    }

    /// The states of those of `orders` that exist. True until the commit for orders of the advanced partitions.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn states(&mut self, orders: &[OrderId]) -> Result<HashMap<OrderId, OrderState>, MySqlError> {
        if orders.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = String::with_capacity(64 + orders.len() * 20);
        sql.push_str("SELECT order_id, state FROM orders WHERE order_id IN (");
        for (index, order) in orders.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(sql, "{comma}{order}");
        }
        sql.push(')');
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *self.tx).await?;
        rows.iter()
            .map(|row| {
                let state: &str = row.try_get("state")?;
                let known = OrderState::parse(state);
                let known = known.ok_or_else(|| MySqlError::Foreign(format!("order state {state}")))?;
                Ok((OrderId::new(row.try_get("order_id")?), known))
            })
            .collect()
    }

    /// Writes the rows. Writing the same rows again changes nothing.
    ///
    /// # Errors
    /// [`MySqlError`]; the batch must then be dropped.
    pub async fn write(&mut self, topic: &str, rows: &Rows) -> Result<(), MySqlError> {
        let tx = &mut self.tx;
        ORDERS.run(tx, &rows.orders, bind_order).await?;
        LEDGER.run(tx, &rows.ledger, bind_ledger).await?;
        PAYMENTS.run(tx, &rows.payments, bind_payment).await?;
        VOIDED.run(tx, &rows.voided, |query, row| bind_voided(query, topic, row)).await
    }

    /// Gives everything back: the rows and the locks, at once.
    ///
    /// # Errors
    /// [`MySqlError`]; the server then gives them back when it misses the connection.
    pub async fn rollback(self) -> Result<(), MySqlError> {
        Ok(self.tx.rollback().await?)
    }

    /// Makes the batch durable.
    ///
    /// # Errors
    /// [`MySqlError`]. Whether the commit happened is then unknown: the compare-and-set of the next attempt will tell.
    pub async fn commit(self) -> Result<(), MySqlError> {
        Ok(self.tx.commit().await?)
    }
}

/// An order changes only out of `RESERVED`, each order once. Assignments are evaluated from left to right, so `state`,
/// which the others look at, comes last.
const ORDERS: Insert = Insert {
    head: "INSERT INTO orders (order_id, reservation_id, user_id, sku_id, quantity, unit_price_minor, state, epoch, seq, \
           updated_at_ms, idempotency_key, reserved_at_ms, expires_at_ms) VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?,?,?,?)",
    tail: " ON DUPLICATE KEY UPDATE \
           epoch = IF(state = 'RESERVED' AND VALUES(state) <> 'RESERVED', VALUES(epoch), epoch), \
           seq = IF(state = 'RESERVED' AND VALUES(state) <> 'RESERVED', VALUES(seq), seq), \
           updated_at_ms = IF(state = 'RESERVED' AND VALUES(state) <> 'RESERVED', VALUES(updated_at_ms), updated_at_ms), \
           state = IF(state = 'RESERVED', VALUES(state), state)",
};

fn bind_order<'q>(query: MySqlQuery<'q>, row: &'q OrderRow) -> MySqlQuery<'q> {
    let order = &row.order;
    query
        .bind(order.order_id.get())
        .bind(order.reservation_id.get())
        .bind(order.user_id.get())
        .bind(order.sku_id.get())
        .bind(order.quantity)
        .bind(order.unit_price_minor)
        .bind(row.state.as_str())
        .bind(row.epoch.0)
        .bind(order.seq)
        .bind(row.updated_at_ms)
        .bind(order.idempotency_key.as_str())
        .bind(order.reserved_at_ms)
        .bind(order.expires_at_ms)
}

/// The ledger is append-only.
const LEDGER: Insert = Insert {
    head: "INSERT INTO inventory_audit (order_id, reason, sku_id, seq, delta, epoch, partition_id, offset_no, at_ms) VALUES ",
    row: "(?,?,?,?,?,?,?,?,?)",
    tail: " ON DUPLICATE KEY UPDATE order_id = VALUES(order_id)",
};

fn bind_ledger<'q>(query: MySqlQuery<'q>, row: &'q LedgerRow) -> MySqlQuery<'q> {
    query
        .bind(row.order_id.get())
        .bind(row.reason.as_str())
        .bind(row.sku_id.get())
        .bind(row.seq)
        .bind(row.delta)
        .bind(row.epoch.0)
        .bind(row.partition)
        .bind(row.offset)
        .bind(row.at_ms)
}

const PAYMENTS: Insert = Insert {
    head: "INSERT INTO payments (payment_id, paid_order_id, order_id, user_id, sku_id, amount_minor, status, reason, epoch, \
           at_ms) VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?)",
    tail: " ON DUPLICATE KEY UPDATE payment_id = payment_id",
};

fn bind_payment<'q>(query: MySqlQuery<'q>, row: &'q PaymentRow) -> MySqlQuery<'q> {
    query
        .bind(row.payment.payment_id.as_str())
        .bind(row.payment.paid_order.get())
        .bind(row.order_id.map(OrderId::get))
        .bind(row.user_id.get())
        .bind(row.sku_id.get())
        .bind(row.payment.amount_minor)
        .bind(if row.refund.is_some() { "REFUND_PENDING" } else { "CAPTURED" })
        .bind(row.refund.map_or("", RefundReason::as_str))
        .bind(row.epoch.0)
        .bind(row.at_ms)
}

const VOIDED: Insert = Insert {
    head: "INSERT INTO voided_events (topic, partition_id, offset_no, event_type, epoch, fence_epoch, at_ms, order_id, \
           user_id, sku_id, quantity, seq) VALUES ",
    row: "(?,?,?,?,?,?,?,?,?,?,?,?)",
    tail: " ON DUPLICATE KEY UPDATE topic = topic",
};

fn bind_voided<'q>(query: MySqlQuery<'q>, topic: &'q str, row: &'q VoidedRow) -> MySqlQuery<'q> {
    query
        .bind(topic)
        .bind(row.partition)
        .bind(row.offset)
        .bind(row.event_type)
        .bind(row.epoch.0)
        .bind(row.fence_epoch.0)
        .bind(row.at_ms)
        .bind(row.order.map(|order| order.order_id.get()))
        .bind(row.order.map(|order| order.user_id.get()))
        .bind(row.order.map(|order| order.sku_id.get()))
        .bind(row.order.map(|order| order.quantity))
        .bind(row.order.map(|order| order.seq))
}

/// Text as a literal that needs no escaping.
struct Hex<'a>(&'a str);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("_ascii x'")?;
        self.0.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("'")
    }
}
