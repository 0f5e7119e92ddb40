//! The journal of a sale (`sku_changes`): who changed what about a SKU, when, and why. Append-only.
//!
//! Rows are written by [`super::skus`] and [`super::sku_lock`] only, in the transaction of the change itself: there is no
//! change without its row and no row without its change.

use super::author::Author;
use super::bounded::soon;
use super::{Db, MySqlError, NOW_MS};
use flash_core::ids::SkuId;
use flash_core::sale::{Sku, format_price, format_time};
use serde::Serialize;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Row};
use std::fmt::Write as _;

/// Most rows in one statement.
const ROWS_PER_STATEMENT: usize = 500;

/// One thing that is changed, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// capacity, price, currency, name, per_user, hold, window, paused or created.
    pub what: String,
    /// What it was; `None` if it was not there.
    pub old_value: Option<String>,
    /// What it is.
    pub new_value: Option<String>,
}

/// A row of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRow {
    /// Grows with time.
    pub change_id: u64,
    /// Of which SKU.
    pub sku_id: SkuId,
    /// What was changed.
    #[serde(flatten)]
    pub change: Change,
    /// By whom.
    pub who: String,
    /// For which reason.
    pub why: String,
    /// When, by MySQL's clock, in milliseconds since 1970.
    pub at_ms: u64,
}

/// The creation of a SKU, as the journal tells it.
#[must_use]
pub fn created(sku: &Sku) -> Change {
    let told = format!("{:?}, {} × {} {}", sku.name, sku.capacity, format_price(sku.price_minor), sku.currency);
    // Escapes can make a legal name longer than the column; the row of the SKU has it in full.
    Change { what: "created".to_owned(), old_value: None, new_value: Some(told.chars().take(255).collect()) }
}

/// What turns one definition into another, one item per thing.
#[must_use]
pub fn differences(old: &Sku, new: &Sku) -> Vec<Change> {
    let told = |sku: &Sku| {
        [
            ("capacity", sku.capacity.to_string()),
            ("price", format_price(sku.price_minor)),
            ("currency", sku.currency.clone()),
            ("name", sku.name.clone()),
            ("per_user", sku.per_user.to_string()),
            ("hold", hold(sku.hold_ms)),
            ("window", window(sku.opens_at_ms, sku.closes_at_ms)),
            ("paused", if sku.paused { "yes" } else { "no" }.to_owned()),
        ]
    };
    let pairs = told(old).into_iter().zip(told(new));
    let changed = pairs.filter(|((_, old), (_, new))| old != new);
    changed
        .map(|((what, old), (_, new))| Change { what: what.to_owned(), old_value: Some(old), new_value: Some(new) })
        .collect()
}

/// A hold time as it can be typed: `300s`, `1500ms`.
#[must_use]
pub fn hold(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{}s", ms / 1_000) } else { format!("{ms}ms") }
}

/// A window in words: `from 2026-11-27T09:00:00Z until further notice`.
#[must_use]
pub fn window(opens_at_ms: Option<u64>, closes_at_ms: Option<u64>) -> String {
    let opens = opens_at_ms.map_or_else(|| "the start".to_owned(), format_time);
    let closes = closes_at_ms.map_or_else(|| "further notice".to_owned(), format_time);
    format!("from {opens} until {closes}")
}

/// The newest `most` rows, newest first; of one SKU or of all.
///
/// # Errors
/// [`MySqlError`].
pub async fn list(db: &Db, sku_id: Option<SkuId>, most: u32) -> Result<Vec<ChangeRow>, MySqlError> {
    let which = if sku_id.is_some() { "WHERE sku_id = ?" } else { "" };
    let sql = format!(
        "SELECT change_id, sku_id, what, old_value, new_value, who, why, at_ms FROM sku_changes {which} \
         ORDER BY change_id DESC LIMIT ?"
    );
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = if let Some(sku_id) = sku_id { query.bind(sku_id.get()) } else { query };
    let rows = soon(query.bind(most).fetch_all(db.pool())).await?;
    rows.iter().map(|row| read(row).map_err(MySqlError::from)).collect()
}

fn read(row: &MySqlRow) -> Result<ChangeRow, sqlx::Error> {
    let change = Change {
        what: row.try_get("what")?,
        old_value: row.try_get("old_value")?,
        new_value: row.try_get("new_value")?,
    };
    Ok(ChangeRow {
        change_id: row.try_get("change_id")?,
        sku_id: SkuId::new(row.try_get("sku_id")?),
        change,
        who: row.try_get("who")?,
        why: row.try_get("why")?,
        at_ms: row.try_get("at_ms")?,
    })
}

/// Writes rows in the caller's transaction.
pub(super) async fn append(
    connection: &mut MySqlConnection,
    changes: &[(SkuId, Change)],
    author: &Author,
) -> Result<(), sqlx::Error> {
    for chunk in changes.chunks(ROWS_PER_STATEMENT) {
        let mut sql =
            String::from("INSERT INTO sku_changes (sku_id, what, old_value, new_value, who, why, at_ms) VALUES ");
        for index in 0..chunk.len() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(sql, "{comma}(?,?,?,?,?,?,{NOW_MS})");
        }
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for (sku_id, change) in chunk {
            query = query.bind(sku_id.get()).bind(&change.what).bind(&change.old_value).bind(&change.new_value);
            query = query.bind(author.who()).bind(author.why());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sku() -> Sku {
        Sku {
            sku_id: SkuId::new(1),
            name: "Front row".into(),
            price_minor: 4_900,
            currency: "EUR".into(),
            capacity: 100,
            per_user: 4,
            hold_ms: 300_000,
            opens_at_ms: None,
            closes_at_ms: None,
            paused: false,
        }
    }

    #[test]
    fn differences_are_told_in_words() {
        assert!(differences(&sku(), &sku()).is_empty());
        let new = Sku { price_minor: 5_950, hold_ms: 1_500, closes_at_ms: Some(0), paused: true, ..sku() };
        let told: Vec<String> = differences(&sku(), &new)
            .into_iter()
            .map(|change| format!("{} {} > {}", change.what, change.old_value.unwrap(), change.new_value.unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                "price 49.00 > 59.50",
                "hold 300s > 1500ms",
                "window from the start until further notice > from the start until 1970-01-01T00:00:00Z",
                "paused no > yes"
            ]
        );
        assert_eq!(created(&sku()).new_value.unwrap(), "\"Front row\", 100 × 49.00 EUR");
    }
}
