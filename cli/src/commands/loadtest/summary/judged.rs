//! The judged part of the text: verdict, validity, thresholds, comparison.

use std::fmt::Write as _;

use super::super::{
    LoadtestReport,
    baseline::{Change, Vanished},
};
use crate::{
    table::grouped,
    verdict::{Basis, Kind, Outcome, SkuVerdict, Verdict},
};

/// Most SKUs listed one by one.
const MAX_SKU_LINES: usize = 20;

pub(super) fn write(text: &mut String, report: &LoadtestReport) -> std::fmt::Result {
    write_verdict(text, report)?;
    write_validity(text, report)?;
    write_thresholds(text, report)?;
    write_comparison(text, report)
}

/// The verdict in one line.
pub(crate) fn headline(verdict: &Verdict) -> &'static str {
    match (verdict.outcome, verdict.basis) {
        (Outcome::Broken, _)
            if Kind::ALL.into_iter().all(|kind| kind.is_behind_the_scenes() || verdict.count(kind) == 0) =>
        {
            "BROKEN – what buyers were told is true, but units are stuck or the books disagree"
        }
        (Outcome::Broken, _) => "BROKEN – buyers were told what is not true",
        (Outcome::Clean, Basis::Witnessed) => "OK – nothing oversold, nothing lost, nothing twice",
        (Outcome::Clean, Basis::ToldAlone) => {
            "OK AS FAR AS TOLD – nothing oversold, nothing twice; log, MySQL and Redis had no say"
        }
        (Outcome::Open, _) => "OPEN – nothing found, but not everything could be judged",
        (Outcome::NotJudged, _) => "NOT JUDGED – a store fell silent; only what buyers were told was looked at",
    }
}

fn write_verdict(text: &mut String, report: &LoadtestReport) -> std::fmt::Result {
    let Some(verdict) = &report.verdict else {
        let told = grouped(report.run.units_told);
        let conflicts = report.run.replays.conflicting;
        return writeln!(text, "NO VERDICT (not asked for) · told {told} · keys with two answers {conflicts}");
    };
    writeln!(text, "VERDICT: {}", headline(verdict))?;
    let number = |count: Option<u64>| count.map_or_else(|| "unknown".to_owned(), grouped);
    let mut line = vec![format!("capacity {}", number(verdict.capacity)), format!("told {}", grouped(verdict.told))];
    let places = [("in the log", verdict.in_log), ("in MySQL", verdict.in_mysql), ("taken in Redis", verdict.in_redis)];
    line.extend(places.iter().filter_map(|(name, count)| Some(format!("{name} {}", grouped((*count)?)))));
    writeln!(text, "  {}", line.join(" · "))?;
    let kind = |kind: &Kind| {
        let name = kind.name().to_lowercase().replace('_', " ");
        if verdict.judged.contains(kind) {
            format!("{name} {}", grouped(verdict.count(*kind)))
        } else {
            format!("{name} not judged")
        }
    };
    writeln!(text, "  {}", Kind::ALL.iter().map(kind).collect::<Vec<_>>().join(" · "))?;
    if verdict.unannounced > 0 {
        writeln!(text, "  orders whose buyer never learned of them {}", grouped(verdict.unannounced))?;
    }
    for remark in &verdict.remarks {
        writeln!(text, "  note: {remark}")?;
    }
    let (shown, more) = verdict.shown();
    for finding in shown {
        writeln!(text, "  {}: {}", finding.kind.name(), finding.detail)?;
    }
    for (kind, count) in more {
        writeln!(text, "  {}: and {} more, see the JSON report", kind.name(), grouped(count as u64))?;
    }
    write_skus(text, verdict)
}

fn write_skus(text: &mut String, verdict: &Verdict) -> std::fmt::Result {
    if verdict.skus.len() < 2 {
        return Ok(());
    }
    let headings = ["SKU", "capacity", "told", "in MySQL", "live", "oversold"];
    let row = |cells: [&str; 6]| {
        let [sku, cells @ .., oversold] = cells;
        let cells: String = cells.iter().map(|cell| format!(" {cell:>11}")).collect();
        format!("  {sku:>12}{cells} {oversold:>9}")
    };
    writeln!(text, "{}", row(headings))?;
    // The bad ones first, so that a long list never hides them.
    let mut skus: Vec<&SkuVerdict> = verdict.skus.iter().collect();
    skus.sort_by_key(|sku| std::cmp::Reverse(sku.oversold));
    let number = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), grouped);
    for sku in skus.iter().take(MAX_SKU_LINES) {
        let (capacity, told, in_mysql, live) =
            (number(sku.capacity), grouped(sku.told), number(sku.in_mysql), number(sku.live));
        let cells = [&sku.sku_id, &capacity, &told, &in_mysql, &live, &grouped(sku.oversold)];
        writeln!(text, "{}", row(cells.map(String::as_str)))?;
    }
    match skus.len().saturating_sub(MAX_SKU_LINES) {
        0 => Ok(()),
        more => writeln!(text, "  and {more} more"),
    }
}

