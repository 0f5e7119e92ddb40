//! Comparing a run with an earlier one.
//!
//! A figure is worse only if it is worse than in the baseline by more than the bound **and** by more than [`noise`]. A figure that
//! the baseline has and this run has not – nobody won, nothing was sold out – has vanished, which is worse than any change.
//! A percentile beyond which fewer than ten samples lie is not compared, nor are runs of another scenario or machine.

mod noise;

use std::path::Path;

use flash_loadgen::{EndReason, Host, Report};
use serde::{Deserialize, Serialize};

use super::metric::{self, Better, Metric, Unit};
use crate::{exit::Exit, files::read_text, report::Failure};

/// The bound where none was given, in per cent.
const USUAL_BOUND_PERCENT: f64 = 10.0;
/// Longest report that is read; the longest one that is written is far shorter.
const BASELINE_BYTES_MAX: u64 = 64 << 20;
/// Shares near 0 have no relative change: they are worse from this difference on.
const SHARE_FROM: f64 = 0.001;
/// Memory sizes of the same machine differ by a little from boot to boot.
const SAME_MEMORY: f64 = 0.05;

/// What is compared. Extremes (p99.9, max) are one or few samples and always noise.
const COMPARED: [&str; 12] = [
    "win.p50",
    "win.p95",
    "win.p99",
    "sold_out.p50",
    "sold_out.p99",
    "count.wins",
    "rate.accepted",
    "rate.sold_out",
    "rate.requests",
    "share.errors",
    "share.refusals",
    "share.given_up",
];

/// A run beside its baseline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// When the baseline ran, milliseconds since 1970.
    pub(crate) baseline_started_at_ms: u64,
    /// Why the two cannot be compared; then there are no figures.
    pub(crate) refused: Option<String>,
    /// From how many per cent on a figure is worse.
    pub(crate) bound_percent: f64,
    /// Figure by figure.
    pub(crate) figures: Vec<Compared>,
    /// What only the baseline has: always a regression.
    pub(crate) vanished: Vec<Vanished>,
    /// What else makes the two runs different.
    pub(crate) remarks: Vec<String>,
}

/// A figure of the baseline for which nothing happened in this run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Vanished {
    /// Its name.
    pub(crate) metric: String,
    /// In the baseline; times in microseconds.
    pub(crate) before: f64,
    /// The same for people.
    pub(crate) shown: String,
}

/// How a figure has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Worse,
    Same,
    Better,
}

/// One figure of both runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Compared {
    /// Its name.
    pub(crate) metric: String,
    /// In the baseline; times in microseconds.
    pub(crate) before: f64,
    /// In this run.
    pub(crate) now: f64,
    /// Both for people.
    pub(crate) shown: [String; 2],
    /// By how many per cent it is worse; negative: better.
    pub(crate) worse_percent: f64,
    /// By how many per cent the slices of the two runs differ in how much they have changed.
    pub(crate) noise_percent: f64,
    /// What that means.
    pub(crate) change: Change,
}

/// The part of a report that a baseline needs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Baseline {
    /// The earlier run.
    pub(crate) run: Report,
}

impl Baseline {
    /// Reads the report of an earlier run.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let usage = |error: anyhow::Error| {
            let error = error.context(format!("cannot use {} as a baseline", path.display()));
            Failure::new(Exit::Usage, error).hint("flashctl loadtest --save-baseline FILE writes one")
        };
        let text = read_text(path, BASELINE_BYTES_MAX).map_err(usage)?;
        let baseline: Self = serde_json::from_str(&text).map_err(|error| usage(error.into()))?;
        match unusable(&baseline.run) {
            Some(reason) => Err(usage(anyhow::anyhow!("that run {reason}"))),
            None => Ok(baseline),
        }
    }

    /// Compares a run with this one.
    pub(crate) fn compare(&self, run: &Report, bound_percent: Option<f64>, any_host: bool) -> Comparison {
        let bound_percent = bound_percent.unwrap_or(USUAL_BOUND_PERCENT);
        let refused = self.why_not(run, any_host);
        let metrics = COMPARED.iter().filter(|_| refused.is_none()).filter_map(|name| metric::find(name).ok());
        let metrics: Vec<Metric> = metrics.filter(|metric| metric.is_solid(&self.run)).collect();
        let figures = metrics.iter().filter_map(|metric| compare(metric, &self.run, run, bound_percent)).collect();
        let vanished = metrics.iter().filter_map(|metric| vanished(metric, &self.run, run)).collect();
        let remarks = [("the baseline", &self.run), ("this run", run)].into_iter().filter_map(busy).collect();
        let baseline_started_at_ms = self.run.started_at_ms;
        Comparison { baseline_started_at_ms, refused, bound_percent, figures, vanished, remarks }
    }

    fn why_not(&self, run: &Report, any_host: bool) -> Option<String> {
        let before = &self.run;
        if let Some(reason) = unusable(run) {
            return Some(format!("this run {reason}"));
        }
        let plan = |run: &Report| {
            let shape = (run.scenario.clone(), run.schedule.clone(), run.pacing, run.planned_ms, run.quantity);
            (shape, run.stages.clone(), run.skus.len())
        };
        if plan(before) != plan(run) {
            return Some("the baseline ran another scenario or schedule".to_owned());
        }
        if !any_host && !same_machine(&before.host, &run.host) {
            return Some("the baseline ran on another machine; --baseline-any-host compares all the same".to_owned());
        }
        None
    }
}

