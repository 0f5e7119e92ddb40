//! The verdict. Every check is a function that compares testimonies and names each contradiction; none trusts another.
//!
//! * oversold: `stock` – at every instant by what was told and by the log's own times, and at the end in the log and in MySQL;
//! * lost, key, money: `told` – every word that was said to a buyer is true;
//! * duplicate, divergence, ledger: `view` – MySQL is exactly what the log says;
//! * stuck: `stock` – Redis counts what the log counts, nothing is left on its way, and what was free has found a buyer.

mod stock;
#[cfg(test)]
mod tests;
mod told;
mod view;

use crate::{Gate, Log, ToldList, View};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What kind of promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// More units given away than exist (P1).
    Oversold,
    /// Something that a buyer was told is not so (P2).
    Lost,
    /// Two orders where there should be one (P2, P4).
    Duplicate,
    /// A unit that is neither held nor sold is not on sale (P3).
    Stuck,
    /// One key, two answers (P4).
    Key,
    /// A buyer has more than the cap (P5).
    Cap,
    /// A payment has two fates, or none.
    Money,
    /// MySQL is not what the log says.
    Divergence,
    /// The ledger does not add up to the orders.
    Ledger,
    /// The log contradicts itself.
    Nonsense,
}

impl Kind {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 10] = [
        Self::Oversold,
        Self::Lost,
        Self::Duplicate,
        Self::Stuck,
        Self::Key,
        Self::Cap,
        Self::Money,
        Self::Divergence,
        Self::Ledger,
        Self::Nonsense,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Oversold => "oversold",
            Self::Lost => "lost",
            Self::Duplicate => "duplicate",
            Self::Stuck => "stuck",
            Self::Key => "key",
            Self::Cap => "cap",
            Self::Money => "money",
            Self::Divergence => "divergence",
            Self::Ledger => "ledger",
            Self::Nonsense => "nonsense",
        }
    }
}

/// One contradiction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which promise.
    pub kind: Kind,
    /// The order to look at, if there is one.
    pub order_id: Option<u64>,
    /// The buyer, if it is about one and not about an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u64>,
    /// What was found, in words.
    pub text: String,
}

/// The testimonies.
#[derive(Debug, Clone, Copy)]
pub struct Testimonies<'a> {
    /// What buyers were told.
    pub told: &'a ToldList,
    /// The log, read after the last of it was told.
    pub log: &'a Log,
    /// The same log exactly as far as `view` has applied it ([`Log::until`]).
    pub applied: &'a Log,
    /// MySQL at one instant.
    pub view: &'a View,
    /// Redis; `None` if it could not be read.
    pub gate: Option<&'a Gate>,
}

impl Testimonies<'_> {
    /// Whether the log says more about an order than MySQL has applied of it.
    fn is_ahead(&self, order_id: u64) -> bool {
        let state = |log: &Log| log.orders.get(&order_id).map(|order| order.state);
        state(self.log) != state(self.applied)
    }
}

/// What the witness may take for granted.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// After everything was quiet buyers bought whatever was left: at the end every unit must be paid for.
    pub sold_out: bool,
    /// Next offset per partition that MySQL has had time to reach.
    pub due: BTreeMap<i32, i64>,
    /// Per SKU: until when (Redis' clock, ms) the log is known whole. What was decided later may have got a unit whose return was
    /// not read any more. A SKU that is not here is known for ever.
    pub known_until_ms: BTreeMap<u64, u64>,
    /// SKUs that changed in Redis while everything was read: Redis is then compared with itself alone.
    pub moving: BTreeSet<u64>,
    /// Keys whose buyers do not know: a hold without an order is allowed them, for it ends by itself.
    pub doubtful: BTreeSet<String>,
}

impl Terms {
    /// Whether MySQL stands where it should, so that no partition is applied further than another.
    fn is_level(&self, view: &View) -> bool {
        self.due.iter().all(|(partition, due)| view.applied.get(partition).is_some_and(|applied| applied >= due))
    }

    /// Whether the log tells everything that matters to a decision of this time.
    fn knows(&self, sku_id: u64, at_ms: u64) -> bool {
        self.known_until_ms.get(&sku_id).is_none_or(|until| at_ms <= *until)
    }
}

/// Where violations are collected.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Violation>);

impl Findings {
    pub(crate) fn add(&mut self, kind: Kind, order_id: impl Into<Option<u64>>, text: String) {
        self.0.push(Violation { kind, order_id: order_id.into(), user_id: None, text });
    }

    pub(crate) fn of_user(&mut self, kind: Kind, user_id: u64, text: String) {
        self.0.push(Violation { kind, order_id: None, user_id: Some(user_id), text });
    }
}

/// Compares everything with everything. Empty: every promise was kept.
#[must_use]
pub fn judge(all: Testimonies<'_>, terms: &Terms) -> Vec<Violation> {
    let mut findings = Findings::default();
    for (order_id, text) in &all.log.nonsense {
        findings.add(Kind::Nonsense, *order_id, text.clone());
    }
    told::check(all, &mut findings);
    view::check(all, terms, &mut findings);
    stock::check(all, terms, &mut findings);
    findings.0
}
