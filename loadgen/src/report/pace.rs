//! How purchases were paced, and whether the generator kept its own promise.

use serde::{Deserialize, Serialize};

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
    /// Purchases that were begun (closed loop: by all buyers together).
    pub started: u64,
    /// Due, but no connection became free before the end: buyers who were never served.
    pub never_started: u64,
    /// Begun more than a millisecond after their time because every connection waited for the server.
    pub waited_for_connection: u64,
    /// Longest such wait, in microseconds.
    pub longest_wait_us: u64,
    /// Connections of the pool.
    pub connections: u64,
}

/// How far the generator itself – not the server – was behind its schedule, measured for every arrival when the schedule's
/// keeper got to see it. Up to about a millisecond is the resolution of the timer.
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
    /// Arrivals seen later than that.
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
    /// The generator's own lag; without any count in a closed loop.
    pub lag: Lag,
}

impl Default for Validity {
    fn default() -> Self {
        Self { valid: true, reasons: Vec::new(), lag: Lag::default() }
    }
}
