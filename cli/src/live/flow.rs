//! Answers to buyers over time: counts, rates and how long winners waited, from two looks at the same process each.
//!
//! A rate is over the daemon's own uptime: a wall clock may be set back while a sale goes on. Counts never run backwards – what a
//! silent daemon told last still was told, and so was what a process counted that is gone.

use std::collections::HashMap;

use flash_core::stats::{Api, Histogram, Stats};
use serde::Serialize;

/// Daemons that are remembered; more come to this only if addresses change all the time.
const REMEMBERED_MAX: usize = 1_024;

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

/// What is remembered of a daemon's last answer.
#[derive(Debug)]
struct Mark {
    instance: String,
    uptime_ms: u64,
    answers: Answers,
    won: Histogram,
}

/// What is counted over all daemons.
#[derive(Debug, Default)]
pub(super) struct Flow {
    last: HashMap<String, Mark>,
    /// Counted by processes that are gone.
    past: Answers,
}

/// What came of one more look.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Since the look before; `None` if no daemon was seen twice.
    pub(super) per_s: Option<PerSecond>,
    /// How long winners waited meanwhile.
    pub(super) won: Option<Ladder>,
    /// Since the daemons started, silent ones as they were seen last; `None` if none was ever seen.
    pub(super) total: Option<Answers>,
    /// Daemons in it that do not answer: of these nothing newer is known.
    pub(super) stale: usize,
}

impl Flow {
    /// Takes in who answers, of all daemons that are watched.
    pub(super) fn take(&mut self, answering: &[(&str, &Stats)], is_watched: impl Fn(&str) -> bool) -> Step {
        let (mut per_s, mut won) = (None, Histogram::default());
        for (url, stats) in answering {
            let Some(api) = &stats.api else { continue };
            let now = Mark {
                instance: stats.instance.clone(),
                uptime_ms: stats.uptime_ms,
                answers: answers(api),
                won: api.latency.won.clone(),
            };
            if let Some(before) = self.last.remove(*url) {
                let (counted, waited, over_ms) = if before.instance == now.instance {
                    let over_ms = now.uptime_ms.saturating_sub(before.uptime_ms);
                    (now.answers.minus(before.answers), now.won.since(&before.won), over_ms)
                } else {
                    // A process that began anew has counted everything since then.
                    self.past = self.past.plus(before.answers);
                    (now.answers, now.won.clone(), now.uptime_ms)
                };
                if over_ms > 0 {
                    let rates: &mut PerSecond = per_s.get_or_insert_default();
                    rates.add(counted, over_ms);
                    won.add(&waited);
                }
            }
            self.last.insert((*url).to_owned(), now);
        }
        self.forget(is_watched);
        let total = self.last.values().map(|mark| mark.answers).reduce(Answers::plus);
        let is_stale = |url: &&String| !answering.iter().any(|(other, _)| other == url);
        let stale = self.last.keys().filter(is_stale).count();
        Step { per_s, won: ladder(&won), total: total.map(|total| total.plus(self.past)), stale }
    }

    /// A daemon that is not watched any more may come back to the list, and would be counted twice if it was forgotten at once.
    fn forget(&mut self, is_watched: impl Fn(&str) -> bool) {
        if self.last.len() > REMEMBERED_MAX {
            let gone = self.last.extract_if(|url, _| !is_watched(url));
            self.past = gone.fold(self.past, |past, (_, mark)| past.plus(mark.answers));
        }
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
