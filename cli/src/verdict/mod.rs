//! The verdict of a load test: what buyers were told against what MySQL holds.
//!
//! Owns the judgement. [`judge::Judge`] is pure; [`settle()`] waits for the projector and feeds it. A run is never
//! called clean because something could not be read: then the verdict is open, and says so.

mod judge;
mod settle;

use serde::Serialize;

pub(crate) use settle::{Settling, settle};

/// Examples kept per kind of finding.
const MAX_EXAMPLES: u64 = 10;

/// What was found. Every count is 0 in a clean run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    /// Nothing was found, and everything that was told has been looked for.
    pub(crate) clean: bool,
    /// False if the wait for the projector was cut short: orders that are missing may still come.
    pub(crate) settled: bool,
    /// Units for sale, all SKUs of the run together.
    pub(crate) capacity: u64,
    /// Units that buyers of this run were told (200).
    pub(crate) told: u64,
    /// Units of told orders that MySQL has.
    pub(crate) in_mysql: u64,
    /// Units given away beyond a SKU's capacity.
    pub(crate) oversold: u64,
    /// Orders that were told and that MySQL does not have.
    pub(crate) lost: u64,
    /// Second orders or reservations for one key, and one order told for two keys.
    pub(crate) duplicate: u64,
    /// Told orders whose row says something else: reservation, buyer, SKU, quantity or key.
    pub(crate) mismatched: u64,
    /// Won purchases whose repetition with the same key was refused.
    pub(crate) contradicted: u64,
    /// Live orders of buyers who were clearly refused.
    pub(crate) phantom: u64,
    /// Orders of buyers who never learned their outcome. Allowed: they expire, or a retry finds them.
    pub(crate) unannounced: u64,
    /// How long the projector was waited for.
    pub(crate) waited_ms: u64,
    /// Per SKU.
    pub(crate) skus: Vec<SkuVerdict>,
    /// Examples of findings.
    pub(crate) findings: Vec<Finding>,
}

/// One SKU's balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SkuVerdict {
    /// The SKU, as text like everywhere in the API.
    pub(crate) sku_id: String,
    /// Its name.
    pub(crate) name: String,
    /// Units for sale.
    pub(crate) capacity: u64,
    /// Units told in this run.
    pub(crate) told: u64,
    /// Units of told orders that MySQL has.
    pub(crate) in_mysql: u64,
    /// Units in live orders, of all runs and buyers.
    pub(crate) live: u64,
    /// Units beyond the capacity.
    pub(crate) oversold: u64,
}

/// An example of something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// OVERSOLD, LOST, DUPLICATE, MISMATCHED, CONTRADICTED or PHANTOM.
    pub(crate) kind: &'static str,
    /// Which order, key or SKU, and what is wrong with it.
    pub(crate) detail: String,
}

impl Verdict {
    /// Whether a promise was broken. A missing order counts only once the projector has been waited for.
    pub(crate) fn is_breach(&self) -> bool {
        let lost = if self.settled { self.lost } else { 0 };
        [self.oversold, lost, self.duplicate, self.mismatched, self.contradicted, self.phantom].iter().any(|n| *n > 0)
    }
}
