//! What is said of Redis, Kafka and MySQL, as the daemons see them.

use flash_core::stats::{Breaker, RedisNode, RedisStats, Stats};

use super::{Facts, Finding, Level, Part};
use crate::{live::line::duration, plain::bytes, table::grouped};

/// One line for each daemon that complains, or one for all that are content.
pub(super) fn complaints(
    facts: &Facts<'_>,
    of: impl Fn(&Stats) -> Option<Finding>,
    content: impl FnOnce() -> Finding,
) -> Vec<Finding> {
    let said: Vec<Finding> = facts.named().filter_map(|(daemon, stats)| Some(of(stats)?.by(daemon))).collect();
    if said.is_empty() { vec![content()] } else { said }
}

/// `p99 1.2 ms`.
fn p99(us: Option<u64>) -> String {
    format!("p99 {}", us.map_or_else(|| "–".to_owned(), duration))
}

fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

pub(super) fn redis(facts: &Facts<'_>) -> Vec<Finding> {
    complaints(
        facts,
        |stats| redis_of(&stats.stores.redis),
        || {
            let nodes = facts.told().map(|stats| &stats.stores.redis.nodes).find(|nodes| !nodes.is_empty());
            let Some(nodes) = nodes else { return Finding::new(Part::Redis, Level::Ok, "connected") };
            let (used, ops) = (
                total(nodes.iter().map(|node| node.used_memory_bytes)),
                total(nodes.iter().map(|node| node.ops_per_s)),
            );
            let max = max_memory(nodes);
            let of = if max > 0 { format!(" of {}", bytes(max)) } else { String::new() };
            let servers: Vec<String> =
                nodes.iter().map(|node| format!("{} {} {}", node.address, node.role, node.version)).collect();
            let text = format!(
                "{} · {}{of} · {} ops/s · {}",
                p99(facts.p99.reserve),
                bytes(used),
                grouped(ops),
                servers.join(", ")
            );
            Finding::ok(Part::Redis, text.trim_end())
        },
    )
}

fn redis_of(redis: &RedisStats) -> Option<Finding> {
    let down = |text: &str| Some(Finding::new(Part::Redis, Level::Down, text).next("flashctl doctor"));
    if let Some(problem) = &redis.problem {
        return down(problem);
    }
    if redis.breaker == Breaker::Open {
        return down("its breaker is open: it does not answer in time");
    }
    let evicted = total(redis.nodes.iter().map(|node| node.evicted_keys));
    if evicted > 0 {
        let text = format!("{} keys were evicted: it must run noeviction", grouped(evicted));
        return Some(Finding::new(Part::Redis, Level::Broken, text).next("flashctl doctor"));
    }
    let full = redis
        .nodes
        .iter()
        .find(|node| node.max_memory_bytes > 0 && node.used_memory_bytes > node.max_memory_bytes / 10 * 9)?;
    let (used, max) = (bytes(full.used_memory_bytes), bytes(full.max_memory_bytes));
    let text = format!("memory nearly full: {used} of {max} of {}", full.address);
    Some(Finding::new(Part::Redis, Level::Found, text).next("flashctl doctor"))
}

fn max_memory(nodes: &[RedisNode]) -> u64 {
    total(nodes.iter().map(|node| node.max_memory_bytes))
}

pub(super) fn kafka(facts: &Facts<'_>) -> Vec<Finding> {
    let problem = |stats: &Stats| {
        let problem = stats.stores.kafka.problem.as_ref()?;
        Some(Finding::new(Part::Kafka, Level::Down, problem).next("flashctl doctor"))
    };
    complaints(facts, problem, || {
        let all = || facts.told().map(|stats| &stats.stores.kafka);
        let waiting = total(all().map(|kafka| kafka.unacknowledged));
        let [acknowledged, failed] =
            [total(all().map(|kafka| kafka.acknowledged)), total(all().map(|kafka| kafka.failed))].map(grouped);
        let partitions = all().map(|kafka| kafka.partitions).max().unwrap_or(0);
        Finding::ok(
            Part::Kafka,
            format!(
                "ack {} · {} waiting · {partitions} partitions · {acknowledged} events acknowledged, {failed} failed",
                p99(facts.p99.produce),
                grouped(waiting)
            ),
        )
    })
}

pub(super) fn mysql(facts: &Facts<'_>) -> Vec<Finding> {
    let complaint = |stats: &Stats| {
        let mysql = &stats.stores.mysql;
        if let Some(problem) = &mysql.problem {
            return Some(Finding::new(Part::MySql, Level::Down, problem).next("flashctl doctor"));
        }
        let busy = mysql.pool_open.saturating_sub(mysql.pool_idle);
        // Nothing waits for MySQL before a buyer is answered; the projector will be late.
        (mysql.pool_max > 0 && busy >= mysql.pool_max).then(|| {
            Finding::new(Part::MySql, Level::Noted, format!("all {} connections are busy", grouped(mysql.pool_max)))
        })
    };
    complaints(facts, complaint, || {
        let all = || facts.told().map(|stats| &stats.stores.mysql);
        let busy = total(all().map(|mysql| mysql.pool_open.saturating_sub(mysql.pool_idle)));
        let max = total(all().map(|mysql| mysql.pool_max));
        let text = format!("ping {} · {} of {} connections busy", p99(facts.p99.ping), grouped(busy), grouped(max));
        Finding::ok(Part::MySql, text)
    })
}
