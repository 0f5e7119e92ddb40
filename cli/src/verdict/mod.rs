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

pub(crate) use alone::{judge_alone, judge_unreachable};
pub(crate) use places::Places;
pub(crate) use settle::{Settling, settle};

/// Findings shown to people per kind; the JSON has them all.
const SHOWN_MAX: usize = 10;

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

    /// Whether it is about the system alone, and nothing that a buyer was told.
    pub(crate) const fn is_behind_the_scenes(self) -> bool {
        matches!(self, Self::Stuck | Self::Diverged)
    }

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
    /// Nothing was found in what buyers were told, and a store fell silent: nothing else could be looked at.
    NotJudged,
}

/// The judgement. In a clean run every count is 0, or `null` if the basis cannot tell.
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
    /// How many of each kind were found, zero included: units for OVERSOLD, orders or findings otherwise. `null`: not judged.
    pub(crate) counts: BTreeMap<Kind, Option<u64>>,
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
    /// Everything that was found, by kind.
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

/// Something that must not be.
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
    /// How many of a kind were found; 0 also if it was not judged.
    pub(crate) fn count(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().flatten().unwrap_or(0)
    }

    /// Whether something was told, and neither log nor MySQL has any of it.
    pub(crate) fn knows_none(&self) -> bool {
        self.told > 0 && (self.in_log, self.in_mysql) == (Some(0), Some(0))
    }

    /// Whether a promise was broken.
    pub(crate) fn is_breach(&self) -> bool {
        Kind::ALL.into_iter().any(|kind| self.count(kind) > 0)
    }

    /// The findings that people are shown, and per kind how many more there are.
    pub(crate) fn shown(&self) -> (Vec<&Finding>, Vec<(Kind, usize)>) {
        let (mut shown, mut more) = (Vec::new(), Vec::new());
        for kind in Kind::ALL {
            let of_kind: Vec<&Finding> = self.findings.iter().filter(|finding| finding.kind == kind).collect();
            shown.extend(of_kind.iter().take(SHOWN_MAX));
            more.extend(of_kind.len().checked_sub(SHOWN_MAX).filter(|rest| *rest > 0).map(|rest| (kind, rest)));
        }
        (shown, more)
    }
}

/// Where findings are collected: each order once per kind.
#[derive(Debug, Default)]
struct Findings {
    seen: BTreeSet<(Kind, u64)>,
    found: Vec<Finding>,
}

impl Findings {
    /// Notes a finding, unless this order has one of this kind already.
    fn add(&mut self, kind: Kind, order_id: Option<u64>, detail: String) {
        if order_id.is_some_and(|order| !self.seen.insert((kind, order))) {
            return;
        }
        self.found.push(Finding { kind, order_id: order_id.map(|order| order.to_string()), detail });
    }

    /// Puts counts, findings and the outcome into a verdict. What was found was judged, whatever else could not be.
    fn close(mut self, verdict: &mut Verdict, is_complete: bool) {
        self.found.sort_by_key(|finding| finding.kind);
        verdict.judged.extend(self.found.iter().map(|finding| finding.kind));
        let units: u64 = verdict.skus.iter().map(|sku| sku.oversold).sum();
        let count = |kind: Kind| match self.found.iter().filter(|finding| finding.kind == kind).count() as u64 {
            // Units say more than the number of SKUs that they belong to.
            _ if kind == Kind::Oversold && units > 0 => units,
            found => found,
        };
        let judged = &verdict.judged;
        verdict.counts = Kind::ALL.map(|kind| (kind, judged.contains(&kind).then(|| count(kind)))).into();
        verdict.findings = self.found;
        verdict.outcome = match (verdict.is_breach(), is_complete) {
            (true, _) => Outcome::Broken,
            (false, true) => Outcome::Clean,
            (false, false) => Outcome::Open,
        };
    }
}
