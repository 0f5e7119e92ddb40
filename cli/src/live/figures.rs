//! What is derived from samples: rates, percentiles, stock and the state in one word. The lines of `top` and its JSON.
//!
//! A rate belongs to two looks at the same process. What is not known is `None`, never zero: a daemon that does not answer makes
//! a gap.

use std::collections::{BTreeMap, HashMap};

use flash_core::{
    ids::SkuId,
    stats::{Api, Histogram, SkuState, SkuStats, Stats},
};
use serde::Serialize;

use super::{Sample, Told, state};

/// Version of the JSON line.
pub(crate) const VERSION: u32 = 1;

/// Everything a line tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// When, in milliseconds since 1970, by the clock of who looks.
    pub(crate) at_ms: u64,
    /// One word for all of it, see [`state`].
    pub(crate) state: &'static str,
    /// Why, if it is not a good one.
    pub(crate) reasons: Vec<String>,
    pub(crate) daemons: Daemons,
    /// Answers to buyers in the last interval.
    pub(crate) per_s: Option<PerSecond>,
    /// Answers to buyers since the daemons started.
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
}

/// Answers to buyers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answers {
    /// Told "yes", replays included.
    pub(crate) wins: u64,
    pub(crate) sold_out: u64,
    /// Every other refusal.
    pub(crate) refused: u64,
    /// Overloaded, recovering, unknown.
    pub(crate) errors: u64,
}

/// Answers in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PerSecond {
    pub(crate) wins: f64,
    pub(crate) sold_out: f64,
    pub(crate) refused: f64,
    pub(crate) errors: f64,
}

/// Percentiles in microseconds, each at most 6.25 % too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ladder {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

/// Units of all SKUs that are known, each as the daemon knows it that has looked last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stock {
    /// SKUs on sale, and of how many the units are counted here.
    pub(crate) skus: u64,
    pub(crate) skus_counted: u64,
    pub(crate) capacity: u64,
    pub(crate) left: u64,
    pub(crate) held: u64,
    pub(crate) sold: u64,
    pub(crate) closing: u64,
    #[serde(skip)]
    pub(crate) states: States,
}

/// SKUs by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct States {
    pub(crate) selling: u64,
    pub(crate) held_out: u64,
    pub(crate) sold_out: u64,
    pub(crate) upcoming: u64,
    pub(crate) closed: u64,
    pub(crate) paused: u64,
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

/// What is remembered of a daemon's last answer.
#[derive(Debug)]
struct Mark {
    instance: String,
    at_ms: u64,
    answers: Answers,
    won: Histogram,
}

/// Turns samples into figures, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    last: HashMap<String, Mark>,
}

impl Tracker {
    /// The figures of the next sample.
    pub(crate) fn take(&mut self, sample: &Sample) -> Figures {
        let answering: Vec<(&str, &Stats)> = sample
            .daemons
            .iter()
            .filter_map(|seen| match &seen.told {
                Told::Stats(stats) => Some((seen.url.as_str(), &**stats)),
                Told::Failed(_) => None,
            })
            .collect();
        let all: Vec<&Stats> = answering.iter().map(|(_, stats)| *stats).collect();
        let (per_s, won) = self.window(&answering);
        let stock = stock(&all);
        let (state, reasons) = state::of(sample, stock.as_ref());
        let workers = || all.iter().filter_map(|stats| stats.worker.as_ref());
        let apis = || all.iter().filter_map(|stats| stats.api.as_ref());
        let any = |is: bool, value: u64| is.then_some(value);
        Figures {
            version: VERSION,
            at_ms: sample.at_ms,
            state,
            reasons,
            daemons: Daemons {
                watched: sample.daemons.len(),
                answering: all.len(),
                ready: all.iter().filter(|stats| stats.ready).count(),
            },
            per_s,
            total: apis().map(answers).reduce(Answers::plus),
            won_latency: ladder(&won),
            in_flight: any(apis().next().is_some(), apis().map(|api| api.in_flight).sum()),
            stock,
            lag: lag(&all),
            epoch: epoch(&all),
            dead_letters: any(workers().next().is_some(), workers().map(|worker| worker.projector.dead_letters).sum()),
            findings: workers().map(|worker| worker.audit.found.values().sum()).reduce(|a: u64, b: u64| a.max(b)),
        }
    }

    /// Rates and winners' latencies since the last look at each daemon.
    fn window(&mut self, answering: &[(&str, &Stats)]) -> (Option<PerSecond>, Histogram) {
        let (mut per_s, mut won) = (None, Histogram::default());
        for (url, stats) in answering {
            let Some(api) = &stats.api else { continue };
            let now = Mark {
                instance: stats.instance.clone(),
                at_ms: stats.at_ms,
                answers: answers(api),
                won: api.latency.won.clone(),
            };
            if let Some(before) = self.last.get(*url) {
                // A process that began anew has counted everything since then.
                let is_same = before.instance == now.instance;
                let since_ms = now.at_ms.saturating_sub(before.at_ms);
                let counted = if is_same { now.answers.minus(before.answers) } else { now.answers };
                if since_ms > 0 {
                    let rates: &mut PerSecond = per_s.get_or_insert_default();
                    rates.add(counted, since_ms);
                    won.add(&if is_same { now.won.since(&before.won) } else { now.won.clone() });
                }
            }
            self.last.insert((*url).to_owned(), now);
        }
        (per_s, won)
    }
}

