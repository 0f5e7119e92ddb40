//! The figures of a run by name: what thresholds are set on, and what runs are compared by.
//!
//! Owns the list. A figure that a run does not have – the latency of wins where nobody won – is absent and never 0.

use flash_loadgen::{Latency, Report};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Microseconds; written with µs, us, ms or s.
    Time,
    /// Per second; written with or without /s.
    Rate,
    /// 0 to 1; written as such or with %.
    Share,
    /// A plain number.
    Count,
}

/// A figure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    group: &'static str,
    point: &'static str,
    pub(crate) unit: Unit,
    pub(crate) better: Better,
    pub(crate) help: &'static str,
    source: Source,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Latency(fn(&Report) -> &Latency, fn(&Latency) -> u64),
    Figure(fn(&Report) -> Option<f64>),
}

impl Metric {
    /// `win.p99`.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.group, self.point)
    }

    /// Whether a run has enough samples to say this figure again tomorrow.
    pub(crate) fn is_solid(&self, run: &Report) -> bool {
        let Source::Latency(of_class, _) = self.source else { return true };
        let beyond = match self.point {
            "p50" => 0.5,
            "p95" => 0.05,
            "p99" => 0.01,
            "p999" => 0.001,
            _ => return false,
        };
        of_class(run).count as f64 * beyond >= SAMPLES_BEYOND
    }

    /// Its value in a run; times in microseconds.
    pub(crate) fn read(&self, run: &Report) -> Option<f64> {
        match self.source {
            Source::Latency(of_class, point) => {
                let latency = of_class(run);
                (latency.count > 0).then(|| point(latency) as f64)
            }
            Source::Figure(figure) => figure(run),
        }
    }
}

/// A percentile is one sample's mood unless this many lie beyond it.
const SAMPLES_BEYOND: f64 = 10.0;

