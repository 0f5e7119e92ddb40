//! What a run shall do: the plan, its defaults and its checks.
//!
//! Owns the [`Plan`]. Never touches the network. A plan that passed [`Plan::check`] is bounded in time, in
//! requests and in buyers.

use std::collections::HashSet;
use std::time::Duration;

use crate::LoadError;
use crate::buyers::Buyers;
use crate::report::Pacing;
use crate::schedule::Schedule;
use crate::stage::{SkuShare, Stage};

/// Most virtual buyers in one stage; each is a socket and a few kilobytes.
pub const MAX_BUYERS: u32 = 50_000;
/// Longest run, all stages together.
pub const MAX_RUN_MS: u64 = 24 * 3600 * 1000;
/// Most different SKUs in one run.
pub const MAX_SKUS: usize = 10_000;
/// Most load threads.
pub const MAX_THREADS: usize = 64;
/// A ramp that lasts as long as its stage.
pub const WHOLE_STAGE: u64 = u64::MAX;
/// The largest weight of a SKU; it bounds the precomputed rotation.
pub(crate) const MAX_WEIGHT: u32 = 1_000;

/// Everything the engine needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Base URL, `http://host:port`.
    pub target: String,
    /// The only host outside loopback that may be loaded.
    pub allow_remote: Option<String>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// Closed loop: time in which a stage moves from the previous number of buyers to its own, at most half of the stage;
    /// [`WHOLE_STAGE`] moves all the time, as k6 does.
    pub ramp_ms: u64,
    /// Closed loop: shortest and longest pause of a buyer between an answer and the next purchase.
    pub think_ms: (u64, u64),
    /// Open loop: the schedule; with it, stages, ramp and think time mean nothing.
    pub open: Option<OpenLoop>,
    /// Name of the scenario, for the report.
    pub scenario: String,
    /// What is bought.
    pub skus: Vec<SkuShare>,
    /// Exponent of Zipf's law for the popularity of the SKUs in their order; replaces their weights.
    pub zipf: Option<f64>,
    /// What buyers do besides asking once.
    pub buyers: Buyers,
    /// Units per purchase.
    pub quantity: u8,
    /// Share of purchases (0 to 1) that are sent once more with the same key.
    pub retry_share: f64,
    /// End when every SKU has been sold out for this long; `None` runs all stages.
    pub sold_out_grace_ms: Option<u64>,
    /// Load threads, each with its own runtime.
    pub threads: usize,
    /// Seed of user ids, keys and choices; `None` draws one.
    pub seed: Option<u64>,
    /// After this a request counts as unanswered.
    pub request_timeout_ms: u64,
    /// Longest Retry-After that a buyer honours in full.
    pub max_retry_wait_ms: u64,
    /// Attempts per purchase while its outcome is unknown or the server asks to come back.
    pub max_attempts: u32,
    /// After the last stage, time for buyers in doubt to learn their outcome.
    pub drain_ms: u64,
    /// Upper bound of requests in the whole run.
    pub max_requests: u64,
    /// Open loop: the generator's own lag from which an arrival counts as late.
    pub late_from_ms: u64,
    /// Open loop: share of late (or never served) arrivals from which a run is invalid.
    pub late_share: f64,
    /// Ask the catalogue once per second how much is left.
    pub watch_stock: bool,
}

/// Purchases at their times, however slow the server is.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenLoop {
    /// When.
    pub schedule: Schedule,
    /// Connections in the pool. Where all of them wait for the server, arrivals wait for a connection, and their latency
    /// grows.
    pub connections: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            target: String::new(),
            allow_remote: None,
            stages: vec![Stage { duration_ms: 30_000, buyers: 200 }],
            ramp_ms: 500,
            think_ms: (0, 0),
            open: None,
            scenario: String::new(),
            skus: Vec::new(),
            zipf: None,
            buyers: Buyers::default(),
            quantity: 1,
            retry_share: 0.05,
            sold_out_grace_ms: None,
            threads: 1,
            seed: None,
            request_timeout_ms: 10_000,
            max_retry_wait_ms: 5_000,
            max_attempts: 50,
            drain_ms: 5_000,
            max_requests: 200_000_000,
            late_from_ms: 20,
            late_share: 0.01,
            watch_stock: true,
        }
    }
}