impl Answers {
    fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    fn minus(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    fn with(self, other: Self, by: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            wins: by(self.wins, other.wins),
            sold_out: by(self.sold_out, other.sold_out),
            refused: by(self.refused, other.refused),
            errors: by(self.errors, other.errors),
        }
    }
}

impl PerSecond {
    #[expect(clippy::cast_precision_loss, reason = "rates for people; exact up to 2^53")]
    fn add(&mut self, counted: Answers, over_ms: u64) {
        let rate = |count: u64| (count as f64 * 10_000.0 / over_ms as f64).round() / 10.0;
        self.wins += rate(counted.wins);
        self.sold_out += rate(counted.sold_out);
        self.refused += rate(counted.refused);
        self.errors += rate(counted.errors);
    }
}

fn answers(api: &Api) -> Answers {
    let mut told = Answers::default();
    for outcome in &api.outcomes {
        let counter = match (outcome.status.as_str(), outcome.reason.as_str()) {
            ("won", _) => &mut told.wins,
            ("refused", "sold_out") => &mut told.sold_out,
            ("refused", _) => &mut told.refused,
            _ => &mut told.errors,
        };
        *counter += outcome.count;
    }
    told
}

fn ladder(won: &Histogram) -> Option<Ladder> {
    Some(Ladder {
        count: won.count(),
        p50_us: won.quantile_us(0.5)?,
        p90_us: won.quantile_us(0.9)?,
        p99_us: won.quantile_us(0.99)?,
        max_us: won.quantile_us(1.0)?,
    })
}

/// Every daemon tells of the same stock: of each SKU the counters count that were read last.
pub(crate) fn freshest<'a>(all: &[&'a Stats]) -> BTreeMap<SkuId, &'a SkuStats> {
    let mut skus: BTreeMap<SkuId, &SkuStats> = BTreeMap::new();
    let age = |sku: &SkuStats| sku.seen_ms_ago.unwrap_or(u64::MAX);
    for sku in all.iter().filter_map(|stats| stats.api.as_ref()).flat_map(|api| &api.skus) {
        let known = skus.entry(sku.sku_id).or_insert(sku);
        if age(sku) < age(known) {
            *known = sku;
        }
    }
    skus
}

fn stock(all: &[&Stats]) -> Option<Stock> {
    let skus = all.iter().filter_map(|stats| stats.api.as_ref()).map(|api| api.sku_count).max()?;
    let mut stock = Stock { skus, ..Stock::default() };
    for sku in freshest(all).values() {
        stock.states.count(sku.state);
        let (Some(left), Some(held), Some(sold)) = (sku.available, sku.held, sku.sold) else { continue };
        stock.skus_counted += 1;
        stock.capacity += sku.capacity;
        stock.left += left;
        stock.held += held;
        stock.sold += sold;
        stock.closing += sku.closing.unwrap_or(0);
    }
    Some(stock)
}

impl States {
    fn count(&mut self, state: SkuState) {
        match state {
            SkuState::Selling => self.selling += 1,
            SkuState::HeldOut => self.held_out += 1,
            SkuState::SoldOut => self.sold_out += 1,
            SkuState::Upcoming => self.upcoming += 1,
            SkuState::Closed => self.closed += 1,
            SkuState::Paused => self.paused += 1,
            SkuState::Unknown => {}
        }
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
    use flash_core::stats::{OutcomeCount, Worker};

    use super::*;
    use crate::live::Seen;

    fn outcome(status: &str, reason: &str, count: u64) -> OutcomeCount {
        OutcomeCount { status: status.to_owned(), reason: reason.to_owned(), count }
    }

    fn daemon(instance: &str, at_ms: u64, wins: u64) -> Stats {
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
        Stats { instance, at_ms, ready: true, api: Some(api), worker: Some(Worker::default()), ..Stats::default() }
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
        assert_eq!((wins(&gap), gap.stock, gap.lag, gap.total), (None, None, None, None));
        assert_eq!(gap.daemons, Daemons { watched: 1, answering: 0, ready: 0 });
        let after = tracker.take(&sample(0, vec![("a", Some(daemon("x", 20_000, 30)))]));
        assert_eq!(wins(&after), Some(2.0), "over the whole gap");
        let restarted = tracker.take(&sample(0, vec![("a", Some(daemon("y", 21_000, 5)))]));
        assert_eq!(wins(&restarted), Some(6.0), "all that the new process has counted, its replay included");
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
