//! From a decision to what its buyer is told: a refusal at once, a win when it is recorded.

use super::Verdict;
use super::task::Task;
use crate::latch::LATCH_MS;
use crate::meters::Decided;
use crate::record::{Win, record_all};
use flash_core::ids::Epoch;
use flash_core::outcome::{Refusal, SoldOut};
use flash_core::stock::{Counters, Decision};
use flash_stores::redis::Reserved;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::oneshot;

/// How soon somebody may ask again while units are on their way back.
const RETURNING: Duration = Duration::from_secs(1);

impl Task {
    /// Counts what was decided, before anybody is told.
    pub(super) fn count(&self, decisions: &[Decision]) {
        let decided = Decided::of(decisions);
        self.deciders.meters.inventory.decided(&decided);
        self.shared.meters.decided(&decided);
    }

    /// Answers what is decided and hands the wins on to be recorded; the lane does not wait for that.
    pub(super) fn answer(
        &self,
        decisions: impl Iterator<Item = (Decision, oneshot::Sender<Verdict>)>,
        epoch: Epoch,
        reserved: &Reserved,
        began_ms: u64,
    ) {
        let mut wins = Vec::new();
        for (decision, buyer) in decisions {
            let refusal = match decision {
                Decision::Won(hold) => {
                    wins.push(Win { hold, replayed: false, buyer });
                    continue;
                }
                Decision::Replayed(hold) => {
                    wins.push(Win { hold, replayed: true, buyer });
                    continue;
                }
                // The log has more than the reservation: there is nothing to record again.
                Decision::Kept(receipt) => {
                    let _ = buyer.send(Verdict::Recorded { receipt, epoch, replayed: true });
                    continue;
                }
                Decision::KeyReused => Refusal::KeyReused,
                Decision::RateLimited => Refusal::RateLimited,
                Decision::NotOpen => Refusal::SaleNotOpen { opens_at_ms: self.shared.opens_at_ms.load(Relaxed) },
                Decision::Paused => Refusal::SalePaused,
                Decision::Closed => Refusal::SaleClosed,
                Decision::LimitReached => Refusal::LimitReached,
                Decision::SoldOut => Refusal::SoldOut(sold_out(reserved)),
                Decision::Expired => Refusal::ReservationExpired,
                Decision::Cancelled => Refusal::ReservationCancelled,
            };
            // The client may be gone; nothing was decided for it.
            let _ = buyer.send(Verdict::Refused(refusal));
        }
        if !wins.is_empty() {
            let (deciders, sku_id, wait) = (Arc::clone(&self.deciders), self.shared.sku_id, until_all_know(reserved));
            tokio::spawn(async move {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                record_all(deciders, sku_id, epoch, wins, began_ms).await;
            });
        }
    }
}

/// For how long other daemons may still say "sold out" from memory, because units came back only a moment ago. A win is not
/// told before: its buyer may ask any of them again and must hear the same (one answer per key).
fn until_all_know(reserved: &Reserved) -> Duration {
    let since_ms = reserved.now_ms.saturating_sub(reserved.restocked_ms);
    Duration::from_millis(LATCH_MS.saturating_sub(since_ms))
}

/// What a sold-out buyer is told.
pub(super) fn sold_out(reserved: &Reserved) -> SoldOut {
    let Counters { available, held, closing, .. } = reserved.counters;
    let is_final = available == 0 && held == 0 && closing == 0;
    let first = reserved.first_expiry_ms.map(|ms| Duration::from_millis(ms.saturating_sub(reserved.now_ms)));
    let wait = if closing > 0 { Some(RETURNING) } else { first };
    SoldOut { is_final, held: held + closing, retry_after: wait.filter(|_| !is_final) }
}
