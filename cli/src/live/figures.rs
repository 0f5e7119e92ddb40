//! What is derived from samples: rates, percentiles, stock and the state in one word. The lines of `top` and its JSON.
//!
//! A rate belongs to two looks at the same process. What is not known is `None`, never zero: a daemon that does not answer makes
//! a gap.

use flash_core::stats::Stats;
use serde::Serialize;

use super::{
    Sample, Told,
    flow::{Answers, Flow, Ladder, PerSecond},
    judge::{Facts, Finding, Judgement, Units, judge},
    stock::{Stock, stock},
};

/// Version of the JSON line.
pub(crate) const VERSION: u32 = 2;

/// Everything a line tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// When, in milliseconds since 1970, by the clock of who looks.
    pub(crate) at_ms: u64,
    /// One word for all of it, see [`super::judge::Word`].
    pub(crate) state: &'static str,
    /// What is not as usual, the worst first.
    pub(crate) reasons: Vec<String>,
    pub(crate) daemons: Daemons,
    /// Answers to buyers in the last interval.
    pub(crate) per_s: Option<PerSecond>,
    /// Answers to buyers since the daemons started, silent ones as they were seen last.
    pub(crate) total: Option<Answers>,
    /// How long winners of the last interval waited.
    pub(crate) won_latency: Option<Ladder>,
    /// Purchases between admission and answer.
    pub(crate) in_flight: Option<u64>,
    pub(crate) stock: Option<Stock>,
    pub(crate) lag: Option<Lag>,
    /// The stock epoch.
    pub(crate) epoch: Option<Epoch>,
    /// Events parked since the daemons started.
    pub(crate) dead_letters: Option<u64>,
    /// What the last audit found.
    pub(crate) findings: Option<u64>,
}

/// How many daemons there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Daemons {
    pub(crate) watched: usize,
    pub(crate) answering: usize,
    pub(crate) ready: usize,
    /// Silent ones that are in `total` as they were seen last.
    pub(crate) stale: usize,
}

/// How far MySQL is behind the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lag {
    pub(crate) events: u64,
    /// Age of the oldest moment up to which everything is applied.
    pub(crate) ms: Option<u64>,
}

/// The newest stock epoch that any daemon knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Epoch {
    pub(crate) latest: u64,
    /// Whether every daemon that knows it may decide under it.
    pub(crate) open: bool,
}

/// Turns samples into figures, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    flow: Flow,
    /// When a daemon answered last.
    answered_at_ms: Option<u64>,
}

impl Tracker {
    /// The figures of the next sample.
    pub(crate) fn take(&mut self, sample: &Sample) -> Figures {
        self.judged(sample).0
    }

    /// The same, with all that is to be said.
    pub(crate) fn judged(&mut self, sample: &Sample) -> (Figures, Judgement, Units) {
        let answering: Vec<(&str, &Stats)> = sample
            .daemons
            .iter()
            .filter_map(|seen| match &seen.told {
                Told::Stats(stats) => Some((seen.url.as_str(), &**stats)),
                Told::Failed(_) => None,
            })
            .collect();
        let all: Vec<&Stats> = answering.iter().map(|(_, stats)| *stats).collect();
        if !all.is_empty() {
            self.answered_at_ms = Some(sample.at_ms);
        }
        let step = self.flow.take(&answering, |url| sample.daemons.iter().any(|seen| seen.url == url));
        let (stock, units) = stock(&all).map_or((None, Units::default()), |(stock, units)| (Some(stock), units));
        let answered_ms_ago = self.answered_at_ms.map(|at_ms| sample.at_ms.saturating_sub(at_ms));
        let judgement = judge(&Facts::of(sample, units, answered_ms_ago));
        let workers = || all.iter().filter_map(|stats| stats.worker.as_ref());
        let apis = || all.iter().filter_map(|stats| stats.api.as_ref());
        let any = |is: bool, value: u64| is.then_some(value);
        let figures = Figures {
            version: VERSION,
            at_ms: sample.at_ms,
            state: judgement.word.as_str(),
            reasons: judgement.remarks().map(Finding::words).collect(),
            daemons: Daemons {
                watched: sample.daemons.len(),
                answering: all.len(),
                ready: all.iter().filter(|stats| stats.ready).count(),
                stale: step.stale,
            },
            per_s: step.per_s,
            total: step.total,
            won_latency: step.won,
            in_flight: any(apis().next().is_some(), apis().map(|api| api.in_flight).sum()),
            stock,
            lag: lag(&all),
            epoch: epoch(&all),
            dead_letters: any(workers().next().is_some(), workers().map(|worker| worker.projector.dead_letters).sum()),
            findings: workers().map(|worker| worker.audit.found.values().sum()).reduce(|a: u64, b: u64| a.max(b)),
        };
        (figures, judgement, units)
    }
}

