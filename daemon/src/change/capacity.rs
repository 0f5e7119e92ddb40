//! Raising and lowering a capacity: the same two steps, in the order in which a crash between them sells too little.

use super::desk::{Desk, Outcome, Reached};
use super::stock::NotApplied;
use super::{ChangeError, taken};
use crate::crash;
use flash_core::ids::{Epoch, SkuId};
use flash_core::sale::{Sku, SkuError};
use flash_core::stock::Counters;
use flash_stores::mysql::author::Author;
use flash_stores::mysql::sku_lock::{Changed, SkuLock};
use flash_stores::redis::Resized;
use std::time::Duration;

/// How long a rebuild that may have seen the old capacity is waited for after a lowering.
const REFILL_PATIENCE: Duration = Duration::from_secs(90);

impl Desk {
    /// Changes how many units of a SKU exist. Doing it again changes nothing, and completes what a crash left half done.
    ///
    /// # Errors
    /// [`ChangeError::Below`] if more units are held, sold or closing; [`ChangeError::Half`] if one store may lack it.
    pub async fn set_capacity(&self, sku_id: SkuId, capacity: u32, author: &Author) -> Result<Outcome, ChangeError> {
        let mut lock = self.lock(sku_id).await?;
        let before = lock.read().await.map_err(|error| ChangeError::edit(sku_id, error))?.sku;
        let result = match with_capacity(&before, capacity).and_then(|sku| sku.check()) {
            Err(error) => Err(ChangeError::Bounds { sku_id, error }),
            // By what MySQL says: what Redis has is never more than that, whatever crashed.
            Ok(()) if capacity < before.capacity => self.lower(&mut lock, &before, capacity, author).await,
            Ok(()) => self.raise(&mut lock, capacity, author).await,
        };
        lock.release().await;
        result
    }

    /// MySQL, then Redis.
    async fn raise(&self, lock: &mut SkuLock, capacity: u32, author: &Author) -> Result<Outcome, ChangeError> {
        let sku_id = lock.sku_id();
        let changed = write(lock, capacity, author).await?;
        crash::point("capacity.raised");
        match self.stock.set_capacity(sku_id, capacity, self.patience).await {
            Ok((resized, _)) => Ok(outcome(changed, done(sku_id, capacity, resized)?)),
            Err(error) => Ok(Outcome { reached: self.later(&changed.after, error)?, counters: None, ..changed.into() }),
        }
    }

    /// Redis, then MySQL, then another look at the epoch.
    async fn lower(
        &self,
        lock: &mut SkuLock,
        before: &Sku,
        capacity: u32,
        author: &Author,
    ) -> Result<Outcome, ChangeError> {
        let sku_id = lock.sku_id();
        let told = self.stock.set_capacity(sku_id, capacity, Duration::ZERO).await;
        let (resized, fence) = told.map_err(|error| ChangeError::not_lowered(sku_id, error))?;
        let counters = done(sku_id, capacity, resized)?;
        crash::point("capacity.lowered");
        let changed = write(lock, capacity, author).await.map_err(|error| {
            let state = format!("Redis has a capacity of {capacity}, MySQL may still have {}", before.capacity);
            ChangeError::Half { sku_id, state, source: Box::new(error) }
        })?;
        crash::point("capacity.agreed");
        let counters = self.lower_again(lock, before, capacity, fence.epoch, author).await?.unwrap_or(counters);
        Ok(outcome(changed, counters))
    }

    /// A rebuild that was announced before MySQL was changed may fill Redis with the old capacity. Then Redis is told once
    /// more, under the new epoch; `None` if there was none.
    async fn lower_again(
        &self,
        lock: &mut SkuLock,
        before: &Sku,
        capacity: u32,
        epoch: Epoch,
        author: &Author,
    ) -> Result<Option<Counters>, ChangeError> {
        let (sku_id, old) = (lock.sku_id(), before.capacity);
        let half = |source: ChangeError| {
            let state =
                format!("MySQL has a capacity of {capacity}, Redis may be filled with {old} by a rebuild under way");
            ChangeError::Half { sku_id, state, source: Box::new(source) }
        };
        let latest = self.stock.latest().await.map_err(half)?;
        if latest.is_some_and(|record| record.epoch == epoch) {
            return Ok(None);
        }
        match self.stock.set_capacity(sku_id, capacity, REFILL_PATIENCE).await {
            Ok((Resized::Done { counters, .. }, _)) => Ok(Some(counters)),
            Ok((Resized::Below { counters, .. }, _)) => {
                self.put_back(lock, old, capacity, counters, author).await.map_err(half)?;
                Err(ChangeError::PutBack { sku_id, wanted: capacity, capacity: old, counters })
            }
            Err(NotApplied::NotDeciding(reason)) => Err(half(ChangeError::NotDeciding { sku_id, reason })),
            Err(NotApplied::Failed(error)) => Err(half(error)),
        }
    }

    /// Gives MySQL the old capacity again: a raise, so Redis may follow.
    async fn put_back(
        &self,
        lock: &mut SkuLock,
        old: u32,
        wanted: u32,
        counters: Counters,
        author: &Author,
    ) -> Result<(), ChangeError> {
        let reason = format!("put back, {wanted} is below the {} units taken after a refill", taken(&counters));
        write(lock, old, &author.because(&reason)).await?;
        // Redis was filled with it by the rebuild; this only makes sure, and a refusal would change nothing.
        let _ = self.stock.set_capacity(lock.sku_id(), old, self.patience).await;
        Ok(())
    }
}

fn with_capacity(sku: &Sku, capacity: u32) -> Result<Sku, SkuError> {
    Ok(Sku { capacity, ..sku.clone() })
}

async fn write(lock: &mut SkuLock, capacity: u32, author: &Author) -> Result<Changed, ChangeError> {
    let sku_id = lock.sku_id();
    let changed = lock.change(author, |sku| with_capacity(sku, capacity)).await;
    changed.map_err(|error| ChangeError::edit(sku_id, error))
}

fn done(sku_id: SkuId, wanted: u32, resized: Resized) -> Result<Counters, ChangeError> {
    match resized {
        Resized::Done { counters, .. } => Ok(counters),
        Resized::Below { before, counters } => Err(ChangeError::Below { sku_id, wanted, capacity: before, counters }),
    }
}

fn outcome(changed: Changed, counters: Counters) -> Outcome {
    Outcome { reached: Reached::Now, counters: Some(counters), ..changed.into() }
}
