//! A named lock of the database server: one process at a time does a piece of work.
//!
//! It keeps work from being done twice; no promise rests on it. Whoever loses its connection loses the lock without
//! knowing.

use super::{Db, MySqlError};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;

/// Locks belong to the server, not to a database, and their names are at most 64 characters long.
const NAME: &str = "CONCAT('flash-', LEFT(SHA2(CONCAT(DATABASE(), ':', ?), 256), 40))";

/// A lock that is held. Dropping it lets others in, as soon as the server has noticed.
#[derive(Debug)]
pub struct NamedLock {
    connection: MySqlConnection,
}

impl NamedLock {
    /// Waits for the lock, at most `patience` (whole seconds); `None` if somebody else has it for longer.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn take(db: &Db, name: &str, patience: Duration) -> Result<Option<Self>, MySqlError> {
        let mut connection = db.pool().acquire().await?.detach();
        let query = sqlx::query_scalar(AssertSqlSafe(format!("SELECT GET_LOCK({NAME}, ?)")));
        let taken: Option<i64> = query.bind(name).bind(patience.as_secs()).fetch_one(&mut connection).await?;
        Ok((taken == Some(1)).then_some(Self { connection }))
    }

    /// The host whose connection holds the lock; `None` if nobody does.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn holder(db: &Db, name: &str) -> Result<Option<String>, MySqlError> {
        let sql = format!("SELECT host FROM information_schema.processlist WHERE id = IS_USED_LOCK({NAME})");
        Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(name).fetch_optional(db.pool()).await?)
    }

    /// Gives the lock back at once.
    pub async fn release(self) {
        // A connection that cannot say goodbye is noticed by the server anyway.
        let _ = self.connection.close().await;
    }
}