/// Partitions are shared out among the workers: their events add up, and the oldest moment is the oldest of all.
fn lag(all: &[&Stats]) -> Option<Lag> {
    let mut lag: Option<Lag> = None;
    for projector in all.iter().filter_map(|stats| stats.worker.as_ref()).map(|worker| &worker.projector) {
        let lag = lag.get_or_insert_default();
        lag.events += projector.lag_events;
        lag.ms = lag.ms.max(projector.lag_ms);
    }
    lag
}

fn epoch(all: &[&Stats]) -> Option<Epoch> {
    let views = || all.iter().filter_map(|stats| stats.api.as_ref()).map(|api| &api.epoch);
    let latest = views().map(|view| view.latest.0).max()?;
    Some(Epoch { latest, open: views().filter(|view| view.latest.0 == latest).all(|view| view.open) })
}

#[cfg(test)]
mod tests {
    use flash_core::{
        ids::SkuId,
        stats::{Api, Histogram, OutcomeCount, SkuState, SkuStats, Worker},
    };

    use super::*;
    use crate::live::Seen;

    fn outcome(status: &str, reason: &str, count: u64) -> OutcomeCount {
        OutcomeCount { status: status.to_owned(), reason: reason.to_owned(), count }
    }

    fn daemon(instance: &str, uptime_ms: u64, wins: u64) -> Stats {
        let sku = SkuStats {
            capacity: 100,
            available: Some(100 - wins),
            held: Some(wins),
            sold: Some(0),
            seen_ms_ago: Some(1_000 - wins),
            state: SkuState::Selling,
            ..SkuStats::of(SkuId::new(1))
        };
        let outcomes = vec![
            outcome("won", "reserved", wins),
            outcome("won", "replayed", 1),
            outcome("refused", "sold_out", wins * 10),
            outcome("refused", "limit_reached", 3),
            outcome("failed", "overloaded", 4),
        ];
        let mut api = Api { outcomes, skus: vec![sku], sku_count: 1, ..Api::default() };
        api.epoch.latest = flash_core::ids::Epoch(7);
        api.epoch.open = true;
        api.latency.won = Histogram::of([0, 0, wins], 2 * wins);
        let instance = instance.to_owned();
        Stats { instance, uptime_ms, ready: true, api: Some(api), worker: Some(Worker::default()), ..Stats::default() }
    }

    fn sample(at_ms: u64, daemons: Vec<(&str, Option<Stats>)>) -> Sample {
        let seen = |(url, stats): (&str, Option<Stats>)| Seen {
            url: url.to_owned(),
            took_ms: 1,
            told: stats.map_or_else(|| Told::Failed("away".into()), |stats| Told::Stats(Box::new(stats))),
        };
        Sample { at_ms, daemons: daemons.into_iter().map(seen).collect() }
    }

    fn wins(figures: &Figures) -> Option<f64> {
        figures.per_s.map(|rates| rates.wins)
    }

