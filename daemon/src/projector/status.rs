//! What a projector tells about itself: counters that only grow, gauges of its last look at the log, its last complaint.

use flash_core::order::OrderState;
use flash_core::stats::{Counter, OperationStats, Projector, Timings};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The numbers, shared between the projector's thread and whoever watches.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) events: AtomicU64,
    /// Applied events of orders, in the order of [`OrderState::ALL`].
    pub(super) applied: [Counter; OrderState::ALL.len()],
    pub(super) batches: AtomicU64,
    /// Transactions that were committed, and how many were not.
    pub(super) apply: Timings,
    pub(super) apply_errors: Counter,
    pub(super) dead_letters: AtomicU64,
    pub(super) voided: AtomicU64,
    pub(super) missing_events: AtomicU64,
    pub(super) reopenings: AtomicU64,
    pub(super) lag_events: AtomicU64,
    pub(super) applied_ms: AtomicU64,
    pub(super) partitions: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Status {
    pub(super) fn complain(&self, error: Option<String>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

/// A cheap view of a projector.
#[derive(Debug, Clone)]
pub struct Handle {
    status: Arc<Status>,
}

impl Handle {
    pub(super) fn new(status: &Arc<Status>) -> Self {
        Self { status: Arc::clone(status) }
    }

    /// How long its transactions took, and how many came to nothing.
    #[must_use]
    pub fn apply(&self) -> OperationStats {
        OperationStats { took: self.status.apply.read(), errors: self.status.apply_errors.get() }
    }

    /// Reads all numbers. They are read one by one: each is true, together they may be a moment apart.
    #[must_use]
    pub fn snapshot(&self) -> Projector {
        let status = &self.status;
        let applied_ms = status.applied_ms.load(Relaxed);
        let partitions = status.partitions.load(Relaxed);
        Projector {
            events: status.events.load(Relaxed),
            applied: OrderState::ALL
                .iter()
                .zip(&status.applied)
                .map(|(state, count)| (state.as_str().to_owned(), count.get()))
                .collect(),
            batches: status.batches.load(Relaxed),
            dead_letters: status.dead_letters.load(Relaxed),
            voided: status.voided.load(Relaxed),
            missing_events: status.missing_events.load(Relaxed),
            reopenings: status.reopenings.load(Relaxed),
            lag_events: status.lag_events.load(Relaxed),
            lag_ms: (applied_ms > 0 && partitions > 0).then(|| super::now_ms().saturating_sub(applied_ms)),
            partitions,
            last_error: status.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
