//! What is said of the epoch, and of the work behind a sale: projector, dead letters, rebuild, audit.

use std::time::Duration;

use flash_core::stats::{Api, Audit, Stats, Worker};

use super::{Facts, Finding, Level, Part, stores::complaints, word::waits_for};
use crate::{plain::seconds, table::grouped};

/// The projector is behind by more than that: somebody should look.
const LAG_MAX: Duration = Duration::from_secs(30);

pub(super) fn epoch(facts: &Facts<'_>) -> Vec<Finding> {
    let apis = || facts.told().filter_map(|stats| stats.api.as_ref());
    if apis().next().is_none() {
        return Vec::new();
    }
    complaints(
        facts,
        |stats| stats.api.as_ref().and_then(closed),
        || {
            let latest = apis().map(|api| api.epoch.latest.0).max().unwrap_or(0);
            // The oldest lease of all: one that never was taken is no open epoch.
            let oldest = apis().filter_map(|api| Some((api.epoch.lease_age_ms?, api.epoch.lease_max_ms))).max();
            let Some((age_ms, max_ms)) = oldest else { return Finding::ok(Part::Epoch, format!("{latest} is open")) };
            let lease = format!("lease {} old, {} at most", seconds(age_ms), seconds(max_ms));
            if age_ms > max_ms / 2 {
                return Finding::new(Part::Epoch, Level::Noted, format!("{lease} · {latest} is open"));
            }
            Finding::ok(Part::Epoch, format!("{latest} is open · {lease}"))
        },
    )
}

fn closed(api: &Api) -> Option<Finding> {
    let epoch = &api.epoch;
    if epoch.open {
        return None;
    }
    let why = epoch.problem.as_deref().unwrap_or("purchases cannot be decided");
    let since = api.stops.stopped_for_ms.map_or_else(String::new, |ms| format!(", for {}", seconds(ms)));
    let text = format!("{} is not open{since}: {why}", epoch.latest.0);
    Some(Finding::new(Part::Epoch, Level::Down, text).next("flashctl rebuild --dry-run"))
}

/// Asks every worker.
fn of_workers(
    facts: &Facts<'_>,
    of: impl Fn(&Worker) -> Option<Finding>,
    content: impl FnOnce(Vec<&Worker>) -> Finding,
) -> Vec<Finding> {
    let workers: Vec<&Worker> = facts.told().filter_map(|stats| stats.worker.as_ref()).collect();
    if workers.is_empty() {
        return Vec::new();
    }
    complaints(facts, |stats| stats.worker.as_ref().and_then(&of), || content(workers))
}

pub(super) fn projector(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = of_workers(facts, late, |workers| {
        let lag = workers.iter().map(|worker| worker.projector.lag_events).fold(0, u64::saturating_add);
        let applied = workers.iter().map(|worker| worker.projector.events).fold(0, u64::saturating_add);
        let behind = workers.iter().filter_map(|worker| worker.projector.lag_ms).max();
        let behind = behind.map_or_else(|| "–".to_owned(), seconds);
        Finding::ok(
            Part::Projector,
            format!("{} events behind · {behind} · {} applied", grouped(lag), grouped(applied)),
        )
    });
    if let Some((without, all)) = unprojected(facts.told()) {
        let text = format!("nobody projects {without} of {all} partitions; what is in them is not in MySQL yet");
        let next = "flashctl status, in a minute: partitions of a worker that died are given to another";
        findings.retain(|finding| finding.level > Level::Ok);
        findings.push(Finding::new(Part::Projector, Level::Found, text).next(next));
    }
    findings
}

fn late(worker: &Worker) -> Option<Finding> {
    let seen = &worker.projector;
    if seen.missing_events > 0 {
        let text = format!("{} events were deleted before they were read", grouped(seen.missing_events));
        return Some(Finding::new(Part::Projector, Level::Broken, text).next("flashctl reconcile"));
    }
    let behind = seen.lag_ms.map_or_else(String::new, |ms| format!(" · {}", seconds(ms)));
    let lag = format!("{} events behind{behind}", grouped(seen.lag_events));
    if let Some(error) = &seen.last_error {
        return Some(Finding::new(Part::Projector, Level::Down, format!("{error} · {lag}")).next("flashctl doctor"));
    }
    let is_late = seen.lag_events > 0 && seen.lag_ms.is_some_and(|ms| u128::from(ms) > LAG_MAX.as_millis());
    is_late.then(|| Finding::new(Part::Projector, Level::Found, lag).next("flashctl doctor"))
}

