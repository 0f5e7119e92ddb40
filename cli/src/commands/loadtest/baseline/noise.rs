//! How much a figure wavers: what is noise and what is a change.
//!
//! Both runs followed one schedule, so their slices belong together in pairs, and whatever the schedule does to a figure – a ramp, a
//! spike, the tail – it does to both of a pair. A change that is real is much the same in all of them; what differs from pair to
//! pair is noise: the distance of the quartiles of the ratios `now / before`, as a share of their median.
//!
//! Nor is a percentile of few samples better known than they allow: by how much it may be off is read from the distributions, at two
//! standard errors of its rank on either side (the rank of a quantile q of n samples has the variance q (1 − q) / n). The larger of
//! the two is what a change has to exceed.
//!
//! Only the slices count in which the figure has its subject: wins while there was stock, sold-out answers after it. The first slice
//! (connections are opened) and the last (it is not whole) never do, nor does one with too few samples.

use flash_core::stats::Histogram;
use flash_loadgen::{Moment, Report, Spread};

use super::super::metric::{Metric, Unit};

/// Fewer pairs than this say nothing.
const PAIRS_MIN: usize = 4;
/// What a figure without enough pairs wavers by, in per cent.
const UNKNOWN_PERCENT: f64 = 25.0;
/// Fewest events of which a slice's count, or its median, is worth a look.
const EVENTS_MIN: u64 = 20;

/// By how many per cent a figure wavers between two runs of one schedule. Shares have no slices and do not waver.
pub(super) fn percent(metric: &Metric, before: &Report, now: &Report) -> f64 {
    if metric.unit == Unit::Share {
        return 0.0;
    }
    let name = metric.name();
    let unsure = [before, now].map(|run| sampling(&name, run));
    between_slices(metric, before, now).max(unsure[0].hypot(unsure[1]) * 100.0)
}

/// By which share a percentile may be off because there are only so many samples.
fn sampling(name: &str, run: &Report) -> f64 {
    let (class, point) = name.split_once('.').unwrap_or_default();
    let all = match class {
        "win" => &run.latency_histograms.wins,
        "sold_out" => &run.latency_histograms.sold_out,
        _ => &Histogram::default(),
    };
    let quantile = match point {
        "p50" => 0.5,
        "p95" => 0.95,
        _ => 0.99,
    };
    let error = 2.0 * (quantile * (1.0 - quantile) / all.count().max(1) as f64).sqrt();
    let at = |quantile: f64| all.quantile_us(quantile.clamp(0.0, 1.0)).map(|us| us as f64);
    let width = at(quantile + error).zip(at(quantile - error)).map(|(high, low)| (high - low) / 2.0);
    width.zip(at(quantile)).map_or(0.0, |(width, us)| width / us.max(1.0))
}

fn between_slices(metric: &Metric, before: &Report, now: &Report) -> f64 {
    let name = metric.name();
    let of = |slice: &Moment| if metric.unit == Unit::Time { point(&name, slice) } else { count(&name, slice) };
    let ratio = |(old, new): (&Moment, &Moment)| Some(of(new)? / of(old)?);
    let mut ratios: Vec<f64> = pairs(&name, before, now).filter_map(ratio).collect();
    if ratios.len() < PAIRS_MIN {
        return UNKNOWN_PERCENT;
    }
    ratios.sort_unstable_by(f64::total_cmp);
    (quartile(&ratios, 3) - quartile(&ratios, 1)) / quartile(&ratios, 2) * 100.0
}

/// A quartile of sorted values, between two of them where it falls there: there may be few.
fn quartile(sorted: &[f64], number: usize) -> f64 {
    let last = sorted.len() - 1;
    let (at, quarters) = (last * number / 4, last * number % 4);
    let (low, high) = (sorted[at], sorted[(at + 1).min(last)]);
    low + (high - low) * quarters as f64 / 4.0
}

/// The slices of both runs that have the figure's subject.
fn pairs<'a>(name: &str, before: &'a Report, now: &'a Report) -> impl Iterator<Item = (&'a Moment, &'a Moment)> {
    let sold_out = [before, now].map(|run| run.throughput.sold_out_after_ms.unwrap_or(u64::MAX));
    let (from_ms, until_ms) = if name.starts_with("win.") || ["rate.accepted", "count.wins"].contains(&name) {
        (0, sold_out[0].min(sold_out[1]))
    } else if name.contains("sold_out") {
        (sold_out[0].max(sold_out[1]), u64::MAX)
    } else {
        (0, u64::MAX)
    };
    let fits = before.slice_ms == now.slice_ms;
    let slice_ms = before.slice_ms;
    let both = whole(before).iter().zip(whole(now)).filter(move |_| fits);
    both.filter(move |(slice, _)| slice.at_ms >= from_ms && slice.at_ms.saturating_add(slice_ms) <= until_ms)
}

