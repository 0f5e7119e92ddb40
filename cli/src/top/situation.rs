//! The one word about the whole sale, and the checks behind it: is anything wrong, and where.

use flash_core::stats::{Breaker, Stats};

use super::{
    format,
    model::{Daemon, Model, Window, total},
};
use crate::live::state;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    /// Not known, or nothing to judge.
    Quiet,
    Good,
    /// Somebody should look.
    Warn,
    /// Buyers are affected, or a promise is at stake.
    Bad,
}

/// What the sale is doing, in one word and one explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Situation {
    pub(crate) word: &'static str,
    pub(crate) tone: Tone,
    pub(crate) why: String,
}

impl Situation {
    /// Judges what is known at `now_ms`.
    pub(crate) fn of(model: &Model, now_ms: u64, interval_ms: u64) -> Situation {
        let say = |word, tone, why: String| Situation { word, tone, why };
        let Some(answered_at_ms) = model.answered_at_ms else {
            return match first_failure(model) {
                Some(reason) => say("UNREACHABLE", Tone::Bad, reason),
                None => say("WAITING", Tone::Quiet, "for the first answer".to_owned()),
            };
        };
        let age_ms = now_ms.saturating_sub(answered_at_ms);
        let late = model.sampled_at_ms.is_none_or(|at_ms| now_ms.saturating_sub(at_ms) > interval_ms * 3 + 1_000);
        if model.answering().next().is_none() || late {
            let reason = first_failure(model).unwrap_or_else(|| "no sample arrives".to_owned());
            return say("STALE", Tone::Bad, format!("{}: {reason}", format::age(age_ms)));
        }
        let sum = &model.stock.sum;
        if let Some(why) = recovering(model) {
            return say("RECOVERING", Tone::Bad, why);
        }
        let sellers = || stats(model).filter(|stats| stats.api.is_some());
        if sellers().next().is_some() && sellers().all(|stats| stats.draining) {
            return say("DRAINING", Tone::Warn, "no daemon takes purchases".to_owned());
        }
        if sellers().next().is_some() && sellers().all(|stats| stats.paused.is_some()) {
            let why = sellers().find_map(|stats| stats.paused.clone()).unwrap_or_default();
            return say("PAUSED", Tone::Warn, why);
        }
        if model.stock.rows().is_empty() {
            return say("EMPTY", Tone::Quiet, "no SKU on sale".to_owned());
        }
        if sum.states.selling > 0 {
            return say("SELLING", Tone::Good, String::new());
        }
        let all = model.stock.rows().len();
        if sum.states.held_out > 0 {
            return say("HELD OUT", Tone::Warn, format!("{} held, may come back", format::count(sum.parts.held)));
        }
        if sum.states.paused > 0 {
            return say("PAUSED", Tone::Warn, format!("{} of {all} SKUs", sum.states.paused));
        }
        if sum.states.upcoming > 0 {
            let opens =
                model.stock.rows().iter().filter_map(|row| row.told.opens_at_ms).filter(|at| *at > now_ms).min();
            let why = opens.map_or_else(String::new, |at_ms| format!("opens in {}", format::span(at_ms - now_ms)));
            return say("UPCOMING", Tone::Quiet, why);
        }
        if sum.states.sold_out > 0 {
            return say("SOLD OUT", Tone::Good, "every unit is paid for".to_owned());
        }
        if sum.states.closed > 0 {
            return say("CLOSED", Tone::Quiet, format!("{} left unsold", format::count(sum.parts.left)));
        }
        say("UNKNOWN", Tone::Quiet, "no SKU's state is known".to_owned())
    }
}

fn stats(model: &Model) -> impl Iterator<Item = &Stats> {
    model.answering().filter_map(|daemon| daemon.last.as_ref())
}

fn first_failure(model: &Model) -> Option<String> {
    model.daemons.iter().find_map(|daemon| daemon.failed.clone())
}

