//! The gate: it must refuse rather than forget, and be a primary. It needs no persistence.

use flash_stores::redis::ServerInfo;

use super::super::{facts::Facts, finding::Group};

/// Share of the memory limit beyond which it gets tight, and beyond which it is nearly over, in per cent.
const MEMORY_PERCENT: (u64, u64) = (80, 95);

pub(super) fn judge(facts: &Facts) -> Group {
    let mut group = Group::new("redis");
    match &facts.redis {
        Err(reason) => group.not_asked("reachable", reason),
        Ok(redis) => {
            for (name, info) in &redis.primaries {
                // With one primary there is nothing to tell apart.
                let name = if redis.primaries.len() == 1 { String::new() } else { format!("{name}: ") };
                role(&mut group, &name, info);
                memory(&mut group, &name, info);
                replicas(&mut group, &name, info);
                access(&mut group, &name, info);
            }
        }
    }
    group
}

fn role(group: &mut Group, name: &str, info: &ServerInfo) {
    let value = format!("{name}{} ({})", info.role, info.mode);
    if info.role == "master" {
        group.ok("role", value);
    } else {
        let why = "a replica decides nothing: every purchase is answered STOCK_RECOVERING";
        group.bad("role", value, why, "let REDIS_URL name the primary");
    }
    let value = if info.append_only { "append-only file" } else { "none or snapshots" };
    group.ok("persistence", format!("{name}{value} (not needed: Redis is filled from MySQL and the log)"));
}

fn memory(group: &mut Group, name: &str, info: &ServerInfo) {
    if info.maxmemory_policy == "noeviction" {
        group.ok("maxmemory-policy", format!("{name}noeviction"));
    } else {
        let why = "when memory runs out Redis throws away holds, caps and answers that buyers were told of";
        group.bad(
            "maxmemory-policy",
            format!("{name}{}", info.maxmemory_policy),
            why,
            "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
        );
    }
    if info.evicted_keys > 0 {
        let why = "keys were thrown away since Redis started; what it says about stock can no longer be believed";
        group.bad("evicted keys", format!("{name}{}", info.evicted_keys), why, "set noeviction, then flashctl rebuild");
    }
    let megabytes = |bytes: u64| bytes / (1024 * 1024);
    if info.maxmemory == 0 {
        let value = format!(
            "{name}no limit, {} MiB used of {} MiB",
            megabytes(info.used_memory),
            megabytes(info.system_memory)
        );
        let why = "without a limit the system may kill Redis when memory runs out; with one, purchases are refused and nothing is lost";
        return group.warn(
            "maxmemory",
            value,
            why,
            "redis-cli CONFIG SET maxmemory 2gb (about 1 kB per hold), and the same in redis.conf",
        );
    }
    let percent = info.used_memory.saturating_mul(100) / info.maxmemory;
    let value = format!("{name}{} MiB, {percent} % used", megabytes(info.maxmemory));
    let why = "when it is full, purchases are refused";
    match percent {
        percent if percent >= MEMORY_PERCENT.1 => group.bad("maxmemory", value, why, "raise maxmemory"),
        percent if percent >= MEMORY_PERCENT.0 => group.warn("maxmemory", value, why, "raise maxmemory"),
        _ => group.ok("maxmemory", value),
    }
}

fn replicas(group: &mut Group, name: &str, info: &ServerInfo) {
    if info.replicas > 0 {
        group.ok("replicas", format!("{name}{}", info.replicas));
    } else {
        let why = "nothing can be lost by it, but nothing is sold from the loss of the primary until it is back";
        group.warn("replicas", format!("{name}0"), why, "run a replica and let Sentinel or your platform promote it");
    }
    if let Some(least) = info.min_replicas_to_write.filter(|least| *least > info.replicas) {
        let why = "Redis takes no writes with fewer replicas than that: nothing can be sold";
        group.bad(
            "min-replicas-to-write",
            format!("{name}{least}"),
            why,
            "redis-cli CONFIG SET min-replicas-to-write 0",
        );
    }
}

fn access(group: &mut Group, name: &str, info: &ServerInfo) {
    match (info.password, info.protected_mode) {
        (Some(true), _) => group.ok("access", format!("{name}a password is asked for")),
        (_, Some(true)) => group.ok("access", format!("{name}protected mode: no strangers from other machines")),
        (None, None) => group.ok("access", format!("{name}not told (CONFIG is forbidden, so there are access rules)")),
        _ => {
            let why = "whoever reaches the port can change the stock";
            group.warn(
                "access",
                format!("{name}no password, no protected mode"),
                why,
                "set requirepass or ACL users, and keep the port private",
            );
        }
    }
}