    #[test]
    fn rates_come_from_two_looks_at_the_same_process() {
        let mut tracker = Tracker::default();
        let first = tracker.take(&sample(0, vec![("a", Some(daemon("x", 10_000, 10)))]));
        assert_eq!((wins(&first), first.won_latency), (None, None), "nothing is known of one look");
        assert_eq!(first.total, Some(Answers { wins: 11, sold_out: 100, refused: 3, errors: 4 }));
        let second = tracker.take(&sample(0, vec![("a", Some(daemon("x", 12_000, 20)))]));
        assert_eq!(second.per_s, Some(PerSecond { wins: 5.0, sold_out: 50.0, refused: 0.0, errors: 0.0 }));
        assert_eq!(second.won_latency.map(|ladder| (ladder.count, ladder.p99_us)), Some((10, 2)));
    }

    #[test]
    fn a_gap_is_no_zero_and_a_restart_no_dive() {
        let mut tracker = Tracker::default();
        tracker.take(&sample(0, vec![("a", Some(daemon("x", 10_000, 10)))]));
        let gap = tracker.take(&sample(0, vec![("a", None)]));
        assert_eq!((wins(&gap), gap.stock, gap.lag), (None, None, None));
        assert_eq!((gap.state, gap.total.map(|total| total.wins)), ("stale", Some(11)), "what was told was told");
        assert_eq!(gap.daemons, Daemons { watched: 1, answering: 0, ready: 0, stale: 1 });
        let after = tracker.take(&sample(0, vec![("a", Some(daemon("x", 20_000, 30)))]));
        assert_eq!(wins(&after), Some(2.0), "over the whole gap");
        let restarted = tracker.take(&sample(0, vec![("a", Some(daemon("y", 1_000, 5)))]));
        assert_eq!(wins(&restarted), Some(6.0), "all that the new process has counted, its replay included");
        assert_eq!(restarted.total.map(|total| total.wins), Some(31 + 6), "and what the old one had");
    }

    #[test]
    fn stock_is_told_by_whoever_has_looked_last_and_counted_once() {
        let mut tracker = Tracker::default();
        let two = vec![("a", Some(daemon("x", 1, 10))), ("b", Some(daemon("y", 1, 20)))];
        let figures = tracker.take(&sample(0, two));
        let stock = figures.stock.unwrap();
        assert_eq!((stock.left, stock.held, stock.capacity, stock.skus_counted), (80, 20, 100, 1));
        assert_eq!(figures.epoch, Some(Epoch { latest: 7, open: true }));
    }

    #[test]
    fn no_count_runs_backwards_whoever_falls_silent_and_whatever_clock_is_set() {
        let mut tracker = Tracker::default();
        let both = |a, b| sample(0, vec![("a", a), ("b", b)]);
        let told = |instance, uptime_ms, wins| Some(daemon(instance, uptime_ms, wins));
        tracker.take(&both(told("x", 10_000, 10), told("y", 10_000, 20)));
        let mut set_back = daemon("x", 11_000, 15);
        set_back.at_ms = 0;
        let one = tracker.take(&both(Some(set_back), None));
        assert_eq!((one.total.map(|total| total.wins), wins(&one)), (Some(16 + 21), Some(5.0)));
        // Not even listed any more, and back again.
        let gone = tracker.take(&sample(0, vec![("a", told("x", 12_000, 15))]));
        assert_eq!(gone.total.map(|total| total.wins), Some(16 + 21));
        let back = tracker.take(&both(told("x", 13_000, 15), told("y", 13_000, 23)));
        assert_eq!(back.total.map(|total| total.wins), Some(16 + 24));
    }

    #[test]
    fn a_line_for_programs_has_every_name() {
        let figures = Tracker::default().take(&sample(5, vec![("a", None)]));
        let line = serde_json::to_value(&figures).unwrap();
        let names: Vec<&String> = line.as_object().unwrap().keys().collect();
        let expected = [
            "atMs",
            "daemons",
            "deadLetters",
            "epoch",
            "findings",
            "inFlight",
            "lag",
            "perS",
            "reasons",
            "state",
            "stock",
            "total",
            "version",
            "wonLatency",
        ];
        assert_eq!(names, expected, "as docs/watching.md has them");
    }
}
