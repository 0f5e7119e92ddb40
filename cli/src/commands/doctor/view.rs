//! How findings and losses are told, to people and to programs.

use serde_json::{Value, json};

use super::{
    finding::{Finding, Level},
    losses::Loss,
};
use crate::{
    plain::harmless,
    report::Failure,
    table::{self, Align},
    terminal::Terminal,
};

/// Version of the JSON answer.
const VERSION: u32 = 1;

/// For people: one line per check, below it why it matters and what to do.
pub(super) fn text(findings: &[Finding], losses: &[Loss], terminal: &Terminal) -> Result<(), Failure> {
    let headings = [("GROUP", Align::Left), ("STATE", Align::Left), ("CHECK", Align::Left), ("VALUE", Align::Left)];
    let row = |finding: &Finding| {
        let words = [finding.group, finding.level.as_str(), finding.check];
        words.map(str::to_owned).into_iter().chain([harmless(&finding.value)]).collect()
    };
    let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
    let mut lines = table::lines(&headings, &rows).into_iter();
    lines.next().map_or(Ok(()), |heading| terminal.answer(&heading))?;
    for (line, finding) in lines.zip(findings) {
        terminal.answer(&line)?;
        if !finding.why.is_empty() {
            terminal.answer(&format!("    why:    {}", finding.why))?;
            terminal.answer(&format!("    remedy: {}", finding.remedy))?;
        }
    }
    terminal.answer("")?;
    terminal.answer("What this deployment would lose")?;
    for Loss { failure, loses, sentence } in losses {
        terminal.answer(&format!("  {failure} [{}]: {sentence}", word(*loses)))?;
    }
    terminal.answer("")?;
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let counts = [Level::Ok, Level::Warn, Level::Bad, Level::NotAsked]
        .map(|level| format!("{} {}", count(level), level.as_str()));
    terminal.answer(&counts.join(" · "))
}

const fn word(loses: Option<bool>) -> &'static str {
    match loses {
        Some(true) => "LOSES",
        Some(false) => "keeps",
        None => "depends",
    }
}

/// For programs.
pub(super) fn json(findings: &[Finding], losses: &[Loss]) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "group": finding.group,
            "check": finding.check,
            "state": finding.level.as_str().replace(' ', "_"),
            "value": finding.value,
            "why": finding.why,
            "remedy": finding.remedy,
        })
    };
    let loss = |loss: &Loss| json!({ "failure": loss.failure, "loses": loss.loses, "sentence": loss.sentence });
    json!({
        "version": VERSION,
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
        "losses": losses.iter().map(loss).collect::<Vec<_>>(),
    })
}
