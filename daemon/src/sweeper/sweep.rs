//! One look at one SKU: take what is due, record it, finish it.

use crate::crash;
use crate::lane::Deciders;
use crate::meters::{Came, Wish};
use crate::settle::{finish, publish};
use flash_core::ids::SkuId;
use flash_core::order::OrderState;
use flash_core::settlement::Settlement;
use flash_stores::redis::{Due, Fence, SkuKeys, StockError};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Shortest pause before a SKU is looked at again, in milliseconds.
const PAUSE_MIN_MS: u64 = 20;

/// A look at a SKU.
pub(super) struct Sweep {
    deciders: Arc<Deciders>,
    places: Arc<Semaphore>,
    sku_id: SkuId,
    keys: Arc<SkuKeys>,
}

impl Sweep {
    pub(super) fn new(deciders: Arc<Deciders>, places: Arc<Semaphore>, sku_id: SkuId) -> Self {
        let keys = Arc::new(SkuKeys::new(deciders.gate.namespace(), sku_id));
        Self { deciders, places, sku_id, keys }
    }

    /// Takes everything that is due, batch after batch, and leaves each batch to be recorded. Returns in how many
    /// milliseconds something may be due next; `None` if that could not be found out.
    pub(super) async fn run(self, most: usize, takeover_ms: u64) -> Option<u64> {
        loop {
            let fence = self.deciders.lease.fence()?;
            // Nothing is taken that could not be recorded: while Kafka is away the places run out and holds stay holds.
            let wanted = u32::try_from(most).unwrap_or(u32::MAX);
            let mut places = Arc::clone(&self.places).acquire_many_owned(wanted).await.ok()?;
            let due = match self.deciders.gate.take_due(&self.keys, &fence, most, takeover_ms).await {
                Ok(due) => due,
                Err(error) => {
                    self.complain(&error);
                    return None;
                }
            };
            if !due.taken.is_empty() {
                crash::point("sweep.taken");
            }
            let (full, pause_ms) = (due.taken.len() >= most, pause_ms(&due, takeover_ms));
            if let Some(kept) = places.split(due.taken.len()) {
                self.settle(fence, due.taken, kept);
            }
            if !full {
                return Some(pause_ms);
            }
        }
    }

    fn complain(&self, error: &StockError) {
        self.deciders.meters.inventory.count(Wish::Expire, Came::of(error), 1);
        match error {
            StockError::Fenced(reason) => {
                self.deciders.lease.suspect();
                self.deciders.fenced.hint(reason);
            }
            error => tracing::debug!(sku = %self.sku_id, %error, "a SKU could not be swept"),
        }
    }

    /// Records and finishes a batch, without the next batch waiting for it.
    fn settle(&self, fence: Arc<Fence>, taken: Vec<Settlement>, places: OwnedSemaphorePermit) {
        if taken.is_empty() {
            return;
        }
        let (deciders, keys, sku_id) = (Arc::clone(&self.deciders), Arc::clone(&self.keys), self.sku_id);
        tokio::spawn(async move {
            let events = taken.iter().map(|settled| (settled.hold.order_id, settled.event(sku_id, fence.epoch)));
            let acknowledged = publish(&deciders.recorder, events).await;
            let settled: Vec<&Settlement> =
                taken.iter().zip(acknowledged).filter(|(_, acknowledged)| *acknowledged).map(|(one, _)| one).collect();
            if settled.len() < taken.len() {
                tracing::warn!(sku = %sku_id, events = taken.len() - settled.len(), "not acknowledged; they will be taken over");
            }
            if settled.is_empty() {
                return;
            }
            match finish(&deciders, &keys, &fence, &settled).await {
                Ok(None) => tracing::debug!(sku = %sku_id, "the lease has ended; whoever has one takes them over"),
                Ok(Some(now_ms)) => settled.iter().for_each(|one| meter(&deciders, one, now_ms)),
                Err(error) => tracing::warn!(sku = %sku_id, %error, "not finished; they will be taken over"),
            }
            drop(places);
        });
    }
}

fn meter(deciders: &Deciders, settled: &Settlement, now_ms: u64) {
    let since_ms = match settled.state {
        OrderState::Expired => settled.hold.expires_at_ms,
        _ => settled.at_ms,
    };
    deciders.meters.swept(settled.state, now_ms.saturating_sub(since_ms));
}

/// In how many milliseconds to look again: when the earliest of what is left is due. Whatever begins after this look is not
/// due before the length of a hold, or of a takeover.
fn pause_ms(due: &Due, takeover_ms: u64) -> u64 {
    let next_ms = due.next_ms.map_or(u64::MAX, |next_ms| next_ms.saturating_sub(due.now_ms));
    next_ms.min(due.hold_ms).min(takeover_ms).max(PAUSE_MIN_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_look_is_when_something_may_be_due() {
        let due = |next_ms| Due { now_ms: 1_000, next_ms, hold_ms: 300_000, taken: Vec::new() };
        assert_eq!(pause_ms(&due(Some(4_000)), 10_000), 3_000);
        assert_eq!(pause_ms(&due(Some(900)), 10_000), PAUSE_MIN_MS, "overdue already");
        assert_eq!(pause_ms(&due(Some(400_000)), 10_000), 10_000, "a settlement may be left unfinished meanwhile");
        assert_eq!(pause_ms(&due(None), 10_000), 10_000);
        assert_eq!(pause_ms(&Due { hold_ms: 2_000, ..due(None) }, 10_000), 2_000, "a hold may begin and end meanwhile");
    }
}
