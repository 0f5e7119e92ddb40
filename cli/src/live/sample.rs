//! One look at all daemons at once: what a poll brings, what a recording keeps, and all that the dashboard is drawn from.

use flash_core::stats::Stats;
use serde::{Deserialize, Serialize};

/// All daemons at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    /// When it was taken, in milliseconds since 1970 by the clock of who looks.
    pub(crate) at_ms: u64,
    /// One for each daemon that is watched, in a fixed order.
    pub(crate) daemons: Vec<Seen>,
}

/// What came of asking one daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Seen {
    /// Base URL of its admin listener.
    pub(crate) url: String,
    /// How long the answer took, in milliseconds.
    pub(crate) took_ms: u64,
    /// The answer.
    #[serde(flatten)]
    pub(crate) told: Told,
}

/// A daemon's answer, or why there is none. A missing answer is a gap, never a zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Told {
    /// What it tells.
    Stats(Box<Stats>),
    /// Why it tells nothing.
    Failed(String),
}