/// Why nothing can be decided anywhere; `None` if some daemon decides.
fn recovering(model: &Model) -> Option<String> {
    let step = stats(model).filter_map(|stats| stats.worker.as_ref()).find_map(|worker| {
        let step = worker.rebuild.step.as_ref()?;
        let for_ms = worker.rebuild.running_ms.map_or_else(String::new, |ms| format!(" · {}", format::age(ms)));
        Some(format!("rebuild {}/8: {step}{for_ms}", worker.rebuild.step_number))
    });
    if step.is_some() {
        return step;
    }
    let mut sellers = stats(model).filter(|stats| stats.api.is_some()).peekable();
    sellers.peek()?;
    let mut why = "no open epoch".to_owned();
    for stats in sellers {
        if state::decides(stats) {
            return None;
        }
        let stores = &stats.stores;
        let epoch = stats.api.as_ref().and_then(|api| api.epoch.problem.as_ref());
        if let Some(problem) = epoch.or(stores.redis.problem.as_ref()).or(stores.kafka.problem.as_ref()) {
            why.clone_from(problem);
        } else if stores.redis.breaker == Breaker::Open {
            "Redis does not answer".clone_into(&mut why);
        }
    }
    Some(why)
}

/// One thing that is looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) tone: Tone,
    /// The most important first, for it may be cut.
    pub(crate) text: String,
}

/// Everything that is looked after, in a fixed order so that eyes find it.
pub(crate) fn checks(model: &Model, window: &Window) -> Vec<Check> {
    vec![
        daemons(model),
        redis(model, window),
        kafka(model, window),
        mysql(model, window),
        epoch(model),
        lease(model),
        projector(model),
        books(model),
    ]
}

/// The worst of them, if one is wrong.
pub(crate) fn worst(checks: &[Check]) -> Option<&Check> {
    // The first of equally bad ones: what stands first is what the others need.
    checks.iter().rev().filter(|check| check.tone >= Tone::Warn).max_by_key(|check| check.tone)
}

fn check(name: &'static str, tone: Tone, text: impl Into<String>) -> Check {
    Check { name, tone, text: text.into() }
}

fn daemons(model: &Model) -> Check {
    let all = model.daemons.len();
    let up = model.answering().count();
    let silent = model.daemons.iter().find(|daemon| daemon.failed.is_some());
    if let Some(daemon) = silent {
        let tone = if up == 0 { Tone::Bad } else { Tone::Warn };
        let reason = daemon.failed.as_deref().unwrap_or_default();
        return check("daemons", tone, format!("{up} of {all} up · {}: {reason}", daemon.name()));
    }
    let unready = model.answering().find_map(|daemon| Some((daemon, unready(daemon)?)));
    let paused = stats(model).filter(|stats| stats.paused.is_some()).count();
    match unready {
        Some((daemon, why)) => check("daemons", Tone::Warn, format!("{} not ready: {why}", daemon.name())),
        None if all == 0 => check("daemons", Tone::Quiet, format::UNKNOWN),
        None if paused > 0 => check("daemons", Tone::Warn, format!("{up} of {all} up, {paused} paused by an operator")),
        None => check("daemons", Tone::Good, format!("{up} of {all} up, ready")),
    }
}

/// Why a daemon is not ready; `None` if it is.
pub(crate) fn unready(daemon: &Daemon) -> Option<String> {
    let stats = daemon.last.as_ref()?;
    if stats.ready {
        return None;
    }
    Some(stats.unready.iter().next().map_or_else(|| "no reason".to_owned(), |(latch, why)| format!("{latch}: {why}")))
}

