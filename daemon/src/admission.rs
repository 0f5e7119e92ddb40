//! Admission: the cheap checks before anything is queued. They never wait, and a refusal logs nothing.

use crate::lease::Lease;
use flash_core::outcome::Refusal;
use flash_stores::kafka::producer::Recorder;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Decides who may ask at all.
pub(crate) struct Admission {
    draining: AtomicBool,
    in_flight: AtomicUsize,
    in_flight_max: usize,
    lease: Arc<Lease>,
    recorder: Arc<Recorder>,
}

/// One purchase in flight; gives its place back when dropped, also when the client goes away.
#[derive(Debug)]
pub(crate) struct Admitted<'a>(&'a AtomicUsize);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Admission {
    pub(crate) fn new(lease: Arc<Lease>, recorder: Arc<Recorder>, in_flight_max: usize) -> Self {
        Self { draining: AtomicBool::new(false), in_flight: AtomicUsize::new(0), in_flight_max, lease, recorder }
    }

    /// Admits a purchase, cheapest check first.
    pub(crate) fn admit(&self) -> Result<Admitted<'_>, Refusal> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Refusal::Overloaded);
        }
        if !self.lease.is_open() || self.recorder.partitions() == 0 {
            return Err(Refusal::StockRecovering);
        }
        let admitted = Admitted(&self.in_flight);
        if self.in_flight.fetch_add(1, Ordering::Acquire) >= self.in_flight_max {
            drop(admitted);
            return Err(Refusal::Overloaded);
        }
        Ok(admitted)
    }

    /// Purchases between admission and answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Most of them.
    pub(crate) fn in_flight_max(&self) -> usize {
        self.in_flight_max
    }

    /// Refuses everything from now on: the daemon is stopping.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the daemon is stopping.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
