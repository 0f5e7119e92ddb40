//! What a reply of Redis says about the SKU beyond the batch: its counters, and whether "no" can be said locally for a moment.

use super::answer::sold_out;
use super::task::Task;
use crate::http::problem;
use flash_stores::redis::{Fence, Reserved};

/// How many winners are read at once when a SKU sells out.
const WINNERS_PAGE: u64 = 10_000;

impl Task {
    /// Remembers what a reply says about the SKU: the counters, and whether "no" can be said locally for a moment.
    pub(super) async fn learn(&self, reserved: &Reserved, fence: &Fence, began_ms: u64) {
        let shared = &*self.shared;
        shared.see(reserved.counters, began_ms);
        if reserved.counters.available > 0 {
            return shared.latch.clear();
        }
        if self.read_winners(fence, reserved.winners).await {
            let sold_out = sold_out(reserved);
            shared.latch.set(began_ms, sold_out, problem::sold_out_body(&sold_out));
        }
    }

    /// Reads the list of winners up to `total`; false if it could not be read, and then there is no latch.
    async fn read_winners(&self, fence: &Fence, total: u64) -> bool {
        let latch = &self.shared.latch;
        loop {
            let known = latch.winners_known(fence.epoch);
            if known >= total {
                return known == total;
            }
            match self.deciders.gate.winners(&self.keys, known, WINNERS_PAGE.min(total - known)).await {
                Ok(users) if !users.is_empty() => latch.learn_winners(&users),
                _ => return false,
            }
        }
    }
}
