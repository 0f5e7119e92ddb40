//! A named lock of the database server: one process at a time does a piece of work.
//!
//! It keeps work from being done twice; no promise rests on it. Whoever loses its connection loses the lock without
//! knowing.

use super::{Db, MySqlError};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long the server keeps the lock of a holder that says nothing, in whole seconds: one that was frozen, or whose machine
/// has vanished. Without this it would be hours, and nobody else would fill Redis meanwhile.
const SILENCE_S: u64 = 30;
/// How often a holder says something, and how long it waits for the answer.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Locks belong to the server, not to a database, and their names are at most 64 characters long.
const NAME: &str = "CONCAT('flash-', LEFT(SHA2(CONCAT(DATABASE(), ':', ?), 256), 40))";

/// A lock that is held. Dropping it lets others in, as soon as the server has noticed.
#[derive(Debug)]
pub struct NamedLock {
    /// Dropped to end the task, which closes the connection.
    stop: oneshot::Sender<()>,
    keeper: JoinHandle<()>,
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
        if taken != Some(1) {
            return Ok(None);
        }
        let bounded = sqlx::query(AssertSqlSafe(format!("SET SESSION wait_timeout = {SILENCE_S}")));
        bounded.execute(&mut connection).await?;
        let (stop, stopped) = oneshot::channel();
        Ok(Some(Self { stop, keeper: tokio::spawn(keep(connection, stopped)) }))
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
        drop(self.stop);
        // A connection that cannot say goodbye is noticed by the server anyway.
        let _ = tokio::time::timeout(PING_EVERY, self.keeper).await;
    }
}

/// Keeps the connection alive until the lock is dropped or the server does not answer any more.
async fn keep(mut connection: MySqlConnection, mut stopped: oneshot::Receiver<()>) {
    loop {
        if tokio::time::timeout(PING_EVERY, &mut stopped).await.is_ok() {
            let _ = connection.close().await;
            return;
        }
        if !matches!(tokio::time::timeout(PING_EVERY, connection.ping()).await, Ok(Ok(()))) {
            tracing::debug!("a named lock is lost: the server does not answer");
            return;
        }
    }
}
