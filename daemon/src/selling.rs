//! For how long this daemon could not sell: from the first purchase that nothing could decide to the next that was decided.
//!
//! Seen from the buyers, so it counts whatever the cause. Never decides anything. One atomic load where all is well.

use crate::clock::{boot_ms, wall_ms};
use flash_core::stats::Stops;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Stops of selling so far, and the present one.
#[derive(Debug, Default)]
pub(crate) struct Selling {
    /// Boot time of the present stop; zero: none.
    since_ms: AtomicU64,
    stopped_at_ms: AtomicU64,
    resumed_at_ms: AtomicU64,
    stops: AtomicU64,
    total_ms: AtomicU64,
    last_ms: AtomicU64,
}

impl Selling {
    /// A purchase could not be decided.
    pub(crate) fn stops(&self) {
        if self.since_ms.load(Relaxed) == 0
            && self.since_ms.compare_exchange(0, boot_ms().max(1), Relaxed, Relaxed).is_ok()
        {
            self.stopped_at_ms.store(wall_ms(), Relaxed);
            self.stops.fetch_add(1, Relaxed);
        }
    }

    /// Purchases were decided.
    pub(crate) fn goes_on(&self) {
        if self.since_ms.load(Relaxed) == 0 {
            return;
        }
        let since_ms = self.since_ms.swap(0, Relaxed);
        if since_ms > 0 {
            let took_ms = boot_ms().saturating_sub(since_ms);
            self.total_ms.fetch_add(took_ms, Relaxed);
            self.last_ms.store(took_ms.max(1), Relaxed);
            self.resumed_at_ms.store(wall_ms(), Relaxed);
        }
    }

    /// A look at it.
    pub(crate) fn view(&self) -> Stops {
        let some = |number: &AtomicU64| Some(number.load(Relaxed)).filter(|number| *number > 0);
        let stopped_for_ms = some(&self.since_ms).map(|since_ms| boot_ms().saturating_sub(since_ms));
        Stops {
            stops: self.stops.load(Relaxed),
            stopped_for_ms,
            last_stop_ms: some(&self.last_ms),
            total_ms: self.total_ms.load(Relaxed) + stopped_for_ms.unwrap_or(0),
            stopped_at_ms: some(&self.stopped_at_ms),
            resumed_at_ms: some(&self.resumed_at_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_lasts_until_something_is_decided() {
        let selling = Selling::default();
        selling.goes_on();
        assert_eq!((selling.view().stops, selling.view().last_stop_ms), (0, None));
        selling.stops();
        selling.stops();
        let stopped = selling.view();
        assert_eq!((stopped.stops, stopped.resumed_at_ms), (1, None));
        assert!(stopped.stopped_for_ms.is_some() && stopped.stopped_at_ms.is_some());
        std::thread::sleep(std::time::Duration::from_millis(3));
        selling.goes_on();
        let over = selling.view();
        assert!(over.stopped_for_ms.is_none() && over.last_stop_ms >= Some(3) && over.total_ms >= 3, "{over:?}");
    }
}
