//! For how long this daemon could not sell: from the first purchase since which no SKU could be decided to the next that was,
//! or, while nobody buys, to the moment at which the watcher has seen that one could be (`meters::watch`).
//!
//! Seen from the buyers, so it counts whatever the cause. One SKU that is closed is no stop while another is being decided: a
//! stop begins when nothing can be decided at all (no lease, no Redis), or when the last SKU that could has failed as well.
//! Never decides anything. Two atomic loads where all is well, one where all is ill; a lock only where that changes.

use crate::clock::{boot_ms, wall_ms};
use flash_core::ids::SkuId;
use flash_core::stats::Stops;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Stops of selling so far, and the present one.
#[derive(Debug, Default)]
pub(crate) struct Selling {
    /// Boot time of the first purchase since which none was decided; zero: none.
    undecided_since_ms: AtomicU64,
    /// Whether no SKU can be decided.
    stopped: AtomicBool,
    /// Grows when all marks become worthless at once.
    generation: AtomicU64,
    skus: Mutex<Skus>,
    stopped_at_ms: AtomicU64,
    resumed_at_ms: AtomicU64,
    stops: AtomicU64,
    total_ms: AtomicU64,
    last_ms: AtomicU64,
}

/// SKUs by what became of their last batch.
#[derive(Debug, Default)]
struct Skus {
    decided: HashSet<SkuId>,
    undecided: HashSet<SkuId>,
}

/// Kept by a SKU's lane, so that it need not tell again and again that all is well.
#[derive(Debug, Default)]
pub(crate) struct Mark(AtomicU64);

impl Selling {
    /// A purchase could not be decided, and no other could be either.
    pub(crate) fn nothing_is_decided(&self) {
        if self.stopped.load(Relaxed) {
            return;
        }
        let mut skus = self.lock();
        // Who was decided a moment ago proves nothing any more.
        skus.decided.clear();
        self.generation.fetch_add(1, Relaxed);
        self.begin(&skus);
    }

    /// A batch of this SKU could not be decided.
    pub(crate) fn is_undecided(&self, sku_id: SkuId, mark: &Mark) {
        let mut skus = self.lock();
        skus.decided.remove(&sku_id);
        skus.undecided.insert(sku_id);
        mark.0.store(0, Relaxed);
        self.begin(&skus);
    }

    /// A batch of this SKU was decided.
    pub(crate) fn is_decided(&self, sku_id: SkuId, mark: &Mark) {
        let fresh = mark.0.load(Relaxed) == self.generation.load(Relaxed) + 1;
        if fresh && self.undecided_since_ms.load(Relaxed) == 0 {
            return;
        }
        let mut skus = self.lock();
        skus.decided.insert(sku_id);
        skus.undecided.remove(&sku_id);
        mark.0.store(self.generation.load(Relaxed) + 1, Relaxed);
        let since_ms = self.undecided_since_ms.swap(0, Relaxed);
        if self.stopped.swap(false, Relaxed) {
            let took_ms = boot_ms().saturating_sub(since_ms);
            self.total_ms.fetch_add(took_ms, Relaxed);
            self.last_ms.store(took_ms.max(1), Relaxed);
            self.resumed_at_ms.store(wall_ms(), Relaxed);
        }
    }

    /// The SKUs of which the last purchase could not be decided, by id; `None` if there are none and selling has not stopped.
    pub(crate) fn suspects(&self) -> Option<Vec<SkuId>> {
        let skus = self.lock();
        (self.stopped.load(Relaxed) || !skus.undecided.is_empty()).then(|| sorted(&skus.undecided))
    }

    /// This SKU could be decided now, although nobody has asked for it.
    pub(crate) fn can_be_decided(&self, sku_id: SkuId) {
        self.is_decided(sku_id, &Mark::default());
    }

    /// This SKU is not sold any more.
    pub(crate) fn forget(&self, sku_id: SkuId) {
        let mut skus = self.lock();
        skus.decided.remove(&sku_id);
        skus.undecided.remove(&sku_id);
    }

