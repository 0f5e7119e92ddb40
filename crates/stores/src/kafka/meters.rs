//! Counting what becomes of recorded events: wait-free. Never decides anything.

use flash_core::stats::{Counter, Timings};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// The counters of one recorder.
#[derive(Debug, Default)]
pub(super) struct Meters {
    /// Events without an answer yet.
    unanswered: AtomicU64,
    acknowledged: Counter,
    failed: Counter,
    produce: Timings,
    replaced: Counter,
}

impl Meters {
    /// An event is handed over.
    pub(super) fn hands_over(&self) {
        self.unanswered.fetch_add(1, Relaxed);
    }

    /// The fate of an event that was handed over at `began` is known.
    pub(super) fn answered(&self, began: Instant, is_acknowledged: bool) {
        self.unanswered.fetch_sub(1, Relaxed);
        if is_acknowledged {
            self.acknowledged.one();
            self.produce.since(began);
        } else {
            self.failed();
        }
    }

    /// An event was not even handed over.
    pub(super) fn failed(&self) {
        self.failed.one();
    }

    pub(super) fn producer_replaced(&self) {
        self.replaced.one();
    }

    pub(super) fn unanswered(&self) -> u64 {
        self.unanswered.load(Relaxed)
    }

    /// Fills in what is counted here.
    pub(super) fn fill(&self, stats: &mut flash_core::stats::KafkaStats) {
        stats.acknowledged = self.acknowledged.get();
        stats.failed = self.failed.get();
        stats.unacknowledged = self.unanswered();
        stats.produce = self.produce.read();
        stats.producers_replaced = self.replaced.get();
    }
}
