//! What a daemon sees of Redis, Kafka and MySQL.

use super::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The servers, as this process sees them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Stores {
    /// Redis.
    pub redis: RedisStats,
    /// The log.
    pub kafka: KafkaStats,
    /// The view.
    pub mysql: MySqlStats,
}

/// Whether requests are sent to a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breaker {
    /// All is well.
    Closed,
    /// Nothing is sent until the server has answered again.
    Open,
    /// Not known.
    #[default]
    #[serde(other)]
    Unknown,
}

/// One kind of question to a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OperationStats {
    /// Round trips that brought an answer.
    pub took: Histogram,
    /// Those that brought none, or an error.
    pub errors: u64,
}

/// Redis, all primaries of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RedisStats {
    /// Why it cannot be asked; `None`: connected.
    pub problem: Option<String>,
    /// The breaker in front of it.
    pub breaker: Breaker,
    /// Times that the breaker opened.
    pub breaker_opened: u64,
    /// Round trips by operation: `reserve`, `claim`, `confirm`, `release`, `snapshot` and so on.
    pub operations: BTreeMap<String, OperationStats>,
    /// Its servers, from their last INFO.
    pub nodes: Vec<RedisNode>,
}

/// One Redis server that decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RedisNode {
    /// Host and port.
    pub address: String,
    /// `master` or `slave`, in Redis' own words.
    pub role: String,
    /// Version.
    pub version: String,
    /// Memory in use, in bytes.
    pub used_memory_bytes: u64,
    /// Its bound; 0: none.
    pub max_memory_bytes: u64,
    /// Keys thrown away for want of memory: anything but 0 breaks promises.
    pub evicted_keys: u64,
    /// Commands in the last second.
    pub ops_per_s: u64,
    /// Connected clients.
    pub clients: u64,
    /// Connected replicas.
    pub replicas: u64,
    /// Age of this reading.
    pub seen_ms_ago: u64,
}

/// The log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KafkaStats {
    /// Why it cannot be written; `None`: reached.
    pub problem: Option<String>,
    /// Partitions of `order-events`.
    pub partitions: u64,
    /// Events acknowledged.
    pub acknowledged: u64,
    /// Events that were refused or never answered.
    pub failed: u64,
    /// Events without an answer yet.
    pub unacknowledged: u64,
    /// From handing an event over to its acknowledgement.
    pub produce: Histogram,
    /// Times that the producer had to be replaced.
    pub producers_replaced: u64,
}

/// MySQL.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MySqlStats {
    /// Why it did not answer the last ping; `None`: it did.
    pub problem: Option<String>,
    /// Connections of the pool, idle ones included.
    pub pool_open: u64,
    /// Of these, idle.
    pub pool_idle: u64,
    /// Most connections.
    pub pool_max: u64,
    /// Pings, over a connection of their own.
    pub ping: Histogram,
    /// Transactions of the projector, if this process has one.
    pub apply: OperationStats,
}