fn redis(model: &Model, window: &Window) -> Check {
    let mut text = String::new();
    for stats in stats(model) {
        let redis = &stats.stores.redis;
        if let Some(problem) = &redis.problem {
            return check("Redis", Tone::Bad, problem.clone());
        }
        if redis.breaker == Breaker::Open {
            return check("Redis", Tone::Bad, "breaker open: nothing is sent");
        }
        if let Some(node) = redis.nodes.iter().find(|node| node.evicted_keys > 0) {
            let text = format!("evicted {} keys: promises are broken", node.evicted_keys);
            return check("Redis", Tone::Bad, text);
        }
        if text.is_empty() && !redis.nodes.is_empty() {
            let used = total(redis.nodes.iter().map(|node| node.used_memory_bytes));
            let max = total(redis.nodes.iter().map(|node| node.max_memory_bytes));
            let ops = total(redis.nodes.iter().map(|node| node.ops_per_s));
            let of = if max > 0 { format!(" of {}", format::bytes(max)) } else { String::new() };
            text = format!("{} · {}{of} · {} ops/s", decide(window), format::bytes(used), format::count(ops));
            if max > 0 && used > max / 10 * 9 {
                return check("Redis", Tone::Warn, format!("memory nearly full: {text}"));
            }
        }
    }
    let tone = if text.is_empty() { Tone::Quiet } else { Tone::Good };
    check("Redis", tone, if text.is_empty() { format::UNKNOWN.to_owned() } else { text })
}

fn decide(window: &Window) -> String {
    format!("p99 {}", format::micros_or(window.latencies.reserve.quantile_us(0.99)))
}

fn kafka(model: &Model, window: &Window) -> Check {
    let mut answering = stats(model).peekable();
    if answering.peek().is_none() {
        return check("Kafka", Tone::Quiet, format::UNKNOWN);
    }
    let mut waiting = 0_u64;
    for stats in answering {
        if let Some(problem) = &stats.stores.kafka.problem {
            return check("Kafka", Tone::Bad, problem.clone());
        }
        waiting = waiting.saturating_add(stats.stores.kafka.unacknowledged);
    }
    let p99 = format::micros_or(window.latencies.produce.quantile_us(0.99));
    check("Kafka", Tone::Good, format!("ack p99 {p99} · {} waiting", format::count(waiting)))
}

fn mysql(model: &Model, window: &Window) -> Check {
    let mut answering = stats(model).peekable();
    if answering.peek().is_none() {
        return check("MySQL", Tone::Quiet, format::UNKNOWN);
    }
    let (mut busy, mut max) = (0_u64, 0_u64);
    for stats in answering {
        let mysql = &stats.stores.mysql;
        if let Some(problem) = &mysql.problem {
            return check("MySQL", Tone::Bad, problem.clone());
        }
        busy = busy.saturating_add(mysql.pool_open.saturating_sub(mysql.pool_idle));
        max = max.saturating_add(mysql.pool_max);
    }
    let p99 = format::micros_or(window.latencies.ping.quantile_us(0.99));
    if max == 0 {
        return check("MySQL", Tone::Good, format!("ping p99 {p99} · pool {}", format::UNKNOWN));
    }
    let tone = if busy >= max { Tone::Warn } else { Tone::Good };
    check("MySQL", tone, format!("ping p99 {p99} · pool {busy} of {max} busy"))
}

fn epoch(model: &Model) -> Check {
    let latest = stats(model).filter_map(|stats| stats.api.as_ref()).map(|api| api.epoch.latest.0).max();
    let mut apis = stats(model).filter_map(|stats| stats.api.as_ref()).peekable();
    if apis.peek().is_some() && !apis.any(|api| api.epoch.open) {
        return check("epoch", Tone::Bad, recovering(model).unwrap_or_else(|| "not open".to_owned()));
    }
    let behind = model
        .answering()
        .find(|daemon| daemon.last.as_ref().and_then(|stats| stats.api.as_ref()).is_some_and(|api| !api.epoch.open));
    let blocked: usize =
        stats(model).filter_map(|stats| stats.worker.as_ref()).map(|worker| worker.rebuild.blocked.len()).sum();
    match (latest, behind) {
        (None, _) => check("epoch", Tone::Quiet, format::UNKNOWN),
        (Some(_), Some(daemon)) => check("epoch", Tone::Warn, format!("closed for {}", daemon.name())),
        (Some(latest), None) if blocked > 0 => {
            check("epoch", Tone::Warn, format!("{latest} open, {blocked} SKUs left closed"))
        }
        (Some(latest), None) => check("epoch", Tone::Good, format!("{latest} open")),
    }
}

