//! The report of a load test as one HTML page: opens without a network, prints, and follows the reader's light or dark mode.
//!
//! Owns the page. No script, no font, no image and no link from elsewhere: charts are inline SVG, each with its words and its
//! numbers as a table for whoever cannot see it. Everything that comes from outside – names, command lines – is escaped.
//!
//! [`html`] writes, [`chart`] draws any chart on [`axis`]es, [`curves`] decides what is drawn, [`sections`] what is told.

mod axis;
mod chart;
mod contest;
mod curves;
mod html;
mod sections;

use crate::commands::loadtest::LoadtestReport;
pub(crate) use contest::contest_page;
use html::{element, escape};

/// Colours, widths, print.
const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(crate) fn page(report: &LoadtestReport) -> String {
    let run = &report.run;
    let name = if run.scenario.is_empty() { "load test" } else { run.scenario.as_str() };
    let title = format!("flashctl loadtest – {name}, {}", crate::plain::utc(run.started_at_ms));
    let mut main = sections::headline_of(report);
    main += &sections::validity(run);
    main += &sections::summary(run);
    main += &report.verdict.as_ref().map(sections::verdict).unwrap_or_default();
    main += &sections::thresholds(&report.thresholds);
    main += &report.comparison.as_ref().map(sections::comparison).unwrap_or_default();
    for chart in curves::all(run, report.baseline.as_deref()) {
        main += &chart.figure();
    }
    main += &sections::latencies(run);
    main += &sections::fairness(run);
    main += &sections::buyers(run);
    main += &sections::origin(run);
    document(&title, &main)
}

/// A page with this title and these sections.
fn document(title: &str, main: &str) -> String {
    let body = element("header", &format!("<h1>{}</h1>", escape(title))) + &element("main", main);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

#[cfg(test)]
mod tests;
