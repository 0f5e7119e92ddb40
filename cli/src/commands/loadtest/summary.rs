//! A load test's result as text: the verdict first, then what was measured.

use std::fmt::Write as _;

use flash_loadgen::{EndReason, Latency};

use super::LoadtestReport;
use crate::{table::grouped, verdict::Verdict};

/// Most SKUs listed one by one.
const MAX_SKU_LINES: usize = 20;

/// The whole text, with a line break at its end.
pub(super) fn text(report: &LoadtestReport) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    _ = write_verdict(&mut text, report);
    _ = write_measured(&mut text, report);
    text
}

fn write_verdict(text: &mut String, report: &LoadtestReport) -> std::fmt::Result {
    let Some(verdict) = &report.verdict else {
        let told = grouped(report.run.units_told);
        let conflicts = report.run.replays.conflicting;
        return writeln!(text, "NO VERDICT (not asked for) · told {told} · keys with two answers {conflicts}");
    };
    writeln!(text, "VERDICT: {}", headline(verdict))?;
    let pairs = [
        ("capacity", verdict.capacity),
        ("told", verdict.told),
        ("in MySQL", verdict.in_mysql),
        ("oversold", verdict.oversold),
        ("lost", verdict.lost),
        ("duplicate", verdict.duplicate),
    ];
    let line: Vec<String> = pairs.iter().map(|(name, count)| format!("{name} {}", grouped(*count))).collect();
    writeln!(text, "  {}", line.join(" · "))?;
    let rare = [
        ("mismatched", verdict.mismatched),
        ("contradicted", verdict.contradicted),
        ("phantom", verdict.phantom),
        ("in MySQL but never told, outcome was unknown", verdict.unannounced),
    ];
    for (name, count) in rare.iter().filter(|(_, count)| *count > 0) {
        writeln!(text, "  {name} {}", grouped(*count))?;
    }
    for finding in &verdict.findings {
        writeln!(text, "  {}: {}", finding.kind, finding.detail)?;
    }
    write_skus(text, verdict)
}

fn headline(verdict: &Verdict) -> String {
    if verdict.is_breach() {
        "BROKEN – buyers were told what is not true".to_owned()
    } else if verdict.settled {
        "OK – nothing oversold, nothing lost, nothing twice".to_owned()
    } else {
        format!("OPEN – the wait for MySQL was cut short, {} told orders not seen yet", grouped(verdict.lost))
    }
}

fn write_skus(text: &mut String, verdict: &Verdict) -> std::fmt::Result {
    if verdict.skus.len() < 2 {
        return Ok(());
    }
    writeln!(text, "  {:>12} {:>12} {:>12} {:>12} {:>9}", "SKU", "capacity", "told", "in MySQL", "oversold")?;
    // The bad ones first, so that a long list never hides them.
    let mut skus: Vec<_> = verdict.skus.iter().collect();
    skus.sort_by_key(|sku| std::cmp::Reverse(sku.oversold));
    for sku in skus.iter().take(MAX_SKU_LINES) {
        let counts = [sku.capacity, sku.told, sku.in_mysql].map(grouped);
        let [capacity, told, in_mysql] = counts;
        writeln!(text, "  {:>12} {capacity:>12} {told:>12} {in_mysql:>12} {:>9}", sku.sku_id, grouped(sku.oversold))?;
    }
    match skus.len().saturating_sub(MAX_SKU_LINES) {
        0 => Ok(()),
        more => writeln!(text, "  and {more} more"),
    }
}

