//! What kind of MySQL this is: durability, isolation, replication and the clock, and which node ids are leased – for
//! whoever judges a deployment. Never changes anything.

use super::bounded::soon;
use super::{Db, MySqlError, NOW_MS};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;

/// The server's settings that a promise, or the speed of keeping it, depends on.
const VARIABLES: &str = "'innodb_flush_log_at_trx_commit','sync_binlog','log_bin','tx_isolation','transaction_isolation',\
    'max_connections','read_only','super_read_only','innodb_read_only','time_zone','max_allowed_packet',\
    'innodb_deadlock_detect','innodb_doublewrite','rpl_semi_sync_master_enabled','rpl_semi_sync_source_enabled',\
    'wsrep_on','version_comment'";
const STATUS: &str = "'Threads_connected','Rpl_semi_sync_master_clients','Rpl_semi_sync_source_clients',\
    'Slaves_connected','wsrep_cluster_size','Uptime'";

/// A server as it describes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerHealth {
    /// As it names itself.
    pub version: String,
    /// Settings and counters by name, in lower case. What a server does not have is missing.
    pub variables: BTreeMap<String, String>,
    /// The isolation that our own sessions run at.
    pub session_isolation: String,
    /// Character set of our database.
    pub charset: String,
    /// The server's clock, in milliseconds since 1970.
    pub now_ms: u64,
}

impl ServerHealth {
    /// A variable, if the server has it.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

/// A node id that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldNode {
    /// The id.
    pub node_id: u16,
    /// Who holds it.
    pub holder: String,
    /// Until when, by the database's clock.
    pub lease_until_ms: u64,
}

/// Asks the server about itself.
///
/// # Errors
/// [`MySqlError`].
pub async fn read(db: &Db) -> Result<ServerHealth, MySqlError> {
    let mut connection = db.pool().acquire().await?;
    let mut variables = BTreeMap::new();
    let queries = [
        format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({VARIABLES})"),
        format!("SHOW GLOBAL STATUS WHERE Variable_name IN ({STATUS})"),
    ];
    for sql in queries {
        for row in soon(sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection)).await? {
            let (name, value): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            variables.insert(name.to_ascii_lowercase(), value);
        }
    }
    // MySQL 8 and MariaDB have different names for it; the statement's own effect is the same on both.
    let name = if variables.contains_key("transaction_isolation") { "transaction_isolation" } else { "tx_isolation" };
    let sql = format!(
        "SELECT CAST(VERSION() AS CHAR), CAST(@@SESSION.{name} AS CHAR), CAST(@@character_set_database AS CHAR), {NOW_MS}"
    );
    let row = soon(sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *connection)).await?;
    Ok(ServerHealth {
        version: row.try_get(0)?,
        session_isolation: row.try_get(1)?,
        charset: row.try_get(2)?,
        now_ms: row.try_get(3)?,
        variables,
    })
}

/// Every node id that has a holder, whether or not the lease has run out, by id.
///
/// # Errors
/// [`MySqlError`].
pub async fn held_nodes(db: &Db) -> Result<Vec<HeldNode>, MySqlError> {
    let sql = "SELECT node_id, holder, lease_until_ms FROM node_leases WHERE holder <> '' ORDER BY node_id";
    let rows: Vec<(u16, String, u64)> = soon(sqlx::query_as(sql).fetch_all(db.pool())).await?;
    let held = |(node_id, holder, lease_until_ms)| HeldNode { node_id, holder, lease_until_ms };
    Ok(rows.into_iter().map(held).collect())
}
