//! From what the daemons tell to a verdict on each part. Pure.

use std::time::Duration;

use flash_core::stats::{Api, Breaker, Stats, Worker};

use crate::{
    live::{
        Sample, Told,
        figures::{Figures, Stock, Tracker},
        line::duration,
        state,
    },
    plain::harmless,
    table::grouped,
};

/// The projector is behind by more than that: somebody should look.
const LAG_MAX: Duration = Duration::from_secs(30);

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Ok,
    /// It works, and something was found.
    Found,
    /// It does not do its work.
    Down,
}

impl Level {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Found => "found",
            Self::Down => "down",
        }
    }
}

/// What is said of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) part: &'static str,
    pub(super) level: Level,
    /// The daemon that says so; `None`: all that know.
    pub(super) daemon: Option<String>,
    pub(super) detail: String,
    /// The next command, if there is one.
    pub(super) hint: Option<&'static str>,
}

/// One daemon.
#[derive(Debug)]
pub(super) struct DaemonRow {
    pub(super) url: String,
    /// What it tells, or why it does not.
    pub(super) told: Result<Box<Stats>, String>,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) figures: Figures,
    pub(super) daemons: Vec<DaemonRow>,
    pub(super) checks: Vec<Check>,
}

impl Status {
    pub(super) fn worst(&self) -> Level {
        self.checks.iter().map(|check| check.level).max().unwrap_or(Level::Down)
    }
}