fn write_measured(text: &mut String, report: &LoadtestReport) -> std::fmt::Result {
    let run = &report.run;
    let throughput = &run.throughput;
    let stock_s = throughput.stock_lasted_ms as f64 / 1_000.0;
    writeln!(text, "\nTHROUGHPUT (closed loop, {})", why_ended(run.ended))?;
    writeln!(
        text,
        "  accepted  {:>10}/s over the {stock_s:.2} s that stock lasted",
        rounded(throughput.accepted_per_s)
    )?;
    if throughput.sold_out {
        writeln!(text, "  sold out  {:>10}/s after that", rounded(throughput.sold_out_per_s))?;
    }
    let duration_s = run.duration_ms as f64 / 1_000.0;
    writeln!(text, "  requests  {:>10}/s over {duration_s:.2} s", rounded(throughput.requests_per_s))?;

    writeln!(text, "\n{:<11} {:>11} {:>9} {:>9} {:>9} {:>9}", "LATENCY", "count", "p50", "p95", "p99", "max")?;
    let latency = &run.latency;
    write_latency(text, "wins", &latency.wins)?;
    write_latency(text, "sold out", &latency.sold_out)?;
    for (name, latency) in [("refusals", &latency.refusals), ("errors", &latency.errors)] {
        if latency.count > 0 {
            write_latency(text, name, latency)?;
        }
    }
    write_counts(text, report)
}

fn write_counts(text: &mut String, report: &LoadtestReport) -> std::fmt::Result {
    let run = &report.run;
    let usual = ["WON", "SOLD_OUT"];
    let others: Vec<String> = run
        .outcomes
        .iter()
        .filter(|(name, count)| **count > 0 && !usual.contains(&name.as_str()))
        .map(|(name, count)| format!("{name} {}", grouped(*count)))
        .collect();
    let others = if others.is_empty() { "none".to_owned() } else { others.join(" · ") };
    writeln!(text, "\nERRORS AND REFUSALS  {others}")?;
    if run.doubts_open + run.doubts_refused > 0 {
        let (open, refused) = (grouped(run.doubts_open), grouped(run.doubts_refused));
        writeln!(text, "OUTCOME UNKNOWN      still {open} · refused in the end {refused}")?;
    }
    let replays = &run.replays;
    let (sent, same, unclear) = (grouped(replays.sent), grouped(replays.same), grouped(replays.unclear));
    writeln!(
        text,
        "REPEATED KEYS        {sent} · same answer {same} · another answer {} · unclear {unclear}",
        replays.conflicting
    )?;
    let lines = &run.connections;
    let counts = [lines.opened, lines.failed, lines.closed_by_server, lines.lost].map(grouped);
    let [opened, failed, closed, lost] = counts;
    writeln!(text, "CONNECTIONS          opened {opened} · failed {failed} · closed by server {closed} · lost {lost}")?;
    writeln!(text, "SEED                 {}", run.seed)
}

fn write_latency(text: &mut String, name: &str, latency: &Latency) -> std::fmt::Result {
    let figures = [latency.p50_us, latency.p95_us, latency.p99_us, latency.max_us];
    let figures = figures.map(|us| if latency.count == 0 { "–".to_owned() } else { micros(us) });
    let [p50, p95, p99, max] = figures;
    writeln!(text, "  {name:<9} {:>11} {p50:>9} {p95:>9} {p99:>9} {max:>9}", grouped(latency.count))
}

fn why_ended(reason: EndReason) -> &'static str {
    match reason {
        EndReason::StagesDone => "all stages done",
        EndReason::SoldOut => "ended when sold out",
        EndReason::Stopped => "ENDED EARLY on request",
        EndReason::RequestLimit => "ended by the bound of requests",
    }
}

fn rounded(rate: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small and not negative")]
    let whole = rate.round() as u64;
    grouped(whole)
}

/// A latency with three digits and a unit.
pub(super) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1_000.0),
        10_000..1_000_000 => format!("{:.1} ms", us as f64 / 1_000.0),
        _ => format!("{:.2} s", us as f64 / 1_000_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([7, 1_500, 25_000, 2_500_000].map(micros), ["7 µs", "1.50 ms", "25.0 ms", "2.50 s"]);
    }

    #[test]
    fn the_verdict_comes_first_and_a_breach_is_named() {
        let verdict = Verdict { settled: true, lost: 2, told: 10, ..Verdict::default() };
        let report = LoadtestReport { version: 1, verdict: Some(verdict), run: flash_loadgen::Report::default() };
        let text = text(&report);
        assert!(text.starts_with("VERDICT: BROKEN"), "{text}");
        assert!(text.lines().nth(1).unwrap().contains("told 10 · in MySQL 0 · oversold 0 · lost 2"), "{text}");
    }
}
