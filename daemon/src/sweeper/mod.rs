//! The sweeper: gives back holds that nobody paid for, and finishes settlements that somebody else left unfinished.
//!
//! Owns when each SKU is looked at. Promise kept (P3): a unit that is neither held nor sold goes back on sale, soon after
//! its hold has ended by Redis' clock, whatever process dies. Many sweepers at once are safe: what one has taken, no other
//! can finish, and what it leaves unfinished is taken over after [`SETTLE_TAKEOVER_MS`].
//!
//! No SKU is polled blindly. Each look says when the earliest thing that is left is due; whatever begins later can not be
//! due before the length of a hold, or of a takeover, has passed. So an idle sale costs one short call per SKU and takeover
//! time, and a busy one is looked at exactly when something ends.

mod schedule;
mod sweep;

use crate::catalog::Catalog;
use crate::clock::boot_ms;
use crate::lane::Deciders;
use flash_core::ids::SkuId;
use flash_core::limits::{SETTLE_TAKEOVER_MS, SWEEP_BATCH_MAX, SWEEP_IN_FLIGHT_MAX};
use schedule::Schedule;
use std::sync::Arc;
use std::time::Duration;
use sweep::Sweep;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// How often it is looked which SKUs are due: the resolution of expiry.
const TICK: Duration = Duration::from_millis(20);
/// SKUs that are swept at the same time.
const CONCURRENT_SKUS: usize = 32;
/// Pause after a SKU could not be looked at.
const RETRY_MS: u64 = 500;
/// How long work in progress may take to finish at shutdown; what is left is taken over.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// One sweeper.
pub(crate) struct Sweeper {
    deciders: Arc<Deciders>,
    catalog: Arc<Catalog>,
    places: Arc<Semaphore>,
}

impl Sweeper {
    pub(crate) fn new(deciders: Arc<Deciders>, catalog: Arc<Catalog>) -> Self {
        Self { deciders, catalog, places: Arc::new(Semaphore::new(SWEEP_IN_FLIGHT_MAX)) }
    }

    /// Sweeps until told to stop.
    pub(crate) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut schedule = Schedule::default();
        let mut looks: JoinSet<(SkuId, u64)> = JoinSet::new();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => break,
                Some(Ok((sku_id, pause_ms))) = looks.join_next() => schedule.look_again(sku_id, boot_ms() + pause_ms),
                _ = ticks.tick() => {}
            }
            schedule.follow(&self.catalog, boot_ms());
            while looks.len() < CONCURRENT_SKUS
                && let Some((sku_id, hold_ms)) = schedule.due(boot_ms())
            {
                looks.spawn(self.look(sku_id, hold_ms));
            }
        }
        let all = u32::try_from(SWEEP_IN_FLIGHT_MAX).unwrap_or(u32::MAX);
        let finishing =
            async { (while looks.join_next().await.is_some() {}, self.places.acquire_many(all).await.map(drop)) };
        if tokio::time::timeout(STOP_PATIENCE, finishing).await.is_err() {
            tracing::warn!("settlements were left unfinished; a sweeper takes them over");
        }
    }

    /// Sweeps one SKU; says in how many milliseconds to look again. Holds may have become shorter in the catalogue (`hold_ms`)
    /// a moment before they do in Redis; what is made from then on must not be missed.
    fn look(&self, sku_id: SkuId, hold_ms: u64) -> impl Future<Output = (SkuId, u64)> + use<> {
        let sweep = Sweep::new(Arc::clone(&self.deciders), Arc::clone(&self.places), sku_id);
        async move {
            let pause_ms = sweep.run(SWEEP_BATCH_MAX, SETTLE_TAKEOVER_MS).await.unwrap_or(RETRY_MS);
            (sku_id, pause_ms.min(hold_ms))
        }
    }
}