/// Judges a sample.
pub(super) fn judge(sample: &Sample) -> Status {
    let figures = Tracker::default().take(sample);
    let daemons: Vec<DaemonRow> = sample
        .daemons
        .iter()
        .map(|seen| DaemonRow {
            url: seen.url.clone(),
            told: match &seen.told {
                Told::Stats(stats) => Ok(stats.clone()),
                Told::Failed(reason) => Err(harmless(reason)),
            },
        })
        .collect();
    let mut checks: Vec<Check> = daemons.iter().map(daemon).collect();
    let told: Vec<(&str, &Stats)> =
        daemons.iter().filter_map(|row| Some((row.url.as_str(), &**row.told.as_ref().ok()?))).collect();
    let parts: [(&'static str, Question); 9] = [
        ("redis", redis),
        ("kafka", kafka),
        ("mysql", mysql),
        ("epoch", |stats| stats.api.as_ref().map(epoch)),
        ("projector", |stats| stats.worker.as_ref().map(projector)),
        ("letters", |stats| stats.worker.as_ref().map(letters)),
        ("rebuild", |stats| stats.worker.as_ref().map(rebuild)),
        ("blocked", |stats| stats.worker.as_ref().map(blocked)),
        ("audit", |stats| stats.worker.as_ref().filter(|worker| worker.audit.active).map(audit)),
    ];
    for (part, ask) in parts {
        checks.extend(merged(part, told.iter().filter_map(|(url, stats)| Some((*url, ask(stats)?))).collect()));
    }
    if !told.is_empty() {
        checks.extend(missing(&told));
    }
    checks.extend(state::unprojected(told.iter().map(|(_, stats)| *stats)).map(|(without, all)| Check {
        part: "projector",
        level: Level::Found,
        daemon: None,
        detail: format!("nobody projects {without} of {all} partitions; what is in them is not in MySQL yet"),
        hint: Some("flashctl status, in a minute: partitions of a worker that died are given to another"),
    }));
    checks.extend(figures.stock.as_ref().map(stock));
    Status { figures, daemons, checks }
}

/// A level, what there is to say, and what to do.
type Said = (Level, String, Option<&'static str>);

/// What is asked of one daemon; `None` if it is not its business.
type Question = fn(&Stats) -> Option<Said>;

fn ok(detail: impl Into<String>) -> Said {
    (Level::Ok, detail.into(), None)
}

/// One line where all are content, one for each that is not where not.
fn merged(part: &'static str, said: Vec<(&str, Said)>) -> Vec<Check> {
    let several = said.len() > 1;
    let check = |url: Option<&str>, (level, detail, hint): Said| Check {
        part,
        level,
        daemon: url.map(str::to_owned),
        detail: harmless(&detail),
        hint,
    };
    let bad: Vec<Check> = said
        .iter()
        .filter(|(_, (level, ..))| *level != Level::Ok)
        .map(|(url, said)| check(several.then_some(*url), said.clone()))
        .collect();
    if bad.is_empty() { said.into_iter().take(1).map(|(_, said)| check(None, said)).collect() } else { bad }
}

fn daemon(row: &DaemonRow) -> Check {
    let (level, detail, hint) = match &row.told {
        Err(reason) => (Level::Down, reason.clone(), Some("flashctl doctor")),
        Ok(stats) if !stats.ready => {
            let reasons: Vec<String> = stats.unready.iter().map(|(latch, why)| format!("{latch}: {why}")).collect();
            (Level::Down, format!("not ready: {}", reasons.join("; ")), Some("flashctl doctor"))
        }
        Ok(stats) if stats.draining => (Level::Down, "draining".to_owned(), None),
        Ok(stats) => match &stats.paused {
            Some(why) => (Level::Found, format!("paused by an operator: {why}"), None),
            None => ok("ready"),
        },
    };
    Check { part: "daemon", level, daemon: Some(row.url.clone()), detail: harmless(&detail), hint }
}

/// A sale needs somebody who sells and somebody who writes it down.
fn missing(told: &[(&str, &Stats)]) -> Vec<Check> {
    let absent = |part, detail: &str, hint| {
        let (daemon, hint, detail) = (None, Some(hint), detail.to_owned());
        Check { part, level: Level::Down, daemon, detail, hint }
    };
    let mut checks = Vec::new();
    if told.iter().all(|(_, stats)| stats.api.is_none()) {
        checks.push(absent("selling", "no daemon that answers sells", "flashd --role api"));
    }
    if told.iter().all(|(_, stats)| stats.worker.is_none()) {
        let words = "no daemon that answers is a worker: nothing is written to MySQL, no hold expires";
        checks.push(absent("worker", words, "flashd --role worker"));
    }
    checks
}

fn redis(stats: &Stats) -> Option<Said> {
    let redis = &stats.stores.redis;
    if let Some(problem) = &redis.problem {
        return Some((Level::Down, problem.clone(), Some("flashctl doctor")));
    }
    if redis.breaker == Breaker::Open {
        return Some((
            Level::Down,
            "its breaker is open: it does not answer in time".to_owned(),
            Some("flashctl doctor"),
        ));
    }
    let evicted: u64 = redis.nodes.iter().map(|node| node.evicted_keys).sum();
    if evicted > 0 {
        let words = format!("{} keys were evicted: it must run noeviction", grouped(evicted));
        return Some((Level::Found, words, Some("flashctl doctor")));
    }
    let node = |node: &flash_core::stats::RedisNode| {
        let bound =
            if node.max_memory_bytes > 0 { format!(" of {}", bytes(node.max_memory_bytes)) } else { String::new() };
        format!("{} {} {}, {}{bound}", node.address, node.role, node.version, bytes(node.used_memory_bytes))
    };
    let nodes: Vec<String> = redis.nodes.iter().map(node).collect();
    Some(ok(if nodes.is_empty() { "connected".to_owned() } else { nodes.join(" · ") }))
}

fn kafka(stats: &Stats) -> Option<Said> {
    let kafka = &stats.stores.kafka;
    if let Some(problem) = &kafka.problem {
        return Some((Level::Down, problem.clone(), Some("flashctl doctor")));
    }
    let p99 = kafka.produce.quantile_us(0.99).map(|us| format!(", p99 {}", duration(us))).unwrap_or_default();
    let [partitions, acknowledged, failed] = [kafka.partitions, kafka.acknowledged, kafka.failed].map(grouped);
    Some(ok(format!("{partitions} partitions · {acknowledged} events acknowledged, {failed} failed{p99}")))
}

fn mysql(stats: &Stats) -> Option<Said> {
    let mysql = &stats.stores.mysql;
    if let Some(problem) = &mysql.problem {
        return Some((Level::Down, problem.clone(), Some("flashctl doctor")));
    }
    let in_use = mysql.pool_open.saturating_sub(mysql.pool_idle);
    let p99 = mysql.ping.quantile_us(0.99).map(|us| format!(" · ping p99 {}", duration(us))).unwrap_or_default();
    Some(ok(format!("{in_use} of at most {} connections in use{p99}", mysql.pool_max)))
}

fn epoch(api: &Api) -> Said {
    let epoch = &api.epoch;
    if epoch.open {
        let lease = epoch.lease_age_ms.map_or_else(String::new, |age_ms| {
            format!(" · lease {} old, {} at most", seconds(age_ms), seconds(epoch.lease_max_ms))
        });
        return ok(format!("{} is open{lease}", epoch.latest.0));
    }
    let why = epoch.problem.clone().unwrap_or_else(|| "purchases cannot be decided".to_owned());
    let since = api.stops.stopped_for_ms.map_or_else(String::new, |ms| format!(", for {}", seconds(ms)));
    (Level::Down, format!("{} is not open{since}: {why}", epoch.latest.0), Some("flashctl rebuild --dry-run"))
}

fn projector(worker: &Worker) -> Said {
    let seen = &worker.projector;
    let behind = seen.lag_ms.map_or_else(String::new, |ms| format!(", {} behind", seconds(ms)));
    let lag = format!("{} events not applied{behind} · {} applied", grouped(seen.lag_events), grouped(seen.events));
    let is_late = seen.lag_events > 0 && seen.lag_ms.is_some_and(|ms| u128::from(ms) > LAG_MAX.as_millis());
    match &seen.last_error {
        Some(error) => (Level::Down, format!("{error} · {lag}"), Some("flashctl doctor")),
        None if seen.missing_events > 0 => (
            Level::Found,
            format!("{} events were deleted unread", grouped(seen.missing_events)),
            Some("flashctl reconcile"),
        ),
        None if is_late => (Level::Found, lag, Some("flashctl doctor")),
        None => ok(lag),
    }
}

fn letters(worker: &Worker) -> Said {
    match worker.projector.dead_letters {
        0 => ok("no event was parked since it started"),
        parked => {
            let words = format!("{} events were parked since it started", grouped(parked));
            (Level::Found, words, Some("flashctl dlq list"))
        }
    }
}

fn rebuild(worker: &Worker) -> Said {
    let view = &worker.rebuild;
    let why = view.reason.as_ref().map_or_else(String::new, |reason| format!(" · {reason}"));
    if let Some(step) = &view.step {
        let since = view.running_ms.map_or_else(String::new, |ms| format!(" for {}", seconds(ms)));
        return (Level::Down, format!("step {} of 8{since}: {step}{why}", view.step_number), None);
    }
    if let Some(error) = &view.last_error {
        return (Level::Down, format!("the last attempt failed: {error}"), Some("flashctl rebuild --dry-run"));
    }
    let last = view.last_took_ms.map_or_else(String::new, |ms| format!(" · the last one took {}{why}", seconds(ms)));
    ok(format!("{} done{last}", grouped(view.rebuilds)))
}

fn blocked(worker: &Worker) -> Said {
    let blocked = &worker.rebuild.blocked;
    match blocked.iter().next() {
        None => ok("every SKU could be filled"),
        Some((sku, why)) => {
            let more = if blocked.len() > 1 { format!(" and {} more", blocked.len() - 1) } else { String::new() };
            (Level::Found, format!("SKU {sku}{more} could not be filled: {why}"), Some("flashctl reconcile"))
        }
    }
}

fn audit(worker: &Worker) -> Said {
    let audit = &worker.audit;
    let found: u64 = audit.found.values().sum();
    if found > 0 {
        let kinds: Vec<String> = audit
            .found
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        return (Level::Found, kinds.join(", "), Some("flashctl reconcile"));
    }
    match &audit.last_error {
        Some(error) => (Level::Found, format!("the last audit came to no end: {error}"), Some("flashctl reconcile")),
        None => ok(format!("{} audits, nothing found", grouped(audit.runs))),
    }
}

fn stock(stock: &Stock) -> Check {
    let states = stock.states;
    let by_state = [
        (states.selling, "selling"),
        (states.held_out, "held out"),
        (states.sold_out, "sold out"),
        (states.upcoming, "upcoming"),
        (states.closed, "closed"),
        (states.paused, "paused"),
    ];
    let by_state: Vec<String> = by_state
        .iter()
        .filter(|(skus, _)| *skus > 0)
        .map(|(skus, word)| format!("{} {word}", grouped(*skus)))
        .collect();
    let [capacity, left, held, sold, closing] =
        [stock.capacity, stock.left, stock.held, stock.sold, stock.closing].map(grouped);
    let unknown = match stock.skus.saturating_sub(stock.skus_counted) {
        0 => String::new(),
        skus => format!(" · {} SKUs not counted", grouped(skus)),
    };
    let mut detail =
        format!("capacity {capacity} · left {left} · held {held} · sold {sold} · closing {closing}{unknown}");
    if !by_state.is_empty() {
        detail.push_str(&format!(" · SKUs: {}", by_state.join(", ")));
    }
    Check { part: "stock", level: Level::Ok, daemon: None, detail, hint: None }
}

#[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// Milliseconds as seconds, minutes and hours.
#[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
pub(super) fn seconds(ms: u64) -> String {
    match ms / 1_000 {
        0..60 => format!("{:.1} s", ms as f64 / 1_000.0),
        s @ 60..3_600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests;
