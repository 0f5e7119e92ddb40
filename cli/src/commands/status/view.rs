//! The answer of `status`: daemons, parts, one line about all of it.

use serde_json::{Value, json};

use super::judge::{Check, DaemonRow, Level, Status, bytes, seconds};
use crate::{
    plain::harmless,
    report::Failure,
    table::{self, Align},
    terminal::Terminal,
};

/// Version of the JSON answer.
const VERSION: u32 = 1;

/// For people.
pub(super) fn text(status: &Status, terminal: &Terminal) -> Result<(), Failure> {
    lines(status).iter().try_for_each(|line| terminal.answer(line))
}

fn lines(status: &Status) -> Vec<String> {
    let headings = ["DAEMON", "STATE", "ROLE", "NODE", "UP", "MEMORY", "BUILD"];
    let rows: Vec<Vec<String>> = status.daemons.iter().map(row).collect();
    let mut lines = table::lines(&headings.map(|heading| (heading, Align::Left)), &rows);
    let checks: Vec<Vec<String>> = status.checks.iter().filter(|check| is_told(check)).map(cells).collect();
    if !checks.is_empty() {
        lines.push(String::new());
        lines.extend(table::lines(&["PART", "STATE", "DETAIL"].map(|heading| (heading, Align::Left)), &checks));
    }
    lines.push(String::new());
    lines.push(summary(status));
    lines.extend(hint(status).map(|hint| format!("next: {hint}")));
    lines
}

/// A daemon that is well has its line in the first table.
fn is_told(check: &Check) -> bool {
    check.part != "daemon" || check.level != Level::Ok
}

fn row(row: &DaemonRow) -> Vec<String> {
    let unknown = || "–".to_owned();
    let url = row.url.clone();
    let Ok(stats) = &row.told else {
        return vec![url, "silent".to_owned(), unknown(), unknown(), unknown(), unknown(), unknown()];
    };
    let state = match () {
        () if !stats.ready => "not ready",
        () if stats.draining => "draining",
        () if stats.paused.is_some() => "paused",
        () => "ready",
    };
    vec![
        url,
        state.to_owned(),
        harmless(&stats.role),
        stats.node.map_or_else(unknown, |node| node.to_string()),
        seconds(stats.uptime_ms),
        stats.process.resident_bytes.map_or_else(unknown, bytes),
        harmless(&stats.build),
    ]
}

fn cells(check: &Check) -> Vec<String> {
    let daemon = check.daemon.as_ref().map_or_else(String::new, |daemon| format!("{daemon}: "));
    vec![check.part.to_owned(), check.level.as_str().to_owned(), format!("{daemon}{}", check.detail)]
}

fn summary(status: &Status) -> String {
    let parts = |level| {
        let mut parts: Vec<&str> = Vec::new();
        for check in status.checks.iter().filter(|check| check.level == level) {
            if !parts.contains(&check.part) {
                parts.push(check.part);
            }
        }
        parts.join(", ")
    };
    match (parts(Level::Down), parts(Level::Found)) {
        (down, found) if down.is_empty() && found.is_empty() => format!("OK – {}", status.figures.state),
        (down, found) if down.is_empty() => format!("FOUND – {found}; {}", status.figures.state),
        (down, found) if found.is_empty() => format!("DOWN – {down}; {}", status.figures.state),
        (down, found) => format!("DOWN – {down}; found – {found}; {}", status.figures.state),
    }
}

/// What to do about the worst of it.
fn hint(status: &Status) -> Option<&'static str> {
    let worst = status.worst();
    status.checks.iter().filter(|check| check.level == worst).find_map(|check| check.hint)
}

/// For programs.
pub(super) fn json(status: &Status) -> Value {
    let daemon = |row: &DaemonRow| match &row.told {
        Ok(stats) => json!({
            "url": row.url,
            "answers": true,
            "ready": stats.ready,
            "reasons": stats.unready,
            "draining": stats.draining,
            "paused": stats.paused,
            "role": stats.role,
            "node": stats.node,
            "instance": stats.instance,
            "build": stats.build,
            "uptimeMs": stats.uptime_ms,
        }),
        Err(reason) => json!({ "url": row.url, "answers": false, "reason": reason }),
    };
    let check = |check: &Check| {
        json!({
            "part": check.part,
            "state": check.level.as_str(),
            "daemon": check.daemon,
            "detail": check.detail,
            "hint": check.hint,
        })
    };
    json!({
        "version": VERSION,
        "atMs": status.figures.at_ms,
        "verdict": status.worst().as_str(),
        "state": status.figures.state,
        "daemons": status.daemons.iter().map(daemon).collect::<Vec<_>>(),
        "parts": status.checks.iter().map(check).collect::<Vec<_>>(),
        "stock": status.figures.stock,
        "lag": status.figures.lag,
        "epoch": status.figures.epoch,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::status::judge::judge,
        live::{Sample, Seen, Told},
    };

    #[test]
    fn one_that_is_silent_is_said_to_be_and_what_to_do() {
        let told = Told::Failed("connection refused".to_owned());
        let seen = Seen { url: "http://h:1".to_owned(), took_ms: 0, told };
        let status = judge(&Sample { at_ms: 1, daemons: vec![seen] });
        let lines = lines(&status);
        assert_eq!(lines[1], "http://h:1  silent  –     –     –   –       –");
        assert_eq!(lines[4], "daemon  down   http://h:1: connection refused");
        assert_eq!(lines[6..], ["DOWN – daemon; unreachable", "next: flashctl doctor"]);
        let json = json(&status);
        assert_eq!((&json["verdict"], &json["daemons"][0]["answers"]), (&json!("down"), &json!(false)));
        assert_eq!(json["stock"], Value::Null);
    }
}
