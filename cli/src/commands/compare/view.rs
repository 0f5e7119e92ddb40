//! The comparison as text: the table, what must be known to read it, and how it was made.

use std::fmt::Write as _;

use flash_loadgen::Pacing;

use super::{CompareReport, Contestant, figures::Figures, result::Relative};
use crate::{
    commands::loadtest::{measured, micros, rounded},
    table::{self, Align, grouped},
};

/// Findings of one turn that are told; the document has more.
const FINDINGS: usize = 5;

/// A server as people call it.
pub(crate) const fn title(server: Contestant) -> &'static str {
    match server {
        Contestant::Mysql => "MySQL",
        Contestant::MysqlLock => "MySQL + lock",
        Contestant::RedisMysql => "Redis + MySQL",
        Contestant::Flashd => "flashd",
    }
}

/// What stands under the title, for whoever wants to know.
const fn what_it_does(server: Contestant) -> &'static str {
    match server {
        Contestant::Mysql => "naive: SELECT stock, UPDATE stock = ?, INSERT order in one transaction",
        Contestant::MysqlLock => "naive: the same with SELECT … FOR UPDATE",
        Contestant::RedisMysql => "naive: DECRBY in Redis, INSERT in MySQL, then the answer",
        Contestant::Flashd => "the product: Redis decides, the log is the truth, MySQL the view",
    }
}

/// How a line of the table is read from a server's figures.
type Cell = fn(&Figures, &Relative) -> String;

const LINES: [(&str, Cell); 14] = [
    ("units for sale", |figures, _| grouped(figures.tickets)),
    ("units told", |figures, _| grouped(figures.told)),
    ("OVERSOLD", |figures, _| grouped(figures.oversold)),
    ("LOST", |figures, _| grouped(figures.lost)),
    ("orders nobody was told", |figures, _| grouped(figures.unannounced)),
    ("accepted/s", |figures, relative| with(rounded(figures.accepted_per_s), relative.accepted)),
    ("sold out after", |figures, _| {
        figures.sold_out_after_ms.map_or_else(|| "never".to_owned(), |ms| micros(ms * 1_000))
    }),
    ("answers/s", |figures, _| rounded(figures.answers_per_s)),
    ("win p50", |figures, relative| with(measured(&figures.win, figures.win.p50_us), relative.p50)),
    ("win p95", |figures, relative| with(measured(&figures.win, figures.win.p95_us), relative.p95)),
    ("win p99", |figures, relative| with(measured(&figures.win, figures.win.p99_us), relative.p99)),
    ("sold out p95", |figures, _| measured(&figures.sold_out, figures.sold_out.p95_us)),
    ("errors", |figures, _| grouped(figures.errors)),
    ("buyers never served", |figures, _| grouped(figures.never_served)),
];

/// The table: a line per figure, a column per server that had its turn. The first row is the heading.
pub(crate) fn rows(report: &CompareReport) -> Vec<Vec<String>> {
    let columns: Vec<(Contestant, Figures)> =
        Contestant::ALL.into_iter().filter_map(|server| Some((server, report.shown(server)?))).collect();
    let heading = columns.iter().map(|(server, _)| title(*server).to_owned());
    let mut rows = vec![std::iter::once(String::new()).chain(heading).collect()];
    for (name, cell) in LINES {
        let cells = columns.iter().map(|(_, figures)| cell(figures, &report.relative(figures)));
        rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
    }
    let invalid = |server: Contestant| {
        let invalid = report.of(server).filter(|turn| turn.figures.invalid).count();
        format!("{invalid} of {}", report.of(server).count())
    };
    let cells = columns.iter().map(|(server, _)| invalid(*server));
    rows.push(std::iter::once("INVALID turns".to_owned()).chain(cells).collect());
    rows
}

/// The whole text.
pub(super) fn text(report: &CompareReport) -> String {
    let mut text = format!("{}\n\n", headline(report));
    let rows = rows(report);
    let headings: Vec<(&str, Align)> = rows[0]
        .iter()
        .enumerate()
        .map(|(index, name)| (name.as_str(), if index == 0 { Align::Left } else { Align::Right }))
        .collect();
    // Writing to a String cannot fail.
    for line in table::lines(&headings, &rows[1..]) {
        _ = writeln!(text, "{line}");
    }
    if let Some(quotients) = quotients(report) {
        _ = writeln!(text, "\n{quotients}");
    }
    for line in notes(report) {
        _ = writeln!(text, "{line}");
    }
    text
}

