//! Which curves a run has.

use flash_core::stats::{Histogram, bucket_of, highest_up_to_us};
use flash_loadgen::{Moment, Pacing, Report, Spread};

use super::axis::{Axis, Scale};
use super::chart::{Chart, Line};
use crate::commands::loadtest::micros;
use crate::table::grouped;

/// Most SKUs with a stock curve of their own: as many as can be told apart.
const SKU_LINES: usize = 5;
/// Points of a percentile curve.
const PERCENTILES: u32 = 160;
/// Where a percentile curve ends: 1 in a hundred thousand.
const FINEST: f64 = 5.0;
const CLASSES: [&str; 6] = ["l1", "l2", "l3", "l4", "l5", "l6"];

/// Every chart of a run; those without anything to draw vanish by themselves.
pub(super) fn all(run: &Report, baseline: Option<&Report>) -> Vec<Chart> {
    vec![latency_over_time(run), percentiles(run, baseline), outcomes(run), stock(run)]
}

fn seconds(label: &'static str) -> Axis {
    Axis { label, scale: Scale::Linear, text: |s| format!("{}", (s * 10.0).round() / 10.0) }
}

fn time(label: &'static str) -> Axis {
    Axis { label, scale: Scale::Log, text: |us| micros(whole(us)) }
}

/// A line over the slices of a run.
fn over_time(run: &Report, name: &str, class: &'static str, value: impl Fn(&Moment) -> Option<u64>) -> Line {
    let at = |slice: &Moment| slice.at_ms as f64 / 1_000.0;
    let points = run.timeline.iter().map(|slice| (at(slice), value(slice).map(|value| value as f64)));
    Line { name: name.to_owned(), class, points: points.collect() }
}

/// When everything was gone for the first time.
fn marks(run: &Report) -> Vec<(f64, String)> {
    let mark = |at_ms: u64| (at_ms as f64 / 1_000.0, "sold out".to_owned());
    run.throughput.sold_out_after_ms.map(mark).into_iter().collect()
}

fn latency_over_time(run: &Report) -> Chart {
    let some = |spread: Spread, point: fn(Spread) -> u64| (spread.count > 0).then(|| point(spread));
    let open = run.pacing == Pacing::Open;
    let from = if open { "counted from the intended start" } else { "as each buyer got round to asking" };
    let mut lines = vec![
        over_time(run, "p50", "l3", |slice| some(slice.latency, |spread| spread.p50_us)),
        over_time(run, "p99", "l1", |slice| some(slice.latency, |spread| spread.p99_us)),
        over_time(run, "slowest", "l6", |slice| some(slice.latency, |spread| spread.max_us)),
    ];
    if open {
        lines.push(over_time(run, "p99 of one request", "l2", |slice| some(slice.service, |spread| spread.p99_us)));
    }
    let all = run.timeline.iter().filter(|slice| slice.latency.count > 0).map(|slice| slice.latency.p99_us);
    let (low, high) = (all.clone().min().unwrap_or(0), all.max().unwrap_or(0));
    Chart {
        id: "latency-over-time",
        title: "Latency over time",
        words: format!(
            "Latency of all answers, {from}, slice by slice on a logarithmic axis. The 99th percentile lies between {} and {}.",
            micros(low),
            micros(high)
        ),
        x: seconds("seconds since the start"),
        y: time("latency"),
        lines,
        marks: marks(run),
    }
}

fn percentiles(run: &Report, baseline: Option<&Report>) -> Chart {
    let (latency, service) = (&run.latency_histograms, &run.service_histograms);
    let mut lines = vec![
        curve("wins", "l1", &latency.wins, run.latency.wins.max_us),
        curve("wins, one request", "l2", &service.wins, run.service.wins.max_us),
        curve("sold out", "l3", &latency.sold_out, run.latency.sold_out.max_us),
        curve("sold out, one request", "l4", &service.sold_out, run.service.sold_out.max_us),
    ];
    if let Some(baseline) = baseline {
        let (histograms, exact) = (&baseline.latency_histograms, &baseline.latency);
        lines.push(curve("wins of the baseline", "l5", &histograms.wins, exact.wins.max_us));
        lines.push(curve("sold out of the baseline", "l6", &histograms.sold_out, exact.sold_out.max_us));
    }
    lines.retain(|line| !line.points.is_empty());
    let wins = &run.latency.wins;
    let of_wins = if wins.count == 0 {
        "Nobody won.".to_owned()
    } else {
        let [half, most, slowest] = [wins.p50_us, wins.p99_us, wins.max_us].map(micros);
        format!("Wins: half within {half}, 99 % within {most}, the slowest {slowest}.")
    };
    Chart {
        id: "percentiles",
        title: "Latency by percentile",
        words: format!(
            "How long the given share of buyers waited at most; both axes logarithmic, so that the slowest few have room. \
             {of_wins}",
        ),
        // One in how many is slower: 2 is the median, 100 the 99th percentile.
        x: Axis { label: "percentile", scale: Scale::Log, text: percentile },
        y: time("latency"),
        lines,
        marks: Vec::new(),
    }
}