impl Comparison {
    /// Whether something is worse, or nothing could be said about it.
    pub(crate) fn is_regression(&self) -> bool {
        self.refused.is_some() || self.worse() > 0
    }

    /// How many figures are worse or have vanished.
    pub(crate) fn worse(&self) -> usize {
        self.vanished.len() + self.figures.iter().filter(|figure| figure.change == Change::Worse).count()
    }
}

/// Why a run is not worth comparing.
pub(crate) fn unusable(run: &Report) -> Option<String> {
    if !run.validity.valid {
        return Some(format!("is invalid: {}", run.validity.reasons.join("; ")));
    }
    (run.ended == EndReason::Stopped).then(|| "was ended early".to_owned())
}

/// Somebody else was using the machine: that is no noise which the slices could show.
fn busy((which, run): (&str, &Report)) -> Option<String> {
    let Host { load_1m, cores, .. } = run.host;
    (load_1m > cores as f64).then(|| {
        format!("the machine was busy when {which} began (load {load_1m:.1} on {cores} cores): figures may differ for that alone")
    })
}

fn same_machine(a: &Host, b: &Host) -> bool {
    let (small, large) = (a.memory_bytes.min(b.memory_bytes) as f64, a.memory_bytes.max(b.memory_bytes) as f64);
    (&a.cpu, a.cores) == (&b.cpu, b.cores) && large - small <= large * SAME_MEMORY
}

fn compare(metric: &Metric, before: &Report, now: &Report, bound_percent: f64) -> Option<Compared> {
    if !metric.is_solid(now) {
        return None;
    }
    let (old, new) = (metric.read(before)?, metric.read(now)?);
    let more = match metric.better {
        Better::Lower => new - old,
        Better::Higher => old - new,
    };
    let worse_percent = if old == 0.0 { 0.0 } else { more / old * 100.0 };
    let noise_percent = noise::percent(metric, before, now);
    let change = if metric.unit == Unit::Share {
        let from = SHARE_FROM.max(old * bound_percent / 100.0);
        change(more, from)
    } else {
        change(worse_percent, bound_percent.max(noise_percent))
    };
    Some(Compared {
        metric: metric.name(),
        before: old,
        now: new,
        shown: [old, new].map(|value| metric.unit.text(value)),
        worse_percent,
        noise_percent,
        change,
    })
}

fn vanished(metric: &Metric, before: &Report, now: &Report) -> Option<Vanished> {
    let old = metric.read(before).filter(|_| metric.read(now).is_none())?;
    Some(Vanished { metric: metric.name(), before: old, shown: metric.unit.text(old) })
}

fn change(worse_by: f64, from: f64) -> Change {
    if worse_by > from {
        Change::Worse
    } else if worse_by < -from {
        Change::Better
    } else {
        Change::Same
    }
}

#[cfg(test)]
mod tests {
    use flash_loadgen::{Latencies, Latency, Moment, Spread, Throughput};

    use super::*;

    /// A run whose wins took `p99` in all, and in its slices what `slices` says.
    fn run(p99: u64, slices: &[u64]) -> Report {
        let wins = Latency { count: 10_000, p50_us: p99, p95_us: p99, p99_us: p99, ..Latency::default() };
        let slice = |p99: &u64| {
            let spread = Spread { count: 100, p50_us: *p99, p95_us: *p99, p99_us: *p99, max_us: *p99 };
            Moment { wins: 100, win_latency: spread, latency: spread, ..Moment::default() }
        };
        let ends = [Moment::default()];
        let timeline = ends.iter().copied().chain(slices.iter().map(slice)).chain(ends).collect();
        Report { latency: Latencies { wins, ..Latencies::default() }, wins: 100, timeline, ..Report::default() }
    }

