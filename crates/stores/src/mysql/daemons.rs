//! Which daemons run, and where they can be asked: each says so itself, by the database's clock.
//!
//! For people and their tools. No promise rests on it: who is missing here sells all the same, and who is listed may have died
//! a moment ago.

use super::bounded::soon;
use super::{Db, MySqlError, NOW_MS};
use sqlx::AssertSqlSafe;

/// How often a daemon says that it is there, in milliseconds.
pub const ANNOUNCE_EVERY_MS: u64 = 5_000;
/// Who has said nothing for so long counts as gone. Longer than three announcements, so that one that is lost hides nobody.
pub const GONE_AFTER_MS: u64 = 20_000;
/// After this time anybody may forget it.
const FORGOTTEN_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

/// What a daemon says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// A name that no other process ever has, at most 96 ASCII characters.
    pub instance: String,
    /// `all`, `api` or `worker`.
    pub role: String,
    /// Its node id, once it has leased one.
    pub node: Option<u16>,
    /// Where its admin plane answers, such as `http://127.0.0.1:3900`; at most 255 characters.
    pub admin_url: String,
    /// Where buyers reach it; `None` for a worker.
    pub api_url: Option<String>,
    /// Version of the program.
    pub build: String,
}

/// A daemon that said not long ago that it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// What it said.
    pub told: Announcement,
    /// When it was first heard, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// How long ago it was last heard, in milliseconds.
    pub seen_ms_ago: u64,
}

/// Says that a daemon is there, and forgets those that have not been heard for a day.
///
/// # Errors
/// [`MySqlError`]; nothing but the list suffers.
pub async fn announce(db: &Db, daemon: &Announcement) -> Result<(), MySqlError> {
    let sql = format!(
        "INSERT INTO daemons (instance, role, node_id, admin_url, api_url, build, started_at_ms, seen_at_ms) \
         VALUES (?, ?, ?, ?, ?, ?, {NOW_MS}, {NOW_MS}) \
         ON DUPLICATE KEY UPDATE role = VALUES(role), node_id = VALUES(node_id), admin_url = VALUES(admin_url), \
         api_url = VALUES(api_url), build = VALUES(build), seen_at_ms = VALUES(seen_at_ms)"
    );
    let query = sqlx::query(AssertSqlSafe(sql))
        .bind(&daemon.instance)
        .bind(&daemon.role)
        .bind(daemon.node)
        .bind(&daemon.admin_url)
        .bind(&daemon.api_url)
        .bind(&daemon.build);
    soon(query.execute(db.pool())).await?;
    let sql = format!("DELETE FROM daemons WHERE seen_at_ms < {NOW_MS} - {FORGOTTEN_AFTER_MS} LIMIT 100");
    soon(sqlx::query(AssertSqlSafe(sql)).execute(db.pool())).await?;
    Ok(())
}

/// Takes a daemon off the list: it stops.
///
/// # Errors
/// [`MySqlError`]; who is not taken off counts as gone after [`GONE_AFTER_MS`].
pub async fn withdraw(db: &Db, instance: &str) -> Result<(), MySqlError> {
    soon(sqlx::query("DELETE FROM daemons WHERE instance = ?").bind(instance).execute(db.pool())).await?;
    Ok(())
}

/// The daemons heard within [`GONE_AFTER_MS`], the oldest first.
///
/// # Errors
/// [`MySqlError`]; one of them is a database that was not migrated yet.
pub async fn list(db: &Db) -> Result<Vec<Daemon>, MySqlError> {
    let sql = format!(
        "SELECT instance, role, node_id, admin_url, api_url, build, started_at_ms, \
         CAST({NOW_MS} AS SIGNED) - CAST(seen_at_ms AS SIGNED) AS ago_ms \
         FROM daemons WHERE seen_at_ms >= {NOW_MS} - {GONE_AFTER_MS} ORDER BY started_at_ms, instance"
    );
    type Row = (String, String, Option<u16>, String, Option<String>, String, u64, i64);
    let rows: Vec<Row> = soon(sqlx::query_as(AssertSqlSafe(sql)).fetch_all(db.pool())).await?;
    let daemon = |(instance, role, node, admin_url, api_url, build, started_at_ms, ago_ms): Row| Daemon {
        told: Announcement { instance, role, node, admin_url, api_url, build },
        started_at_ms,
        // A database whose clock was set back has heard everybody just now.
        seen_ms_ago: u64::try_from(ago_ms).unwrap_or(0),
    };
    Ok(rows.into_iter().map(daemon).collect())
}