/// `1 in 100 is slower` as a percentile.
fn percentile(one_in: f64) -> String {
    let percent = 100.0 - 100.0 / one_in;
    // Enough digits that no two points of a curve are called the same.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 7")]
    let digits = one_in.log10().ceil().max(1.0) as usize;
    let text = format!("{percent:.digits$}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// One distribution from the median outwards, as far as there are samples. Its buckets say at most a sixteenth too much, but
/// nothing took longer than the slowest.
fn curve(name: &str, class: &'static str, histogram: &Histogram, slowest_us: u64) -> Line {
    let count = histogram.count() as f64;
    let points = (0..=PERCENTILES).map(|step| 10_f64.powf(FINEST * f64::from(step) / f64::from(PERCENTILES)));
    let points = points.filter(|one_in| *one_in <= count);
    let at = |one_in: f64| {
        let us = histogram.quantile_us(1.0 - 1.0 / one_in)?;
        Some(highest_up_to_us(bucket_of(us), slowest_us).max(1) as f64)
    };
    Line { name: name.to_owned(), class, points: points.map(|one_in| (one_in, at(one_in))).collect() }
}

fn outcomes(run: &Report) -> Chart {
    // Per second, whatever the length of a slice.
    let per_s = |count: u64| Some(count * 1_000 / run.slice_ms.max(1));
    let mut lines = vec![
        over_time(run, "accepted", "l1", |slice| per_s(slice.wins)),
        over_time(run, "sold out", "l3", |slice| per_s(slice.sold_out)),
        over_time(run, "refused", "l4", |slice| per_s(slice.refusals)),
        over_time(run, "errors", "l2", |slice| per_s(slice.errors)),
    ];
    if run.pacing == Pacing::Open {
        lines.push(over_time(run, "arrivals by schedule", "l6", |slice| per_s(slice.due)));
    }
    let (wins, seconds_of_stock) = (run.wins, run.throughput.stock_lasted_ms as f64 / 1_000.0);
    Chart {
        id: "outcomes",
        title: "Answers over time",
        words: format!(
            "Answers per second by their kind. {} purchases were accepted, in {seconds_of_stock:.2} s while there was stock.",
            grouped(wins)
        ),
        x: seconds("seconds since the start"),
        y: Axis { label: "per second", scale: Scale::Linear, text: count },
        lines,
        marks: marks(run),
    }
}

fn stock(run: &Report) -> Chart {
    let line = |name: String, class, value: &dyn Fn(&flash_loadgen::StockPoint) -> Option<u64>| {
        let points = run.stock.iter().map(|point| (point.at_ms as f64 / 1_000.0, value(point).map(|n| n as f64)));
        Line { name, class, points: points.collect() }
    };
    let mut lines = vec![line("all SKUs".to_owned(), CLASSES[0], &|point| point.available)];
    if run.skus.len() > 1 {
        for (index, sku) in run.skus.iter().enumerate().take(SKU_LINES) {
            let of_sku = move |point: &flash_loadgen::StockPoint| point.by_sku.get(index).copied().flatten();
            lines.push(line(format!("SKU {}", sku.sku_id), CLASSES[index + 1], &of_sku));
        }
    }
    let known = || run.stock.iter().filter_map(|point| Some((point.at_ms, point.available?)));
    let (first, last) = (known().next().unwrap_or_default(), known().next_back().unwrap_or_default());
    Chart {
        id: "stock",
        title: "Stock",
        words: format!(
            "Units available, as the catalogue told anybody who asked: {} after {:.1} s, {} after {:.1} s.",
            grouped(first.1),
            first.0 as f64 / 1_000.0,
            grouped(last.1),
            last.0 as f64 / 1_000.0
        ),
        x: seconds("seconds since the start"),
        y: Axis { label: "units", scale: Scale::Linear, text: count },
        lines,
        marks: marks(run),
    }
}

/// A count at an axis; between two counts there is none.
fn count(value: f64) -> String {
    if value.fract().abs() < 1e-9 || value > 100.0 { grouped(whole(value)) } else { String::new() }
}

fn whole(value: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "axis values are not negative")]
    let whole = value.round() as u64;
    whole
}
