//! The lane: one ordered queue per SKU, and the task that decides it batch by batch.
//!
//! Promise kept (P6): a purchase takes its place in the queue synchronously, without an await between the end of its body
//! and its place, and batches keep that order. While one batch is at Redis the next gathers; at most one is in flight, so
//! batches grow with the load and an idle lane answers at once – no timer.

mod answer;
mod claims;
mod deciders;
mod learn;
mod task;

pub(crate) use deciders::Deciders;

use crate::clock::boot_ms;
use crate::latch::Latch;
use crate::meters::{LaneCounts, LaneMeters};
use crate::selling::Mark;
use flash_core::ids::{Epoch, SkuId};
use flash_core::limits::LANE_QUEUE_MAX;
use flash_core::outcome::Refusal;
use flash_core::stock::{Ask, Counters, Receipt};
use flash_stores::redis::SkuKeys;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use task::Task;
use tokio::sync::{mpsc, oneshot};

/// What a lane tells a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Units are held and the log knows it. It may be told to the buyer only under a fresh lease of `epoch`.
    Recorded {
        /// What the buyer is told.
        receipt: Receipt,
        /// Under which epoch it was decided.
        epoch: Epoch,
        /// Whether the key already had this answer.
        replayed: bool,
    },
    /// Anything else.
    Refused(Refusal),
}

/// A purchase in the queue.
#[derive(Debug)]
struct Waiting {
    ask: Ask,
    buyer: oneshot::Sender<Verdict>,
}

/// The queue of one SKU. The task ends when the last handle is dropped.
pub(crate) struct Lane {
    queue: mpsc::Sender<Waiting>,
    shared: Arc<Shared>,
}

/// What requests and the task share.
struct Shared {
    sku_id: SkuId,
    price_minor: AtomicU64,
    opens_at_ms: AtomicU64,
    latch: Latch,
    mark: Mark,
    /// Counters, and when they were asked for on the boot clock.
    seen: Mutex<Option<(Counters, u64)>>,
    meters: LaneMeters,
}

impl Shared {
    /// Takes counters that were asked for at this time of the boot clock, unless newer ones are known.
    fn see(&self, counters: Counters, at_ms: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_none_or(|(_, known_ms)| known_ms <= at_ms) {
            *seen = Some((counters, at_ms));
        }
    }

    fn last_seen(&self) -> Option<(Counters, u64)> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Starts the lane of a SKU. Must be called inside the API runtime.
    pub(crate) fn start(deciders: Arc<Deciders>, sku_id: SkuId, price_minor: u64, opens_at_ms: Option<u64>) -> Self {
        let (queue, waiting) = mpsc::channel(LANE_QUEUE_MAX);
        let shared = Arc::new(Shared {
            sku_id,
            price_minor: AtomicU64::new(price_minor),
            opens_at_ms: AtomicU64::new(opens_at_ms.unwrap_or(0)),
            latch: Latch::default(),
            mark: Mark::default(),
            seen: Mutex::new(None),
            meters: LaneMeters::default(),
        });
        let keys = SkuKeys::new(deciders.gate.namespace(), sku_id);
        tokio::spawn(Task { deciders, keys, shared: Arc::clone(&shared) }.run(waiting));
        Self { queue, shared }
    }

    /// Takes the definition's current price and opening time.
    pub(crate) fn update(&self, price_minor: u64, opens_at_ms: Option<u64>) {
        self.shared.price_minor.store(price_minor, Relaxed);
        self.shared.opens_at_ms.store(opens_at_ms.unwrap_or(0), Relaxed);
    }

    /// The latch.
    pub(crate) fn latch(&self) -> &Latch {
        &self.shared.latch
    }

    /// Counters as Redis last reported them to this daemon.
    pub(crate) fn seen(&self) -> Option<Counters> {
        self.shared.last_seen().map(|(counters, _)| counters)
    }

    /// Age of these counters in milliseconds.
    pub(crate) fn seen_ms_ago(&self) -> Option<u64> {
        self.shared.last_seen().map(|(_, at_ms)| boot_ms().saturating_sub(at_ms))
    }

    /// Takes counters that somebody else has asked for at this time of the boot clock.
    pub(crate) fn see(&self, counters: Counters, at_ms: u64) {
        self.shared.see(counters, at_ms);
    }

    /// What is counted of it.
    pub(crate) fn meters(&self) -> &LaneMeters {
        &self.shared.meters
    }

    /// What is counted so far.
    pub(crate) fn counts(&self) -> LaneCounts {
        self.shared.meters.read()
    }

    /// Purchases waiting in the queue.
    pub(crate) fn depth(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Takes a place in the queue. Never waits.
    pub(crate) fn enqueue(&self, ask: Ask) -> Result<oneshot::Receiver<Verdict>, Refusal> {
        let (buyer, verdict) = oneshot::channel();
        self.queue.try_send(Waiting { ask, buyer }).map_err(|_| Refusal::Overloaded)?;
        Ok(verdict)
    }
}
