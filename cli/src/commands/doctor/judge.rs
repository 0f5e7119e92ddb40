//! From what was seen to what it means: every check, in the order in which it is shown. Pure.

mod kafka;
mod mysql;
mod redis;
mod state;
#[cfg(test)]
pub(super) mod tests;

use super::{
    facts::{Facts, RedisFacts},
    finding::{Finding, Group},
};

/// All findings.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    [
        versions(facts),
        redis::judge(facts),
        kafka::judge(facts),
        mysql::judge(facts),
        state::judge(facts),
        state::daemons(facts),
    ]
    .into_iter()
    .flat_map(|group| group.findings)
    .collect()
}

/// The number before the first dot.
fn major(version: &str) -> u64 {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

fn versions(facts: &Facts) -> Group {
    let mut group = Group::new("versions");
    group.ok("flashctl", env!("CARGO_PKG_VERSION"));
    match &facts.redis {
        Err(reason) => group.not_asked("redis", reason),
        Ok(redis) => versions_of_redis(&mut group, redis),
    }
    match &facts.kafka {
        Err(reason) => group.not_asked("broker", reason),
        Ok(cluster) => {
            let name = if facts.is_tansu() { "Tansu" } else { "Kafka protocol" };
            let id = cluster.cluster_id.as_deref().unwrap_or("none");
            group.ok("broker", format!("{name}, cluster id {id}"));
        }
    }
    match &facts.mysql {
        Err(reason) => group.not_asked("mysql", reason),
        Ok(mysql) => {
            let version = &mysql.health.version;
            let old = if version.contains("MariaDB") { major(version) < 10 } else { major(version) < 8 };
            if old {
                group.warn("mysql", version, "tested are MySQL 8.4 and MariaDB 10.11", "run one of these or newer");
            } else {
                group.ok("mysql", version);
            }
        }
    }
    group
}

fn versions_of_redis(group: &mut Group, redis: &RedisFacts) {
    let mut versions: Vec<&str> = redis.primaries.iter().map(|(_, info)| info.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.iter().all(|version| major(version) >= 7) {
        return group.ok("redis", versions.join(", "));
    }
    let why = "the scripts declare their keys with flags that Redis knows since 7.0; nothing can be decided";
    group.bad("redis", versions.join(", "), why, "run Redis 7.0 or newer");
}
