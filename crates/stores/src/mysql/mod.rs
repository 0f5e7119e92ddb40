//! The view: everything that is read from and written to MySQL or MariaDB.
//!
//! Owns the connections and every SQL statement of the system. Never decides anything: stock is decided at the gate,
//! orders are what the log says. Promise kept: the same statements run unchanged on MySQL 8.4 and MariaDB 10.11, in
//! strict mode, in UTC, at READ COMMITTED.

pub mod author;
mod bounded;
pub mod changes;
pub mod daemons;
pub mod dead_letters;
pub mod epochs;
mod error;
pub mod health;
mod insert;
pub mod lock;
pub mod migrate;
pub mod nodes;
pub mod offsets;
pub mod orders;
pub mod payments;
pub mod projection;
pub mod reconcile;
mod settings;
pub mod sku_lock;
pub mod skus;
pub mod trace;

pub use error::{MySqlError, is_outage};
pub use settings::MySqlSettings;

use flash_core::limits::MYSQL_LOCK_WAIT_S;
use sqlx::mysql::{MySqlConnection, MySqlPool, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;

/// How long a caller waits for a connection. The pool itself retries refused connections in this time.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long connections in use are waited for at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// What every connection is told first, with the patience for row locks in it. Strictness and isolation are ours to choose,
/// never the server's default.
const SESSION: &str = "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,NO_ZERO_DATE,\
    NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', innodb_lock_wait_timeout = {}; \
    SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// A pool of connections to one database. Cheap to clone; all clones share the pool.
#[derive(Debug, Clone)]
pub struct Db {
    pool: MySqlPool,
}

impl Db {
    /// Prepares a pool without connecting, so that a daemon can start while the database is away. Must be called
    /// inside a tokio runtime.
    #[must_use]
    pub fn open(settings: &MySqlSettings) -> Self {
        let pool = MySqlPoolOptions::new()
            .max_connections(settings.connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(|connection, _| Box::pin(prepare_session(connection)))
            .after_release(|connection, _| Box::pin(is_free(connection)))
            .connect_lazy_with(settings.connect_options());
        Self { pool }
    }

    /// Asks the server whether it answers.
    ///
    /// # Errors
    /// [`MySqlError`] if it does not.
    pub async fn ping(&self) -> Result<(), MySqlError> {
        bounded::soon(sqlx::raw_sql("DO 1").execute(&self.pool)).await?;
        Ok(())
    }

    /// The server's version, as it names itself.
    ///
    /// # Errors
    /// [`MySqlError`] if the server does not answer.
    pub async fn server_version(&self) -> Result<String, MySqlError> {
        Ok(bounded::soon(sqlx::query_scalar("SELECT VERSION()").fetch_one(&self.pool)).await?)
    }

    /// Connections of the pool: all that are open, and of these the idle ones.
    #[must_use]
    pub fn pool_size(&self) -> (u64, u64) {
        (u64::from(self.pool.size()), self.pool.num_idle() as u64)
    }

    /// Closes every connection, waiting a moment for those in use: one of a server that does not answer any more must not keep
    /// a process from ending.
    pub async fn close(&self) {
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.pool.close()).await;
    }

    pub(crate) fn pool(&self) -> &MySqlPool {
        &self.pool
    }
}

/// Whether a connection that comes back can be used again. Behind a statement that was given up it is still busy with it, which the
/// pool itself would wait out for as long as TCP does – with one place less for everybody else, and it has few.
async fn is_free(connection: &mut MySqlConnection) -> Result<bool, sqlx::Error> {
    bounded::soon(connection.ping()).await.map(|()| true)
}

async fn prepare_session(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    let sql = SESSION.replace("{}", &MYSQL_LOCK_WAIT_S.to_string());
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// Milliseconds since 1970 by the database's clock, as an SQL expression.
const NOW_MS: &str = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS UNSIGNED)";