fn lease(model: &Model) -> Check {
    let ages =
        stats(model).filter_map(|stats| stats.api.as_ref()).map(|api| (api.epoch.lease_age_ms, api.epoch.lease_max_ms));
    // The oldest of all; one that has never looked is older than any.
    let oldest = ages.max_by_key(|(age, _)| age.map_or(u64::MAX, |age| age));
    match oldest {
        None => check("lease", Tone::Quiet, format::UNKNOWN),
        Some((None, _)) => check("lease", Tone::Bad, "never taken"),
        Some((Some(age), max)) => {
            let tone = match age {
                age if age >= max => Tone::Bad,
                age if age > max / 2 => Tone::Warn,
                _ => Tone::Good,
            };
            check("lease", tone, format!("{} old, of {}", format::span(age), format::span(max)))
        }
    }
}

fn projector(model: &Model) -> Check {
    let workers: Vec<_> = stats(model).filter_map(|stats| stats.worker.as_ref()).collect();
    if workers.is_empty() {
        let why = if model.answering().next().is_some() { "no worker is watched" } else { format::UNKNOWN };
        return check("projector", Tone::Quiet, why);
    }
    let lost = total(workers.iter().map(|worker| worker.projector.missing_events));
    if lost > 0 {
        return check(
            "projector",
            Tone::Bad,
            format!("{} events were deleted before they were read", format::count(lost)),
        );
    }
    if let Some(error) = workers.iter().find_map(|worker| worker.projector.last_error.as_ref()) {
        return check("projector", Tone::Bad, error.clone());
    }
    if let Some((without, all)) = state::unprojected(stats(model)) {
        let text = format!("nobody projects {without} of {all} partitions");
        return check("projector", Tone::Warn, text);
    }
    let dead = total(workers.iter().map(|worker| worker.projector.dead_letters));
    let lag = total(workers.iter().map(|worker| worker.projector.lag_events));
    let lag_ms = workers.iter().filter_map(|worker| worker.projector.lag_ms).max();
    let behind =
        format!("{} behind · {}", format::count(lag), lag_ms.map_or_else(|| format::UNKNOWN.into(), format::span));
    if dead > 0 {
        return check("projector", Tone::Warn, format!("{} dead letters · {behind}", format::count(dead)));
    }
    let tone = if lag_ms.is_some_and(|ms| ms > 5_000) { Tone::Warn } else { Tone::Good };
    check("projector", tone, behind)
}

fn books(model: &Model) -> Check {
    let audits = || stats(model).filter_map(|stats| stats.worker.as_ref()).map(|worker| &worker.audit);
    let Some(audit) = audits().find(|audit| audit.active).or_else(|| audits().max_by_key(|audit| audit.last_at_ms))
    else {
        let why = if model.answering().next().is_some() { "no auditor is watched" } else { format::UNKNOWN };
        return check("books", Tone::Quiet, why);
    };
    let found = total(audit.found.values().copied());
    if found > 0 {
        let first = audit.findings.first().map_or_else(String::new, |finding| format!(": {}", finding.text));
        let kinds =
            if found == 1 { "1 difference".to_owned() } else { format!("{} differences", format::count(found)) };
        return check("books", Tone::Bad, format!("{kinds}{first}"));
    }
    if let Some(error) = &audit.last_error {
        return check("books", Tone::Warn, format!("audit did not finish: {error}"));
    }
    match (audit.last_at_ms, model.sampled_at_ms) {
        (Some(at_ms), Some(now_ms)) => {
            check("books", Tone::Good, format!("balance, {} ago", format::age(now_ms.saturating_sub(at_ms))))
        }
        _ => check("books", Tone::Quiet, "not audited yet"),
    }
}
