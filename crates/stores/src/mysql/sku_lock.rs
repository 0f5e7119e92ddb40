//! Changing one SKU's definition while nobody else does.
//!
//! A change touches MySQL and Redis, so a row lock is not enough to keep two operators apart. Owns a named lock of the
//! server, on a connection of its own that also writes the change: whoever has lost the lock has lost the connection, and
//! cannot commit any more.

use super::author::Author;
use super::bounded::{soon, within};
use super::changes::{self, Change};
use super::skus::{self, StoredSku};
use super::{Db, MySqlError, NOW_MS};
use flash_core::ids::SkuId;
use flash_core::limits::MYSQL_ANSWER_MS;
use flash_core::sale::{Sku, SkuError};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;

/// The lock's name: locks belong to the server, not to a database, and their names are at most 64 characters long.
const NAME: &str = "CONCAT('flash-sku-', LEFT(SHA2(CONCAT(DATABASE(), ':', ?), 256), 40))";

/// One SKU that nobody else changes. Dropping it lets others in, as soon as the server has noticed.
pub struct SkuLock {
    connection: MySqlConnection,
    sku_id: SkuId,
}

/// A definition before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What it was.
    pub before: Sku,
    /// What it is.
    pub after: Sku,
    /// What is different, as the journal has it; empty if nothing was to be changed.
    pub changes: Vec<Change>,
}

/// Why a definition was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is no such SKU.
    #[error("SKU {0} does not exist")]
    Missing(SkuId),
    /// The result would be out of bounds. Nothing was changed.
    #[error(transparent)]
    Bounds(#[from] SkuError),
    /// The database. If it went away during the commit, the change may have been made.
    #[error(transparent)]
    MySql(#[from] MySqlError),
}

impl From<sqlx::Error> for EditError {
    fn from(error: sqlx::Error) -> Self {
        Self::MySql(error.into())
    }
}

impl SkuLock {
    /// Waits for the lock, at most `patience` (whole seconds); `None` if somebody else has it for longer.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn take(db: &Db, sku_id: SkuId, patience: Duration) -> Result<Option<Self>, MySqlError> {
        let mut connection = db.pool().acquire().await?.detach();
        let sql = format!("SELECT GET_LOCK({NAME}, ?)");
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(sku_id.get()).bind(patience.as_secs());
        let limit = patience + Duration::from_millis(MYSQL_ANSWER_MS);
        let taken: Option<i64> = within(limit, query.fetch_one(&mut connection)).await?;
        Ok((taken == Some(1)).then_some(Self { connection, sku_id }))
    }

    /// Which SKU.
    #[must_use]
    pub const fn sku_id(&self) -> SkuId {
        self.sku_id
    }

    /// The definition as it is now.
    ///
    /// # Errors
    /// [`EditError::Missing`], or the database's.
    pub async fn read(&mut self) -> Result<StoredSku, EditError> {
        let stored = soon(skus::get_on(&mut self.connection, self.sku_id, false)).await?;
        stored.ok_or(EditError::Missing(self.sku_id))
    }

    /// Changes the definition and writes the journal, in one transaction. `edit` is given the definition with its row
    /// locked. A result that is equal changes nothing and writes nothing.
    ///
    /// # Errors
    /// [`EditError`]; after an outage the change may have been made, and making it again is safe.
    pub async fn change(
        &mut self,
        author: &Author,
        edit: impl FnOnce(&Sku) -> Result<Sku, SkuError>,
    ) -> Result<Changed, EditError> {
        soon(self.change_unbounded(author, edit)).await
    }

    async fn change_unbounded(
        &mut self,
        author: &Author,
        edit: impl FnOnce(&Sku) -> Result<Sku, SkuError>,
    ) -> Result<Changed, EditError> {
        let mut tx = self.connection.begin().await?;
        // The row exists, or there is nothing to lock: rows of this table are never deleted.
        let stored = skus::get_on(&mut tx, self.sku_id, true).await?;
        let before = stored.ok_or(EditError::Missing(self.sku_id))?.sku;
        let after = edit(&before)?;
        after.check()?;
        let changes = changes::differences(&before, &after);
        if !changes.is_empty() {
            update(&mut tx, &after).await?;
            let rows: Vec<(SkuId, Change)> = changes.iter().map(|change| (self.sku_id, change.clone())).collect();
            changes::append(&mut tx, &rows, author).await?;
        }
        tx.commit().await?;
        Ok(Changed { before, after, changes })
    }

    /// Gives the lock back at once. Not necessary, only quicker than dropping it.
    pub async fn release(self) {
        // A connection that cannot say goodbye is noticed by the server anyway.
        let _ = soon(self.connection.close()).await;
    }
}

async fn update(connection: &mut MySqlConnection, sku: &Sku) -> Result<(), sqlx::Error> {
    let sql = format!(
        "UPDATE skus SET name = ?, price_minor = ?, currency = ?, capacity = ?, per_user = ?, hold_ms = ?, \
         opens_at_ms = ?, closes_at_ms = ?, paused = ?, version = version + 1, updated_at_ms = {NOW_MS} \
         WHERE sku_id = ?"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(&sku.name)
        .bind(sku.price_minor)
        .bind(&sku.currency)
        .bind(sku.capacity)
        .bind(sku.per_user)
        .bind(sku.hold_ms)
        .bind(sku.opens_at_ms)
        .bind(sku.closes_at_ms)
        .bind(sku.paused)
        .bind(sku.sku_id.get())
        .execute(connection)
        .await?;
    Ok(())
}
