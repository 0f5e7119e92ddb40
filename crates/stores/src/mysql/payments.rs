//! Reading payments as the projection has them. Writing them is the projector's business alone (`projection`).

use super::bounded::{in_the_end, soon};
use super::projection::PaymentRow;
use super::{Db, MySqlError};
use flash_core::ids::{Epoch, OrderId, SkuId, UserId};
use flash_core::payment::{Payment, PaymentId, RefundReason};
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, MySql, Row};

/// Which payments are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PaymentFilter {
    /// Only those that have to be given back.
    pub refund_pending: bool,
    /// Only those that were paid for this order or have confirmed it.
    pub order_id: Option<OrderId>,
    /// Only those for this SKU.
    pub sku_id: Option<SkuId>,
}

/// How much money came in for the SKUs of one currency and met one fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentTotal {
    /// Whether it is to be given back.
    pub refund_pending: bool,
    /// The currency; `None` if the SKU is not known (any more).
    pub currency: Option<String>,
    /// Payments.
    pub count: u64,
    /// Their sum, in minor units.
    pub amount_minor: u64,
}

const STATUSES: [&str; 2] = ["CAPTURED", "REFUND_PENDING"];
const COLUMNS: &str =
    "payment_id, paid_order_id, order_id, user_id, sku_id, amount_minor, status, reason, epoch, at_ms";

/// One payment by the provider's name for it.
///
/// # Errors
/// [`MySqlError`].
pub async fn get(db: &Db, payment_id: &PaymentId) -> Result<Option<PaymentRow>, MySqlError> {
    let sql = format!("SELECT {COLUMNS} FROM payments WHERE payment_id = ?");
    let row = soon(sqlx::query(AssertSqlSafe(sql)).bind(payment_id.as_str()).fetch_optional(db.pool())).await?;
    row.as_ref().map(read).transpose()
}

/// Payments for one SKU since `since_ms`, by id after `after`, at most `limit`: a page for the rebuild.
///
/// # Errors
/// [`MySqlError`].
pub async fn page_of_sku(
    db: &Db,
    sku_id: SkuId,
    since_ms: u64,
    after: &str,
    limit: u32,
) -> Result<Vec<PaymentRow>, MySqlError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM payments WHERE sku_id = ? AND at_ms >= ? AND payment_id > ? ORDER BY payment_id LIMIT ?"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(sku_id.get()).bind(since_ms).bind(after).bind(limit);
    soon(query.fetch_all(db.pool())).await?.iter().map(read).collect()
}

/// The payments of one order: those that were paid for it and the one that confirmed it, oldest first.
///
/// # Errors
/// [`MySqlError`].
pub async fn of_order(db: &Db, order_id: OrderId) -> Result<Vec<PaymentRow>, MySqlError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM payments WHERE paid_order_id = ? OR order_id = ? ORDER BY at_ms, payment_id LIMIT 100"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(order_id.get()).bind(order_id.get());
    soon(query.fetch_all(db.pool())).await?.iter().map(read).collect()
}

/// A page of payments, newest first: at most `limit` of those behind `after`, the last one of the page before.
///
/// # Errors
/// [`MySqlError`].
pub async fn page(
    db: &Db,
    filter: &PaymentFilter,
    after: Option<(u64, &PaymentId)>,
    limit: u32,
) -> Result<Vec<PaymentRow>, MySqlError> {
    // One part per status, so that each can be read from its index in order; a SKU and an order have indexes of their own.
    let narrow = filter.order_id.is_some() || filter.sku_id.is_some();
    let statuses: &[&str] = if filter.refund_pending { &STATUSES[1..] } else { &STATUSES };
    let one_part = [statuses.join("','")];
    let all_parts: Vec<String> = statuses.iter().map(|status| (*status).to_owned()).collect();
    let parts: &[String] = if narrow { &one_part } else { &all_parts };
    let select = |statuses: &String| {
        // Written out instead of comparing row values: MariaDB would not use an index for those.
        let behind = if after.is_some() { " AND at_ms <= ? AND (at_ms < ? OR payment_id < ?)" } else { "" };
        let wanted = conditions(filter);
        format!(
            "(SELECT {COLUMNS} FROM payments WHERE status IN ('{statuses}'){wanted}{behind} \
             ORDER BY at_ms DESC, payment_id DESC LIMIT ?)"
        )
    };
    let union = parts.iter().map(select).collect::<Vec<_>>().join(" UNION ALL ");
    let sql = format!("SELECT {COLUMNS} FROM ({union}) AS parts ORDER BY at_ms DESC, payment_id DESC LIMIT ?");
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for _ in parts {
        query = bind_conditions(query, filter);
        if let Some((at_ms, payment_id)) = after {
            query = query.bind(at_ms).bind(at_ms).bind(payment_id.as_str());
        }
        query = query.bind(limit);
    }
    soon(query.bind(limit).fetch_all(db.pool())).await?.iter().map(read).collect()
}

