//! The sale as it stands: epoch, SKUs, node ids, clocks, lag, dead letters, daemons.

use flash_core::epoch::EpochState;

use super::super::{
    facts::{DaemonSaid, Facts, SkuFacts},
    finding::Group,
};
use crate::plain::{harmless, shortened, utc};

/// Clocks that differ by more than this confuse people, and by more than that also holds and webhooks, in milliseconds.
const SKEW_MS: (u64, u64) = (1_000, 10_000);
/// A rebuild that takes longer than this is stuck, in milliseconds.
const REBUILD_MS: u64 = 120_000;
/// A projection that is so many events behind is not just busy.
const LAG_EVENTS: u64 = 20_000;
/// Most SKUs that are named in one line.
const SKUS_NAMED: usize = 10;

pub(super) fn judge(facts: &Facts) -> Group {
    let mut group = Group::new("sale");
    epoch(&mut group, facts);
    skus(&mut group, facts);
    nodes(&mut group, facts);
    clocks(&mut group, facts);
    match &facts.lag {
        Err(reason) => group.not_asked("projector lag", reason),
        Ok(lag) if *lag > LAG_EVENTS => {
            group.warn(
                "projector lag",
                format!("{lag} events"),
                "MySQL does not know these orders yet; a rebuild waits for them",
                "is a worker running? flashd --role worker",
            );
        }
        Ok(lag) => group.ok("projector lag", format!("{lag} events")),
    }
    match &facts.letters {
        Err(reason) => group.not_asked("dead letters", reason),
        Ok(0) => group.ok("dead letters", "none wait"),
        Ok(count) => group.warn(
            "dead letters",
            format!("{count} wait"),
            "orders that buyers were told of may not be in MySQL, and a rebuild leaves their SKUs closed",
            "flashctl dlq list, then flashctl dlq replay",
        ),
    }
    group
}

fn epoch(group: &mut Group, facts: &Facts) {
    let record = match &facts.epoch {
        Err(reason) => return group.not_asked("epoch", reason),
        Ok(None) => return group.bad("epoch", "none", "Redis was never filled; nothing can be sold", "flashctl setup"),
        Ok(Some(record)) => record,
    };
    let age_ms = facts.now_ms.saturating_sub(record.at_ms);
    let value = format!("{} {} since {}", record.epoch, state_word(record.state), utc(record.at_ms));
    match record.state {
        EpochState::Rebuilding if age_ms > REBUILD_MS => {
            return group.bad(
                "epoch",
                value,
                "the rebuild has not come to its end; nothing is sold",
                "start a worker (flashd --role worker), or flashctl rebuild",
            );
        }
        EpochState::Rebuilding => {
            return group.warn(
                "epoch",
                value,
                "Redis is being filled; nothing is sold meanwhile",
                "wait, and ask again",
            );
        }
        EpochState::Open => {}
    }
    match &facts.redis {
        Ok(redis)
            if redis.primaries.iter().any(|(_, info)| record.replids.values().all(|replid| *replid != info.replid)) =>
        {
            let why = "Redis has restarted or failed over since; it is fenced and decides nothing";
            group.bad(
                "epoch",
                format!("{value}, by another Redis"),
                why,
                "a worker rebuilds by itself; none running? flashctl rebuild",
            );
        }
        _ => group.ok("epoch", value),
    }
}

const fn state_word(state: EpochState) -> &'static str {
    match state {
        EpochState::Rebuilding => "rebuilding",
        EpochState::Open => "open",
    }
}

fn skus(group: &mut Group, facts: &Facts) {
    let skus = match &facts.skus {
        Err(reason) => return group.not_asked("stock", reason),
        Ok(skus) if skus.is_empty() => {
            return group.warn("stock", "no SKUs", "nothing is on sale", "flashctl setup --sku 1=1000@49.00");
        }
        Ok(skus) => skus,
    };
    let Some(open) = facts.open() else {
        return group.ok("stock", format!("{} SKUs; no epoch is open", skus.len()));
    };
    let mark = open.epoch.to_string();
    let named = |skus: &[&SkuFacts]| {
        let names: Vec<String> = skus.iter().take(SKUS_NAMED).map(|sku| sku.sku_id.to_string()).collect();
        let more = if skus.len() > SKUS_NAMED { ", …" } else { "" };
        format!("{}{more}", names.join(", "))
    };
    let blocked: Vec<&SkuFacts> =
        skus.iter().filter(|sku| sku.mark.as_deref().is_some_and(|mark| mark.starts_with("blocked"))).collect();
    let other = |sku: &&SkuFacts| sku.mark.as_deref() != Some(mark.as_str()) && !blocked.contains(sku);
    let (new, lost): (Vec<&SkuFacts>, Vec<&SkuFacts>) = skus.iter().filter(other).partition(|sku| sku.loaded.is_none());
    if !lost.is_empty() {
        let why = "they were filled once and are not in Redis under the open epoch, or not where they were filled: they cannot be sold";
        group.bad(
            "stock",
            format!("lost: SKU {}", named(&lost)),
            why,
            "a worker rebuilds by itself; none running? flashctl rebuild",
        );
    }
    if !blocked.is_empty() {
        let why = "left closed by the rebuild: their dead letters wait, or their numbers do not add up";
        group.bad(
            "stock",
            format!("closed: SKU {}", named(&blocked)),
            why,
            "flashctl dlq list, flashctl sku show, then flashctl dlq replay",
        );
    }
    if !new.is_empty() {
        group.warn(
            "stock",
            format!("never filled: SKU {}", named(&new)),
            "they are defined and not on sale",
            "flashctl setup",
        );
    }
    if lost.is_empty() && blocked.is_empty() && new.is_empty() {
        group.ok(
            "stock",
            format!(
                "{} filled under epoch {mark}",
                if skus.len() == 1 { "1 SKU".to_owned() } else { format!("{} SKUs", skus.len()) }
            ),
        );
    }
}

