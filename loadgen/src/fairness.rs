//! Was first come first served? Figures from who came when and who was told what when.
//!
//! Owns the definitions (spelled out in docs/fairness.md). Never touches the network: everything here is a pure function of
//! [`Decided`] records, all stamped by the one clock of the generator.

mod figures;

use serde::{Deserialize, Serialize};

pub use figures::figures;

/// One purchase with a clear end, as the generator saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// When the first attempt was sent, microseconds since the start.
    pub arrived_us: u64,
    /// When the deciding answer was read.
    pub decided_us: u64,
    /// Index of the SKU in the plan.
    pub sku: u16,
    /// Accepted or sold out.
    pub won: bool,
}

/// Fairness of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fairness {
    /// All SKUs together: pairs are compared within a SKU only, then summed.
    pub overall: Figures,
    /// The SKUs that decided the most purchases, at most [`crate::MAX_FAIRNESS_SKUS`].
    pub by_sku: Vec<SkuFairness>,
    /// Who got how much.
    pub concentration: Concentration,
    /// How the records were thinned out where there were too many.
    pub sampling: Sampling,
}

/// Fairness of one SKU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SkuFairness {
    /// The SKU's id.
    pub sku_id: u64,
    /// Its figures.
    pub figures: Figures,
}

/// The order in which purchases were decided against the order in which they arrived. Where records were thinned out, counts
/// are of the records kept; rates and shares need no correction, skips are scaled up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Winners looked at.
    pub winners: u64,
    /// Losers (sold out) looked at.
    pub losers: u64,
    /// Pairs of winners of the same SKU.
    pub pairs: u64,
    /// Pairs of which the one who arrived later was decided earlier.
    pub inversions: u64,
    /// `inversions / pairs`; 0 is first come first served, 0.5 a lottery, 1 last come first served.
    pub inversion_rate: f64,
    /// 99th percentile over the winners of: how many winners arrived later but were decided earlier.
    pub p99_skip: u64,
    /// The largest of those.
    pub max_skip: u64,
    /// The smallest ε such that no two winners who arrived more than ε apart were decided in the wrong order, in microseconds.
    pub epsilon_us: u64,
    /// Losers who arrived before somebody who won.
    pub earlier_losers: u64,
    /// `earlier_losers / losers`.
    pub earlier_loser_share: f64,
    /// The smallest ε such that nobody lost who had arrived more than ε before somebody who won, in microseconds. Large where
    /// units came back (holds that ended) and were sold later: that is a second sale, not an injustice of the gate.
    pub loser_epsilon_us: u64,
    /// Winners who arrived after somebody who lost, as a share of the winners.
    pub jump_ratio: f64,
}

/// How wins are spread over the users who asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Concentration {
    /// Different users who asked.
    pub users: u64,
    /// Different users who won something.
    pub winners: u64,
    /// Units won.
    pub units: u64,
    /// Most units that one user won.
    pub max_per_user: u64,
    /// Share of the units that went to the top 1 % of the users who asked (rounded up to a whole user); 0.01 is perfectly even.
    pub top_1_percent_share: f64,
    /// Gini coefficient over the users who won: 0 is everybody the same.
    pub gini: f64,
}

/// Records are kept whole up to a bound. Beyond it, a record stays if a hash of its key falls under a threshold that halves
/// whenever the bound is reached again – a sample that knows neither times nor outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// Clear ends seen.
    pub decided: u64,
    /// Records kept.
    pub kept: u64,
    /// Share of the records that the threshold lets through; 1 if all were kept.
    pub share: f64,
}
