use std::collections::BTreeMap;

use flash_core::stats;
use flash_loadgen::{Distributions, Latencies, Latency, Moment, Pacing, Report, Spread, StockPoint};

use super::*;
use crate::verdict::{Finding, Kind, Outcome, Verdict};

/// A run with everything in it, and with names that try to become markup.
fn full() -> LoadtestReport {
    let spread = |us| Spread { count: 100, p50_us: us, p95_us: us * 2, p99_us: us * 3, max_us: us * 9 };
    let moment = |second: u64| Moment {
        at_ms: second * 1_000,
        due: 1_000,
        started: 1_000,
        wins: 200 / (second + 1),
        sold_out: second * 100,
        latency: if second == 4 { Spread::default() } else { spread(900 + second * 50) },
        service: spread(500),
        ..Moment::default()
    };
    let latency = Latency { count: 5_000, p50_us: 900, p99_us: 3_000, max_us: 9_000, ..Latency::default() };
    let latencies = Latencies { wins: latency, sold_out: latency, ..Latencies::default() };
    let histogram = stats::Histogram::of((0..200).map(|n| n * 3), 1);
    let histograms = Distributions { wins: histogram.clone(), sold_out: histogram, ..Distributions::default() };
    let mut run = Report {
        scenario: "<script>alert(1)</script>".to_owned(),
        schedule: "constant 1000/s & more".to_owned(),
        pacing: Pacing::Open,
        slice_ms: 1_000,
        timeline: (0..12).map(moment).collect(),
        stock: (0..12)
            .map(|s| StockPoint { at_ms: s * 1_000, available: Some(1_200 - s * 100), by_sku: vec![] })
            .collect(),
        latency: latencies,
        service: latencies,
        latency_histograms: histograms.clone(),
        service_histograms: histograms,
        wins: 600,
        outcomes: BTreeMap::from([("WON".to_owned(), 600)]),
        ..Report::default()
    };
    run.throughput.sold_out = true;
    run.throughput.stock_lasted_ms = 3_500;
    run.throughput.sold_out_after_ms = Some(3_500);
    run.fairness.overall.winners = 600;
    run.host.command_line = "flashctl loadtest --name \"a & b\" https://example.org".to_owned();
    let finding = Finding { kind: Kind::Lost, order_id: Some("7".into()), detail: "</td> is not \u{1b}[31m".into() };
    let verdict = Verdict {
        outcome: Outcome::Broken,
        counts: [(Kind::Lost, Some(1))].into(),
        findings: vec![finding],
        ..Verdict::default()
    };
    let mut report = LoadtestReport::new(Some(verdict), run.clone());
    report.baseline = Some(Box::new(run));
    report
}

/// Every element that is opened is closed, in order; attributes are quoted. What a strict parser would refuse, this refuses.
fn check_nesting(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>\n").unwrap();
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "a stray > in {:?}", &rest[..at]);
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closing {name}");
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "element {name:?}");
        assert!(tag.matches('"').count().is_multiple_of(2) && !tag.contains('<'), "attributes of <{tag}>");
        if name == "style" {
            let close = rest.find("</style>").unwrap();
            rest = &rest[close + "</style>".len()..];
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn the_page_is_well_formed_with_everything_and_with_nothing() {
    check_nesting(&page(&full()));
    check_nesting(&page(&LoadtestReport::new(None, Report::default())));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = page(&full());
    // The command line may mention an address, as text. Nothing may fetch one.
    for word in
        ["src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "<object", "srcset", "onload", "onclick"]
    {
        assert!(!page.contains(word), "{word}");
    }
    assert_eq!(page.matches("http").count(), 1, "only the text of the command line");
}

#[test]
fn foreign_text_stays_text() {
    let page = page(&full());
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("&lt;/td&gt; is not \u{FFFD}[31m"));
    assert!(page.contains("constant 1000/s &amp; more"));
}

#[test]
fn every_chart_has_words_and_numbers() {
    let page = page(&full());
    assert_eq!(page.matches("role=\"img\"").count(), 4);
    assert_eq!(page.matches("<desc ").count(), 4);
    assert_eq!(page.matches("<details>").count(), 4);
    assert!(page.contains("VERDICT: BROKEN") && page.contains("sold out of the baseline"));
}

#[test]
fn a_gap_is_a_gap() {
    let page = page(&full());
    let line = page.lines().find(|line| line.contains("class=\"line l3\" d=\"M") && !line.contains("sample")).unwrap();
    assert_eq!(line.matches('M').count(), 2, "the pen is lifted where a slice has no answers: {line}");
}

#[test]
fn what_was_not_measured_is_no_zero() {
    let mut report = full();
    report.run.latency.wins = Latency::default();
    let page = page(&report);
    assert!(page.contains("<b>–</b>wins: 99 % within") && page.contains("Nobody won."), "{page}");
    assert!(!page.contains("<b>0 µs</b>") && !page.contains("within 0 µs"));
}

#[test]
fn a_finding_stands_out_and_a_sentence_is_set_as_one() {
    let mut report = full();
    let verdict = report.verdict.as_mut().unwrap();
    verdict.judged = [Kind::Lost, Kind::Oversold].into();
    verdict.findings[0].detail = "a sentence that is far too long to stand to the right like a number".to_owned();
    let page = page(&report);
    assert!(
        page.contains("<li class=\"hit\"><b>1</b>LOST</li>") && page.contains("<li><b>0</b>OVERSOLD</li>"),
        "{page}"
    );
    assert!(page.contains("<td class=\"text\">a sentence"), "{page}");
    check_nesting(&page);
}
