//! Looking at Redis for whoever watches a daemon: its servers, the state of the breaker, counters of SKUs.
//!
//! Never disturbs selling: a look that is not answered gives up no connection and casts no doubt on a primary.

use super::link::Link;
use super::reply::text;
use super::{Gate, SkuKeys, StockError};
use flash_core::stats::{Breaker, RedisNode, RedisStats};
use flash_core::stock::Counters;
use redis::Value;
use std::time::Instant;
use tokio::task::JoinSet;

impl Gate {
    /// Everything that is counted here, and whether calls are sent to every primary. `nodes` is left empty: see
    /// [`Gate::nodes`].
    #[must_use]
    pub fn stats(&self) -> RedisStats {
        let problem = self.trouble();
        let breaker = if problem.is_none() { Breaker::Closed } else { Breaker::Open };
        let (breaker_opened, operations) = (self.meters().breaker_opened(), self.meters().operations());
        RedisStats { problem, breaker, breaker_opened, operations, nodes: Vec::new() }
    }

    /// Why some primary is not asked at the moment; `None`: all of them are.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self.known_links() {
            Ok(links) => {
                links.into_iter().find_map(|(name, link)| Some(format!("{name}: {}", link.connected().err()?)))
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// What every primary that answers says about itself, each with the age of its answer; asked side by side, so that a slow
    /// one makes no other older.
    pub async fn nodes(&self) -> Vec<RedisNode> {
        let mut asked = JoinSet::new();
        for (_, link) in self.known_links().unwrap_or_default() {
            asked.spawn(async move { read(&link).await.map(|node| (node, Instant::now())) });
        }
        let answers = asked.join_all().await.into_iter().flatten();
        let aged = |(node, at): (RedisNode, Instant)| RedisNode {
            seen_ms_ago: u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..node
        };
        answers.map(aged).collect()
    }

    /// Counters of SKUs as they stand, one reply per SKU, in order; `None` if Redis has no stock for it, or gives no answer.
    /// Not fenced: for people, never for a decision.
    pub async fn look_at(&self, skus: &[SkuKeys]) -> Vec<Option<Counters>> {
        let mut asks = redis::pipe();
        for keys in skus {
            asks.cmd("HMGET").arg(&keys.stock).arg(&["available", "held", "sold", "closing", "seq"]);
        }
        self.glance(&asks).await.into_iter().map(|reply| counters(&reply.ok()?)).collect()
    }
}

fn counters(reply: &Value) -> Option<Counters> {
    let Value::Array(fields) = reply else { return None };
    let number = |at: usize| fields.get(at).and_then(text)?.parse::<u64>().ok();
    let count = |at: usize| u32::try_from(number(at)?).ok();
    Some(Counters {
        available: count(0)?,
        held: count(1)?,
        sold: count(2)?,
        closing: count(3).unwrap_or(0),
        seq: number(4).unwrap_or(0),
    })
}

async fn read(link: &Link) -> Option<RedisNode> {
    let reply = link.glance(redis::pipe().cmd("INFO"), 1).await.ok()?.pop()?;
    let info: String = redis::from_redis_value(reply).map_err(|error| StockError::Unknown(error.to_string())).ok()?;
    let field = |name: &str| {
        let mut fields = info.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(known, _)| *known == name).map(|(_, value)| value.trim())
    };
    let number = |name: &str| field(name).and_then(|value| value.parse().ok()).unwrap_or(0);
    Some(RedisNode {
        address: link.address(),
        role: field("role").unwrap_or_default().to_owned(),
        version: field("redis_version").unwrap_or_default().to_owned(),
        used_memory_bytes: number("used_memory"),
        max_memory_bytes: number("maxmemory"),
        evicted_keys: number("evicted_keys"),
        ops_per_s: number("instantaneous_ops_per_sec"),
        clients: number("connected_clients"),
        replicas: number("connected_slaves"),
        seen_ms_ago: 0,
    })
}