fn write_validity(text: &mut String, report: &LoadtestReport) -> std::fmt::Result {
    if report.run.validity.valid {
        return Ok(());
    }
    writeln!(text, "\nINVALID – the figures below may not be believed")?;
    report.run.validity.reasons.iter().try_for_each(|reason| writeln!(text, "  {reason}"))
}

fn write_thresholds(text: &mut String, report: &LoadtestReport) -> std::fmt::Result {
    if report.thresholds.is_empty() {
        return Ok(());
    }
    let missed = report.thresholds.iter().filter(|checked| !checked.kept).count();
    writeln!(text, "\nTHRESHOLDS: {}", if missed == 0 { "kept".to_owned() } else { format!("{missed} MISSED") })?;
    for checked in &report.thresholds {
        let mark = if checked.kept { "kept  " } else { "MISSED" };
        writeln!(text, "  {mark} {:<32} {}", checked.threshold, checked.shown)?;
    }
    Ok(())
}

fn write_comparison(text: &mut String, report: &LoadtestReport) -> std::fmt::Result {
    let Some(comparison) = &report.comparison else { return Ok(()) };
    let since = crate::plain::utc(comparison.baseline_started_at_ms);
    if let Some(reason) = &comparison.refused {
        return writeln!(text, "\nNOT COMPARED with the baseline of {since}: {reason}");
    }
    let verdict = match comparison.worse() {
        0 => "nothing worse".to_owned(),
        worse => format!("{worse} WORSE"),
    };
    writeln!(text, "\nBASELINE of {since}: {verdict} (by more than {} % and noise)", comparison.bound_percent)?;
    writeln!(text, "  {:<16} {:>12} {:>12} {:>9} {:>8}", "", "before", "now", "change", "noise")?;
    for figure in &comparison.figures {
        let mark = match figure.change {
            Change::Worse => "WORSE",
            Change::Same => "",
            Change::Better => "better",
        };
        let [before, now] = &figure.shown;
        let change = match figure.before {
            // Nothing is a hundred times nothing.
            0.0 => "–".to_owned(),
            before => format!("{:+.1}%", (figure.now / before - 1.0) * 100.0),
        };
        let noise = figure.noise_percent;
        let line = format!("  {:<16} {before:>12} {now:>12} {change:>9} {noise:>7.1}% {mark}", figure.metric);
        writeln!(text, "{}", line.trim_end())?;
    }
    let vanished =
        |gone: &Vanished| format!("  {:<16} {:>12} {:>12} {:>9} {:>8} WORSE", gone.metric, gone.shown, "–", "–", "–");
    comparison.vanished.iter().try_for_each(|gone| writeln!(text, "{}", vanished(gone)))?;
    comparison.remarks.iter().try_for_each(|remark| writeln!(text, "  note: {remark}"))
}

#[cfg(test)]
mod tests {
    use flash_loadgen::Report;

    use super::*;
    use crate::verdict::Finding;

    #[test]
    fn the_verdict_comes_first_and_a_breach_is_named() {
        let verdict = Verdict {
            outcome: Outcome::Broken,
            counts: [(Kind::Lost, Some(2))].into(),
            judged: Kind::ALL.into_iter().collect(),
            told: 10,
            in_mysql: Some(8),
            findings: vec![Finding { kind: Kind::Lost, order_id: None, detail: "an order".to_owned() }; 47],
            ..Verdict::default()
        };
        let text = LoadtestReport::new(Some(verdict), Report::default()).text();
        assert!(text.starts_with("VERDICT: BROKEN"), "{text}");
        assert_eq!(text.lines().nth(1).unwrap(), "  capacity unknown · told 10 · in MySQL 8", "{text}");
        assert!(text.lines().nth(2).unwrap().starts_with("  oversold 0 · lost 2 · duplicate 0 · stuck 0"), "{text}");
        assert_eq!(
            (text.matches("LOST: an order").count(), text.matches("LOST: and 37 more").count()),
            (10, 1),
            "{text}"
        );
    }

    #[test]
    fn a_headline_accuses_of_what_was_found() {
        let of = |kind| Verdict { outcome: Outcome::Broken, counts: [(kind, Some(1))].into(), ..Verdict::default() };
        assert!(headline(&of(Kind::Stuck)).contains("stuck"), "no buyer was told anything wrong");
        assert!(headline(&of(Kind::Oversold)).contains("not true"));
    }

    #[test]
    fn what_may_not_be_believed_says_so() {
        let mut report = LoadtestReport::new(None, Report::default());
        report.run.validity.valid = false;
        report.run.validity.reasons = vec!["too slow".to_owned()];
        report.check(&["win.p99<1ms".parse().unwrap()]);
        let text = report.text();
        assert!(text.contains("INVALID") && text.contains("too slow") && text.contains("MISSED win.p99<1ms"), "{text}");
    }
}
