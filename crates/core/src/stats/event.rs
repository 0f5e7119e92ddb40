//! What happened to a daemon lately, for people who look at it.

use crate::ids::SkuId;
use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Happening {
    /// Grows by one with each; starts at 1 with the process. A reader that has seen 7 wants 8.
    pub number: u64,
    /// When, by the daemon's clock.
    pub at_ms: u64,
    /// What kind of thing.
    pub kind: HappeningKind,
    /// How bad it is.
    pub severity: Severity,
    /// The SKU, if it is about one.
    pub sku_id: Option<SkuId>,
    /// In words, one line.
    pub text: String,
}

/// Kinds of things that happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HappeningKind {
    /// The process is ready, or not any more.
    Ready,
    /// A stock epoch was opened, closed or announced.
    Epoch,
    /// Redis is being filled anew, or was.
    Rebuild,
    /// Nothing could be decided, or it goes on.
    Selling,
    /// A breaker opened or closed.
    Breaker,
    /// An event was parked.
    DeadLetter,
    /// The auditor found something, or what it had found is gone.
    Audit,
    /// A SKU was put on sale, changed, paused, sold out, or has units again.
    Sku,
    /// An operator asked for something: pause, resume, drain, log level.
    Operator,
    /// The node id was leased or lost.
    Node,
    /// Something newer than this program.
    #[default]
    #[serde(other)]
    Other,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// Somebody should look.
    Warning,
    /// Buyers are affected, or a promise is at stake.
    Critical,
}
