//! Looking at what is on sale: the definition from MySQL, the counters from Redis. Changes nothing, needs no Kafka.

use super::{ChangeError, Desk};
use crate::clock::wall_ms;
use flash_core::ids::SkuId;
use flash_core::sale::Sku;
use flash_stores::mysql::changes::{self, ChangeRow};
use flash_stores::mysql::skus::{self, StoredSku};
use flash_stores::redis::Snapshot;
use serde::Serialize;

/// One SKU, from both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuView {
    /// What MySQL says.
    pub stored: StoredSku,
    /// What Redis says.
    pub stock: StockView,
}

/// What Redis has of a SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StockView {
    /// Its counters.
    Loaded(Snapshot),
    /// It is being filled; what it has counts for nothing.
    Filling,
    /// Nothing.
    Absent,
    /// It could not be asked, for this reason.
    Unknown(String),
}

/// Whether a SKU is being sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is, as long as there is stock.
    Open,
    /// An operator has paused it.
    Paused,
    /// Its window has not begun.
    NotOpen,
    /// Its window is over.
    Closed,
}

impl State {
    /// Its name, as printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::NotOpen => "not open",
            Self::Closed => "closed",
        }
    }

    /// By the definition alone, at a time in milliseconds since 1970. The order is that of `lua/reserve.lua`.
    #[must_use]
    pub fn of(sku: &Sku, now_ms: u64) -> Self {
        match (sku.paused, sku.opens_at_ms, sku.closes_at_ms) {
            (true, _, _) => Self::Paused,
            (_, Some(opens), _) if now_ms < opens => Self::NotOpen,
            (_, _, Some(closes)) if now_ms >= closes => Self::Closed,
            _ => Self::Open,
        }
    }
}

impl SkuView {
    /// Whether it is being sold, by Redis' clock where Redis was asked.
    #[must_use]
    pub fn state(&self) -> State {
        let now_ms = match &self.stock {
            StockView::Loaded(snapshot) => snapshot.now_ms,
            _ => wall_ms(),
        };
        State::of(&self.stored.sku, now_ms)
    }
}

impl Desk {
    /// Every SKU, by id. A Redis that cannot be reached leaves [`StockView::Unknown`].
    ///
    /// # Errors
    /// [`ChangeError::MySql`].
    pub async fn list(&self) -> Result<Vec<SkuView>, ChangeError> {
        let stored = skus::list(&self.db).await?;
        let connected = self.stock.connected().await.map_err(|error| error.to_string());
        let mut views = Vec::with_capacity(stored.len());
        for stored in stored {
            let stock = match &connected {
                Ok(()) => self.stock_of(stored.sku.sku_id).await,
                Err(reason) => StockView::Unknown(reason.clone()),
            };
            views.push(SkuView { stored, stock });
        }
        Ok(views)
    }

    /// The ids of every SKU, without asking Redis.
    ///
    /// # Errors
    /// [`ChangeError::MySql`].
    pub async fn ids(&self) -> Result<Vec<SkuId>, ChangeError> {
        Ok(skus::list(&self.db).await?.into_iter().map(|stored| stored.sku.sku_id).collect())
    }

    /// One SKU.
    ///
    /// # Errors
    /// [`ChangeError::Missing`] or [`ChangeError::MySql`].
    pub async fn show(&self, sku_id: SkuId) -> Result<SkuView, ChangeError> {
        let stored = skus::get(&self.db, sku_id).await?.ok_or(ChangeError::Missing(sku_id))?;
        let stock = match self.stock.connected().await {
            Ok(()) => self.stock_of(sku_id).await,
            Err(error) => StockView::Unknown(error.to_string()),
        };
        Ok(SkuView { stored, stock })
    }

    /// The newest `most` entries of the journal, newest first; of one SKU or of all.
    ///
    /// # Errors
    /// [`ChangeError::MySql`].
    pub async fn journal(&self, sku_id: Option<SkuId>, most: u32) -> Result<Vec<ChangeRow>, ChangeError> {
        Ok(changes::list(&self.db, sku_id, most).await?)
    }

    async fn stock_of(&self, sku_id: SkuId) -> StockView {
        match self.stock.gate.snapshot(&self.stock.keys(sku_id)).await {
            // An epoch that is more than a number is a mark of closing or loading; what has moved waits for the same.
            Ok(Some(snapshot)) if snapshot.at_home && snapshot.epoch.bytes().all(|byte| byte.is_ascii_digit()) => {
                StockView::Loaded(snapshot)
            }
            Ok(Some(_)) => StockView::Filling,
            Ok(None) => StockView::Absent,
            Err(error) => StockView::Unknown(error.to_string()),
        }
    }
}
