//! What is seen of a run: the newest numbers and their history by the second. Plain data.

use std::collections::VecDeque;

use flash_loadgen::{Pacing, Snapshot};

/// Seconds that are remembered: as many as the widest picture has room for.
const SECONDS_MAX: usize = 240;

/// One second of the run; a run that is looked at late fills the seconds in between with what it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Second {
    pub(super) due: u64,
    /// Open loop: arrivals of the schedule; closed loop: purchases.
    pub(super) begun: u64,
    pub(super) wins: u64,
    pub(super) sold_out: u64,
    pub(super) refusals: u64,
    pub(super) errors: u64,
    /// 99th percentile of wins so far, in microseconds; 0 as long as there is none.
    pub(super) win_p99_us: u64,
    pub(super) stock: Option<u64>,
}

/// Everything the picture shows.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Scenario and target.
    pub(super) title: String,
    pub(super) colored: bool,
    pub(super) now: Snapshot,
    /// The stage in words.
    pub(super) stage: String,
    pub(super) seconds: VecDeque<Second>,
    /// The most stock that was ever seen: what a full bar is.
    pub(super) stock_first: Option<u64>,
    /// The operator has asked for the end.
    pub(super) stopping: bool,
    /// The numbers at the last full second.
    last: Snapshot,
}

impl State {
    pub(super) fn new(title: String, colored: bool) -> Self {
        Self {
            title,
            colored,
            now: Snapshot::default(),
            stage: String::new(),
            seconds: VecDeque::new(),
            stock_first: None,
            stopping: false,
            last: Snapshot::default(),
        }
    }

    /// Takes in the present numbers.
    pub(super) fn update(&mut self, now: &Snapshot, stage: String) {
        (self.now, self.stage) = (*now, stage);
        self.stock_first = self.stock_first.max(now.stock);
        let last = self.last;
        let elapsed_ms = now.elapsed_ms.saturating_sub(last.elapsed_ms);
        if elapsed_ms < 1_000 {
            return;
        }
        // Per second, however long it took.
        let rate = |of: fn(&Snapshot) -> u64| of(now).saturating_sub(of(&last)).saturating_mul(1_000) / elapsed_ms;
        let second = Second {
            due: rate(|at| at.due),
            begun: match now.pacing {
                Pacing::Open => rate(|at| at.served),
                Pacing::Closed => rate(|at| at.started),
            },
            wins: rate(|at| at.wins),
            sold_out: rate(|at| at.sold_out),
            refusals: rate(|at| at.refusals),
            errors: rate(|at| at.errors),
            win_p99_us: now.win_p99_us,
            stock: now.stock,
        };
        self.seconds.push_back(second);
        if self.seconds.len() > SECONDS_MAX {
            self.seconds.pop_front();
        }
        self.last = *now;
    }

    /// The last full second.
    pub(super) fn latest(&self) -> Second {
        self.seconds.back().copied().unwrap_or_default()
    }

    /// Buyers whose time has come and for whom no connection is free.
    pub(super) fn waiting(&self) -> u64 {
        self.now.due.saturating_sub(self.now.served)
    }
}
