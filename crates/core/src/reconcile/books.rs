//! The books of one SKU as each store keeps them, and what is known about entries that one of them lacks.

use crate::ids::OrderId;
use crate::order::OrderState;

/// What Redis says about a SKU, read in one step. Signed: it may have been written by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GateBooks {
    /// Redis' clock, in milliseconds since 1970.
    pub now_ms: u64,
    /// Units that exist.
    pub capacity: i64,
    /// Units on sale.
    pub available: i64,
    /// Units on hold.
    pub held: i64,
    /// Units paid for.
    pub sold: i64,
    /// Units on their way back.
    pub closing: i64,
    /// Sequence number of the last stock change.
    pub seq: u64,
    /// Sequence number at which the epoch was opened: those up to it belong to older epochs.
    pub opened_seq: u64,
    /// Holds by their details.
    pub holds: u64,
    /// Holds by their expiry.
    pub holds_by_expiry: u64,
    /// Settlements under way.
    pub settling: u64,
    /// Settlements under way by their age.
    pub settling_by_age: u64,
    /// Sum of the units of all holds, if they were few enough to be added up.
    pub hold_units: Option<i64>,
    /// Sum of the units of cancelled and expired settlements under way, if they were few enough.
    pub closing_units: Option<i64>,
    /// When the first hold ends (ms); 0: nothing is held.
    pub first_expiry_ms: u64,
    /// When the oldest settlement under way was begun or taken over (ms); 0: none.
    pub first_settling_ms: u64,
}

/// What the ledger adds up to, up to and including one sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Rows of the present epoch.
    pub steps: u64,
    /// Sum of their sequence numbers.
    pub seq_sum: u128,
    /// Units in orders that are held or sold.
    pub occupied: i64,
    /// Units in orders that are paid for.
    pub sold: i64,
    /// Orders on hold.
    pub orders_held: i64,
}

impl Count {
    /// The sums of both.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            steps: self.steps + more.steps,
            seq_sum: self.seq_sum + more.seq_sum,
            occupied: self.occupied + more.occupied,
            sold: self.sold + more.sold,
            orders_held: self.orders_held + more.orders_held,
        }
    }

    /// What is left without a part of it.
    #[must_use]
    pub const fn minus(self, part: Self) -> Self {
        Self {
            steps: self.steps.saturating_sub(part.steps),
            seq_sum: self.seq_sum.saturating_sub(part.seq_sum),
            occupied: self.occupied - part.occupied,
            sold: self.sold - part.sold,
            orders_held: self.orders_held - part.orders_held,
        }
    }

    /// Whether it has more rows than there were stock changes, or the same ones twice.
    #[must_use]
    pub const fn has_surplus(&self, gate: &GateBooks) -> bool {
        self.steps > gate.seq.saturating_sub(gate.opened_seq)
    }

    /// Whether it has exactly one row per stock change of the epoch: nothing is missing and nothing is there twice.
    #[must_use]
    pub fn is_complete(&self, gate: &GateBooks) -> bool {
        let triangle = |n: u64| u128::from(n) * (u128::from(n) + 1) / 2;
        self.steps == gate.seq.saturating_sub(gate.opened_seq)
            && self.seq_sum == triangle(gate.seq).saturating_sub(triangle(gate.opened_seq))
    }
}

/// A stock change that the ledger does not have, long after its event should have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Its sequence number.
    pub seq: u64,
    /// What is known about it; `None`: nobody can name it.
    pub known: Option<Known>,
}

/// A stock change that is known from elsewhere than the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The order.
    pub order_id: OrderId,
    /// The state it changed to.
    pub state: OrderState,
    /// Units.
    pub quantity: u32,
    /// Where it was found.
    pub case: Case,
}

/// Where a stock change without a ledger row was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Case {
    /// A hold in Redis; the log does not have it.
    Held,
    /// A settlement under way in Redis, or the hold it ends; the log does not have it.
    Settling,
    /// A dead letter.
    Parked {
        /// Where it stands in the log: `partition/offset`.
        origin: String,
        /// Somebody has given it up.
        dropped: bool,
    },
    /// In the log, and lost in MySQL.
    Logged {
        /// Where it stands in the log: `partition/offset`.
        origin: String,
    },
}

impl Case {
    /// Its place in the log, if it has one.
    pub(super) fn origin(&self) -> Option<&str> {
        match self {
            Self::Parked { origin, .. } | Self::Logged { origin } => Some(origin),
            Self::Held | Self::Settling => None,
        }
    }
}
