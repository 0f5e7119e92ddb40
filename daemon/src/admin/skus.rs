//! The SKUs of the `/stats` document: which of them, and whether each is sold now.

use crate::catalog::{Catalog, Offer};
use flash_core::sale::Sku;
use flash_core::stats::{SkuState, SkuStats};
use flash_core::stock::Counters;
use std::sync::Arc;

/// At most `most` SKUs, in order of their ids. If there are more, the busiest are picked: most purchases asked of
/// this daemon, then most units held or sold, then the lowest id.
pub(super) fn list(catalog: &Catalog, most: usize, now_ms: u64) -> Vec<SkuStats> {
    if most == 0 {
        return Vec::new();
    }
    let mut offers: Vec<Arc<Offer>> = catalog.offers().values().cloned().collect();
    if offers.len() > most {
        // Read once each: an order that changes while it is sorted by is none.
        let mut keyed: Vec<_> = offers.into_iter().map(|offer| (busyness(&offer), offer)).collect();
        keyed.select_nth_unstable_by(most - 1, |(a, _), (b, _)| a.cmp(b));
        keyed.truncate(most);
        offers = keyed.into_iter().map(|(_, offer)| offer).collect();
    }
    offers.sort_unstable_by_key(|offer| offer.sku.sku_id);
    offers.iter().map(|offer| describe(offer, now_ms)).collect()
}

/// The busiest first.
fn busyness(offer: &Offer) -> impl Ord + use<> {
    let taken = offer.lane.seen().map_or(0, |seen| u64::from(seen.held) + u64::from(seen.sold));
    (std::cmp::Reverse((offer.lane.counts().attempts, taken)), offer.sku.sku_id)
}

fn describe(offer: &Offer, now_ms: u64) -> SkuStats {
    let sku = &offer.sku;
    // The age first: counters that arrive in between are younger than it says, never older.
    let seen_ms_ago = offer.lane.seen_ms_ago();
    let counters = offer.lane.seen();
    let asked = offer.lane.counts();
    let count = |of: fn(Counters) -> u32| counters.map(|counters| u64::from(of(counters)));
    SkuStats {
        name: sku.name.clone(),
        capacity: sku.capacity.into(),
        price_minor: sku.price_minor,
        currency: sku.currency.clone(),
        state: state(sku, counters, now_ms),
        opens_at_ms: sku.opens_at_ms,
        closes_at_ms: sku.closes_at_ms,
        available: count(|c| c.available),
        held: count(|c| c.held),
        sold: count(|c| c.sold),
        closing: count(|c| c.closing),
        seen_ms_ago,
        waiting: offer.lane.depth() as u64,
        attempts: asked.attempts,
        wins: asked.wins,
        sold_out: asked.sold_out,
        ..SkuStats::of(sku.sku_id)
    }
}

/// Whether it is sold now: the operator's word first, then the window, then the stock. The window is judged by this daemon's
/// clock, for people; Redis decides by its own.
pub(super) fn state(sku: &Sku, counters: Option<Counters>, now_ms: u64) -> SkuState {
    if sku.paused {
        return SkuState::Paused;
    }
    if sku.closes_at_ms.is_some_and(|closes_at_ms| now_ms >= closes_at_ms) {
        return SkuState::Closed;
    }
    if sku.opens_at_ms.is_some_and(|opens_at_ms| now_ms < opens_at_ms) {
        return SkuState::Upcoming;
    }
    match counters {
        None => SkuState::Unknown,
        Some(counters) if counters.available > 0 => SkuState::Selling,
        Some(counters) if counters.held > 0 || counters.closing > 0 => SkuState::HeldOut,
        Some(_) => SkuState::SoldOut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flash_core::ids::SkuId;

    fn sku() -> Sku {
        Sku {
            sku_id: SkuId::new(1),
            name: "x".into(),
            price_minor: 1,
            currency: "EUR".into(),
            capacity: 10,
            per_user: 1,
            hold_ms: 1_000,
            opens_at_ms: Some(100),
            closes_at_ms: Some(200),
            paused: false,
        }
    }

    fn stock(available: u32, held: u32, sold: u32, closing: u32) -> Option<Counters> {
        Some(Counters { available, held, sold, closing, seq: 0 })
    }

    #[test]
    fn the_operator_the_window_and_the_stock_say_whether_it_is_sold() {
        let sku = sku();
        assert_eq!(state(&sku, stock(1, 9, 0, 0), 99), SkuState::Upcoming);
        assert_eq!(state(&sku, stock(1, 9, 0, 0), 100), SkuState::Selling);
        assert_eq!(state(&sku, stock(0, 9, 1, 0), 199), SkuState::HeldOut);
        assert_eq!(state(&sku, stock(0, 0, 9, 1), 199), SkuState::HeldOut, "on its way back");
        assert_eq!(state(&sku, stock(0, 0, 10, 0), 199), SkuState::SoldOut);
        assert_eq!(state(&sku, stock(1, 0, 9, 0), 200), SkuState::Closed);
        assert_eq!(state(&sku, None, 150), SkuState::Unknown);
        assert_eq!(state(&Sku { paused: true, ..sku }, stock(1, 9, 0, 0), 150), SkuState::Paused);
    }
}
