//! The selling half of the document.

use super::Histogram;
use crate::ids::{Epoch, SkuId};
use serde::{Deserialize, Serialize};

/// What an API process tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Api {
    /// Connections of buyers.
    pub connections: Connections,
    /// Purchases between admission and answer.
    pub in_flight: u64,
    /// Most of them.
    pub in_flight_max: u64,
    /// Purchases by what the buyer was told, zeros included.
    pub outcomes: Vec<OutcomeCount>,
    /// From the end of the request head to the answer.
    pub latency: Latency,
    /// The lanes of all SKUs together.
    pub lanes: Lanes,
    /// Holds that Redis decided, replays not counted.
    pub reserved: u64,
    /// `RESERVED` events that the log acknowledged, repeated ones included.
    pub logged: u64,
    /// Events handed to the log without an answer yet.
    pub unacknowledged: u64,
    /// What buyers settled here.
    pub settling: Settling,
    /// The stock epoch, as this daemon knows it.
    pub epoch: EpochView,
    /// For how long nothing could be decided.
    pub stops: Stops,
    /// SKUs on sale.
    pub sku_count: u64,
    /// SKUs, in order of their ids; not all of them if there are many (see the `skus` parameter of `/stats`).
    pub skus: Vec<SkuStats>,
}

/// Connections of buyers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Connections {
    /// Open now.
    pub open: u64,
    /// Most that may be open.
    pub max: u64,
    /// Accepted since the start.
    pub accepted: u64,
    /// Closed because there were too many.
    pub refused: u64,
}

/// How often one outcome was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OutcomeCount {
    /// `won`, `refused` or `failed`.
    pub status: String,
    /// The outcome's own name, such as `sold_out`.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// Latencies, kinds of answers apart: a refusal is quick and would hide how long winners wait.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Latency {
    /// Purchases that were told "yes".
    pub won: Histogram,
    /// Sold out.
    pub sold_out: Histogram,
    /// Every other refusal.
    pub refused: Histogram,
    /// Overloaded, recovering, unknown.
    pub failed: Histogram,
}

/// The queues in front of Redis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Lanes {
    /// Purchases waiting in all lanes.
    pub waiting: u64,
    /// Purchases waiting in the fullest lane.
    pub deepest: u64,
    /// Most that may wait in one.
    pub depth_max: u64,
    /// Batches decided by Redis.
    pub batches: u64,
    /// Purchases in them.
    pub purchases: u64,
    /// Batches that Redis was not allowed to decide.
    pub fenced: u64,
}

/// What became of reported payments and cancellations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Settling {
    /// Orders paid in time, repeated reports included.
    pub confirmed: u64,
    /// Paid too late, and another unit was found.
    pub rebooked: u64,
    /// Paid too late, and the money is to be given back.
    pub refund_pending: u64,
    /// Cancelled by their buyers.
    pub cancelled: u64,
    /// Wishes that were not fulfilled.
    pub refused: u64,
}

/// The stock epoch and its lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EpochView {
    /// Newest epoch seen; 0: none.
    pub latest: Epoch,
    /// Whether purchases may be decided now.
    pub open: bool,
    /// Age of the lease; `None` before the first complete look.
    pub lease_age_ms: Option<u64>,
    /// Age at which it is stale (D).
    pub lease_max_ms: u64,
    /// Why nothing can be decided.
    pub problem: Option<String>,
}

/// For how long nothing could be decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Stops {
    /// How often selling has stopped.
    pub stops: u64,
    /// For how long the present stop has lasted.
    pub stopped_for_ms: Option<u64>,
    /// How long the last stop that is over took.
    pub last_stop_ms: Option<u64>,
    /// All of them together, the present one included.
    pub total_ms: u64,
    /// When selling stopped last.
    pub stopped_at_ms: Option<u64>,
    /// When it went on.
    pub resumed_at_ms: Option<u64>,
    /// SKUs whose last batch could not be decided, whether or not others can be.
    pub stopped_skus: u64,
}

/// One SKU: its definition as MySQL last said, its counters as Redis last said, what was asked of this daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkuStats {
    /// The SKU.
    pub sku_id: SkuId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Units that exist.
    #[serde(default)]
    pub capacity: u64,
    /// Price of one unit in minor units.
    #[serde(default)]
    pub price_minor: u64,
    /// ISO 4217 code.
    #[serde(default)]
    pub currency: String,
    /// Whether it is sold now.
    #[serde(default)]
    pub state: SkuState,
    /// First instant of its sale.
    #[serde(default)]
    pub opens_at_ms: Option<u64>,
    /// First instant after it.
    #[serde(default)]
    pub closes_at_ms: Option<u64>,
    /// Units that can be bought. This and the next four are `None` until Redis has been read once.
    #[serde(default)]
    pub available: Option<u64>,
    /// Units on hold.
    #[serde(default)]
    pub held: Option<u64>,
    /// Units paid.
    #[serde(default)]
    pub sold: Option<u64>,
    /// Units that are being given back.
    #[serde(default)]
    pub closing: Option<u64>,
    /// Age of these counters.
    #[serde(default)]
    pub seen_ms_ago: Option<u64>,
    /// Purchases waiting in its lane.
    #[serde(default)]
    pub waiting: u64,
    /// Purchases asked of this daemon.
    #[serde(default)]
    pub attempts: u64,
    /// Holds made through this daemon, replays not counted.
    #[serde(default)]
    pub wins: u64,
    /// Sold-out answers, the latch's included.
    #[serde(default)]
    pub sold_out: u64,
}

impl SkuStats {
    /// A SKU of which nothing else is known.
    #[must_use]
    pub fn of(sku_id: SkuId) -> Self {
        Self {
            sku_id,
            name: String::new(),
            capacity: 0,
            price_minor: 0,
            currency: String::new(),
            state: SkuState::Unknown,
            opens_at_ms: None,
            closes_at_ms: None,
            available: None,
            held: None,
            sold: None,
            closing: None,
            seen_ms_ago: None,
            waiting: 0,
            attempts: 0,
            wins: 0,
            sold_out: 0,
        }
    }
}

/// Whether a SKU is sold now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkuState {
    /// Within its window, with units left.
    Selling,
    /// Nothing left, but holds may still come back.
    HeldOut,
    /// All units are paid for.
    SoldOut,
    /// Its sale has not begun.
    Upcoming,
    /// Its sale is over.
    Closed,
    /// An operator has paused it.
    Paused,
    /// Not known yet, or something newer than this program.
    #[default]
    #[serde(other)]
    Unknown,
}