    fn change_of(before: Report, now: &Report) -> Change {
        let comparison = Baseline { run: before }.compare(now, None, false);
        assert_eq!(comparison.refused, None);
        comparison.figures.iter().find(|figure| figure.metric == "win.p99").unwrap().change
    }

    #[test]
    fn worse_is_more_than_the_bound_and_more_than_the_noise() {
        let calm = [1_000; 8];
        assert_eq!(change_of(run(1_000, &calm), &run(1_300, &calm)), Change::Worse);
        assert_eq!(change_of(run(1_000, &calm), &run(1_050, &calm)), Change::Same, "within the bound");
        assert_eq!(change_of(run(1_000, &calm), &run(700, &calm)), Change::Better);
        let wild = [500, 800, 900, 1_000, 1_100, 1_300, 1_600, 2_000];
        assert_eq!(change_of(run(1_000, &calm), &run(1_300, &wild)), Change::Same, "within the noise of one of them");
        assert_eq!(change_of(run(1_000, &wild), &run(3_000, &calm)), Change::Worse);
        assert_eq!(change_of(run(1_000, &[1_000]), &run(1_200, &[1_000])), Change::Same, "too short to tell");
    }

    #[test]
    fn a_run_that_sells_nothing_any_more_is_no_better_for_it() {
        let before = Report {
            throughput: Throughput { accepted_per_s: 10.0, ..Throughput::default() },
            ..run(1_000, &[1_000; 8])
        };
        let mut now = before.clone();
        (now.wins, now.latency.wins) = (0, Latency::default());
        let comparison = Baseline { run: before.clone() }.compare(&now, None, false);
        let vanished: Vec<&str> = comparison.vanished.iter().map(|figure| figure.metric.as_str()).collect();
        assert_eq!(vanished, ["win.p50", "win.p95", "win.p99", "rate.accepted"]);
        assert!(comparison.is_regression());
        // A tenth of what was sold is a regression too, however fast.
        let fewer = Report { wins: before.wins / 10, ..before.clone() };
        assert_eq!(Baseline { run: before.clone() }.compare(&fewer, None, false).worse(), 1);
        // The other way round nothing is worse.
        assert!(!Baseline { run: now }.compare(&before, None, false).is_regression());
    }

    #[test]
    fn a_percentile_of_few_samples_is_not_compared() {
        let mut few = run(1_000, &[1_000; 8]);
        few.latency.wins.count = 200;
        let comparison = Baseline { run: few.clone() }.compare(&few, None, false);
        let compared: Vec<&str> = comparison.figures.iter().map(|figure| figure.metric.as_str()).collect();
        assert!(compared.contains(&"win.p95") && !compared.contains(&"win.p99"), "{compared:?}");
    }

    #[test]
    fn errors_are_worse_from_a_tenth_of_a_per_cent() {
        let with_errors = |count| {
            let mut run = run(1_000, &[1_000; 8]);
            run.outcomes = [("won".to_owned(), 10_000 - count)].into();
            run.outcomes.insert("time-out".to_owned(), count);
            run.latency.errors.count = count;
            run
        };
        let change = |now| {
            let comparison = Baseline { run: with_errors(0) }.compare(&with_errors(now), None, false);
            comparison.figures.iter().find(|figure| figure.metric == "share.errors").unwrap().change
        };
        assert_eq!((change(5), change(50)), (Change::Same, Change::Worse));
    }

    #[test]
    fn other_runs_and_machines_are_refused() {
        let now = run(1_000, &[1_000; 8]);
        let refused = |before: Report, any_host| Baseline { run: before }.compare(&now, None, any_host).refused;
        let other_plan = Report { planned_ms: 7, ..now.clone() };
        assert!(refused(other_plan, true).unwrap().contains("scenario"));
        let other_host = Report { host: Host { cores: 64, ..Host::default() }, ..now.clone() };
        assert!(refused(other_host.clone(), false).unwrap().contains("--baseline-any-host"));
        assert_eq!(refused(other_host, true), None);
        let mut ended = now.clone();
        ended.ended = EndReason::Stopped;
        let comparison = Baseline { run: now }.compare(&ended, None, false);
        assert!(comparison.refused.is_some() && comparison.is_regression());
    }
}
