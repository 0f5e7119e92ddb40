//! A named lock of the database server: one process at a time does a piece of work.
//!
//! It keeps work from being done twice; no promise rests on it. Whoever loses its connection loses the lock, and hears of it
//! through [`NamedLock::lost`]: the server is asked every few seconds whether it still answers. That makes the lock the watchdog
//! of whatever is done under it, also of a statement that may take minutes.

use super::bounded::{soon, within};
use super::{Db, MySqlError};
use flash_core::limits::{MYSQL_ANSWER_MS, NAMED_LOCK_PING_EVERY_MS, NAMED_LOCK_PING_WAIT_MS, NAMED_LOCK_SILENCE_S};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// How often a holder says something, and how long it waits for the answer.
const PING_EVERY: Duration = Duration::from_millis(NAMED_LOCK_PING_EVERY_MS);
const PING_WAIT: Duration = Duration::from_millis(NAMED_LOCK_PING_WAIT_MS);

/// Locks belong to the server, not to a database, and their names are at most 64 characters long.
const NAME: &str = "CONCAT('flash-', LEFT(SHA2(CONCAT(DATABASE(), ':', ?), 256), 40))";

/// A lock that is held. Dropping it lets others in, as soon as the server has noticed.
#[derive(Debug)]
pub struct NamedLock {
    /// Dropped to end the task, which closes the connection.
    stop: oneshot::Sender<()>,
    keeper: JoinHandle<()>,
    /// Closed when the keeper has ended.
    kept: watch::Receiver<()>,
}

impl NamedLock {
    /// Waits for the lock, at most `patience` (whole seconds); `None` if somebody else has it for longer.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn take(db: &Db, name: &str, patience: Duration) -> Result<Option<Self>, MySqlError> {
        let mut connection = db.pool().acquire().await?.detach();
        let query = sqlx::query_scalar(AssertSqlSafe(format!("SELECT GET_LOCK({NAME}, ?)")));
        let ask = query.bind(name).bind(patience.as_secs()).fetch_one(&mut connection);
        let taken: Option<i64> = within(patience + Duration::from_millis(MYSQL_ANSWER_MS), ask).await?;
        if taken != Some(1) {
            return Ok(None);
        }
        // Of a holder that says nothing, because it was frozen or its machine has vanished, the server would keep it for hours.
        let bounded = sqlx::query(AssertSqlSafe(format!("SET SESSION wait_timeout = {NAMED_LOCK_SILENCE_S}")));
        soon(bounded.execute(&mut connection)).await?;
        let (stop, stopped) = oneshot::channel();
        let (keeping, kept) = watch::channel(());
        let keeper = tokio::spawn(async move {
            keep(connection, stopped).await;
            drop(keeping);
        });
        Ok(Some(Self { stop, keeper, kept }))
    }

    /// Waits until the lock is lost, because the server does not answer its connection any more.
    pub async fn lost(&self) {
        // Nothing is ever sent: it ends with the keeper.
        let _ = self.kept.clone().changed().await;
    }

    /// Whether the lock is lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.keeper.is_finished()
    }

    /// The host whose connection holds the lock; `None` if nobody does.
    ///
    /// # Errors
    /// [`MySqlError`].
    pub async fn holder(db: &Db, name: &str) -> Result<Option<String>, MySqlError> {
        let sql = format!("SELECT host FROM information_schema.processlist WHERE id = IS_USED_LOCK({NAME})");
        Ok(soon(sqlx::query_scalar(AssertSqlSafe(sql)).bind(name).fetch_optional(db.pool())).await?)
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
            let _ = tokio::time::timeout(PING_WAIT, connection.close()).await;
            return;
        }
        if !matches!(tokio::time::timeout(PING_WAIT, connection.ping()).await, Ok(Ok(()))) {
            tracing::debug!("a named lock is lost: the server does not answer");
            return;
        }
    }
}
