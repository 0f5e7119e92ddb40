//! Counting what becomes of recorded events: wait-free. Never decides anything.

use super::producer::Delivery;
use flash_core::stats::Timings;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// The counters of one recorder.
#[derive(Debug, Default)]
pub(super) struct Meters {
    /// Events without an answer yet.
    unanswered: AtomicU64,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    produce: Timings,
    replaced: AtomicU64,
}

impl Meters {
    /// An event is handed over.
    pub(super) fn hands_over(&self) {
        self.unanswered.fetch_add(1, Relaxed);
    }

    /// The fate of an event that was handed over at `began` is known.
    pub(super) fn answered(&self, began: Instant, delivery: Delivery) {
        self.unanswered.fetch_sub(1, Relaxed);
        if matches!(delivery, Delivery::Acknowledged { .. }) {
            self.acknowledged.fetch_add(1, Relaxed);
            self.produce.observe(began.elapsed());
        } else {
            self.failed();
        }
    }

    /// An event was not even handed over.
    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn producer_replaced(&self) {
        self.replaced.fetch_add(1, Relaxed);
    }

    pub(super) fn unanswered(&self) -> u64 {
        self.unanswered.load(Relaxed)
    }

    /// Fills in what is counted here.
    pub(super) fn fill(&self, stats: &mut flash_core::stats::KafkaStats) {
        stats.acknowledged = self.acknowledged.load(Relaxed);
        stats.failed = self.failed.load(Relaxed);
        stats.unacknowledged = self.unanswered();
        stats.produce = self.produce.read();
        stats.producers_replaced = self.replaced.load(Relaxed);
    }
}
