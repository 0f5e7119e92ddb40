//! Reading payments as the projection has them. Writing them is the projector's business alone (`projection`).

use super::projection::PaymentRow;
use super::{Db, MySqlError};
use flash_core::ids::{Epoch, OrderId, SkuId, UserId};
use flash_core::payment::{Payment, PaymentId, RefundReason};
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Row};

const COLUMNS: &str =
    "payment_id, paid_order_id, order_id, user_id, sku_id, amount_minor, status, reason, epoch, at_ms";

/// One payment by the provider's name for it.
///
/// # Errors
/// [`MySqlError`].
pub async fn get(db: &Db, payment_id: &PaymentId) -> Result<Option<PaymentRow>, MySqlError> {
    let sql = format!("SELECT {COLUMNS} FROM payments WHERE payment_id = ?");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(payment_id.as_str()).fetch_optional(db.pool()).await?;
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
    query.fetch_all(db.pool()).await?.iter().map(read).collect()
}

/// Reads one row with exactly the columns of [`COLUMNS`].
fn read(row: &MySqlRow) -> Result<PaymentRow, MySqlError> {
    let (payment_id, status, reason): (&str, &str, &str) =
        (row.try_get("payment_id")?, row.try_get("status")?, row.try_get("reason")?);
    let foreign = |what: &str, text: &str| MySqlError::Foreign(format!("{what} {text}"));
    let refund = match status {
        "CAPTURED" => None,
        _ => Some(RefundReason::parse(reason).ok_or_else(|| foreign("refund reason", reason))?),
    };
    Ok(PaymentRow {
        payment: Payment {
            payment_id: PaymentId::parse(payment_id).ok_or_else(|| foreign("payment id", payment_id))?,
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
