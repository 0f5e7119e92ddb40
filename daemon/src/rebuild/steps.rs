//! What each step of a rebuild does to the servers.

use super::blocked::Outcome;
use super::{Progress, Rebuild, RebuildError};
use crate::clock::wall_ms;
use crate::crash;
use crate::projector::{ProjectorOptions, catch_up, wait_for_fence};
use flash_core::event::{Body, Event};
use flash_core::ids::{Epoch, SkuId};
use flash_stores::kafka::admin;
use flash_stores::mysql::orders;
use flash_stores::mysql::skus::{self, StoredSku};
use flash_stores::redis::{Fence, Loader};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long the projection may take to reach the fences.
const PROJECTION_PATIENCE: Duration = Duration::from_secs(600);
/// How long workers that run may take before it is done here.
const WORKERS_PATIENCE: Duration = Duration::from_millis(400);
/// SKUs that are closed or filled side by side: enough that neither Redis nor MySQL waits for the other.
const SIDE_BY_SIDE: usize = 8;

impl Rebuild {
    /// Takes every SKU off sale.
    pub(super) async fn close_all(&self, stored: &[StoredSku], fence: &Fence) -> Result<(), RebuildError> {
        let ids: Vec<SkuId> = stored.iter().map(|stored| stored.sku.sku_id).collect();
        let fence = Arc::new(fence.clone());
        let close = |sku_id: SkuId| {
            let (rebuild, fence) = (self.clone(), Arc::clone(&fence));
            async move {
                let keys = rebuild.keys(sku_id);
                let closed = Loader::new(&rebuild.gate, &keys, &fence).close().await;
                closed.map_err(|source| RebuildError::Load { sku_id, source })?;
                crash::point("rebuild.closing");
                Ok(())
            }
        };
        side_by_side(ids, close, |()| {}).await
    }

    pub(super) async fn append_fences(&self, epoch: Epoch) -> Result<(), RebuildError> {
        let topic = self.options.kafka.topic_events();
        let fence = Event { epoch, at_ms: wall_ms(), body: Body::Fence };
        let payload = fence.encode().unwrap_or_default();
        let fences: Vec<_> = (0..self.partitions().await?)
            .map(|partition| (partition, format!("fence-{epoch}"), payload.clone()))
            .collect();
        self.append(topic, fences).await
    }

    /// Waits for the workers to project up to the fences; if they do not at once, none may be running, and it is done here.
    pub(super) async fn project_fences(&self, epoch: Epoch) -> Result<(), RebuildError> {
        let (topic, partitions) = (self.options.kafka.topic_events(), self.partitions().await?);
        if wait_for_fence(&self.db, &topic, partitions, epoch, WORKERS_PATIENCE).await.is_ok() {
            return Ok(());
        }
        let options = ProjectorOptions { kafka: self.options.kafka.clone(), mysql: self.options.mysql.clone() };
        catch_up(&options, PROJECTION_PATIENCE).await?;
        Ok(wait_for_fence(&self.db, &topic, partitions, epoch, PROJECTION_PATIENCE).await?)
    }

    /// Writes every SKU afresh, or leaves it closed for a reason of its own.
    pub(super) async fn load_all(
        &self,
        stored: Vec<StoredSku>,
        fence: &Fence,
        progress: &impl Fn(Progress),
    ) -> Result<(), RebuildError> {
        let ids: Vec<SkuId> = stored.iter().map(|stored| stored.sku.sku_id).collect();
        // Marked before the first unit can be sold, so that "never loaded" can be believed whatever dies.
        skus::mark_loaded(&self.db, &ids, fence.epoch).await?;
        crash::point("rebuild.marked");
        self.fill_all(stored, fence, progress).await.map(drop)
    }

    /// Fills these SKUs; returns how many are open now.
    pub(super) async fn fill_all(
        &self,
        stored: Vec<StoredSku>,
        fence: &Fence,
        progress: &impl Fn(Progress),
    ) -> Result<usize, RebuildError> {
        let parked: Arc<BTreeMap<SkuId, u64>> = Arc::new(self.parked().await?);
        let sold_from = Arc::new(orders::skus_with_any(&self.db).await?);
        let fence = Arc::new(fence.clone());
        let (all, mut done, mut open) = (stored.len(), 0, 0);
        progress(Progress::Loading { done, all });
        let fill = |stored: StoredSku| {
            let (rebuild, fence) = (self.clone(), Arc::clone(&fence));
            let (parked, sold_from) = (Arc::clone(&parked), Arc::clone(&sold_from));
            async move {
                let parked = parked.get(&stored.sku.sku_id).copied();
                rebuild.fill_or_block(&stored.sku, &fence, parked, sold_from.contains(&stored.sku.sku_id)).await
            }
        };
        let tell = |outcome| {
            match outcome {
                Outcome::Open => open += 1,
                Outcome::Blocked(sku_id, reason) => progress(Progress::Blocked { sku_id, reason }),
            }
            done += 1;
            progress(Progress::Loading { done, all });
        };
        side_by_side(stored, fill, tell).await?;
        Ok(open)
    }

    pub(super) async fn partitions(&self) -> Result<i32, RebuildError> {
        let topic = self.options.kafka.topic_events();
        let described = admin::describe(&self.options.kafka, std::slice::from_ref(&topic)).await?;
        described.first().map(|topic| topic.partitions).ok_or(RebuildError::NoTopic(topic))
    }
}

/// Does some work for each of many, a few at a time. The first error ends it; what was begun elsewhere is dropped.
async fn side_by_side<T, R: Send + 'static, F: Future<Output = Result<R, RebuildError>> + Send + 'static>(
    of: Vec<T>,
    work: impl Fn(T) -> F,
    mut done: impl FnMut(R),
) -> Result<(), RebuildError> {
    let mut tasks = JoinSet::new();
    for one in of {
        if tasks.len() >= SIDE_BY_SIDE
            && let Some(result) = tasks.join_next().await
        {
            done(result??);
        }
        tasks.spawn(work(one));
    }
    while let Some(result) = tasks.join_next().await {
        done(result??);
    }
    Ok(())
}