type Class = (&'static str, fn(&Report) -> &Latency, &'static str);
type Point = (&'static str, fn(&Latency) -> u64);

const CLASSES: [Class; 8] = [
    ("win", |run| &run.latency.wins, "accepted purchases, from the intended start"),
    ("sold_out", |run| &run.latency.sold_out, "sold-out answers, from the intended start"),
    ("refusal", |run| &run.latency.refusals, "other refusals, from the intended start"),
    ("error", |run| &run.latency.errors, "errors and time-outs, from the intended start"),
    ("service.win", |run| &run.service.wins, "accepted purchases, from the first byte sent"),
    ("service.sold_out", |run| &run.service.sold_out, "sold-out answers, from the first byte sent"),
    ("service.refusal", |run| &run.service.refusals, "other refusals, from the first byte sent"),
    ("service.error", |run| &run.service.errors, "errors and time-outs, from the first byte sent"),
];

const POINTS: [Point; 5] = [
    ("p50", |latency| latency.p50_us),
    ("p95", |latency| latency.p95_us),
    ("p99", |latency| latency.p99_us),
    ("p999", |latency| latency.p999_us),
    ("max", |latency| latency.max_us),
];

use Better::{Higher, Lower};
use Unit::{Count, Rate, Share, Time};

const FIGURES: [Metric; 21] = [
    figure("rate", "accepted", Rate, Higher, "accepted purchases while there was stock", |run| {
        (run.wins > 0).then_some(run.throughput.accepted_per_s)
    }),
    figure("rate", "sold_out", Rate, Higher, "sold-out answers after everything was gone", |run| {
        run.throughput.sold_out.then_some(run.throughput.sold_out_per_s)
    }),
    figure("rate", "requests", Rate, Higher, "all requests over the whole run", |run| {
        (run.requests > 0).then_some(run.throughput.requests_per_s)
    }),
    figure("share", "errors", Share, Lower, "attempts that ended in an error or without an answer", |run| {
        share(run, run.latency.errors.count)
    }),
    figure("share", "refusals", Share, Lower, "attempts that were refused, sold out aside", |run| {
        share(run, run.latency.refusals.count)
    }),
    figure("share", "given_up", Share, Lower, "purchases that were given up without a clear answer", |run| {
        (run.arrivals.started > 0).then(|| run.behaviour.given_up as f64 / run.arrivals.started as f64)
    }),
    figure("count", "wins", Count, Higher, "accepted purchases", |run| Some(run.wins as f64)),
    figure("count", "unknown", Count, Lower, "purchases whose buyer never learned the outcome", |run| {
        Some(run.doubts_open as f64)
    }),
    figure("fairness", "inversion_rate", Share, Lower, "pairs of winners decided in the wrong order", |run| {
        (run.fairness.overall.pairs > 0).then_some(run.fairness.overall.inversion_rate)
    }),
    figure("fairness", "p99_skip", Count, Lower, "later winners who were decided before one, 99th percentile", |run| {
        winners(run).map(|_| run.fairness.overall.p99_skip as f64)
    }),
    figure("fairness", "epsilon", Time, Lower, "winners further apart than this were decided in order", |run| {
        winners(run).map(|_| run.fairness.overall.epsilon_us as f64)
    }),
    figure("fairness", "earlier_losers", Count, Lower, "losers who were waiting when a winner came", |run| {
        losers(run).map(|_| run.fairness.overall.earlier_losers as f64)
    }),
    figure("fairness", "earlier_loser_share", Share, Lower, "the same as a share of the losers", |run| {
        losers(run).map(|_| run.fairness.overall.earlier_loser_share)
    }),
    figure("fairness", "loser_epsilon", Time, Lower, "nobody lost who had come this much before a winner", |run| {
        losers(run).map(|_| run.fairness.overall.loser_epsilon_us as f64)
    }),
    figure("fairness", "jump_ratio", Share, Lower, "winners who had arrived after a loser", |run| {
        winners(run).map(|_| run.fairness.overall.jump_ratio)
    }),
    figure("fairness", "top_1_percent", Share, Lower, "units that went to the top 1 % of the users", |run| {
        (run.fairness.concentration.units > 0).then_some(run.fairness.concentration.top_1_percent_share)
    }),
    figure("fairness", "max_per_user", Count, Lower, "most units that one user won", |run| {
        (run.fairness.concentration.units > 0).then_some(run.fairness.concentration.max_per_user as f64)
    }),
    figure("fairness", "gini", Share, Lower, "how unequal the winners' units are; 0: all the same", |run| {
        (run.fairness.concentration.units > 0).then_some(run.fairness.concentration.gini)
    }),
    figure("generator", "lag_p99", Time, Lower, "the generator behind its own schedule", |run| {
        (run.validity.lag.count > 0).then_some(run.validity.lag.p99_us as f64)
    }),
    figure("generator", "valid", Count, Higher, "1 if the generator kept its schedule, else 0", |run| {
        Some(f64::from(u8::from(run.validity.valid)))
    }),
    figure("generator", "never_started", Count, Lower, "arrivals for which no connection became free", |run| {
        Some(run.arrivals.never_started as f64)
    }),
];

const fn figure(
    group: &'static str,
    point: &'static str,
    unit: Unit,
    better: Better,
    help: &'static str,
    read: fn(&Report) -> Option<f64>,
) -> Metric {
    Metric { group, point, unit, better, help, source: Source::Figure(read) }
}

/// A part of all attempts; none where there were no attempts.
fn share(run: &Report, part: u64) -> Option<f64> {
    let all: u64 = run.outcomes.values().sum();
    (all > 0).then(|| part as f64 / all as f64)
}

fn winners(run: &Report) -> Option<u64> {
    Some(run.fairness.overall.winners).filter(|count| *count > 0)
}

fn losers(run: &Report) -> Option<u64> {
    Some(run.fairness.overall.losers).filter(|count| *count > 0)
}

/// Every figure, in the order of reports.
pub(crate) fn all() -> Vec<Metric> {
    let latency = |(group, of_class, help): &Class, (point, read): &Point| Metric {
        group,
        point,
        unit: Unit::Time,
        better: Better::Lower,
        help,
        source: Source::Latency(*of_class, *read),
    };
    let latencies = CLASSES.iter().flat_map(|class| POINTS.iter().map(move |point| latency(class, point)));
    latencies.chain(FIGURES).collect()
}

/// The figure of this name, or the names that look like it.
pub(crate) fn find(name: &str) -> Result<Metric, Vec<String>> {
    let all = all();
    if let Some(metric) = all.iter().find(|metric| metric.name() == name) {
        return Ok(*metric);
    }
    let mut near: Vec<(usize, String)> =
        all.iter().map(|metric| (distance(name, &metric.name()), metric.name())).collect();
    near.sort();
    let limit = (name.len() / 2).max(2);
    Err(near.into_iter().take_while(|(far, _)| *far <= limit).take(3).map(|(_, name)| name).collect())
}

/// How many letters must be added, dropped or changed to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

impl Unit {
    /// Reads a value with its unit.
    pub(crate) fn parse(self, text: &str) -> Option<f64> {
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let number: f64 = digits.parse().ok()?;
        let factor = match (self, unit) {
            (Self::Time, "us" | "µs") => 1.0,
            (Self::Time, "ms") => 1e3,
            (Self::Time, "s") => 1e6,
            (Self::Rate, "" | "/s") | (Self::Share | Self::Count, "") => 1.0,
            (Self::Rate, "k" | "k/s") | (Self::Count, "k") => 1e3,
            (Self::Rate, "M" | "M/s") | (Self::Count, "M") => 1e6,
            (Self::Share, "%") => 0.01,
            _ => return None,
        };
        Some(number * factor)
    }

    /// What a value may look like, for whoever wrote it wrong.
    pub(crate) const fn example(self) -> &'static str {
        match self {
            Self::Time => "50ms, 800us or 1.5s",
            Self::Rate => "20000, 20k or 20k/s",
            Self::Share => "0.01 or 1%",
            Self::Count => "100 or 10k",
        }
    }

    /// A value for people.
    pub(crate) fn text(self, value: f64) -> String {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "figures are not negative and small"
        )]
        let whole = value.round() as u64;
        match self {
            Self::Time => super::summary::micros(whole),
            Self::Rate => format!("{}/s", crate::table::grouped(whole)),
            Self::Share => format!("{:.2} %", value * 100.0),
            Self::Count => crate::table::grouped(whole),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_near_ones_are_found() {
        let names: std::collections::BTreeSet<String> = all().iter().map(Metric::name).collect();
        assert_eq!(names.len(), all().len());
        assert_eq!(find("win.p99").unwrap().name(), "win.p99");
        assert_eq!(find("wins.p99").unwrap_err()[0], "win.p99");
        assert_eq!(find("rate.acepted").unwrap_err()[0], "rate.accepted");
        assert!(find("nothing-like-this-at-all-anywhere").unwrap_err().is_empty());
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("abc", "")), (3, 3, 3));
    }

    #[test]
    fn values_need_the_right_unit() {
        assert_eq!(Unit::Time.parse("1.5ms"), Some(1_500.0));
        assert_eq!(Unit::Time.parse("2s"), Some(2_000_000.0));
        assert_eq!(Unit::Rate.parse("20k/s"), Some(20_000.0));
        assert_eq!(Unit::Share.parse("1%"), Some(0.01));
        for (unit, bad) in
            [(Unit::Time, "50"), (Unit::Time, "ms"), (Unit::Share, "1s"), (Unit::Count, "-1"), (Unit::Rate, "")]
        {
            assert_eq!(unit.parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_did_not_happen_has_no_figure() {
        let run = Report::default();
        for name in ["win.p99", "rate.accepted", "rate.sold_out", "share.errors"] {
            assert_eq!(find(name).unwrap().read(&run), None, "{name}");
        }
    }
}
