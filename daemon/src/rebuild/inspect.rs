//! Finding out what Redis needs: nothing, a few new SKUs, or a rebuild.

use super::fill::terms;
use super::{Need, Rebuild, RebuildError};
use crate::crash;
use flash_core::epoch::EpochState;
use flash_core::fence::judge::{need, standing};
use flash_core::fence::{Mark, Replids, Standing};
use flash_core::ids::{Epoch, SkuId};
use flash_core::sale::Sku;
use flash_stores::mysql::skus::{self, StoredSku};
use flash_stores::redis::{Fence, Snapshot};

/// What Redis has of one SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkuStock {
    /// On sale under the open epoch.
    Loaded(Snapshot),
    /// Never loaded: nobody can have bought from it.
    New,
    /// It was left closed when the open epoch was filled.
    Blocked,
    /// It is there under the open epoch, but was not filled there.
    Moved,
    /// It was loaded once and is not there under the open epoch any more.
    Lost,
}

impl SkuStock {
    const fn standing(&self) -> Standing {
        match self {
            Self::Loaded(_) => Standing::OnSale,
            Self::New => Standing::New,
            Self::Blocked => Standing::Blocked,
            Self::Moved => Standing::Moved,
            Self::Lost => Standing::Lost,
        }
    }
}

impl Rebuild {
    /// Compares the definitions in MySQL with the open epoch and with Redis. Changes nothing.
    ///
    /// # Errors
    /// [`RebuildError`].
    pub async fn inspect(&self) -> Result<(Need, Vec<(SkuId, SkuStock)>), RebuildError> {
        let stored = skus::list(&self.db).await?;
        let fence = self.open_fence().await?;
        let open = fence.as_ref().map(Fence::open_epoch);
        let primaries = match &fence {
            Some(fence) => {
                self.gate.look_for(fence).await;
                self.gate.primaries().await?.into_values().collect()
            }
            None => Replids::new(),
        };
        let mut stocks = Vec::with_capacity(stored.len());
        for stored in &stored {
            stocks.push((stored.sku.sku_id, self.stock_of(stored, open.as_ref().map(|open| open.epoch)).await?));
        }
        let standings: Vec<_> = stocks.iter().map(|(sku_id, stock)| (*sku_id, stock.standing())).collect();
        Ok((need(open.as_ref(), &primaries, &standings), stocks))
    }

    async fn stock_of(&self, stored: &StoredSku, open: Option<Epoch>) -> Result<SkuStock, RebuildError> {
        let snapshot = match open {
            Some(_) => self.gate.snapshot(&self.keys(stored.sku.sku_id)).await?,
            None => None,
        };
        let mark = snapshot.as_ref().map(|snapshot| Mark::parse(&snapshot.epoch));
        let at_home = snapshot.as_ref().is_some_and(|snapshot| snapshot.at_home);
        // A mark that nobody can read is nothing that was loaded.
        let standing = match mark {
            Some(None) => Standing::Lost,
            mark => standing(mark.flatten(), at_home, stored.loaded_epoch.is_some(), open),
        };
        Ok(match (standing, snapshot) {
            (Standing::OnSale, Some(snapshot)) => SkuStock::Loaded(snapshot),
            (Standing::New, _) => SkuStock::New,
            (Standing::Blocked, _) => SkuStock::Blocked,
            (Standing::Moved, _) => SkuStock::Moved,
            (Standing::OnSale | Standing::Lost, _) => SkuStock::Lost,
        })
    }

    /// Loads SKUs that were never loaded, under the open epoch. Each is marked before its first unit can be sold, so a
    /// crash in between makes it look lost and leads to a rebuild, never to stock that is handed out twice.
    ///
    /// # Errors
    /// [`RebuildError`].
    pub async fn load_new(&self, new: &[SkuId], progress: impl Fn(super::Progress)) -> Result<(), RebuildError> {
        let Some(fence) = self.open_fence().await? else { return Ok(()) };
        let stored = skus::list(&self.db).await?;
        skus::mark_loaded(&self.db, new, fence.epoch).await?;
        crash::point("load.marked");
        let wanted = stored.iter().filter(|stored| stored.loaded_epoch.is_none() && new.contains(&stored.sku.sku_id));
        for (done, stored) in wanted.enumerate() {
            progress(super::Progress::Loading { done, all: new.len() });
            self.create(&stored.sku, &fence).await?;
            crash::point("load.created");
        }
        progress(super::Progress::Loading { done: new.len(), all: new.len() });
        Ok(())
    }

    /// Brings the terms of SKUs on sale (cap, hold time, window) to their definitions.
    ///
    /// # Errors
    /// [`RebuildError`].
    pub async fn configure(&self, changed: &[Sku]) -> Result<(), RebuildError> {
        let Some(fence) = self.open_fence().await? else { return Ok(()) };
        for sku in changed {
            self.gate.configure(&self.keys(sku.sku_id), &fence, &terms(sku)).await?;
            crash::point("setup.configured");
        }
        Ok(())
    }

    pub(crate) async fn open_fence(&self) -> Result<Option<Fence>, RebuildError> {
        let latest = self.latest_epoch().await?.filter(|record| record.state == EpochState::Open);
        Ok(latest.as_ref().map(Fence::of))
    }
}
