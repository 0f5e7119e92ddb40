//! Was first come first served? Figures from who came when and who was told what when.
//!
//! Owns the definitions (spelled out in docs/fairness.md). Never touches the network: everything here is a pure function of
//! [`Decided`] records, all stamped by the one clock of the generator.

mod figures;
mod sampler;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::MAX_FAIRNESS_SKUS;
use crate::plan::Plan;
use crate::tally::Told;

pub use figures::figures;
pub(crate) use sampler::Sampler;

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
    /// Losers during whose waiting somebody arrived who won: they were there earlier and went away empty. Winners who came after
    /// a loser's answer do not count: what they got must have come back (a hold that ended), and was not there before.
    pub earlier_losers: u64,
    /// `earlier_losers / losers`.
    pub earlier_loser_share: f64,
    /// The smallest ε such that nobody lost who had arrived more than ε before such a winner, in microseconds.
    pub loser_epsilon_us: u64,
    /// Winners who arrived after the first loser did, as a share of the winners. Near 0 in a single sale; large where units come
    /// back and are sold again.
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

impl Fairness {
    /// The figures of a run: `decided` is thinned out already, `told` and `users` are complete.
    pub(crate) fn of(plan: &Plan, sampler: &Sampler, told: &[Told], users: u64) -> Self {
        let sampling = sampler.sampling();
        let mut by_index: BTreeMap<u16, Vec<Decided>> = BTreeMap::new();
        for record in sampler.records() {
            by_index.entry(record.sku).or_default().push(record);
        }
        let mut fairness = Self { concentration: Concentration::of(told, users), sampling, ..Self::default() };
        for (sku, records) in by_index {
            let figures = figures(&records, sampling.share);
            fairness.overall.join(&figures);
            let sku_id = plan.skus.get(usize::from(sku)).map_or(0, |share| share.sku_id);
            fairness.by_sku.push(SkuFairness { sku_id, figures });
        }
        fairness.by_sku.sort_by_key(|sku| std::cmp::Reverse(sku.figures.winners + sku.figures.losers));
        fairness.by_sku.truncate(MAX_FAIRNESS_SKUS);
        fairness
    }
}

impl Concentration {
    /// How the units of these orders are spread, `users` being how many different users asked.
    #[must_use]
    pub fn of(told: &[Told], users: u64) -> Self {
        let mut by_user: BTreeMap<u64, u64> = BTreeMap::new();
        for order in told {
            *by_user.entry(order.user_id).or_default() += u64::from(order.quantity);
        }
        let mut units: Vec<u64> = by_user.into_values().collect();
        units.sort_unstable();
        let winners = units.len() as u64;
        let users = users.max(winners);
        let all: u64 = units.iter().sum();
        let top = usize::try_from(users.div_ceil(100)).unwrap_or(usize::MAX);
        let of_top: u64 = units.iter().rev().take(top).sum();
        // G = Σ (2i - n - 1) x_i / (n Σ x_i) over the units in ascending order, i from 1.
        let n = winners as f64;
        let weighted: f64 = units.iter().enumerate().map(|(i, x)| (2.0 * (i + 1) as f64 - n - 1.0) * *x as f64).sum();
        let share = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole };
        Self {
            users,
            winners,
            units: all,
            max_per_user: units.last().copied().unwrap_or(0),
            top_1_percent_share: share(of_top as f64, all as f64),
            gini: share(weighted, n * all as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(user_id: u64, quantity: u8) -> Told {
        Told { user_id, quantity, ..Told::default() }
    }

    #[test]
    fn even_and_uneven_wins_are_told_apart() {
        let even: Vec<Told> = (0..200).map(|user| told(user, 1)).collect();
        let spread = Concentration::of(&even, 400);
        assert_eq!((spread.users, spread.winners, spread.units, spread.max_per_user), (400, 200, 200, 1));
        assert!((spread.top_1_percent_share - 4.0 / 200.0).abs() < 1e-12 && spread.gini.abs() < 1e-12);

        // One of a hundred users has everything but one unit.
        let mut hoarded: Vec<Told> = (0..49).map(|_| told(7, 2)).collect();
        hoarded.push(told(8, 2));
        let hoard = Concentration::of(&hoarded, 100);
        assert_eq!((hoard.winners, hoard.units, hoard.max_per_user), (2, 100, 98));
        assert!((hoard.top_1_percent_share - 0.98).abs() < 1e-12, "{hoard:?}");
        assert!((hoard.gini - 0.48).abs() < 1e-12, "{hoard:?}");
        assert_eq!(Concentration::of(&[], 0), Concentration::default());
    }
}
