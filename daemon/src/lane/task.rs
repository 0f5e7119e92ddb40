//! The lane's task: gathers a batch, has it decided, and hands on what was said about it. One batch at a time.

use super::{Deciders, Shared, Verdict, Waiting};
use crate::clock::boot_ms;
use crate::crash;
use crate::meters::{Came, Wish};
use flash_core::limits::LANE_BATCH_MAX;
use flash_core::outcome::Refusal;
use flash_core::stock::Ask;
use flash_stores::redis::{Batch, SkuKeys, StockError};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::{mpsc, oneshot};

pub(super) struct Task {
    pub(super) deciders: Arc<Deciders>,
    pub(super) keys: SkuKeys,
    pub(super) shared: Arc<Shared>,
}

impl Task {
    pub(super) async fn run(self, mut waiting: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::with_capacity(LANE_BATCH_MAX);
        let (mut asks, mut buyers) = (Vec::with_capacity(LANE_BATCH_MAX), Vec::with_capacity(LANE_BATCH_MAX));
        while waiting.recv_many(&mut batch, LANE_BATCH_MAX).await > 0 {
            // Nothing is decided for clients that are gone already.
            for Waiting { ask, buyer } in batch.drain(..).filter(|waiting| !waiting.buyer.is_closed()) {
                asks.push(ask);
                buyers.push(buyer);
            }
            if !asks.is_empty() {
                self.decide(&mut asks, &mut buyers).await;
            }
            asks.clear();
            buyers.clear();
        }
        self.deciders.selling.forget(self.shared.sku_id);
    }

    async fn decide(&self, asks: &mut Vec<Ask>, buyers: &mut Vec<oneshot::Sender<Verdict>>) {
        let deciders = &*self.deciders;
        let Some(fence) = deciders.lease.fence() else {
            deciders.selling.nothing_is_decided();
            deciders.meters.inventory.count(Wish::Reserve, Came::Unavailable, asks.len() as u64);
            return refuse_all(buyers, asks, |_| Refusal::StockRecovering);
        };
        crash::point("purchase.gathered");
        self.refuse_foreign_keys(&fence, asks, buyers).await;
        crash::point("purchase.claimed");
        if asks.is_empty() {
            return;
        }
        let began_ms = boot_ms();
        let unit_price_minor = self.shared.price_minor.load(Relaxed);
        let batch = Batch { keys: &self.keys, fence: &fence, unit_price_minor, asks };
        let result = deciders.gate.reserve(&batch).await;
        deciders.meters.batch(asks.len(), &result);
        match result {
            Ok(mut reserved) => {
                crash::point("purchase.decided");
                deciders.fenced.clear();
                deciders.selling.is_decided(self.shared.sku_id, &self.shared.mark);
                let decisions = std::mem::take(&mut reserved.decisions);
                self.count(&decisions);
                self.answer(decisions.into_iter().zip(buyers.drain(..)), fence.epoch, &reserved, began_ms);
                self.learn(&reserved, &fence, began_ms).await;
            }
            Err(StockError::Unknown(reason)) => {
                self.is_undecided();
                tracing::warn!(sku = %self.shared.sku_id, batch = asks.len(), reason, "a batch's outcome is unknown");
                refuse_all(buyers, asks, |ask| Refusal::OutcomeUnknown {
                    idempotency_key: ask.idempotency_key.clone(),
                });
            }
            Err(error) => {
                self.is_undecided();
                if let StockError::Fenced(reason) = &error {
                    deciders.lease.suspect();
                    deciders.fenced.note(reason);
                }
                tracing::debug!(sku = %self.shared.sku_id, %error, "nothing was decided");
                refuse_all(buyers, asks, |_| Refusal::StockRecovering);
            }
        }
    }

    /// Notes that nothing was decided: here only, or nowhere if Redis is not to be reached at all.
    pub(super) fn is_undecided(&self) {
        let selling = &self.deciders.selling;
        match self.deciders.gate.connected() {
            Ok(()) => selling.is_undecided(self.shared.sku_id, &self.shared.mark),
            Err(_) => selling.nothing_is_decided(),
        }
    }
}

fn refuse_all(buyers: &mut Vec<oneshot::Sender<Verdict>>, asks: &[Ask], refusal: impl Fn(&Ask) -> Refusal) {
    for (buyer, ask) in buyers.drain(..).zip(asks) {
        let _ = buyer.send(Verdict::Refused(refusal(ask)));
    }
}
