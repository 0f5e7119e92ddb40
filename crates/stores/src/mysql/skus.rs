//! The catalogue: definitions of what is on sale, and whether Redis has ever been filled with them.

use super::author::Author;
use super::bounded::{in_the_end, soon};
use super::changes::{self, Change};
use super::{Db, MySqlError, NOW_MS};
use flash_core::ids::{Epoch, SkuId};
use flash_core::sale::Sku;
use sqlx::mysql::{MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::HashMap;
use std::fmt::Write as _;

/// A definition as the database holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSku {
    /// The definition.
    pub sku: Sku,
    /// The epoch Redis was last filled under; `None`: never, so nothing of it can have been sold.
    pub loaded_epoch: Option<Epoch>,
    /// Grows with every change of the definition.
    pub version: u64,
}

/// Most rows in one statement: about 30 kB of SQL.
const ROWS_PER_STATEMENT: usize = 200;
/// How often a chunk is tried again because another setup wrote the same SKUs at the same moment.
const CONFLICTS_MAX: usize = 5;

const COLUMNS: &str = "sku_id, name, price_minor, currency, capacity, per_user, hold_ms, opens_at_ms, closes_at_ms, \
                       paused, loaded_epoch, version";

/// Every SKU, by id.
///
/// # Errors
/// [`MySqlError`].
pub async fn list(db: &Db) -> Result<Vec<StoredSku>, MySqlError> {
    let sql = format!("SELECT {COLUMNS} FROM skus ORDER BY sku_id");
    let rows = soon(sqlx::query(AssertSqlSafe(sql)).fetch_all(db.pool())).await?;
    rows.iter().map(|row| read(row).map_err(MySqlError::from)).collect()
}

/// One SKU.
///
/// # Errors
/// [`MySqlError`].
pub async fn get(db: &Db, sku_id: SkuId) -> Result<Option<StoredSku>, MySqlError> {
    let mut connection = db.pool().acquire().await?;
    soon(get_on(&mut connection, sku_id, false)).await
}

