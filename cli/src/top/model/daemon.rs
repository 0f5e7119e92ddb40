//! One daemon: what it told last, how fast its counters grow, and since when it is silent.

use flash_core::stats::Stats;

use super::{
    flow::{Counters, Flow},
    totals::Totals,
};
use crate::live::judge::Known;

/// One daemon that is watched.
#[derive(Debug, Clone, Default)]
pub(crate) struct Daemon {
    /// Base URL of its admin listener.
    pub(crate) url: String,
    /// What it told last, without SKUs and events, which live elsewhere.
    pub(crate) last: Option<Stats>,
    /// When it told that, by the clock of who looks.
    pub(crate) answered_at_ms: u64,
    /// How long the answer took.
    pub(crate) took_ms: u64,
    /// Why it does not answer; `None` while it does.
    pub(crate) failed: Option<String>,
    /// Rates since its answer before the last; `None` for a process seen for the first time, and while it is silent.
    pub(crate) flow: Option<Flow>,
    /// Share of one core that it uses, over the same time.
    pub(crate) cpu: Option<f32>,
    counters: Counters,
}

/// What an answer brought besides numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct News {
    /// The process is not the one that answered before.
    pub(crate) restarted: bool,
}

impl Daemon {
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }

    /// A short name: the node id if it has one, else the address.
    pub(crate) fn name(&self) -> String {
        match self.last.as_ref().and_then(|stats| stats.node) {
            Some(node) => format!("n{node}"),
            None => self.address().to_owned(),
        }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    /// As a judge wants to know it.
    pub(crate) fn known(&self) -> Known<'_> {
        let told = match (&self.failed, &self.last) {
            (None, Some(stats)) => Ok(stats),
            (failed, _) => Err(failed.as_deref().unwrap_or("not asked yet")),
        };
        Known { name: self.name().into(), told }
    }

    /// It did not answer. Keeps what it told last. True if it did answer before.
    pub(crate) fn fail(&mut self, at_ms: u64, reason: &str) -> bool {
        let is_new = self.failed.is_none();
        if self.last.is_none() && is_new {
            self.answered_at_ms = at_ms;
        }
        self.failed = Some(reason.to_owned());
        self.flow = None;
        self.cpu = None;
        is_new
    }

    /// It answered. What was counted since its last answer goes to `totals`; rates are over its own clock, which is what its
    /// counters were read by.
    pub(crate) fn answer(&mut self, at_ms: u64, took_ms: u64, stats: Stats, totals: &mut Totals) -> News {
        let counters = Counters::of(&stats);
        let mut restarted = false;
        (self.flow, self.cpu) = (None, None);
        if let Some(last) = &self.last {
            restarted = last.instance != stats.instance || counters.has_shrunk_since(&self.counters);
            if restarted {
                // All that the new process has counted happened since the last look.
                totals.add(&stats, &Stats::default());
            } else {
                totals.add(&stats, last);
                // Its uptime: a wall clock may be set while a sale goes on.
                let span_ms = stats.uptime_ms.saturating_sub(last.uptime_ms);
                self.flow = counters.since(&self.counters, span_ms);
                self.cpu = match (stats.process.cpu_ms, last.process.cpu_ms) {
                    (Some(now), Some(then)) if span_ms > 0 => {
                        Some(super::flow::per_second(now.saturating_sub(then), span_ms) / 1_000.0)
                    }
                    _ => None,
                };
            }
        }
        // The first answer is where counting begins: what happened before is not in any window.
        self.counters = counters;
        self.last = Some(stats);
        self.answered_at_ms = at_ms;
        self.took_ms = took_ms;
        self.failed = None;
        News { restarted }
    }
}
