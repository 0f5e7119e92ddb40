//! The catalogue: what is on sale, as MySQL last said, with the lane of each SKU.
//!
//! Held in memory so that selling goes on while MySQL is away. Unknown SKUs are answered from here and cost nothing.

use crate::lane::{Deciders, Lane};
use arc_swap::ArcSwap;
use flash_core::ids::SkuId;
use flash_core::sale::Sku;
use flash_stores::mysql::{Db, MySqlError, skus};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often MySQL is asked whether a definition has changed.
const REFRESH_EVERY: Duration = Duration::from_millis(500);

/// One SKU on sale.
pub(crate) struct Offer {
    pub(crate) sku: Sku,
    pub(crate) lane: Arc<Lane>,
}

/// All offers; wait-free to read.
pub(crate) struct Catalog {
    offers: ArcSwap<HashMap<SkuId, Arc<Offer>>>,
    loaded: AtomicBool,
}

impl Catalog {
    pub(crate) fn new() -> Self {
        Self { offers: ArcSwap::from_pointee(HashMap::new()), loaded: AtomicBool::new(false) }
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
        self.offers.store(Arc::new(offers));
        self.loaded.store(true, Ordering::Release);
        Ok(mark)
    }
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
