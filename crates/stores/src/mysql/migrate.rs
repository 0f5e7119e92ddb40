//! The schema: creating the database and bringing its tables to the version this program was built with.

use super::{Db, MySqlError, MySqlSettings};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection};

static MIGRATIONS: Migrator = sqlx::migrate!("../../schema/migrations");

/// How a database stands against the migrations compiled into this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaStatus {
    /// Whether the database itself exists.
    pub database_exists: bool,
    /// How many of our migrations it has.
    pub applied: usize,
    /// How many of our migrations it lacks.
    pub pending: usize,
    /// How many migrations it has that this program does not know: it was set up by a newer one.
    pub unknown: usize,
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database did not serve.
    #[error(transparent)]
    MySql(#[from] MySqlError),
    /// A migration failed, was changed after it was applied, or is unknown to this program.
    #[error("cannot migrate the schema: {0}")]
    Migrate(#[from] MigrateError),
}

/// Looks at a database without changing anything.
///
/// # Errors
/// [`MySqlError`] if the server does not answer.
pub async fn status(settings: &MySqlSettings) -> Result<SchemaStatus, MySqlError> {
    let mut server = MySqlConnection::connect_with(&settings.server_options()).await?;
    let database: Option<String> =
        sqlx::query_scalar("SELECT CAST(schema_name AS CHAR) FROM information_schema.schemata WHERE schema_name = ?")
            .bind(&settings.database)
            .fetch_optional(&mut server)
            .await?;
    let has_table: Option<String> = sqlx::query_scalar(
        "SELECT CAST(table_name AS CHAR) FROM information_schema.tables \
         WHERE table_schema = ? AND table_name = '_sqlx_migrations'",
    )
    .bind(&settings.database)
    .fetch_optional(&mut server)
    .await?;
    let mut applied: Vec<i64> = Vec::new();
    if has_table.is_some() {
        let sql = format!("SELECT version FROM {}._sqlx_migrations WHERE success", quoted(&settings.database));
        applied = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut server).await?;
    }
    server.close().await?;
    let known: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    let ours = known.iter().filter(|version| applied.contains(version)).count();
    Ok(SchemaStatus {
        database_exists: database.is_some(),
        applied: ours,
        pending: known.len() - ours,
        unknown: applied.len() - ours,
    })
}

/// Creates the database if it is missing and applies the pending migrations. Safe to run twice and by two at once
/// (the migrator takes a lock in the database).
///
/// # Errors
/// [`SchemaError`]; what was applied before the error stays applied.
pub async fn apply(settings: &MySqlSettings) -> Result<(), SchemaError> {
    if !status(settings).await?.database_exists {
        let mut server = MySqlConnection::connect_with(&settings.server_options()).await.map_err(MySqlError::from)?;
        let sql = format!(
            "CREATE DATABASE IF NOT EXISTS {} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            quoted(&settings.database)
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut server).await.map_err(MySqlError::from)?;
        server.close().await.map_err(MySqlError::from)?;
    }
    let db = Db::open(&MySqlSettings { connections_max: 1, ..settings.clone() });
    let result = MIGRATIONS.run(db.pool()).await;
    db.close().await;
    Ok(result?)
}

/// An identifier as SQL spells it; a backtick inside is doubled.
fn quoted(identifier: &str) -> String {
    format!("`{}`", identifier.replace('`', "``"))
}
