//! How daemons, plans and their outcome are shown.

use serde_json::{Value, json};

use super::standing::standing;
use super::verb::{Done, LeftOut, NotDone, Step, Verb};
use crate::{
    live::{Sample, Seen, Told},
    plain::harmless,
    table::{self, Align},
};

/// Version of the JSON answers.
const DAEMONS_VERSION: u32 = 1;

/// A table of all of them.
pub(super) fn list(sample: &Sample) -> Vec<String> {
    let headings = [
        ("ADMIN", Align::Left),
        ("ROLE", Align::Left),
        ("NODE", Align::Right),
        ("STATE", Align::Left),
        ("UP", Align::Right),
        ("VERSION", Align::Left),
    ];
    let row = |seen: &Seen| match &seen.told {
        Told::Stats(stats) => vec![
            seen.url.clone(),
            harmless(&stats.role),
            stats.node.map_or_else(|| "-".to_owned(), |node| node.to_string()),
            standing(stats),
            uptime(stats.uptime_ms),
            harmless(&stats.build),
        ],
        Told::Failed(why) => {
            let blank = || "-".to_owned();
            vec![seen.url.clone(), blank(), blank(), format!("no answer: {}", harmless(why)), blank(), blank()]
        }
    };
    table::lines(&headings, &sample.daemons.iter().map(row).collect::<Vec<_>>())
}

/// What each logs.
pub(super) fn filters(sample: &Sample) -> Vec<String> {
    let filter = |seen: &Seen| match &seen.told {
        Told::Stats(stats) => format!("{}  {}", seen.url, harmless(&stats.log_filter)),
        Told::Failed(why) => format!("{}  no answer: {}", seen.url, harmless(why)),
    };
    sample.daemons.iter().map(filter).collect()
}

/// All of them, for programs.
pub(super) fn list_json(sample: &Sample) -> String {
    let daemon = |seen: &Seen| match &seen.told {
        Told::Stats(stats) => json!({
            "url": seen.url,
            "instance": stats.instance,
            "role": stats.role,
            "node": stats.node,
            "ready": stats.ready,
            "unready": stats.unready,
            "draining": stats.draining,
            "paused": stats.paused,
            "logFilter": stats.log_filter,
            "uptimeMs": stats.uptime_ms,
            "build": stats.build,
        }),
        Told::Failed(why) => json!({ "url": seen.url, "error": why }),
    };
    let daemons: Vec<Value> = sample.daemons.iter().map(daemon).collect();
    json!({ "version": DAEMONS_VERSION, "daemons": daemons }).to_string()
}

/// What is going to happen, line by line.
pub(super) fn plan(verb: &Verb, plan: &[Step]) -> Vec<String> {
    let line = |step: &Step| match &step.about {
        Ok(about) => format!("  {} ({about})  {}", step.url, verb.means()),
        Err(left_out) => format!("  {}  left out: {}", step.url, why_left_out(left_out)),
    };
    std::iter::once(format!("plan: {}", verb.name())).chain(plan.iter().map(line)).collect()
}

/// A plan that is not carried out, for programs.
pub(super) fn dry_run(verb: &Verb, plan: &[Step]) -> String {
    let step = |step: &Step| match &step.about {
        Ok(_) => json!({ "url": step.url, "planned": true }),
        Err(left_out) => json!({ "url": step.url, "planned": false, "error": why_left_out(left_out) }),
    };
    let daemons: Vec<Value> = plan.iter().map(step).collect();
    json!({ "version": DAEMONS_VERSION, "verb": verb.name(), "dryRun": true, "daemons": daemons }).to_string()
}

/// What has happened, line by line.
pub(super) fn done(verb: &Verb, done: &[Done]) -> Vec<String> {
    let line = |one: &Done| match &one.result {
        Ok(()) => format!("{}  {}", one.url, verb.means()),
        Err(why) => format!("{}  {}", one.url, why_not(why)),
    };
    done.iter().map(line).collect()
}

/// What has happened, for programs.
pub(super) fn done_json(verb: &Verb, done: &[Done]) -> String {
    let one = |one: &Done| match &one.result {
        Ok(()) => json!({ "url": one.url, "done": true }),
        Err(why) => json!({ "url": one.url, "done": false, "error": why_not(why) }),
    };
    let daemons: Vec<Value> = done.iter().map(one).collect();
    json!({ "version": DAEMONS_VERSION, "verb": verb.name(), "daemons": daemons }).to_string()
}

fn why_not(why: &NotDone) -> String {
    match why {
        NotDone::LeftOut(left_out) => format!("left out: {}", why_left_out(left_out)),
        NotDone::Silent(why) => format!("may or may not have done it: {}", harmless(why)),
        NotDone::Refused(why) => format!("refused: {}", harmless(why)),
    }
}

fn why_left_out(left_out: &LeftOut) -> String {
    match left_out {
        LeftOut::Silent(why) => format!("no answer: {}", harmless(why)),
        LeftOut::Idle(why) => (*why).to_owned(),
    }
}

/// `2d 3h`, `3h 4m`, `4m 5s` or `5s`.
fn uptime(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let told = [5_000, 65_000, 3_600_000 * 3, 86_400_000 * 2 + 3_600_000].map(uptime);
        assert_eq!(told, ["5s", "1m 5s", "3h 0m", "2d 1h"]);
    }
}
