//! The page of `flashctl compare`: its table and its notes.

use super::{
    document,
    html::{element, escape, paragraph, section, table},
};
use crate::{
    commands::compare::{CompareReport, headline, notes, quotients, rows},
    exit::Exit,
    plain::utc,
};

/// The whole page.
pub(crate) fn contest_page(report: &CompareReport) -> String {
    let began = report.turns.first().map(|turn| format!(", {}", utc(turn.run.started_at_ms))).unwrap_or_default();
    let kept = if report.exit() == Exit::Ok { "good" } else { "bad" };
    let mut main = format!("<p class=\"banner {kept}\"><strong>{}</strong></p>\n", escape(&headline(report)));
    let rows = rows(report);
    let headings: Vec<&str> = rows[0].iter().map(String::as_str).collect();
    main += &table(quotients(report).unwrap_or("What was measured"), &headings, &rows[1..]);
    let notes: String = notes(report).iter().map(|note| paragraph(note)).collect();
    main += &section("How it was made", &element("div", &notes));
    document(&format!("flashctl compare{began}"), &main)
}
