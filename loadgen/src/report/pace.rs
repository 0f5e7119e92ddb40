//! How purchases were paced, and whether the generator kept its own promise.

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::shared::{EndReason, Shared};
use crate::tally::Tally;

/// Who decides when a purchase begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// A schedule, fixed before the first request: buyers come when they come, however slow the server is.
    Open,
    /// The previous answer: a buyer who waits asks for nothing meanwhile, so stalls of the server hide themselves.
    #[default]
    Closed,
}

impl Pacing {
    /// As people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Pacing::Open => "open loop",
            Pacing::Closed => "closed loop",
        }
    }
}

/// What became of the schedule. In a closed loop `planned` is 0 and nothing is late: there is no schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Arrivals {
    /// Arrivals in the schedule.
    pub planned: u64,
    /// Arrivals that fell due before the run ended. Fewer than planned if it was ended early.
    pub due: u64,
    /// Arrivals of the schedule whose first request was sent: `due` less `never_started`. 0 in a closed loop.
    pub begun: u64,
    /// All purchases that were begun: besides the schedule's own, second attempts and the further keys of bots.
    pub started: u64,
    /// Due, but no connection became free before the end: buyers who were never served.
    pub never_started: u64,
    /// Begun more than a millisecond after their time, the generator's own lag not counted, because every connection waited for
    /// the server.
    pub waited_for_connection: u64,
    /// Longest such wait, in microseconds.
    pub longest_wait_us: u64,
    /// Connections of the pool.
    pub connections: u64,
}

/// How far the generator itself – not the server – was behind its schedule when it began an arrival. Where a connection was
/// free, that is all the time since the arrival's; where none was, the time by which the generator's own clock work was late. Up
/// to about a millisecond is the resolution of the timer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lag {
    /// Arrivals measured.
    pub count: u64,
    /// Median, in microseconds.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Longest.
    pub max_us: u64,
    /// Lag from which an arrival counts as late, in microseconds.
    pub late_from_us: u64,
    /// Arrivals begun later than that.
    pub late: u64,
}

/// Whether the figures may be believed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Validity {
    /// False if the generator did not do what the plan says; the reasons tell.
    pub valid: bool,
    /// One sentence each; empty if valid.
    pub reasons: Vec<String>,
    /// The generator itself fell behind its schedule: nothing said about speed may be believed. Where a run is invalid without
    /// it, buyers were never served: the server is even slower than the latencies say.
    pub generator_behind: bool,
    /// The generator's own lag; without any count in a closed loop.
    pub lag: Lag,
}

impl Default for Validity {
    fn default() -> Self {
        Self { valid: true, reasons: Vec::new(), generator_behind: false, lag: Lag::default() }
    }
}

impl Arrivals {
    pub(crate) fn of(shared: &Shared, tally: &Tally) -> Self {
        let served = &tally.served;
        let due = shared.roster.due_at(served.ended_us);
        Self {
            planned: shared.roster.times_us.len() as u64,
            due,
            begun: served.arrivals,
            started: served.started,
            never_started: due.saturating_sub(served.arrivals),
            waited_for_connection: served.waited,
            longest_wait_us: served.longest_wait_us,
            connections: shared.plan.open.as_ref().map_or(0, |open| u64::from(open.connections)),
        }
    }
}

impl Validity {
    /// Looks whether the generator kept its schedule. A closed loop has none to keep.
    pub(crate) fn judge(plan: &Plan, arrivals: &Arrivals, tally: &Tally, ended: EndReason) -> Self {
        if plan.open.is_none() {
            return Self::default();
        }
        let lag = Lag::of(tally, plan.late_from_ms * 1_000);
        let mut reasons = Vec::new();
        let too_many = |part: u64, whole: u64| part as f64 > plan.late_share * whole as f64;
        let generator_behind = too_many(lag.late, lag.count);
        if generator_behind {
            let percent = 100.0 * lag.late as f64 / lag.count as f64;
            reasons.push(format!(
                "the generator fell behind its own schedule: {percent:.1} % of the arrivals were begun more than {} ms late \
                 (p99 {:.1} ms, longest {:.1} ms); latencies contain that lag, so they are too high",
                plan.late_from_ms,
                lag.p99_us as f64 / 1_000.0,
                lag.max_us as f64 / 1_000.0,
            ));
        }
        // After an early end the last arrivals had no time to be served.
        if ended != EndReason::Stopped && too_many(arrivals.never_started, arrivals.due) {
            let percent = 100.0 * arrivals.never_started as f64 / arrivals.due as f64;
            let failed = tally.connections.failed;
            // Where connects fail, a larger pool would only ask more often.
            let (why, advice) = match &tally.connect_error {
                Some(error) => (
                    format!(", and {failed} connects failed, the last one with `{error}`"),
                    "look first at why connects fail; otherwise ",
                ),
                None => (String::new(), ""),
            };
            reasons.push(format!(
                "{percent:.1} % of the buyers never got a connection ({} of {}){why}: latencies do not contain them, so they \
                 are too low; {advice}give the pool more than {} connections, or the run a longer end",
                arrivals.never_started, arrivals.due, arrivals.connections,
            ));
        }
        Self { valid: reasons.is_empty(), reasons, generator_behind, lag }
    }
}

impl Lag {
    fn of(tally: &Tally, late_from_us: u64) -> Self {
        let lag = &tally.lag;
        let at = |quantile| if lag.is_empty() { 0 } else { lag.value_at_quantile(quantile) };
        Self {
            count: lag.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: at(1.0),
            late_from_us,
            late: tally.served.late,
        }
    }
}
