//! The verdict of a load test: what buyers were told against log, MySQL and Redis.
//!
//! Owns the judgement. The comparison itself is the witness's (`crates/witness`), which reads every store by itself and shares
//! no code with the product: a load test of our own server must not be acquitted by our own queries. What the witness cannot
//! know – that one key was answered twice, that a refused buyer has an order – is added here from the engine's books.
//!
//! | module | does |
//! |---|---|
//! | [`places`] | where the stores are, and whether they answer |
//! | [`mod@settle`] | waits for the drain and reads the testimonies |
//! | [`judge`] | pure: told and testimonies in, findings out |
//! | [`alone`] | pure: what follows from what was told alone, for a server whose stores are out of reach |
//!
//! A run is never called clean because something could not be read: then the verdict is open, or says what it did not judge.

mod alone;
mod judge;
mod places;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub(crate) use alone::judge_alone;
pub(crate) use places::Places;
pub(crate) use settle::{Settling, settle};

/// Examples kept per kind of finding.
const MAX_EXAMPLES: u64 = 10;

/// What must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Kind {
    /// More units given away than exist.
    Oversold,
    /// Something that a buyer was told is not so.
    Lost,
    /// Two orders where there should be one.
    Duplicate,
    /// A unit that is neither held nor sold is not on sale, or something never came to its end.
    Stuck,
    /// A buyer has more than the cap.
    CapBroken,
    /// One key, two answers.
    Contradicted,
    /// A live order of a buyer who was clearly refused.
    Phantom,
    /// Log, MySQL and ledger tell different things about an order of this run.
    Diverged,
}

impl Kind {
    /// Every kind, in the order of reports.
    pub(crate) const ALL: [Self; 8] = [
        Self::Oversold,
        Self::Lost,
        Self::Duplicate,
        Self::Stuck,
        Self::CapBroken,
        Self::Contradicted,
        Self::Phantom,
        Self::Diverged,
    ];

    /// As reports spell it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Oversold => "OVERSOLD",
            Self::Lost => "LOST",
            Self::Duplicate => "DUPLICATE",
            Self::Stuck => "STUCK",
            Self::CapBroken => "CAP_BROKEN",
            Self::Contradicted => "CONTRADICTED",
            Self::Phantom => "PHANTOM",
            Self::Diverged => "DIVERGED",
        }
    }
}

/// What the judgement rests on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Basis {
    /// What buyers were told, the log, MySQL and Redis.
    #[default]
    Witnessed,
    /// What buyers were told, and the capacities that the server announced.
    ToldAlone,
}

/// How it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Everything that is judged was looked at, and nothing was found.
    Clean,
    /// A promise was broken.
    Broken,
    /// Nothing was found, but not everything could be looked at.
    #[default]
    Open,
}

/// The judgement. Every count is 0 in a clean run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Clean, broken or open.
    pub(crate) outcome: Outcome,
    /// What it rests on.
    pub(crate) basis: Basis,
    /// False if the wait for the drain was cut short: what is missing may still come.
    pub(crate) settled: bool,
    /// Why it is open, or what it leaves out; empty if there is nothing to say.
    pub(crate) remarks: Vec<String>,
    /// The kinds that could be judged.
    pub(crate) judged: BTreeSet<Kind>,
    /// How many of each kind were found, zero included: units for OVERSOLD, orders or findings otherwise.
    pub(crate) counts: BTreeMap<Kind, u64>,
    /// Units for sale, all SKUs of the run together; `null` if the server does not say.
    pub(crate) capacity: Option<u64>,
    /// Units that buyers of this run were told (200).
    pub(crate) told: u64,
    /// Units of told orders that the log counts; `null` if it was not read.
    pub(crate) in_log: Option<u64>,
    /// Units of told orders that MySQL has; `null` if it was not read.
    pub(crate) in_mysql: Option<u64>,
    /// Units held, sold or on their way back in Redis, of whichever buyer; `null` if it was not read.
    pub(crate) in_redis: Option<u64>,
    /// Orders of buyers who never learned their outcome. Allowed: they expire, or a retry finds them.
    pub(crate) unannounced: u64,
    /// How long the drain took.
    pub(crate) waited_ms: u64,
    /// Per SKU.
    pub(crate) skus: Vec<SkuVerdict>,
    /// Examples of findings.
    pub(crate) findings: Vec<Finding>,
}

/// One SKU's balance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SkuVerdict {
    /// The SKU, as text like everywhere in the API.
    pub(crate) sku_id: String,
    /// Units for sale, if known.
    pub(crate) capacity: Option<u64>,
    /// Units told in this run.
    pub(crate) told: u64,
    /// Units of told orders that MySQL has, if it was read.
    pub(crate) in_mysql: Option<u64>,
    /// Units in live orders, of all runs and buyers, if MySQL was read.
    pub(crate) live: Option<u64>,
    /// Units beyond the capacity.
    pub(crate) oversold: u64,
}

/// An example of something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// What kind.
    pub(crate) kind: Kind,
    /// The order to look at, if there is one.
    pub(crate) order_id: Option<String>,
    /// What is wrong with it.
    pub(crate) detail: String,
}

impl Verdict {
    /// How many of a kind were found.
    pub(crate) fn count(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Whether a promise was broken.
    pub(crate) fn is_breach(&self) -> bool {
        self.counts.values().any(|count| *count > 0)
    }
}

/// Where findings are collected: each order once per kind, with a few examples.
#[derive(Debug, Default)]
struct Findings {
    seen: BTreeSet<(Kind, u64)>,
    counts: BTreeMap<Kind, u64>,
    examples: Vec<Finding>,
}

impl Findings {
    /// Notes a finding, unless this order has one of this kind already.
    fn add(&mut self, kind: Kind, order_id: Option<u64>, detail: String) {
        if order_id.is_some_and(|order| !self.seen.insert((kind, order))) {
            return;
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count <= MAX_EXAMPLES {
            self.examples.push(Finding { kind, order_id: order_id.map(|order| order.to_string()), detail });
        }
    }

    /// Puts counts, examples and the outcome into a verdict; a kind that was not judged cannot have been found.
    fn close(mut self, verdict: &mut Verdict, is_complete: bool) {
        let units: u64 = verdict.skus.iter().map(|sku| sku.oversold).sum();
        if units > 0 {
            // Units say more than the number of SKUs that they belong to.
            self.counts.insert(Kind::Oversold, units);
        }
        verdict.counts = Kind::ALL.map(|kind| (kind, self.counts.get(&kind).copied().unwrap_or(0))).into();
        self.examples.sort_by_key(|finding| finding.kind);
        verdict.findings = self.examples;
        verdict.outcome = match (verdict.is_breach(), is_complete) {
            (true, _) => Outcome::Broken,
            (false, true) => Outcome::Clean,
            (false, false) => Outcome::Open,
        };
    }
}
