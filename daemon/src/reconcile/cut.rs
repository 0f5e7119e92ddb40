//! The cut: what Redis counts, SKU by SKU, each with the sequence number of its last stock change.

use super::{Reconcile, ReconcileError, Step};
use crate::clock::boot_ms;
use flash_core::fence::Mark;
use flash_core::ids::SkuId;
use flash_stores::mysql::skus::{self, StoredSku};
use flash_stores::redis::{Audited, Fence, StockError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long an open epoch is waited for.
const OPEN_PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked for one.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A SKU that is being loaded for the first time is there after this time.
const LOADING: Duration = Duration::from_secs(2);
/// SKUs asked about at the same time.
const CONCURRENT: usize = 64;

/// One look at every SKU.
pub(super) struct Cut {
    /// The epoch that is compared.
    pub(super) fence: Fence,
    /// When the last SKU had been read, on the boot clock.
    pub(super) taken_ms: u64,
    pub(super) skus: Vec<Seen>,
}

/// One SKU, its definition read before its stock.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) stored: StoredSku,
    pub(super) stock: Stock,
}

/// What Redis has of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stock {
    Open(Audited),
    /// Left closed when Redis was filled.
    Blocked,
    /// Not there although it was loaded.
    Lost,
    /// Never loaded.
    New,
}

impl Cut {
    /// The SKUs on sale, with what Redis says.
    pub(super) fn open(&self) -> impl Iterator<Item = (&StoredSku, &Audited)> {
        self.skus.iter().filter_map(|seen| match &seen.stock {
            Stock::Open(audited) => Some((&seen.stored, audited)),
            _ => None,
        })
    }
}

impl Reconcile {
    /// Takes the cut under the open epoch; waits for one if Redis is being filled.
    pub(super) async fn cut(&self, only: Option<SkuId>, progress: &impl Fn(Step)) -> Result<Cut, ReconcileError> {
        let started = Instant::now();
        loop {
            let reason = match self.try_cut(only, progress).await? {
                Ok(cut) => return Ok(cut),
                Err(reason) => reason,
            };
            if started.elapsed() > OPEN_PATIENCE {
                return Err(ReconcileError::NotOpen(reason));
            }
            progress(Step::Again(reason));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The cut, or why there is none at the moment.
    async fn try_cut(
        &self,
        only: Option<SkuId>,
        progress: &impl Fn(Step),
    ) -> Result<Result<Cut, String>, ReconcileError> {
        let Some(fence) = self.rebuild.open_fence().await? else {
            return Ok(Err("no stock epoch is open".to_owned()));
        };
        // Among several servers the primary of this epoch is the one to compare, not the one that was it once.
        self.gate.look_for(&fence).await;
        let mut stored = skus::list(&self.db).await?;
        if let Some(only) = only {
            stored.retain(|stored| stored.sku.sku_id == only);
            if stored.is_empty() {
                return Err(ReconcileError::Missing(only));
            }
        }
        let all = stored.len();
        let mut seen = Vec::with_capacity(all);
        for chunk in stored.chunks(CONCURRENT) {
            let mut looks = JoinSet::new();
            for stored in chunk {
                let (gate, keys, fence, stored) =
                    (self.gate.clone(), self.keys(stored.sku.sku_id), fence.clone(), stored.clone());
                looks.spawn(async move { (gate.audit(&keys, &fence).await, stored) });
            }
            while let Some(looked) = looks.join_next().await {
                let (audited, stored) = looked?;
                match self.stock(audited, &stored, &fence).await? {
                    Ok(stock) => seen.push(Seen { stored, stock }),
                    Err(reason) => return Ok(Err(reason)),
                }
            }
            progress(Step::Cutting { done: seen.len(), all });
        }
        seen.sort_unstable_by_key(|seen| seen.stored.sku.sku_id);
        Ok(Ok(Cut { fence, taken_ms: boot_ms(), skus: seen }))
    }

    /// What an answer means; the inner error: Redis is not to be compared now.
    async fn stock(
        &self,
        audited: Result<Audited, StockError>,
        stored: &StoredSku,
        fence: &Fence,
    ) -> Result<Result<Stock, String>, ReconcileError> {
        let reason = match audited {
            Ok(audited) => return Ok(Ok(Stock::Open(audited))),
            Err(StockError::Fenced(reason)) => reason,
            Err(error) => return Err(error.into()),
        };
        if reason == format!("EPOCH {}", Mark::Blocked(fence.epoch)) {
            return Ok(Ok(Stock::Blocked));
        }
        if reason != "MISSING" {
            return Ok(Err(format!("Redis is not to be compared: {reason}")));
        }
        if stored.loaded_epoch.is_none() {
            return Ok(Ok(Stock::New));
        }
        // It is marked as loaded a moment before it is.
        tokio::time::sleep(LOADING).await;
        match self.gate.audit(&self.keys(stored.sku.sku_id), fence).await {
            Ok(audited) => Ok(Ok(Stock::Open(audited))),
            Err(StockError::Fenced(reason)) if reason == "MISSING" => Ok(Ok(Stock::Lost)),
            Err(StockError::Fenced(reason)) => Ok(Err(format!("Redis is not to be compared: {reason}"))),
            Err(error) => Err(error.into()),
        }
    }
}
