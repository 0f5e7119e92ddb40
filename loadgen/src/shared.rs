//! What load threads and the caller share while a run goes on: a few relaxed atomics.
//!
//! Owns the clock of the run, the stop flag, the sold-out marks and the live numbers. A thread writes its
//! own live numbers every tenth of a second; nobody waits for anybody.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::LoadError;
use crate::plan::Plan;
use crate::report::StockPoint;
use crate::roster::Roster;
use crate::target::Target;

/// How long every SKU must have been sold out before the moment counts: answers of purchases that were
/// decided before it may still be under way.
const SETTLED_US: u64 = 100_000;

/// Why a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// All stages are through.
    #[default]
    StagesDone,
    /// Everything was sold out for the given time.
    SoldOut,
    /// The caller asked for an early end.
    Stopped,
    /// The bound of requests was reached.
    RequestLimit,
}

/// One thread's numbers for the live view.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    pub(crate) buyers: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) started: AtomicU64,
    pub(crate) served: AtomicU64,
    pub(crate) lag_max_us: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) wins: AtomicU64,
    pub(crate) sold_out: AtomicU64,
    pub(crate) refusals: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) connect_failures: AtomicU64,
    pub(crate) win_p99_us: AtomicU64,
    pub(crate) sold_out_p99_us: AtomicU64,
}

/// The shared side of a run.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) target: Target,
    pub(crate) base: u64,
    pub(crate) seed: u64,
    pub(crate) started: Instant,
    pub(crate) rotation: Vec<u16>,
    pub(crate) roster: Roster,
    /// Price of each SKU in minor units; empty where nobody pays.
    pub(crate) prices: Vec<u64>,
    /// What the catalogue said over time, and whether it need not be asked any more.
    pub(crate) stock: Mutex<Vec<StockPoint>>,
    pub(crate) watch_ended: AtomicBool,
    pub(crate) pulses: Vec<Pulse>,
    stop: AtomicBool,
    limit: AtomicBool,
    /// Per SKU: when it was first answered sold out since its last win, or 0.
    sold_out_at_us: Vec<AtomicU64>,
    /// When everything was sold out for the first time, once that has settled, or 0.
    all_sold_out_at_us: AtomicU64,
}

impl Shared {
    /// Everything that is fixed before the start. The clock runs from here, so this comes last.
    pub(crate) fn new(mut plan: Plan, target: Target, seed: u64, prices: Vec<u64>) -> Result<Self, LoadError> {
        if let Some(exponent) = plan.zipf {
            crate::stage::zipf(&mut plan.skus, exponent);
        }
        let weights: Vec<u32> = plan.skus.iter().map(|sku| sku.weight).collect();
        Ok(Self {
            base: crate::identity::base_of(seed),
            seed,
            rotation: crate::request::rotation(&weights),
            roster: Roster::of(&plan, seed)?,
            prices,
            stock: Mutex::default(),
            watch_ended: AtomicBool::new(false),
            pulses: (0..plan.threads).map(|_| Pulse::default()).collect(),
            stop: AtomicBool::new(false),
            limit: AtomicBool::new(false),
            sold_out_at_us: plan.skus.iter().map(|_| AtomicU64::new(0)).collect(),
            all_sold_out_at_us: AtomicU64::new(0),
            plan,
            target,
            started: Instant::now(),
        })
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.us_since_start(Instant::now())
    }

    pub(crate) fn us_since_start(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub(crate) fn reach_limit(&self) {
        self.limit.store(true, Relaxed);
    }

    /// Notes an answer for a SKU. Writes only on a change, so the sold-out path shares a read-only line.
    pub(crate) fn mark(&self, sku: usize, sold_out: bool, at_us: u64) {
        let mark = &self.sold_out_at_us[sku];
        if (mark.load(Relaxed) != 0) != sold_out {
            mark.store(if sold_out { at_us.max(1) } else { 0 }, Relaxed);
        }
    }

    /// Since when every SKU has been sold out.
    fn sold_out_since_us(&self) -> Option<u64> {
        let marks = self.sold_out_at_us.iter().map(|mark| mark.load(Relaxed));
        marks.map(|at| (at != 0).then_some(at)).try_fold(0, |latest, at| Some(latest.max(at?)))
    }

    /// Latches the moment of being sold out; `at_end` does not wait for it to settle.
    pub(crate) fn latch_sold_out(&self, at_end: bool) {
        let Some(since_us) = self.sold_out_since_us() else { return };
        if at_end || self.now_us().saturating_sub(since_us) >= SETTLED_US {
            // Losing the race means that another thread latched the same moment.
            let _ = self.all_sold_out_at_us.compare_exchange(0, since_us, Relaxed, Relaxed);
        }
    }

    /// The latched moment.
    pub(crate) fn all_sold_out_at_us(&self) -> Option<u64> {
        Some(self.all_sold_out_at_us.load(Relaxed)).filter(|at| *at != 0)
    }

    /// Whether, and why, no new purchases shall begin.
    pub(crate) fn ended(&self) -> Option<EndReason> {
        let now_us = self.now_us();
        if self.stop.load(Relaxed) {
            return Some(EndReason::Stopped);
        }
        if self.limit.load(Relaxed) {
            return Some(EndReason::RequestLimit);
        }
        let grace_us = self.plan.sold_out_grace_ms.map(|ms| ms.saturating_mul(1_000));
        if let (Some(grace_us), Some(since_us)) = (grace_us, self.sold_out_since_us())
            && now_us.saturating_sub(since_us) >= grace_us
        {
            return Some(EndReason::SoldOut);
        }
        (now_us / 1_000 >= self.plan.duration_ms()).then_some(EndReason::StagesDone)
    }
}
