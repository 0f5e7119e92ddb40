//! Counting, wait-free: every purchase costs a handful of relaxed additions, no lock and no allocation.
//!
//! Owns what is counted, what is told of it in `/metrics` (its definitions and its text format), and the parts of `/stats`
//! that are counted here. Never decides anything, and nothing is counted under a name that a buyer could choose.

pub(crate) mod definitions;
mod http;
mod inventory;
mod outcomes;
pub(crate) mod process;
mod read;
mod skus;
pub(crate) mod text;
mod watch;

pub(crate) use http::Endpoint;
pub(crate) use inventory::{Came, Decided, Wish};
pub(crate) use read::stores;
pub(crate) use skus::OTHER;
pub(crate) use watch::watch;

use crate::settle::Fated;
use flash_core::order::OrderState;
use flash_core::outcome::Refusal;
use flash_core::stats::Timings;
use flash_stores::redis::StockError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What became of a reported payment, as `flash_payments_total{fate}` carries it.
pub(crate) const PAYMENTS: [&str; 3] = ["confirmed", "rebooked", "refund_pending"];
/// What a sweeper did, as `flash_swept_total{state}` carries it. Confirmed and cancelled ones were taken over.
const SWEPT: [OrderState; 3] = [OrderState::Confirmed, OrderState::Cancelled, OrderState::Expired];

/// All counters of the process that no store keeps itself.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(crate) http: http::Http,
    pub(crate) outcomes: outcomes::Outcomes,
    pub(crate) inventory: inventory::Inventory,
    /// Counters of SKUs, as they are told.
    pub(crate) skus: skus::SkuBook,
    /// The servers, as they were seen last.
    pub(crate) watched: watch::Watched,
    batches: AtomicU64,
    batched: AtomicU64,
    fenced: AtomicU64,
    logged: AtomicU64,
    payments: [AtomicU64; PAYMENTS.len()],
    cancelled: AtomicU64,
    settle_refused: AtomicU64,
    swept: [AtomicU64; SWEPT.len()],
    sweep_delay: Timings,
    /// Open API connections.
    pub(crate) connections: AtomicU64,
    /// Connections accepted.
    pub(crate) connections_accepted: AtomicU64,
    /// Connections closed because there were too many.
    pub(crate) connections_refused: AtomicU64,
}

impl Meters {
    /// A purchase that was told "yes".
    pub(crate) fn won(&self, replayed: bool, took: Duration) {
        self.outcomes.won(replayed, took);
    }

    /// A purchase that was told anything else.
    pub(crate) fn refused(&self, refusal: &Refusal, took: Duration) {
        self.outcomes.refused(refusal, took);
    }

    /// A batch that came back from Redis. What was decided about its purchases is counted apart.
    pub(crate) fn batch<T>(&self, asks: usize, result: &Result<T, StockError>) {
        self.batches.fetch_add(1, Relaxed);
        self.batched.fetch_add(asks as u64, Relaxed);
        if let Err(error) = result {
            self.inventory.count(Wish::Reserve, Came::of(error), asks as u64);
        }
        if matches!(result, Err(StockError::Fenced(_))) {
            self.fenced.fetch_add(1, Relaxed);
        }
    }

    /// A batch of which some keys could not be claimed because Redis was not allowed to take them.
    pub(crate) fn claims_fenced(&self) {
        self.fenced.fetch_add(1, Relaxed);
    }

    /// A `RESERVED` event that the log has.
    pub(crate) fn logged(&self) {
        self.logged.fetch_add(1, Relaxed);
    }

    /// A report of a payment that was answered.
    pub(crate) fn paid(&self, fated: &Fated) {
        let fate = match fated {
            Fated::Confirmed { .. } => 0,
            Fated::Rebooked { .. } => 1,
            Fated::Refund { .. } => 2,
        };
        self.payments[fate].fetch_add(1, Relaxed);
    }

    /// An order that its buyer cancelled.
    pub(crate) fn cancelled(&self) {
        self.cancelled.fetch_add(1, Relaxed);
    }

    /// A wish to pay or cancel that was refused, or whose outcome is unknown.
    pub(crate) fn settle_refused(&self) {
        self.settle_refused.fetch_add(1, Relaxed);
    }

    /// A settlement that a sweeper finished, so long after it was due.
    pub(crate) fn swept(&self, state: OrderState, delay_ms: u64) {
        if let Some(index) = SWEPT.iter().position(|known| *known == state) {
            self.swept[index].fetch_add(1, Relaxed);
        }
        if state == OrderState::Expired {
            self.inventory.count(Wish::Expire, Came::Success, 1);
        }
        self.sweep_delay.observe(Duration::from_millis(delay_ms));
    }

    /// What the sweeper of this process has finished: `(state, count)`.
    pub(crate) fn swept_so_far(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        SWEPT.iter().zip(&self.swept).map(|(state, count)| (state.as_str(), count.load(Relaxed)))
    }
}