/// What the signs in the table mean; `None` where there is nothing to compare with.
pub(crate) fn quotients(report: &CompareReport) -> Option<&'static str> {
    let first = report.shown(Contestant::Mysql);
    first.map(|_| "×, ÷: so many times, or so small a part of, what the first naive server has")
}

/// The first line: what it is about, and whether flashd kept its word. Nothing is said of a server but that it had no turn where it
/// had none.
pub(crate) fn headline(report: &CompareReport) -> String {
    let turns: Vec<&Figures> = report.of_flashd().collect();
    let flashd = if turns.is_empty() {
        "flashd had no turn".to_owned()
    } else if let Some(broken) = turns.iter().find(|figures| !figures.broken.is_empty()) {
        format!("flashd BROKE ITS WORD: {}", broken.broken.join(", "))
    } else if turns.iter().all(|figures| figures.clean == Some(true)) {
        "flashd oversold nothing and lost nothing".to_owned()
    } else {
        "what flashd told could not be judged".to_owned()
    };
    let naive = match report.shown(Contestant::Mysql) {
        Some(figures) => {
            let [more, tickets] = [figures.oversold, report.tickets].map(grouped);
            format!("the first naive server gave away {more} units more than the {tickets} there were")
        }
        None => "the first naive server had no turn".to_owned(),
    };
    let played = report.turns.len();
    let invalid = match report.invalid_turns {
        0 => String::new(),
        turns => format!(" – INVALID in {turns} of {played} turns: the generator fell behind"),
    };
    let incomplete = match (report.ended_early, &report.failure) {
        (false, _) => "",
        (true, None) => " – INCOMPLETE: ended early",
        (true, Some(_)) => " – INCOMPLETE: a turn failed",
    };
    format!("{flashd}; {naive}{invalid}{incomplete}")
}

/// Everything that must be known to read the table.
pub(crate) fn notes(report: &CompareReport) -> Vec<String> {
    let mut lines = Vec::new();
    if report.ended_early {
        lines.push("ENDED EARLY          not every server had its whole turn".to_owned());
    }
    // Of a failure that shows what a process said last, the whole goes to stderr.
    let failure = report.failure.iter().filter_map(|failure| failure.lines().next());
    lines.extend(failure.map(|failure| format!("FAILED               {failure}")));
    for server in Contestant::ALL {
        let Some(figures) = report.shown(server) else { continue };
        lines.push(format!("{:<20} {}", title(server), what_it_does(server)));
        lines.extend(figures.remarks.into_iter().map(|remark| format!("{:<20} ! {remark}", "")));
    }
    let findings = report
        .turns
        .iter()
        .filter_map(|turn| turn.verdict.as_ref())
        .flat_map(|verdict| verdict.findings.iter().take(FINDINGS));
    lines.extend(findings.map(|finding| format!("{:<20} {}: {}", "BROKEN", finding.kind.name(), finding.detail)));
    let order: Vec<&str> = report.turns.iter().map(|turn| title(turn.server)).collect();
    let pool = if report.pacing == Pacing::Open {
        format!(", {} connections", grouped(report.connections))
    } else {
        String::new()
    };
    lines.extend([
        format!("SCHEDULE             {}, {}{pool}, seed {}: the same users at the same times", report.pacing.name(), report.schedule, report.seed),
        format!("ORDER                {}; one at a time, each warmed up with 1,000 purchases of another SKU, 2 s of rest in between", order.join(" → ")),
        "JUDGED               every 200 against the server's own orders; flashd against log, MySQL and Redis".to_owned(),
    ]);
    let host = &report.host;
    let servers: Vec<String> = host.servers.iter().map(|(name, version)| format!("{name} {version}")).collect();
    lines.extend([
        format!(
            "HOST                 {} · {} cores for generator, server and stores together · {} · load {:.2} at the start",
            host.cpu, host.cores, host.kernel, host.load_1m
        ),
        format!("VERSIONS             {}", servers.join(" · ")),
        format!("COMMAND              {}", host.command_line),
    ]);
    lines
}

/// A figure with its quotient.
fn with(figure: String, quotient: Option<f64>) -> String {
    let Some(quotient) = quotient else { return figure };
    let (sign, times) = if quotient >= 1.0 { ('×', quotient) } else { ('÷', 1.0 / quotient) };
    if times < 9.95 { format!("{figure} {sign}{times:.1}") } else { format!("{figure} {sign}{times:.0}") }
}

#[cfg(test)]
mod tests;
