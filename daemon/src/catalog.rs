//! The catalogue: what is on sale, as MySQL last said, with the lane of each SKU.
//!
//! Held in memory so that selling goes on while MySQL is away. Unknown SKUs are answered from here and cost nothing.

use crate::events::Events;
use crate::lane::{Deciders, Lane};
use arc_swap::ArcSwap;
use flash_core::ids::SkuId;
use flash_core::sale::{Sku, format_price, format_time};
use flash_core::stats::{HappeningKind, Severity};
use flash_stores::mysql::{Db, MySqlError, skus};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often MySQL is asked whether a definition has changed.
const REFRESH_EVERY: Duration = Duration::from_millis(500);

/// Changes that were made together are told one by one up to so many; more would push everything else out of sight.
const TOLD_ONE_BY_ONE_MAX: usize = 5;

/// One SKU on sale.
pub(crate) struct Offer {
    pub(crate) sku: Sku,
    pub(crate) lane: Arc<Lane>,
}

/// All offers; wait-free to read.
pub(crate) struct Catalog {
    offers: ArcSwap<HashMap<SkuId, Arc<Offer>>>,
    loaded: AtomicBool,
    events: Arc<Events>,
}

impl Catalog {
    pub(crate) fn new(events: Arc<Events>) -> Self {
        Self { offers: ArcSwap::from_pointee(HashMap::new()), loaded: AtomicBool::new(false), events }
    }

    /// The offer of a SKU.
    pub(crate) fn get(&self, sku_id: SkuId) -> Option<Arc<Offer>> {
        self.offers.load().get(&sku_id).cloned()
    }

    /// All offers as they are now. The same allocation until something changes.
    pub(crate) fn offers(&self) -> Arc<HashMap<SkuId, Arc<Offer>>> {
        self.offers.load_full()
    }

    /// All offers, in order of their ids.
    pub(crate) fn all(&self) -> Vec<Arc<Offer>> {
        let mut offers: Vec<_> = self.offers.load().values().cloned().collect();
        offers.sort_unstable_by_key(|offer| offer.sku.sku_id);
        offers
    }

    /// Whether MySQL has been read at least once.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Keeps up with MySQL until the future is dropped.
    pub(crate) async fn keep(self: Arc<Self>, db: Db, deciders: Arc<Deciders>) {
        let mut ticks = tokio::time::interval(REFRESH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = None;
        let mut complained = false;
        loop {
            ticks.tick().await;
            match self.refresh(&db, &deciders, known).await {
                Ok(mark) => {
                    known = Some(mark);
                    complained = false;
                }
                Err(error) if !complained => {
                    tracing::warn!(%error, "the catalogue cannot be read; selling goes on with what is known");
                    complained = true;
                }
                Err(_) => {}
            }
        }
    }

    async fn refresh(
        &self,
        db: &Db,
        deciders: &Arc<Deciders>,
        known: Option<skus::CatalogMark>,
    ) -> Result<skus::CatalogMark, MySqlError> {
        let mark = skus::mark(db).await?;
        if Some(mark) == known {
            return Ok(mark);
        }
        let old = self.offers.load_full();
        let offers: HashMap<_, _> =
            skus::list(db).await?.into_iter().map(|stored| offer(stored.sku, &old, deciders)).collect();
        tracing::info!(skus = offers.len(), "catalogue");
        self.tell(&old, &offers);
        let offers = Arc::new(offers);
        self.offers.store(Arc::clone(&offers));
        for (sku_id, gone) in old.iter().filter(|(sku_id, _)| !offers.contains_key(sku_id)) {
            deciders.meters.skus.retire(*sku_id, gone.lane.counts());
        }
        self.loaded.store(true, Ordering::Release);
        Ok(mark)
    }
}

impl Catalog {
    /// Tells people what is new and what has changed, each SKU by itself unless there are many.
    fn tell(&self, old: &HashMap<SkuId, Arc<Offer>>, new: &HashMap<SkuId, Arc<Offer>>) {
        let changes = new.values().filter_map(|offer| {
            let before = old.get(&offer.sku.sku_id).map(|offer| &offer.sku);
            Some((offer.sku.sku_id, change(before, &offer.sku)?))
        });
        let mut changes: Vec<(SkuId, String)> = changes.collect();
        if changes.len() > TOLD_ONE_BY_ONE_MAX {
            let text = format!("{} SKUs are new or have changed", changes.len());
            return self.events.note(HappeningKind::Sku, Severity::Info, text);
        }
        changes.sort_unstable();
        for (sku_id, text) in changes {
            self.events.note_sku(sku_id, HappeningKind::Sku, Severity::Info, text);
        }
    }
}

/// What is different about a SKU, in words; `None`: nothing.
fn change(before: Option<&Sku>, now: &Sku) -> Option<String> {
    let Some(before) = before else {
        return Some(format!(
            "is on sale: {}, {} units at {} {}",
            now.name,
            now.capacity,
            format_price(now.price_minor),
            now.currency
        ));
    };
    let mut words = Vec::new();
    if before.paused != now.paused {
        words.push(if now.paused { "paused".to_owned() } else { "resumed".to_owned() });
    }
    if before.capacity != now.capacity {
        words.push(format!("capacity {} instead of {}", now.capacity, before.capacity));
    }
    if before.price_minor != now.price_minor || before.currency != now.currency {
        words.push(format!("price {} {}", format_price(now.price_minor), now.currency));
    }
    if (before.opens_at_ms, before.closes_at_ms) != (now.opens_at_ms, now.closes_at_ms) {
        let opens = now.opens_at_ms.map_or_else(|| "at once".to_owned(), format_time);
        let closes = now.closes_at_ms.map_or_else(|| "never".to_owned(), format_time);
        words.push(format!("opens {opens}, closes {closes}"));
    }
    if words.is_empty() && before != now {
        words.push(format!("name {}, {} per buyer, held {} s", now.name, now.per_user, now.hold_ms / 1000));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

fn offer(sku: Sku, old: &HashMap<SkuId, Arc<Offer>>, deciders: &Arc<Deciders>) -> (SkuId, Arc<Offer>) {
    let lane = old.get(&sku.sku_id).map_or_else(
        || Arc::new(Lane::start(Arc::clone(deciders), sku.sku_id, sku.price_minor, sku.opens_at_ms)),
        |offer| {
            offer.lane.update(sku.price_minor, sku.opens_at_ms);
            Arc::clone(&offer.lane)
        },
    );
    (sku.sku_id, Arc::new(Offer { sku, lane }))
}
