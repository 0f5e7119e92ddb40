//! Counts that only grow – over all daemons, and over their restarts – with looks back, so that any window of the last hour
//! is one subtraction.

use std::collections::VecDeque;

use flash_core::stats::{Histogram, Stats};

use super::flow::{Kind, kind_of};

/// Looks back at every sample.
const FRESH_MAX: usize = 120;
/// Older looks back are this far apart.
const OLD_STEP_MS: u64 = 10_000;
/// How many of those: an hour.
const OLD_MAX: usize = 360;

/// Durations of answers to buyers, and of the steps behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Latencies {
    /// Purchases told "yes".
    pub(crate) won: Histogram,
    /// Told "sold out".
    pub(crate) sold_out: Histogram,
    /// Every other refusal.
    pub(crate) refused: Histogram,
    /// Overloaded, recovering, unknown.
    pub(crate) failed: Histogram,
    /// Decisions of Redis.
    pub(crate) reserve: Histogram,
    /// From handing an event over to its acknowledgement by the log.
    pub(crate) produce: Histogram,
    /// Pings of MySQL.
    pub(crate) ping: Histogram,
    /// Transactions of the projectors.
    pub(crate) apply: Histogram,
    /// From the end of a hold to its units being on sale again.
    pub(crate) sweep: Histogram,
}

impl Latencies {
    fn of(stats: &Stats) -> [Option<&Histogram>; 9] {
        let latency = stats.api.as_ref().map(|api| &api.latency);
        [
            latency.map(|it| &it.won),
            latency.map(|it| &it.sold_out),
            latency.map(|it| &it.refused),
            latency.map(|it| &it.failed),
            stats.stores.redis.operations.get("reserve").map(|it| &it.took),
            Some(&stats.stores.kafka.produce),
            Some(&stats.stores.mysql.ping),
            Some(&stats.stores.mysql.apply.took),
            stats.worker.as_ref().map(|worker| &worker.sweeper.delay),
        ]
    }

    fn all_mut(&mut self) -> [&mut Histogram; 9] {
        [
            &mut self.won,
            &mut self.sold_out,
            &mut self.refused,
            &mut self.failed,
            &mut self.reserve,
            &mut self.produce,
            &mut self.ping,
            &mut self.apply,
            &mut self.sweep,
        ]
    }

    fn all(&self) -> [&Histogram; 9] {
        [
            &self.won,
            &self.sold_out,
            &self.refused,
            &self.failed,
            &self.reserve,
            &self.produce,
            &self.ping,
            &self.apply,
            &self.sweep,
        ]
    }

    fn since(&self, earlier: &Self) -> Self {
        let mut window = Self::default();
        for ((into, now), then) in window.all_mut().into_iter().zip(self.all()).zip(earlier.all()) {
            *into = now.since(then);
        }
        window
    }
}

/// One look back.
#[derive(Debug, Clone, Default)]
struct Mark {
    at_ms: u64,
    latencies: Latencies,
    outcomes: Vec<u64>,
}

/// What was counted within a window of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    /// How long it really is: shorter than wished for while not enough has been seen.
    pub(crate) span_ms: u64,
    /// Durations.
    pub(crate) latencies: Latencies,
    /// `(kind, reason, how often)` of every outcome that occurred, the most frequent first.
    pub(crate) outcomes: Vec<(Kind, String, u64)>,
}

/// The counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    latencies: Latencies,
    /// Outcomes in order of their first appearance; the marks' counts are in the same order.
    outcomes: Vec<(Kind, String, u64)>,
    fresh: VecDeque<Mark>,
    old: VecDeque<Mark>,
}

impl Totals {
    /// Adds what one process has counted since it told `last`.
    pub(crate) fn add(&mut self, stats: &Stats, last: &Stats) {
        let (now, then) = (Latencies::of(stats), Latencies::of(last));
        for ((into, now), then) in self.latencies.all_mut().into_iter().zip(now).zip(then) {
            match (now, then) {
                (Some(now), Some(then)) if now != then => into.add(&now.since(then)),
                (Some(now), None) if !now.is_empty() => into.add(now),
                _ => {}
            }
        }
        let Some(api) = &stats.api else { return };
        let earlier = last.api.as_ref().map(|api| api.outcomes.as_slice()).unwrap_or_default();
        for outcome in &api.outcomes {
            let same =
                |it: &&flash_core::stats::OutcomeCount| it.status == outcome.status && it.reason == outcome.reason;
            let before = earlier.iter().find(same).map_or(0, |it| it.count);
            let more = outcome.count.saturating_sub(before);
            if more > 0 {
                self.outcome(kind_of(&outcome.status, &outcome.reason), &outcome.reason, more);
            }
        }
    }

    fn outcome(&mut self, kind: Kind, reason: &str, more: u64) {
        let known =
            self.outcomes.iter_mut().find(|(its_kind, its_reason, _)| *its_kind == kind && its_reason == reason);
        match known {
            Some((_, _, count)) => *count = count.saturating_add(more),
            None => self.outcomes.push((kind, reason.to_owned(), more)),
        }
    }

    /// Remembers the counts as they are, thinning out what is old.
    pub(crate) fn mark(&mut self, at_ms: u64) {
        let outcomes = self.outcomes.iter().map(|(_, _, count)| *count).collect();
        self.fresh.push_back(Mark { at_ms, latencies: self.latencies.clone(), outcomes });
        if self.fresh.len() > FRESH_MAX
            && let Some(mark) = self.fresh.pop_front()
            && self.old.back().is_none_or(|last| mark.at_ms >= last.at_ms + OLD_STEP_MS)
        {
            self.old.push_back(mark);
            if self.old.len() > OLD_MAX {
                self.old.pop_front();
            }
        }
    }

    /// What was counted between the last two marks.
    pub(crate) fn last_step(&self) -> Latencies {
        match self.fresh.len().checked_sub(2).and_then(|index| self.fresh.get(index)) {
            Some(earlier) => self.latencies.since(&earlier.latencies),
            None => Latencies::default(),
        }
    }

    /// What was counted within the last `span_ms` before the last mark, or since the first mark.
    pub(crate) fn window(&self, span_ms: u64) -> Window {
        let Some(now) = self.fresh.back() else { return Window::default() };
        let since = now.at_ms.saturating_sub(span_ms);
        let marks = || self.old.iter().chain(&self.fresh);
        let start = marks().rev().find(|mark| mark.at_ms <= since).or_else(|| marks().next());
        let Some(start) = start else { return Window::default() };
        let mut outcomes: Vec<(Kind, String, u64)> = self
            .outcomes
            .iter()
            .enumerate()
            .map(|(index, (kind, reason, count))| {
                let before = start.outcomes.get(index).copied().unwrap_or(0);
                (*kind, reason.clone(), count.saturating_sub(before))
            })
            .filter(|(_, _, count)| *count > 0)
            .collect();
        outcomes.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.1.cmp(&b.1)));
        Window { span_ms: now.at_ms - start.at_ms, latencies: self.latencies.since(&start.latencies), outcomes }
    }
}
