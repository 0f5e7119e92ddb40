//! Finding out what Redis needs: nothing, a few new SKUs, or a rebuild.

use super::blocked::mark;
use super::fill::terms;
use super::{Rebuild, RebuildError};
use crate::crash;
use flash_core::epoch::{EpochRecord, EpochState, SINGLE_PRIMARY};
use flash_core::ids::SkuId;
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
    /// It was loaded once and is not there under the open epoch any more.
    Lost,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Every SKU is on sale.
    Nothing,
    /// The open epoch is sound; these SKUs are new.
    Load(Vec<SkuId>),
    /// The open epoch is sound; these SKUs were left closed and may be filled by now.
    Unblock(Vec<SkuId>),
    /// Redis must be filled under a new epoch, for this reason.
    Rebuild(String),
}

impl Rebuild {
    /// Compares the definitions in MySQL with the open epoch and with Redis. Changes nothing.
    ///
    /// # Errors
    /// [`RebuildError`].
    pub async fn inspect(&self) -> Result<(Need, Vec<(SkuId, SkuStock)>), RebuildError> {
        let stored = skus::list(&self.db).await?;
        let Some(fence) = self.open_fence().await? else {
            let lost = |stored: &StoredSku| if stored.loaded_epoch.is_some() { SkuStock::Lost } else { SkuStock::New };
            let stocks = stored.iter().map(|stored| (stored.sku.sku_id, lost(stored))).collect();
            return Ok((Need::Rebuild("no stock epoch is open".into()), stocks));
        };
        let actual = self.gate.replid().await?;
        let mut stocks = Vec::with_capacity(stored.len());
        for stored in &stored {
            stocks.push((stored.sku.sku_id, self.stock_of(stored, &fence).await?));
        }
        if actual != fence.replid {
            let reason = format!("Redis has restarted or failed over since epoch {} was opened", fence.epoch);
            return Ok((Need::Rebuild(reason), stocks));
        }
        if let Some((sku_id, _)) = stocks.iter().find(|(_, stock)| *stock == SkuStock::Lost) {
            return Ok((
                Need::Rebuild(format!("SKU {sku_id} was loaded once and is not in Redis under epoch {}", fence.epoch)),
                stocks,
            ));
        }
        let those = |wanted: SkuStock| -> Vec<SkuId> {
            stocks.iter().filter(|(_, stock)| *stock == wanted).map(|(sku_id, _)| *sku_id).collect()
        };
        let (new, blocked) = (those(SkuStock::New), those(SkuStock::Blocked));
        let need = match (new.is_empty(), blocked.is_empty()) {
            (false, _) => Need::Load(new),
            (true, false) => Need::Unblock(blocked),
            (true, true) => Need::Nothing,
        };
        Ok((need, stocks))
    }

    async fn stock_of(&self, stored: &StoredSku, fence: &Fence) -> Result<SkuStock, RebuildError> {
        let snapshot = self.gate.snapshot(&self.keys(stored.sku.sku_id)).await?;
        Ok(match (snapshot, stored.loaded_epoch) {
            (Some(snapshot), _) if snapshot.epoch == fence.epoch.to_string() => SkuStock::Loaded(snapshot),
            (Some(snapshot), _) if snapshot.epoch == mark(fence.epoch) => SkuStock::Blocked,
            (None, None) => SkuStock::New,
            _ => SkuStock::Lost,
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

    pub(super) async fn open_fence(&self) -> Result<Option<Fence>, RebuildError> {
        let latest = self.latest_epoch().await?.filter(|record| record.state == EpochState::Open);
        Ok(latest.map(|EpochRecord { epoch, mut replids, .. }| Fence {
            epoch,
            replid: replids.remove(SINGLE_PRIMARY).unwrap_or_default(),
        }))
    }
}