/// Sums over all payments that the filter lets through, by status and currency.
///
/// # Errors
/// [`MySqlError`].
pub async fn totals(db: &Db, filter: &PaymentFilter) -> Result<Vec<PaymentTotal>, MySqlError> {
    let status = if filter.refund_pending { " AND status = 'REFUND_PENDING'" } else { "" };
    let sql = format!(
        "SELECT p.status, s.currency, CAST(SUM(p.payments) AS UNSIGNED) AS payments, \
                CAST(SUM(p.amount) AS UNSIGNED) AS amount \
         FROM (SELECT status, sku_id, COUNT(*) AS payments, SUM(amount_minor) AS amount FROM payments \
               WHERE TRUE{status}{} GROUP BY status, sku_id) AS p \
         LEFT JOIN skus s ON s.sku_id = p.sku_id GROUP BY p.status, s.currency ORDER BY p.status, s.currency",
        conditions(filter)
    );
    let query = bind_conditions(sqlx::query(AssertSqlSafe(sql)), filter);
    in_the_end(query.fetch_all(db.pool())).await?.iter().map(read_total).collect()
}

fn conditions(filter: &PaymentFilter) -> String {
    let order = if filter.order_id.is_some() { " AND (paid_order_id = ? OR order_id = ?)" } else { "" };
    let sku = if filter.sku_id.is_some() { " AND sku_id = ?" } else { "" };
    format!("{order}{sku}")
}

fn bind_conditions<'q>(
    mut query: Query<'q, MySql, MySqlArguments>,
    filter: &PaymentFilter,
) -> Query<'q, MySql, MySqlArguments> {
    if let Some(order_id) = filter.order_id {
        query = query.bind(order_id.get()).bind(order_id.get());
    }
    match filter.sku_id {
        Some(sku_id) => query.bind(sku_id.get()),
        None => query,
    }
}

fn read_total(row: &MySqlRow) -> Result<PaymentTotal, MySqlError> {
    let status: &str = row.try_get("status")?;
    Ok(PaymentTotal {
        refund_pending: status == STATUSES[1],
        currency: row.try_get("currency")?,
        count: row.try_get("payments")?,
        amount_minor: row.try_get("amount")?,
    })
}

/// Reads one row with exactly the columns of [`COLUMNS`].
fn read(row: &MySqlRow) -> Result<PaymentRow, MySqlError> {
    let foreign = |what: &str, value: &str| MySqlError::Foreign(format!("{what} {value:?}"));
    let (id, status): (&str, &str) = (row.try_get("payment_id")?, row.try_get("status")?);
    let reason: &str = row.try_get("reason")?;
    let refund = match status {
        "REFUND_PENDING" => Some(RefundReason::parse(reason).ok_or_else(|| foreign("refund reason", reason))?),
        _ => None,
    };
    Ok(PaymentRow {
        payment: Payment {
            payment_id: PaymentId::parse(id).ok_or_else(|| foreign("payment id", id))?,
            amount_minor: row.try_get("amount_minor")?,
            paid_order: OrderId::new(row.try_get("paid_order_id")?),
        },
        order_id: row.try_get::<Option<u64>, _>("order_id")?.map(OrderId::new),
        user_id: UserId::new(row.try_get("user_id")?),
        sku_id: SkuId::new(row.try_get("sku_id")?),
        refund,
        epoch: Epoch(row.try_get("epoch")?),
        at_ms: row.try_get("at_ms")?,
    })
}