fn nodes(group: &mut Group, facts: &Facts) {
    let Ok(mysql) = &facts.mysql else { return };
    let now_ms = mysql.health.now_ms;
    let (live, dead): (Vec<_>, Vec<_>) = mysql.nodes.iter().partition(|node| node.lease_until_ms >= now_ms);
    let twice = live.iter().filter(|node| live.iter().filter(|other| other.holder == node.holder).count() > 1).count();
    let told: Vec<String> = live
        .iter()
        .map(|node| format!("{} by {} until {}", node.node_id, harmless(&node.holder), utc(node.lease_until_ms)))
        .collect();
    let told = if told.is_empty() { "none".to_owned() } else { shortened(&told.join(", "), 300) };
    if twice > 0 {
        group.warn(
            "node ids",
            told,
            "one process holds two of them",
            "harmless; the one that is not renewed frees itself within an hour",
        );
    } else if dead.is_empty() {
        group.ok("node ids", told);
    } else {
        let value = format!("{told}; {} ran out without being given back", dead.len());
        group.ok("node ids", value);
    }
}

fn clocks(group: &mut Group, facts: &Facts) {
    let redis = facts.redis.as_ref().ok().map(|redis| ("Redis", redis.skew_ms));
    let mysql = facts.mysql.as_ref().ok().map(|mysql| ("MySQL", mysql.skew_ms));
    let skews: Vec<(&str, i64)> = redis.into_iter().chain(mysql).collect();
    if skews.is_empty() {
        return;
    }
    let told: Vec<String> = skews.iter().map(|(name, skew_ms)| format!("{name} {skew_ms:+} ms")).collect();
    let told = format!("{} against this machine", told.join(", "));
    let worst = skews.iter().map(|(_, skew_ms)| skew_ms.unsigned_abs()).max().unwrap_or(0);
    let why = "holds end by Redis' clock, leases of node ids by MySQL's, webhooks are judged by their timestamps";
    match worst {
        worst if worst > SKEW_MS.1 => group.bad("clocks", told, why, "run NTP (chrony) on every machine"),
        worst if worst > SKEW_MS.0 => group.warn("clocks", told, why, "run NTP (chrony) on every machine"),
        _ => group.ok("clocks", told),
    }
}

pub(super) fn daemons(facts: &Facts) -> Group {
    let mut group = Group::new("flashd");
    if facts.daemons.is_empty() {
        group.ok("daemons", "none named: FLASH_ADMIN_URL or --admin says where their admin listeners are");
        return group;
    }
    for daemon in &facts.daemons {
        match &daemon.said {
            Err(reason) => group.not_asked("daemon", &format!("{}: {reason}", daemon.url)),
            Ok(said) => one(&mut group, &daemon.url, said),
        }
    }
    let said = || facts.daemons.iter().filter_map(|daemon| daemon.said.as_ref().ok());
    if said().next().is_some() && said().all(|said| said.role == "api") {
        let why = "without a worker nothing is projected, nothing expires, and nobody refills Redis";
        group.warn("workers", "none among the daemons that were named", why, "flashd --role worker");
    }
    group
}

fn one(group: &mut Group, url: &str, said: &DaemonSaid) {
    let value = format!("{url}: {} {}", said.role, said.version);
    if !said.unready.is_empty() {
        let value = format!("{value}, not ready: {}", harmless(&said.unready));
        return group.bad(
            "daemon",
            value,
            "it is alive and refuses to sell or work",
            "the reason says which part to repair",
        );
    }
    if said.version == env!("CARGO_PKG_VERSION") {
        group.ok("daemon", format!("{value}, ready"));
    } else {
        group.warn("daemon", value, "it is of another version than this flashctl", "use binaries of one version");
    }
}
