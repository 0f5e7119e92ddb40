//! The verdict. Every check is a function that compares testimonies and names each contradiction; none trusts another.
//!
//! * oversold: `stock` – at every instant by what was told and by the log's own times, and at the end in the log and in MySQL;
//! * lost, key, money: `told` – every word that was said to a buyer is true;
//! * duplicate, divergence, ledger: `view` – MySQL is exactly what the log says;
//! * stuck: `stock` – Redis counts what MySQL counts, nothing is left on its way, and what was free has found a buyer.

mod stock;
#[cfg(test)]
mod tests;
mod told;
mod view;

use crate::{Gate, Log, ToldList, View};
use serde::{Deserialize, Serialize};

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
    /// What was found, in words.
    pub text: String,
}

/// What the witness may take for granted.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// After everything was quiet buyers bought whatever was left: at the end every unit must be paid for.
    pub sold_out: bool,
}

/// Where violations are collected.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Violation>);

impl Findings {
    pub(crate) fn add(&mut self, kind: Kind, order_id: impl Into<Option<u64>>, text: String) {
        self.0.push(Violation { kind, order_id: order_id.into(), text });
    }
}

/// Compares everything with everything. Empty: every promise was kept.
#[must_use]
pub fn judge(told: &ToldList, log: &Log, view: &View, gate: &Gate, terms: Terms) -> Vec<Violation> {
    let mut findings = Findings::default();
    for (order_id, text) in &log.nonsense {
        findings.add(Kind::Nonsense, *order_id, text.clone());
    }
    told::check(told, log, view, &mut findings);
    view::check(log, view, &mut findings);
    stock::check(told, log, view, gate, terms, &mut findings);
    findings.0
}
