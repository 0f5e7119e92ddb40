//! Keys that belong to another SKU: found out before a batch is decided, and taken out of it (P4).

use super::Verdict;
use super::task::Task;
use crate::meters::{Came, Wish};
use flash_core::outcome::Refusal;
use flash_core::stock::Ask;
use flash_stores::redis::{Fence, StockError};
use tokio::sync::oneshot;

impl Task {
    /// Takes out of the batch what may not be decided: purchases whose key their buyer has used for another SKU, and those
    /// of which that cannot be found out – a claim alone holds no stock.
    pub(super) async fn refuse_foreign_keys(
        &self,
        fence: &Fence,
        asks: &mut Vec<Ask>,
        buyers: &mut Vec<oneshot::Sender<Verdict>>,
    ) {
        let deciders = &*self.deciders;
        let keys: Vec<_> = asks.iter().map(|ask| (ask.user_id, ask.idempotency_key.as_str())).collect();
        let claimed = deciders.gate.claim_keys(fence, self.shared.sku_id, &keys).await;
        if claimed.iter().all(|ours| matches!(ours, Ok(true))) {
            return;
        }
        let unclaimed = claimed.iter().any(Result::is_err);
        self.note_unclaimed(claimed.iter().filter_map(|ours| ours.as_ref().err()));
        let all = asks.drain(..).zip(buyers.drain(..)).zip(claimed).collect::<Vec<_>>();
        for ((ask, buyer), ours) in all {
            let refusal = match ours {
                Ok(true) => {
                    asks.push(ask);
                    buyers.push(buyer);
                    continue;
                }
                Ok(false) => {
                    deciders.meters.inventory.count(Wish::Reserve, Came::Refused, 1);
                    Refusal::KeyReused
                }
                Err(error) => {
                    deciders.meters.inventory.count(Wish::Reserve, Came::before_deciding(&error), 1);
                    Refusal::StockRecovering
                }
            };
            let _ = buyer.send(Verdict::Refused(refusal));
        }
        // If any are left, whether they are decided will show.
        if unclaimed && asks.is_empty() {
            self.is_undecided();
        }
    }

    /// Tells people, and whoever may mend it, why keys could not be claimed.
    fn note_unclaimed<'a>(&self, errors: impl Iterator<Item = &'a StockError> + Clone) {
        let fenced =
            errors.clone().find_map(|error| if let StockError::Fenced(why) = error { Some(why) } else { None });
        if let Some(reason) = fenced {
            self.deciders.meters.claims_fenced();
            self.deciders.lease.suspect();
            self.deciders.fenced.note(reason);
        }
        if let Some(error) = errors.clone().next() {
            tracing::debug!(sku = %self.shared.sku_id, keys = errors.count(), %error, "keys could not be claimed");
        }
    }
}