fn whole(run: &Report) -> &[Moment] {
    run.timeline.get(1..run.timeline.len().saturating_sub(1)).unwrap_or_default()
}

/// A percentile of a slice; none without a sample beyond it.
fn point(name: &str, slice: &Moment) -> Option<f64> {
    let Spread { count, p50_us, p95_us, p99_us, .. } =
        if name.starts_with("win.") { slice.win_latency } else { slice.latency };
    let (us, least) = match name.rsplit('.').next() {
        Some("p50") => (p50_us, EVENTS_MIN),
        Some("p95") => (p95_us, EVENTS_MIN),
        _ => (p99_us, 100),
    };
    (count >= least && us > 0).then_some(us as f64)
}

/// A rate of a slice, as a count: all slices are equally long.
fn count(name: &str, slice: &Moment) -> Option<f64> {
    let count = match name {
        "rate.accepted" | "count.wins" => slice.wins,
        "rate.sold_out" => slice.sold_out,
        _ => slice.wins + slice.sold_out + slice.refusals + slice.errors,
    };
    (count >= EVENTS_MIN).then_some(count as f64)
}

#[cfg(test)]
mod tests {
    use super::super::{Baseline, Change};
    use super::*;

    /// A real run of the canonical scenario: a ramp in which the stock goes, then 25 s of sold-out answers and a tail.
    fn canonical() -> Report {
        let text = include_str!("../../../../../docs/reports/canonical.json");
        serde_json::from_str::<Baseline>(text).unwrap().run
    }

    fn change(before: &Report, now: &Report, name: &str) -> Change {
        let comparison = Baseline { run: before.clone() }.compare(now, None, false);
        comparison.figures.iter().find(|figure| figure.metric == name).unwrap().change
    }

    /// Scales wins and their latency; `waver` says by how much more (or less) in each slice.
    fn scaled(run: &Report, rate: f64, latency: f64, waver: impl Fn(usize) -> f64) -> Report {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
        let times = |value: &mut u64, factor: f64| *value = (*value as f64 * factor) as u64;
        let mut run = run.clone();
        run.throughput.accepted_per_s *= rate;
        times(&mut run.latency.wins.p99_us, latency);
        for (index, slice) in run.timeline.iter_mut().enumerate() {
            times(&mut slice.wins, rate * waver(index));
            times(&mut slice.win_latency.p99_us, latency * waver(index));
        }
        run
    }

    #[test]
    fn a_ramp_hides_no_regression() {
        let before = canonical();
        let steady = |_| 1.0;
        for (now, name, wanted) in [
            (scaled(&before, 1.0, 1.0, steady), "win.p99", Change::Same),
            (scaled(&before, 1.0, 1.3, steady), "win.p99", Change::Worse),
            (scaled(&before, 0.7, 1.0, steady), "rate.accepted", Change::Worse),
            (scaled(&before, 1.3, 1.0, steady), "rate.accepted", Change::Better),
        ] {
            assert_eq!(change(&before, &now, name), wanted, "{name}");
        }
    }

    #[test]
    fn what_wavers_from_pair_to_pair_is_noise() {
        let before = canonical();
        let wild = |index: usize| [0.6, 1.0, 1.5, 0.9][index % 4];
        let now = scaled(&before, 0.8, 1.3, wild);
        assert_eq!(change(&before, &now, "win.p99"), Change::Same);
        assert_eq!(change(&before, &now, "rate.accepted"), Change::Same);
        assert_eq!(change(&before, &scaled(&before, 0.2, 3.0, wild), "win.p99"), Change::Worse);
    }

    #[test]
    fn slices_of_another_length_are_no_pairs() {
        let before = canonical();
        let now = Report { slice_ms: before.slice_ms * 2, ..before.clone() };
        let p99 = super::super::metric::find("win.p99").unwrap();
        assert!((between_slices(&p99, &before, &now) - UNKNOWN_PERCENT).abs() < f64::EPSILON);
        assert!(between_slices(&p99, &before, &before).abs() < f64::EPSILON, "a run does not waver against itself");
    }

    #[test]
    fn a_percentile_of_few_samples_is_unsure() {
        let run = |each: u64| {
            let mut run = Report::default();
            let counts =
                (0..flash_core::stats::BUCKETS).map(|bucket| if (60..120).contains(&bucket) { each } else { 0 });
            run.latency_histograms.wins = Histogram::of(counts, 1);
            run
        };
        let (few, many) = (sampling("win.p95", &run(5)), sampling("win.p95", &run(5_000)));
        assert!(few > 0.05 && many < few / 2.0, "{few} {many}");
        assert!(sampling("win.p95", &Report::default()).abs() < f64::EPSILON);
    }
}