/// Partitions of the log that no answering worker projects, and how many there are; `None` if each has one, or if too little is
/// known. While workers come and go it takes Kafka some seconds to give their partitions to others; nobody counts the events in
/// them meanwhile.
fn unprojected<'a>(all: impl Iterator<Item = &'a Stats>) -> Option<(u64, u64)> {
    let (mut partitions, mut owned, mut workers) = (0, 0_u64, 0);
    for stats in all {
        partitions = partitions.max(stats.stores.kafka.partitions);
        if let Some(worker) = &stats.worker {
            workers += 1;
            owned = owned.saturating_add(worker.projector.partitions);
        }
    }
    (workers > 0 && owned < partitions).then(|| (partitions - owned, partitions))
}

pub(super) fn letters(facts: &Facts<'_>) -> Vec<Finding> {
    let parked = |worker: &Worker| {
        let parked = worker.projector.dead_letters;
        let text = format!("{} events were parked since it started", grouped(parked));
        (parked > 0).then(|| Finding::new(Part::Letters, Level::Found, text).next("flashctl dlq list"))
    };
    of_workers(facts, parked, |_| Finding::ok(Part::Letters, "no event was parked since it started"))
}

pub(super) fn rebuild(facts: &Facts<'_>) -> Vec<Finding> {
    let trouble = |worker: &Worker| {
        let view = &worker.rebuild;
        if let Some(step) = &view.step {
            let why = view.reason.as_ref().map_or_else(String::new, |reason| format!(" · {reason}"));
            let since = view.running_ms.map_or_else(String::new, |ms| format!(" for {}", seconds(ms)));
            let waits = waits_for(view);
            let text = format!("step {} of 8{since}: {step}{waits}{why}", view.step_number);
            return Some(Finding::new(Part::Rebuild, Level::Down, text));
        }
        let text = format!("the last attempt failed: {}", view.last_error.as_ref()?);
        Some(Finding::new(Part::Rebuild, Level::Down, text).next("flashctl rebuild --dry-run"))
    };
    of_workers(facts, trouble, |workers| {
        let done = workers.iter().map(|worker| worker.rebuild.rebuilds).fold(0, u64::saturating_add);
        let last = workers.iter().find_map(|worker| Some((worker.rebuild.last_took_ms?, &worker.rebuild.reason)));
        let last = last.map_or_else(String::new, |(ms, reason)| {
            let why = reason.as_ref().map_or_else(String::new, |reason| format!(" · {reason}"));
            format!(" · the last one took {}{why}", seconds(ms))
        });
        Finding::ok(Part::Rebuild, format!("{} done{last}", grouped(done)))
    })
}

pub(super) fn blocked(facts: &Facts<'_>) -> Vec<Finding> {
    let blocked = |worker: &Worker| {
        let blocked = &worker.rebuild.blocked;
        let (sku, why) = blocked.iter().next()?;
        let more = if blocked.len() > 1 { format!(" and {} more", blocked.len() - 1) } else { String::new() };
        let text = format!("SKU {sku}{more} could not be filled: {why}");
        Some(Finding::new(Part::Blocked, Level::Found, text).next("flashctl reconcile"))
    };
    of_workers(facts, blocked, |_| Finding::ok(Part::Blocked, "every SKU could be filled"))
}

/// Only one worker audits at a time; what another found while it did is history.
pub(super) fn audit(facts: &Facts<'_>) -> Option<Finding> {
    let audits = || facts.told().filter_map(|stats| stats.worker.as_ref()).map(|worker| &worker.audit);
    let audit: &Audit = audits().find(|audit| audit.active).or_else(|| audits().max_by_key(|it| it.last_at_ms))?;
    let found = audit.found.values().copied().fold(0, u64::saturating_add);
    if found > 0 {
        let kinds: Vec<String> = audit
            .found
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let first = audit.findings.first().map_or_else(String::new, |first| format!(": {}", first.text));
        let text = format!("{}{first}", kinds.join(", "));
        return Some(Finding::new(Part::Audit, Level::Broken, text).next("flashctl reconcile"));
    }
    if let Some(error) = &audit.last_error {
        let text = format!("the last audit came to no end: {error}");
        return Some(Finding::new(Part::Audit, Level::Found, text).next("flashctl reconcile"));
    }
    Some(match audit.last_at_ms {
        Some(at_ms) => {
            let ago = seconds(facts.now_ms.saturating_sub(at_ms));
            Finding::ok(Part::Audit, format!("the books balance, {ago} ago · {} audits", grouped(audit.runs)))
        }
        None => Finding::new(Part::Audit, Level::Unknown, "not audited yet"),
    })
}
