//! Counters of one SKU, kept by its lane.

use super::Decided;
use flash_core::stats::Counter;

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct LaneMeters {
    attempts: Counter,
    wins: Counter,
    sold_out: Counter,
}

impl LaneMeters {
    /// Counts a purchase that was asked for.
    pub(crate) fn asked(&self) {
        self.attempts.one();
    }

    /// Counts a purchase that the latch has answered.
    pub(crate) fn latched_out(&self) {
        self.sold_out.one();
    }

    /// Counts a batch that Redis decided.
    pub(crate) fn decided(&self, decided: &Decided) {
        self.wins.add(decided.won);
        self.sold_out.add(decided.sold_out);
    }

    /// What is counted so far.
    pub(crate) fn read(&self) -> LaneCounts {
        // Attempts last: whoever won or lost has asked before.
        let (wins, sold_out) = (self.wins.get(), self.sold_out.get());
        LaneCounts { attempts: self.attempts.get(), wins, sold_out }
    }
}

/// What is counted of one SKU since its lane began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LaneCounts {
    /// Purchases asked of this daemon.
    pub(crate) attempts: u64,
    /// Holds made through it.
    pub(crate) wins: u64,
    /// Sold-out answers, the latch's included.
    pub(crate) sold_out: u64,
}

impl LaneCounts {
    /// What was counted after an earlier look; everything, if the lane began anew.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        if self.attempts < earlier.attempts || self.wins < earlier.wins || self.sold_out < earlier.sold_out {
            return *self;
        }
        Self {
            attempts: self.attempts - earlier.attempts,
            wins: self.wins - earlier.wins,
            sold_out: self.sold_out - earlier.sold_out,
        }
    }

    /// Adds what another one has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.wins += other.wins;
        self.sold_out += other.sold_out;
    }
}