impl Plan {
    /// Length of the schedule, or of all stages together.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        if let Some(open) = &self.open {
            return open.schedule.duration_ms();
        }
        self.stages.iter().fold(0, |sum, stage| sum.saturating_add(stage.duration_ms))
    }

    /// Who decides when a purchase begins.
    #[must_use]
    pub fn pacing(&self) -> Pacing {
        if self.open.is_some() { Pacing::Open } else { Pacing::Closed }
    }

    /// Every stage with the time it begins (milliseconds from the start) and in words.
    #[must_use]
    pub fn stages_in_words(&self) -> Vec<(u64, String)> {
        if let Some(open) = &self.open {
            return open.schedule.in_words();
        }
        let mut begin_ms = 0;
        let in_words = |stage: &Stage| {
            let begun_ms = begin_ms;
            begin_ms += stage.duration_ms;
            (begun_ms, stage.words())
        };
        self.stages.iter().map(in_words).collect()
    }

    /// How many buyers there shall be at a moment of the run; 0 after its end.
    #[must_use]
    pub fn buyers_at(&self, elapsed_ms: u64) -> u32 {
        let mut start_ms = 0;
        let mut before = 0_u32;
        for stage in &self.stages {
            let into_ms = elapsed_ms.saturating_sub(start_ms);
            if into_ms < stage.duration_ms {
                let whole = self.ramp_ms == WHOLE_STAGE;
                let ramp_ms = if whole { stage.duration_ms } else { self.ramp_ms.min(stage.duration_ms / 2) };
                return between(before, stage.buyers, into_ms, ramp_ms);
            }
            start_ms += stage.duration_ms;
            before = stage.buyers;
        }
        0
    }

    /// Refuses a plan that is unbounded, empty or senseless, with the reason.
    pub fn check(&self) -> Result<(), LoadError> {
        let share = |share: f64| (0.0..=1.0).contains(&share);
        let rules: [(bool, &str); 10] = [
            (self.duration_ms() > MAX_RUN_MS, "the run lasts longer than 24 hours"),
            (self.skus.is_empty(), "no SKU to buy"),
            (self.skus.len() > MAX_SKUS, "more than 10,000 SKUs"),
            (self.skus.iter().any(|s| s.weight == 0 || s.weight > MAX_WEIGHT), "a SKU's weight is 1 to 1,000"),
            (self.zipf.is_some_and(|z| !(0.0..=5.0).contains(&z)), "Zipf's exponent is 0 to 5"),
            (!(1..=10).contains(&self.quantity), "quantity is 1 to 10"),
            (!share(self.retry_share), "the retry share is 0 to 1"),
            (!share(self.late_share), "the share of late arrivals is 0 to 1"),
            (self.threads == 0 || self.threads > MAX_THREADS, "threads are 1 to 64"),
            (
                self.request_timeout_ms == 0 || self.max_attempts == 0 || self.max_requests == 0,
                "time-out, attempts and requests must be more than 0",
            ),
        ];
        self.check_pace()?;
        self.buyers.check()?;
        let mut named = HashSet::new();
        // Each place in the list is a SKU with books of its own: one that stands there twice would be judged twice.
        if let Some(twice) = self.skus.iter().find(|sku| !named.insert(sku.sku_id)) {
            return Err(LoadError::Plan(format!(
                "SKU {id} is named twice; {id}=2 buys it twice as often",
                id = twice.sku_id
            )));
        }
        match rules.iter().find(|(broken, _)| *broken) {
            Some((_, reason)) => Err(LoadError::Plan((*reason).to_owned())),
            None => Ok(()),
        }
    }

    fn check_pace(&self) -> Result<(), LoadError> {
        let wrong = |reason: &str| Err(LoadError::Plan(reason.to_owned()));
        if let Some(open) = &self.open {
            if open.connections == 0 || open.connections > MAX_BUYERS {
                return wrong("an open loop needs 1 to 50,000 connections");
            }
            return open.schedule.check();
        }
        // Going down to nobody is how a run fades out; staying at nobody would be no run.
        let fades = self.ramp_ms == WHOLE_STAGE && self.stages.iter().any(|stage| stage.buyers > 0);
        let bad = |s: &Stage| s.duration_ms == 0 || (s.buyers == 0 && !fades) || s.buyers > MAX_BUYERS;
        match &self.stages {
            stages if stages.is_empty() => wrong("no stage: give at least one, as in 30s:500"),
            stages if stages.iter().any(bad) => wrong("a stage needs a duration and 1 to 50,000 buyers"),
            _ if self.think_ms.0 > self.think_ms.1 => wrong("the shortest think time is longer than the longest"),
            _ if self.think_ms.1 > MAX_RUN_MS => wrong("nobody thinks longer than 24 hours"),
            _ => Ok(()),
        }
    }

    /// The request time-out as a duration.
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

/// Linear step from `before` to `after`; at least one buyer as soon as the stage has begun.
fn between(before: u32, after: u32, into_ms: u64, ramp_ms: u64) -> u32 {
    if into_ms >= ramp_ms {
        return after;
    }
    let (from, to) = (i64::from(before), i64::from(after));
    let into = i64::try_from(into_ms).unwrap_or(i64::MAX);
    let ramp = i64::try_from(ramp_ms).unwrap_or(i64::MAX);
    let now = from + (to - from) * into / ramp;
    u32::try_from(now).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramp_goes_up_and_down_between_stages() {
        let plan = Plan {
            stages: vec!["10s:100".parse().unwrap(), "10s:50".parse().unwrap()],
            ramp_ms: 1_000,
            ..Plan::default()
        };
        assert_eq!(plan.buyers_at(0), 1);
        assert_eq!(plan.buyers_at(500), 50);
        assert_eq!(plan.buyers_at(1_000), 100);
        assert_eq!(plan.buyers_at(10_500), 75);
        assert_eq!(plan.buyers_at(19_999), 50);
        assert_eq!(plan.buyers_at(20_000), 0);
    }

    #[test]
    fn a_whole_stage_may_ramp_down_to_nobody() {
        let plan = Plan {
            stages: vec!["10s:100".parse().unwrap(), "10s:0".parse().unwrap()],
            skus: vec!["1".parse().unwrap()],
            ramp_ms: WHOLE_STAGE,
            ..Plan::default()
        };
        plan.check().unwrap();
        assert_eq!([5_000, 9_999, 10_000, 15_000].map(|ms| plan.buyers_at(ms)), [50, 99, 100, 50]);
        assert!(Plan { ramp_ms: 500, ..plan }.check().is_err());
    }

    #[test]
    fn senseless_plans_are_refused() {
        let good = Plan { skus: vec!["1".parse().unwrap()], ..Plan::default() };
        good.check().unwrap();
        let cases = [
            Plan { stages: vec![], ..good.clone() },
            Plan { quantity: 11, ..good.clone() },
            Plan { retry_share: f64::NAN, ..good.clone() },
            Plan { skus: vec![], ..good.clone() },
            Plan { stages: vec!["25h:1".parse().unwrap()], ..good.clone() },
            Plan { skus: vec!["1".parse().unwrap(), "1=3".parse().unwrap()], ..good.clone() },
        ];
        for case in cases {
            assert!(case.check().is_err(), "{case:?}");
        }
    }
}