/// One SKU, over the caller's connection; its row can be locked until the end of the transaction.
pub(super) async fn get_on(
    connection: &mut MySqlConnection,
    sku_id: SkuId,
    lock: bool,
) -> Result<Option<StoredSku>, MySqlError> {
    let for_update = if lock { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT {COLUMNS} FROM skus WHERE sku_id = ?{for_update}");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(sku_id.get()).fetch_optional(connection).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Creates the SKUs that are missing and brings the others to the given definition – except for their capacity, which is
/// never changed here: stock may have been sold from it – and for a pause, which is an operator's word of the moment. What
/// is done is written to the journal in the same transaction; SKUs that are as wanted are left alone. Safe to repeat.
///
/// # Errors
/// [`MySqlError`]; chunks of SKUs before the failed one stay applied.
pub async fn upsert(db: &Db, skus: &[Sku], author: &Author) -> Result<(), MySqlError> {
    for chunk in skus.chunks(ROWS_PER_STATEMENT) {
        let mut conflicts = 0;
        while let Err(error) = in_the_end(upsert_chunk(db, chunk, author)).await {
            conflicts += 1;
            if conflicts == CONFLICTS_MAX || !is_conflict(&error) {
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn upsert_chunk(db: &Db, chunk: &[Sku], author: &Author) -> Result<(), MySqlError> {
    let mut tx = db.pool().begin().await?;
    let current = lock_existing(&mut tx, chunk).await?;
    let (mut new, mut changed, mut journal) = (Vec::new(), Vec::new(), Vec::<(SkuId, Change)>::new());
    for wanted in chunk {
        let Some(current) = current.get(&wanted.sku_id) else {
            journal.push((wanted.sku_id, changes::created(wanted)));
            new.push(wanted.clone());
            continue;
        };
        let wanted = Sku { capacity: current.capacity, paused: current.paused, ..wanted.clone() };
        let differences = changes::differences(current, &wanted);
        if !differences.is_empty() {
            journal.extend(differences.into_iter().map(|change| (wanted.sku_id, change)));
            changed.push(wanted);
        }
    }
    // A SKU that another setup has created since we looked is a duplicate here: the chunk is tried again and finds it.
    insert(&mut tx, &new, "").await?;
    insert(&mut tx, &changed, OVERWRITE).await?;
    changes::append(&mut tx, &journal, author).await?;
    Ok(tx.commit().await?)
}

/// The SKUs of a chunk that exist, their rows locked. At READ COMMITTED the others lock nothing, not even a gap.
async fn lock_existing(connection: &mut MySqlConnection, chunk: &[Sku]) -> Result<HashMap<SkuId, Sku>, MySqlError> {
    let ids: Vec<String> = chunk.iter().map(|sku| sku.sku_id.to_string()).collect();
    let ids = ids.join(",");
    let sql = format!("SELECT {COLUMNS} FROM skus WHERE sku_id IN ({ids}) ORDER BY sku_id FOR UPDATE");
    let rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(read(row).map(|stored| (stored.sku.sku_id, stored.sku))?)).collect()
}

/// What an insert does with a SKU that is there.
const OVERWRITE: &str = " ON DUPLICATE KEY UPDATE name = VALUES(name), price_minor = VALUES(price_minor), \
     currency = VALUES(currency), per_user = VALUES(per_user), hold_ms = VALUES(hold_ms), \
     opens_at_ms = VALUES(opens_at_ms), closes_at_ms = VALUES(closes_at_ms), version = version + 1, \
     updated_at_ms = VALUES(updated_at_ms)";

async fn insert(connection: &mut MySqlConnection, skus: &[Sku], tail: &str) -> Result<(), MySqlError> {
    if skus.is_empty() {
        return Ok(());
    }
    let mut sql = String::from(
        "INSERT INTO skus (sku_id, name, price_minor, currency, capacity, per_user, hold_ms, opens_at_ms, \
         closes_at_ms, paused, created_at_ms, updated_at_ms) VALUES ",
    );
    for index in 0..skus.len() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(sql, "{comma}(?,?,?,?,?,?,?,?,?,?,{NOW_MS},{NOW_MS})");
    }
    sql.push_str(tail);
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    for sku in skus {
        query = query
            .bind(sku.sku_id.get())
            .bind(&sku.name)
            .bind(sku.price_minor)
            .bind(&sku.currency)
            .bind(sku.capacity)
            .bind(sku.per_user)
            .bind(sku.hold_ms)
            .bind(sku.opens_at_ms)
            .bind(sku.closes_at_ms)
            .bind(sku.paused);
    }
    query.execute(connection).await?;
    Ok(())
}

/// Whether somebody else wrote the same rows: a duplicate, or a deadlock.
fn is_conflict(error: &MySqlError) -> bool {
    let (MySqlError::Data(sqlx::Error::Database(error)) | MySqlError::Outage(sqlx::Error::Database(error))) = error
    else {
        return false;
    };
    error.try_downcast_ref::<MySqlDatabaseError>().is_some_and(|error| matches!(error.number(), 1062 | 1213))
}

/// Notes that Redis has been filled with these SKUs under `epoch`. A lower epoch never overwrites a higher one.
///
/// # Errors
/// [`MySqlError`].
pub async fn mark_loaded(db: &Db, skus: &[SkuId], epoch: Epoch) -> Result<(), MySqlError> {
    for chunk in skus.chunks(ROWS_PER_STATEMENT * 10) {
        let mut sql = format!(
            "UPDATE skus SET loaded_epoch = GREATEST(COALESCE(loaded_epoch, 0), {}) WHERE sku_id IN (",
            epoch.0
        );
        for (index, sku) in chunk.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(sql, "{comma}{}", sku.get());
        }
        sql.push(')');
        soon(sqlx::raw_sql(AssertSqlSafe(sql)).execute(db.pool())).await?;
    }
    Ok(())
}

fn read(row: &MySqlRow) -> Result<StoredSku, sqlx::Error> {
    Ok(StoredSku {
        sku: Sku {
            sku_id: SkuId::new(row.try_get("sku_id")?),
            name: row.try_get("name")?,
            price_minor: row.try_get("price_minor")?,
            currency: row.try_get("currency")?,
            capacity: row.try_get("capacity")?,
            per_user: row.try_get("per_user")?,
            hold_ms: row.try_get("hold_ms")?,
            opens_at_ms: row.try_get("opens_at_ms")?,
            closes_at_ms: row.try_get("closes_at_ms")?,
            paused: row.try_get("paused")?,
        },
        loaded_epoch: row.try_get::<Option<u64>, _>("loaded_epoch")?.map(Epoch),
        version: row.try_get("version")?,
    })
}

/// A cheap mark of the whole catalogue: it changes whenever a definition is added, removed or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogMark {
    /// Definitions.
    pub skus: u64,
    /// Sum of their versions.
    pub versions: u64,
}

/// Reads the mark.
///
/// # Errors
/// [`MySqlError`].
pub async fn mark(db: &Db) -> Result<CatalogMark, MySqlError> {
    let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(version), 0) AS UNSIGNED) FROM skus";
    let (skus, versions): (i64, u64) = soon(sqlx::query_as(sql).fetch_one(db.pool())).await?;
    Ok(CatalogMark { skus: skus.unsigned_abs(), versions })
}
