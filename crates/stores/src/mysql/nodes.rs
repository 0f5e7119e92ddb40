//! Node ids: which daemon may use which of the 1,024 node numbers of a Snowflake id.
//!
//! Every decision is one UPDATE by the database's clock, so two daemons can never hold the same id, whatever their own
//! clocks say. A daemon that loses its lease must stop making ids; a lease outlives any database outage shorter than
//! itself.

use super::bounded::soon;
use super::{Db, MySqlError, NOW_MS};
use flash_core::limits::{NODE_IDS, NODE_LEASE_MS};
use sqlx::AssertSqlSafe;

/// A node id that is ours for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLease {
    /// The node id, 0–1023.
    pub node_id: u16,
    /// Ids must be made after this millisecond: a former holder may have used everything up to it.
    pub start_after_ms: u64,
    /// Who holds it: unique per process, never reused.
    pub holder: String,
}

/// Why no node id was given or kept.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The database did not serve.
    #[error(transparent)]
    MySql(#[from] MySqlError),
    /// All 1,024 ids are held.
    #[error("all {NODE_IDS} node ids are leased; stopped daemons give theirs back after an hour")]
    Exhausted,
    /// The lease is no longer ours: it ran out and somebody else may hold the id. No more ids may be made with it.
    #[error("the lease of node id {0} is lost")]
    Lost(u16),
}

/// Leases a node id for `holder`, a name no other process ever uses. `preferred` is tried first; if somebody else holds
/// it, any free id will do. `None` takes the id that has been free the longest. Repeating the call after an error is
/// safe: a lease that `holder` already has is returned again.
///
/// # Errors
/// [`NodeError::Exhausted`] when nothing is free, else the database's error.
pub async fn lease(db: &Db, holder: &str, preferred: Option<u16>) -> Result<NodeLease, NodeError> {
    if let Some(lease) = held(db, holder).await? {
        return Ok(lease);
    }
    if let Some(node_id) = preferred {
        take(db, holder, "node_id = ? AND lease_until_ms < ", Some(node_id)).await?;
    }
    if let Some(lease) = held(db, holder).await? {
        return Ok(lease);
    }
    take(db, holder, "lease_until_ms < ", None).await?;
    held(db, holder).await?.ok_or(NodeError::Exhausted)
}

async fn take(db: &Db, holder: &str, condition: &'static str, node_id: Option<u16>) -> Result<(), MySqlError> {
    let sql = format!(
        "UPDATE node_leases SET holder = ?, lease_until_ms = {NOW_MS} + ? \
         WHERE {condition}{NOW_MS} ORDER BY lease_until_ms, node_id LIMIT 1"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(holder).bind(NODE_LEASE_MS);
    if let Some(node_id) = node_id {
        query = query.bind(node_id);
    }
    soon(query.execute(db.pool())).await?;
    Ok(())
}

async fn held(db: &Db, holder: &str) -> Result<Option<NodeLease>, MySqlError> {
    let sql =
        format!("SELECT node_id, last_ms FROM node_leases WHERE holder = ? AND lease_until_ms >= {NOW_MS} LIMIT 1");
    let row: Option<(u16, u64)> =
        soon(sqlx::query_as(AssertSqlSafe(sql)).bind(holder).fetch_optional(db.pool())).await?;
    Ok(row.map(|(node_id, start_after_ms)| NodeLease { node_id, start_after_ms, holder: holder.to_owned() }))
}

/// Extends the lease and reports the newest millisecond used in an id so far. (What a crashed holder could not report is
/// covered by the lease itself: its id stays taken for its whole length.)
///
/// # Errors
/// [`NodeError::Lost`] if the id is no longer ours; any other error leaves the lease as it was.
pub async fn renew(db: &Db, lease: &NodeLease, last_used_ms: u64) -> Result<(), NodeError> {
    // A lease that has run out but that nobody took is still ours: the holder's name proves it.
    let sql = format!(
        "UPDATE node_leases SET lease_until_ms = {NOW_MS} + {NODE_LEASE_MS}, last_ms = GREATEST(last_ms, ?) \
         WHERE node_id = ? AND holder = ?"
    );
    update_own(db, sql, lease, last_used_ms).await
}

/// Gives the id back at once, so that the next daemon can have it.
///
/// # Errors
/// As [`renew`]; a lease that cannot be given back runs out by itself.
pub async fn release(db: &Db, lease: &NodeLease, last_used_ms: u64) -> Result<(), NodeError> {
    let sql = "UPDATE node_leases SET holder = '', lease_until_ms = 0, last_ms = GREATEST(last_ms, ?) \
               WHERE node_id = ? AND holder = ?";
    update_own(db, sql.to_owned(), lease, last_used_ms).await
}

async fn update_own(db: &Db, sql: String, lease: &NodeLease, last_used_ms: u64) -> Result<(), NodeError> {
    let query = sqlx::query(AssertSqlSafe(sql)).bind(last_used_ms).bind(lease.node_id).bind(&lease.holder);
    let result = soon(query.execute(db.pool())).await.map_err(MySqlError::from)?;
    if result.rows_affected() == 1 { Ok(()) } else { Err(NodeError::Lost(lease.node_id)) }
}
