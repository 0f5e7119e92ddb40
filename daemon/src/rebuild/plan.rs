//! What a rebuild would mean, for people who are about to start one by hand.

use super::{Need, Rebuild, RebuildError};
use flash_core::epoch::EpochRecord;
use flash_core::fence::rules::wait_ms;
use flash_core::ids::Epoch;
use flash_stores::mysql::lock::NamedLock;
use flash_stores::mysql::orders;
use std::time::Duration;

/// Live orders that are loaded in a second, roughly: see docs/recovery.md.
const ORDERS_PER_SECOND: u64 = 40_000;
/// SKUs that are emptied and opened in a second, roughly.
const SKUS_PER_SECOND: u64 = 500;

/// What is, and how long selling would stop.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The newest record of the control topic.
    pub latest: Option<EpochRecord>,
    /// What the stock needs.
    pub need: Need,
    /// SKUs that are closed and filled.
    pub skus: u64,
    /// Orders whose units are held or sold.
    pub live_orders: u64,
    /// How long leases of older epochs are waited for.
    pub wait: Duration,
    /// Roughly how long the loading takes.
    pub loading: Duration,
}

impl Rebuild {
    /// Looks at everything. Changes nothing.
    ///
    /// # Errors
    /// [`RebuildError`].
    pub async fn plan(&self) -> Result<Plan, RebuildError> {
        // Without a log nothing was ever set up, and nothing below would say so.
        self.partitions().await?;
        let latest = self.latest_epoch().await?;
        let (need, stocks) = self.inspect().await?;
        let live_orders = orders::live(&self.db).await?;
        let skus = stocks.len() as u64;
        let next = Epoch(latest.as_ref().map_or(0, |record| record.epoch.0) + 1);
        let loading = Duration::from_millis(live_orders * 1_000 / ORDERS_PER_SECOND + skus * 1_000 / SKUS_PER_SECOND);
        let wait = Duration::from_millis(wait_ms(next, self.lease_ms()));
        Ok(Plan { latest, need, skus, live_orders, wait, loading })
    }

    /// Where the coordinator runs that holds the lock; `None` if nobody does, or nobody may know.
    ///
    /// # Errors
    /// [`RebuildError::MySql`].
    pub async fn lock_holder(&self) -> Result<Option<String>, RebuildError> {
        Ok(NamedLock::holder(&self.db, super::LOCK).await?)
    }
}
