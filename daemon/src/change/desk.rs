//! The operator's desk: a connection to all three stores, and the changes of price, terms and pauses.

use super::stock::{NotApplied, Stock};
use super::{ChangeError, Edit};
use crate::crash;
use crate::rebuild::RebuildOptions;
use flash_core::ids::SkuId;
use flash_core::sale::Sku;
use flash_core::stock::Counters;
use flash_stores::mysql::Db;
use flash_stores::mysql::author::Author;
use flash_stores::mysql::changes::Change;
use flash_stores::mysql::sku_lock::{Changed, EditError, SkuLock};
use flash_stores::redis::Gate;
use std::time::Duration;

/// How long another operator who changes the same SKU is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(15);
/// How long a rebuild is waited for that may have read MySQL before the change.
const OPENING_PATIENCE: Duration = Duration::from_secs(20);
/// How often terms that a setup changes at the same moment are run after.
const CONFIGURE_ROUNDS_MAX: usize = 10;

/// What a change has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The definition now.
    pub sku: Sku,
    /// What is different in MySQL; empty if it was so already.
    pub changes: Vec<Change>,
    /// Where Redis stands.
    pub reached: Reached,
    /// Redis' counters, after a change of capacity.
    pub counters: Option<Counters>,
}

/// Whether Redis decides by the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// From now on.
    Now,
    /// Redis need not know.
    NotNeeded,
    /// Redis decides nothing at the moment, for this reason; it is filled from MySQL before it does again.
    Later(String),
}

impl From<Changed> for Outcome {
    fn from(changed: Changed) -> Self {
        Self { sku: changed.after, changes: changed.changes, reached: Reached::NotNeeded, counters: None }
    }
}

/// Changes and looks. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub(super) db: Db,
    pub(super) stock: Stock,
    pub(super) patience: Duration,
}

impl Desk {
    /// Connects to nothing yet. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// If the URL of Redis cannot be read.
    pub fn new(parts: &RebuildOptions) -> Result<Self, ChangeError> {
        let stock = Stock::new(Gate::new(&parts.redis)?, parts.kafka.clone());
        Ok(Self { db: Db::open(&parts.mysql), stock, patience: OPENING_PATIENCE })
    }

    /// The same desk with another patience for a rebuild that is under way (20 s if nobody says otherwise).
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Redis' clock, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`ChangeError::Stock`].
    pub async fn now_ms(&self) -> Result<u64, ChangeError> {
        self.stock.connected().await?;
        Ok(self.stock.gate.now_ms().await?)
    }

    /// Changes anything but the capacity: MySQL with its journal, then Redis. Doing it again changes nothing, and completes
    /// what a crash left half done.
    ///
    /// # Errors
    /// [`ChangeError`]; [`ChangeError::Half`] if MySQL has it and Redis may not.
    pub async fn edit(&self, sku_id: SkuId, edit: Edit, author: &Author) -> Result<Outcome, ChangeError> {
        let now_ms = if edit.needs_clock() { self.now_ms().await? } else { 0 };
        let mut lock = self.lock(sku_id).await?;
        let result = self.edit_locked(&mut lock, edit, now_ms, author).await;
        lock.release().await;
        result
    }

    async fn edit_locked(
        &self,
        lock: &mut SkuLock,
        edit: Edit,
        now_ms: u64,
        author: &Author,
    ) -> Result<Outcome, ChangeError> {
        let sku_id = lock.sku_id();
        let changed = lock.change(author, |sku| Ok(edit.apply(sku, now_ms))).await;
        let changed = changed.map_err(|error| ChangeError::edit(sku_id, error))?;
        crash::point("edit.written");
        let reached = if edit.is_term() { self.configure(lock, &changed.after).await? } else { Reached::NotNeeded };
        Ok(Outcome { reached, ..changed.into() })
    }

    /// Gives Redis the terms of the row, as it is by then: a setup does not wait for our lock, so it is read once more.
    async fn configure(&self, lock: &mut SkuLock, after: &Sku) -> Result<Reached, ChangeError> {
        let half = |error: EditError| in_mysql_only(after, ChangeError::edit(after.sku_id, error));
        for _ in 0..CONFIGURE_ROUNDS_MAX {
            let stored = lock.read().await.map_err(half)?;
            if let Err(error) = self.stock.configure(&stored.sku, self.patience).await {
                return self.later(after, error);
            }
            if lock.read().await.map_err(half)?.version == stored.version {
                break;
            }
        }
        Ok(Reached::Now)
    }

    /// What it means that Redis was not told of something that stands in MySQL.
    pub(super) fn later(&self, after: &Sku, error: NotApplied) -> Result<Reached, ChangeError> {
        match error {
            NotApplied::NotDeciding(reason) => Ok(Reached::Later(reason)),
            NotApplied::Failed(error) => Err(in_mysql_only(after, error)),
        }
    }

    pub(super) async fn lock(&self, sku_id: SkuId) -> Result<SkuLock, ChangeError> {
        SkuLock::take(&self.db, sku_id, LOCK_PATIENCE).await?.ok_or(ChangeError::Busy(sku_id))
    }
}

fn in_mysql_only(after: &Sku, source: ChangeError) -> ChangeError {
    let state = "MySQL has the change, Redis may not".to_owned();
    ChangeError::Half { sku_id: after.sku_id, state, source: Box::new(source) }
}
