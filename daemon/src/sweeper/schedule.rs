//! When each SKU is due to be looked at.

use crate::catalog::{Catalog, Offer};
use flash_core::ids::SkuId;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

/// SKUs by when they are due, on the boot clock.
#[derive(Default)]
pub(super) struct Schedule {
    due: BinaryHeap<Reverse<(u64, SkuId)>>,
    known: HashMap<SkuId, Known>,
    /// The catalogue as it was followed last.
    followed: Option<Arc<HashMap<SkuId, Arc<Offer>>>>,
}

struct Known {
    /// Length of a hold as the catalogue had it. If it gets shorter, what was planned may be too late.
    hold_ms: u64,
    /// When it is due; a heap entry of another time is stale. `None` while it is being looked at.
    at_ms: Option<u64>,
}

impl Schedule {
    /// Takes over what has changed in the catalogue.
    pub(super) fn follow(&mut self, catalog: &Catalog, now_ms: u64) {
        let offers = catalog.offers();
        if self.followed.as_ref().is_some_and(|followed| Arc::ptr_eq(followed, &offers)) {
            return;
        }
        self.known.retain(|sku_id, _| offers.contains_key(sku_id));
        for (sku_id, offer) in offers.iter() {
            let hold_ms = offer.sku.hold_ms;
            let known = self.known.entry(*sku_id).or_insert(Known { hold_ms: u64::MAX, at_ms: Some(u64::MAX) });
            if hold_ms < known.hold_ms && known.at_ms.is_some() {
                known.at_ms = Some(now_ms);
                self.due.push(Reverse((now_ms, *sku_id)));
            }
            known.hold_ms = hold_ms;
        }
        self.followed = Some(offers);
    }

    /// The next SKU that is due, once, and the length of its holds as the catalogue has it.
    pub(super) fn due(&mut self, now_ms: u64) -> Option<(SkuId, u64)> {
        while let Some(Reverse((at_ms, sku_id))) = self.due.peek().copied() {
            if at_ms > now_ms {
                return None;
            }
            self.due.pop();
            let known = self.known.get_mut(&sku_id).filter(|known| known.at_ms == Some(at_ms));
            if let Some(known) = known {
                known.at_ms = None;
                return Some((sku_id, known.hold_ms));
            }
        }
        None
    }

    /// Plans the next look at a SKU.
    pub(super) fn look_again(&mut self, sku_id: SkuId, at_ms: u64) {
        if let Some(known) = self.known.get_mut(&sku_id) {
            known.at_ms = Some(at_ms);
            self.due.push(Reverse((at_ms, sku_id)));
        }
    }
}
