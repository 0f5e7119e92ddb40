//! Admission: the cheap checks before anything is queued. They never wait, and a refusal logs nothing.

use crate::lease::Lease;
use flash_core::outcome::Refusal;
use flash_stores::kafka::producer::Recorder;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// The process is on its way out; nothing takes this back.
const STOPPING: u8 = 1;
/// An operator has taken this daemon out of service.
const DRAINING: u8 = 2;
/// An operator has paused selling on this daemon.
const PAUSED: u8 = 4;

/// Decides who may ask at all.
pub(crate) struct Admission {
    /// Why nobody may: one look for all reasons.
    shut: AtomicU8,
    in_flight: AtomicUsize,
    in_flight_max: usize,
    lease: Arc<Lease>,
    recorder: Arc<Recorder>,
}

/// One purchase in flight; gives its place back when dropped, also when the client goes away.
#[derive(Debug)]
pub(crate) struct Admitted<'a> {
    in_flight: &'a AtomicUsize,
    /// Nothing new is sold: only the answer that the purchase's key already has may be given.
    pub(crate) replay_only: bool,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Release);
    }
}

impl Admission {
    pub(crate) fn new(lease: Arc<Lease>, recorder: Arc<Recorder>, in_flight_max: usize) -> Self {
        Self { shut: AtomicU8::new(0), in_flight: AtomicUsize::new(0), in_flight_max, lease, recorder }
    }

    /// Admits a purchase, cheapest check first. One with a key of its own is admitted into a pause as well: it may have been
    /// won before, and one key has one answer.
    pub(crate) fn admit(&self, has_key: bool) -> Result<Admitted<'_>, Refusal> {
        match self.shut.load(Ordering::Relaxed) {
            0 => self.enter(false),
            PAUSED if has_key => self.enter(true),
            PAUSED => Err(Refusal::SalePaused),
            _ => Err(Refusal::Overloaded),
        }
    }

    /// Admits a payment or cancellation: what was sold before a pause or a drain can be settled in it.
    pub(crate) fn admit_settlement(&self) -> Result<Admitted<'_>, Refusal> {
        if self.shut.load(Ordering::Relaxed) & STOPPING != 0 { Err(Refusal::Overloaded) } else { self.enter(false) }
    }

    fn enter(&self, replay_only: bool) -> Result<Admitted<'_>, Refusal> {
        if !self.lease.is_open() || self.recorder.partitions() == 0 {
            return Err(Refusal::StockRecovering);
        }
        let admitted = Admitted { in_flight: &self.in_flight, replay_only };
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
    pub(crate) const fn in_flight_max(&self) -> usize {
        self.in_flight_max
    }

    /// Refuses everything from now on, for ever: the daemon is stopping.
    pub(crate) fn stop(&self) {
        self.set(STOPPING, true);
    }

    /// Refuses everything until told otherwise: an operator takes the daemon out of service.
    pub(crate) fn drain(&self, on: bool) {
        self.set(DRAINING, on);
    }

    /// Sells nothing new, until told otherwise: buyers hear that the sale is paused.
    pub(crate) fn pause(&self, on: bool) {
        self.set(PAUSED, on);
    }

    fn set(&self, reason: u8, on: bool) {
        if on {
            self.shut.fetch_or(reason, Ordering::Relaxed);
        } else {
            self.shut.fetch_and(!reason, Ordering::Relaxed);
        }
    }
}
