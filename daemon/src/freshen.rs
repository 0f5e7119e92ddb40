//! Keeping the counters that people see fresh, also of SKUs that nobody buys: every decision brings its SKU's counters along,
//! and those that have brought none for a second are read here.
//!
//! Bounded, so that it never competes with a decision: at most [`BATCH`] SKUs five times a second, the oldest first. With more
//! SKUs than that the counters of idle ones are older, and `/stats` says how old.

use crate::catalog::Catalog;
use crate::clock::boot_ms;
use crate::lane::{Deciders, Lane, Seen};
use flash_core::ids::SkuId;
use flash_stores::redis::SkuKeys;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Counters younger than this (ms) are fresh.
const FRESH_MS: u64 = 1_000;
/// Most SKUs that are read at once: about a tenth of a millisecond of Redis.
const BATCH: usize = 100;
/// How often.
const EVERY: Duration = Duration::from_millis(200);
/// How many batches are planned at a time: looking for the oldest means looking at all.
const PLANNED: usize = 5;

/// Reads until the future is dropped.
pub(crate) async fn keep(catalog: Arc<Catalog>, deciders: Arc<Deciders>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut waiting = VecDeque::new();
    for turn in (0..PLANNED).cycle() {
        ticks.tick().await;
        if turn == 0 {
            waiting = oldest(&catalog);
        }
        let batch: Vec<_> = waiting.drain(..waiting.len().min(BATCH)).collect();
        if !batch.is_empty() && deciders.gate.connected().is_ok() {
            read(&deciders, &batch).await;
        }
    }
}

/// The SKUs whose counters are the oldest, as many as can be read until the next plan.
fn oldest(catalog: &Catalog) -> VecDeque<(SkuId, Arc<Lane>)> {
    let now_ms = boot_ms();
    let offers = catalog.offers();
    let age = |lane: &Lane| lane.seen().map_or(u64::MAX, |seen| now_ms.saturating_sub(seen.at_ms));
    let ages = offers.iter().map(|(sku_id, offer)| (age(&offer.lane), *sku_id, Arc::clone(&offer.lane)));
    let mut stale: Vec<_> = ages.filter(|(age_ms, ..)| *age_ms >= FRESH_MS).collect();
    stale.sort_unstable_by_key(|(age_ms, sku_id, _)| (std::cmp::Reverse(*age_ms), *sku_id));
    stale.into_iter().take(BATCH * PLANNED).map(|(_, sku_id, lane)| (sku_id, lane)).collect()
}

async fn read(deciders: &Deciders, batch: &[(SkuId, Arc<Lane>)]) {
    let keys: Vec<_> = batch.iter().map(|(sku_id, _)| SkuKeys::new(deciders.gate.namespace(), *sku_id)).collect();
    let at_ms = boot_ms();
    // What Redis does not tell stays as it was, and gets older.
    for ((_, lane), counters) in batch.iter().zip(deciders.gate.counters(&keys).await) {
        if let Some(counters) = counters {
            lane.saw(Seen { counters, at_ms });
        }
    }
}
