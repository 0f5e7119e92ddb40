//! What kind of Redis this is: its version, role, memory policy and replicas, for whoever judges a deployment.
//!
//! Never changes anything. What the server will not tell (`CONFIG` is often forbidden) is left empty.

use super::link::Link;
use super::reply::text;
use super::{Gate, StockError};
use redis::Value;
use std::collections::HashMap;

/// A server as it describes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// `redis_version`.
    pub version: String,
    /// `standalone`, `sentinel` or `cluster`.
    pub mode: String,
    /// `master` or `slave`.
    pub role: String,
    /// Replication id of its history.
    pub replid: String,
    /// Replicas that are connected.
    pub replicas: u64,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// What it does when memory runs out.
    pub maxmemory_policy: String,
    /// Most bytes of data; 0: no limit.
    pub maxmemory: u64,
    /// Bytes in use.
    pub used_memory: u64,
    /// Bytes of memory the machine has.
    pub system_memory: u64,
    /// Keys thrown away for want of memory since it started.
    pub evicted_keys: u64,
    /// Whether an append-only file is written.
    pub append_only: bool,
    /// Replicas that must be connected for a write to be taken; `None` if `CONFIG` is not allowed.
    pub min_replicas_to_write: Option<u64>,
    /// Whether it refuses strangers from other machines; `None` if `CONFIG` is not allowed.
    pub protected_mode: Option<bool>,
    /// Whether a password is asked for; `None` if that cannot be found out.
    pub password: Option<bool>,
}

impl Gate {
    /// Asks every primary for everything, in the order of their names.
    ///
    /// # Errors
    /// [`StockError`] if one does not answer; a forbidden `CONFIG` is no error.
    pub async fn server_infos(&self) -> Result<Vec<(String, ServerInfo)>, StockError> {
        let mut infos = Vec::new();
        for (name, link) in self.links().await {
            let info = read(&link).await?;
            infos.push((name, info));
        }
        infos.sort_by(|(a, _), (b, _)| a.cmp(b));
        if infos.is_empty() { Err(StockError::NotSent("no primary is known".to_owned())) } else { Ok(infos) }
    }
}

async fn read(link: &Link) -> Result<ServerInfo, StockError> {
    let mut info = HashMap::new();
    for section in ["server", "replication", "memory", "stats", "persistence"] {
        let reply = link.query(redis::cmd("INFO").arg(section)).await?;
        let reply: String = redis::from_redis_value(reply).map_err(|error| StockError::Unknown(error.to_string()))?;
        let fields = reply.lines().filter_map(|line| line.split_once(':'));
        info.extend(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
    }
    let text = |name: &str| info.get(name).cloned().unwrap_or_default();
    let number = |name: &str| info.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
    let min_replicas = setting(link, "min-replicas-to-write").await;
    Ok(ServerInfo {
        version: text("redis_version"),
        mode: text("redis_mode"),
        role: text("role"),
        replid: text("master_replid"),
        replicas: number("connected_slaves"),
        uptime_s: number("uptime_in_seconds"),
        maxmemory_policy: text("maxmemory_policy"),
        maxmemory: number("maxmemory"),
        used_memory: number("used_memory"),
        system_memory: number("total_system_memory"),
        evicted_keys: number("evicted_keys"),
        append_only: text("aof_enabled") == "1",
        min_replicas_to_write: min_replicas.and_then(|value| value.parse().ok()),
        protected_mode: setting(link, "protected-mode").await.map(|value| value == "yes"),
        // Only whether there is one; what it is goes no further than this line.
        password: setting(link, "requirepass").await.map(|value| !value.is_empty()),
    })
}

/// One setting of the server; `None` if it does not tell.
async fn setting(link: &Link, name: &str) -> Option<String> {
    let reply = link.query(redis::cmd("CONFIG").arg("GET").arg(name)).await.ok()?;
    match reply {
        Value::Array(items) => items.get(1).and_then(text).map(str::to_owned),
        Value::Map(pairs) => pairs.first().and_then(|(_, value)| text(value)).map(str::to_owned),
        _ => None,
    }
}