    /// Notes since when nothing was decided; if nobody is left who could be, selling has stopped then.
    fn begin(&self, skus: &Skus) {
        let now_ms = boot_ms();
        let since_ms = match self.undecided_since_ms.compare_exchange(0, now_ms, Relaxed, Relaxed) {
            Ok(_) => now_ms,
            Err(since_ms) => since_ms,
        };
        if skus.decided.is_empty() && !self.stopped.swap(true, Relaxed) {
            self.stopped_at_ms.store(wall_ms().saturating_sub(now_ms.saturating_sub(since_ms)), Relaxed);
            self.stops.fetch_add(1, Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Skus> {
        self.skus.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at it.
    pub(crate) fn view(&self) -> Stops {
        // Held throughout: a stop that ends in between would be missing from the sum for a moment.
        let skus = self.lock();
        let some = |number: &AtomicU64| Some(number.load(Relaxed)).filter(|number| *number > 0);
        let since_ms = some(&self.undecided_since_ms).filter(|_| self.stopped.load(Relaxed));
        let stopped_for_ms = since_ms.map(|since_ms| boot_ms().saturating_sub(since_ms));
        Stops {
            stops: self.stops.load(Relaxed),
            stopped_for_ms,
            last_stop_ms: some(&self.last_ms),
            total_ms: self.total_ms.load(Relaxed) + stopped_for_ms.unwrap_or(0),
            stopped_at_ms: some(&self.stopped_at_ms),
            resumed_at_ms: some(&self.resumed_at_ms),
            stopped_skus: skus.undecided.len() as u64,
        }
    }
}

fn sorted(skus: &HashSet<SkuId>) -> Vec<SkuId> {
    let mut skus: Vec<SkuId> = skus.iter().copied().collect();
    skus.sort_unstable();
    skus
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SkuId = SkuId::new(1);
    const B: SkuId = SkuId::new(2);
    const C: SkuId = SkuId::new(3);

    #[test]
    fn a_stop_lasts_until_something_is_decided() {
        let (selling, a) = (Selling::default(), Mark::default());
        selling.is_decided(A, &a);
        assert_eq!((selling.view().stops, selling.view().last_stop_ms), (0, None));
        selling.is_undecided(A, &a);
        selling.is_undecided(A, &a);
        let stopped = selling.view();
        assert_eq!((stopped.stops, stopped.resumed_at_ms, stopped.stopped_skus), (1, None, 1));
        assert!(stopped.stopped_for_ms.is_some() && stopped.stopped_at_ms.is_some());
        std::thread::sleep(std::time::Duration::from_millis(3));
        selling.is_decided(A, &a);
        let over = selling.view();
        assert!(over.stopped_for_ms.is_none() && over.last_stop_ms >= Some(3) && over.total_ms >= 3, "{over:?}");
        assert_eq!(over.stopped_skus, 0);
    }

    #[test]
    fn a_closed_sku_is_no_stop_while_another_is_decided() {
        let (selling, a, b, c) = (Selling::default(), Mark::default(), Mark::default(), Mark::default());
        selling.is_decided(A, &a);
        selling.is_decided(C, &c);
        for _ in 0..5 {
            selling.is_undecided(B, &b);
            selling.is_decided(A, &a);
        }
        assert_eq!((selling.view().stops, selling.view().stopped_skus), (0, 1), "it would have flapped five times");
        // One after the other fails: the last one is the stop, which began with the first.
        selling.is_undecided(B, &b);
        std::thread::sleep(std::time::Duration::from_millis(3));
        selling.is_undecided(A, &a);
        assert_eq!(selling.view().stops, 0, "C may still be decided");
        selling.is_undecided(C, &c);
        let stopped = selling.view();
        assert_eq!((stopped.stops, stopped.stopped_skus), (1, 3));
        assert!(stopped.stopped_for_ms >= Some(3), "{stopped:?}");
        selling.is_decided(B, &b);
        assert_eq!((selling.view().stops, selling.view().stopped_for_ms), (1, None));
    }

    #[test]
    fn without_a_lease_nobody_can_be_decided_also_who_is_not_asked() {
        let (selling, a, b) = (Selling::default(), Mark::default(), Mark::default());
        selling.is_decided(A, &a);
        selling.is_decided(B, &b);
        selling.nothing_is_decided();
        selling.nothing_is_decided();
        assert_eq!(selling.view().stops, 1);
        selling.is_decided(A, &a);
        assert!(selling.view().stopped_for_ms.is_none(), "a mark from before the stop does not hide that it is over");
        // B's old mark counts for nothing: it was not decided since.
        selling.is_undecided(A, &a);
        assert_eq!(selling.view().stops, 2);
    }

    #[test]
    fn a_stop_that_no_buyer_ends_is_ended_by_who_looks() {
        let (selling, a) = (Selling::default(), Mark::default());
        assert_eq!(selling.suspects(), None, "nothing has failed");
        selling.nothing_is_decided();
        assert_eq!(selling.suspects(), Some(vec![]), "all have, and nobody knows which");
        selling.is_undecided(B, &Mark::default());
        selling.is_undecided(A, &a);
        assert_eq!(selling.suspects(), Some(vec![A, B]));
        selling.can_be_decided(A);
        assert!(selling.view().stopped_for_ms.is_none() && selling.view().resumed_at_ms.is_some());
        assert_eq!(selling.suspects(), Some(vec![B]), "one that is still closed is tried on");
        selling.is_undecided(A, &a);
        assert_eq!(selling.view().stops, 2, "the lane's mark does not hide the next stop");
        selling.can_be_decided(A);
        selling.can_be_decided(B);
        assert_eq!((selling.suspects(), selling.view().stopped_skus), (None, 0));
    }

    #[test]
    fn a_sku_that_is_gone_keeps_no_stop_from_being_one() {
        let (selling, a, b) = (Selling::default(), Mark::default(), Mark::default());
        selling.is_decided(A, &a);
        selling.is_decided(B, &b);
        selling.forget(B);
        selling.is_undecided(A, &a);
        assert_eq!(selling.view().stops, 1);
    }
}
