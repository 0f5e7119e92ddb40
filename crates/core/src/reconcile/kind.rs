//! What can be wrong, who owns it, and what to do about it, in words.

use crate::ids::{OrderId, SkuId};
use serde::Serialize;

/// Most orders that one finding names; the rest is counted.
pub const ORDERS_NAMED_MAX: usize = 100;

/// The hop of an order's way that owns a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hop {
    /// Redis.
    Gate,
    /// `order-events`.
    Log,
    /// Between the log and MySQL.
    Projector,
    /// MySQL.
    View,
    /// Money.
    Payments,
}

impl Hop {
    /// The name, as it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Log => "log",
            Self::Projector => "projector",
            Self::View => "view",
            Self::Payments => "payments",
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// More units are given away than exist.
    Oversold,
    /// Redis' counters are not what its decisions add up to.
    CounterDrift,
    /// An order that is on hold in MySQL and unknown to Redis.
    HoldLost,
    /// A stock change whose event or row is missing.
    MissingOrder,
    /// Units on hold in Redis whose event never reached the log.
    OrphanHold,
    /// A settlement that was begun long ago and is not finished.
    SettlementStuck,
    /// A hold that ended long ago and still holds its units.
    ExpiredNotReleased,
    /// Money is recorded for an order that is not confirmed.
    PaidNotConfirmed,
    /// Somebody has more units than the cap.
    CapBroken,
    /// MySQL and Redis have different capacities.
    CapacityDiffers,
    /// MySQL and Redis have different terms.
    TermsDiffer,
    /// The ledger and the orders disagree.
    LedgerDiffers,
    /// Events wait as dead letters.
    DeadLettersWaiting,
    /// The SKU was left closed when Redis was filled.
    BlockedSku,
    /// Redis has no stock of a SKU that is on sale.
    StockLost,
}

impl Kind {
    /// All of them, the worst first.
    pub const ALL: [Self; 15] = [
        Self::Oversold,
        Self::CounterDrift,
        Self::HoldLost,
        Self::MissingOrder,
        Self::OrphanHold,
        Self::SettlementStuck,
        Self::ExpiredNotReleased,
        Self::PaidNotConfirmed,
        Self::CapBroken,
        Self::CapacityDiffers,
        Self::TermsDiffer,
        Self::LedgerDiffers,
        Self::DeadLettersWaiting,
        Self::BlockedSku,
        Self::StockLost,
    ];

    /// The name, as it is printed and stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oversold => "OVERSOLD",
            Self::CounterDrift => "COUNTER_DRIFT",
            Self::HoldLost => "HOLD_LOST",
            Self::MissingOrder => "MISSING_ORDER",
            Self::OrphanHold => "ORPHAN_HOLD",
            Self::SettlementStuck => "SETTLEMENT_STUCK",
            Self::ExpiredNotReleased => "EXPIRED_NOT_RELEASED",
            Self::PaidNotConfirmed => "PAID_NOT_CONFIRMED",
            Self::CapBroken => "CAP_BROKEN",
            Self::CapacityDiffers => "CAPACITY_DIFFERS",
            Self::TermsDiffer => "TERMS_DIFFER",
            Self::LedgerDiffers => "LEDGER_DIFFERS",
            Self::DeadLettersWaiting => "DEAD_LETTERS_WAITING",
            Self::BlockedSku => "BLOCKED_SKU",
            Self::StockLost => "STOCK_LOST",
        }
    }

    /// Whether `--fix` repairs it. The others need somebody to decide, or a rebuild.
    #[must_use]
    pub const fn is_fixable(self) -> bool {
        matches!(
            self,
            Self::OrphanHold
                | Self::SettlementStuck
                | Self::ExpiredNotReleased
                | Self::CapacityDiffers
                | Self::TermsDiffer
        )
    }

    /// What to do about it, if nothing more special is known.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Oversold => {
                "stop selling it (flashctl sale pause ID), then raise the capacity or cancel orders with their buyers"
            }
            Self::CounterDrift | Self::HoldLost => "flashctl rebuild: Redis is filled afresh from MySQL and the log",
            Self::MissingOrder => {
                "restore its rows in MySQL before any rebuild; flashctl why ORDER shows where its trail ends"
            }
            Self::OrphanHold => {
                "--fix gives the units back now, through the log; otherwise they come back when the hold ends"
            }
            Self::SettlementStuck | Self::ExpiredNotReleased => "--fix finishes them; a worker that runs does the same",
            Self::PaidNotConfirmed => "give the money back, or confirm the order by hand with its buyer",
            Self::CapBroken => "nothing is sold twice; decide with the buyer",
            Self::CapacityDiffers => {
                "--fix gives Redis what MySQL says, unless its other counters are wrong too; then flashctl rebuild"
            }
            Self::TermsDiffer => "--fix completes the change: Redis is given what MySQL says",
            Self::LedgerDiffers => "rows were changed by hand; compare the orders with flashctl why ORDER",
            Self::DeadLettersWaiting => "repair what they failed with, then: flashctl dlq replay --all",
            Self::BlockedSku => {
                "GET /stats of a worker says why, under worker.rebuild.blocked; it opens by itself once that is repaired"
            }
            Self::StockLost => "a worker fills Redis anew by itself; without one: flashctl rebuild",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// With which SKU, if it is about one.
    pub sku_id: Option<SkuId>,
    /// Who owns the difference.
    pub hop: Hop,
    /// How many units (for money and letters: how many of them) it is about.
    pub amount: i64,
    /// What was seen, in words.
    pub detail: String,
    /// What to do.
    pub remedy: String,
    /// Whether `--fix` repairs it.
    pub fixable: bool,
    /// The orders behind it, at most [`ORDERS_NAMED_MAX`].
    pub orders: Vec<OrderId>,
    /// How many orders are behind it in all.
    pub orders_all: u64,
}

impl Finding {
    /// A finding about a SKU, with the remedy of its kind and no orders.
    #[must_use]
    pub fn new(kind: Kind, sku_id: SkuId, hop: Hop, amount: i64, detail: String) -> Self {
        Self {
            kind,
            sku_id: Some(sku_id),
            hop,
            amount,
            detail,
            remedy: kind.remedy().to_owned(),
            fixable: kind.is_fixable(),
            orders: Vec::new(),
            orders_all: 0,
        }
    }

    /// The same with the orders behind it.
    #[must_use]
    pub fn with_orders(mut self, orders: impl IntoIterator<Item = OrderId>) -> Self {
        let mut all: Vec<OrderId> = orders.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        self.orders_all = all.len() as u64;
        all.truncate(ORDERS_NAMED_MAX);
        self.orders = all;
        self
    }

    /// The same with another remedy; nothing is repaired by `--fix` then.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self.fixable = false;
        self
    }
}
