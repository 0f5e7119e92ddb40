//! Telling Redis, under whichever epoch is open.
//!
//! Owns the reading of the control topic. Never decides which store comes first: that is `capacity` and `desk`.

use super::ChangeError;
use crate::clock::boot_ms;
use crate::rebuild::terms;
use flash_core::epoch::{EpochRecord, EpochState};
use flash_core::ids::SkuId;
use flash_core::sale::Sku;
use flash_stores::kafka::KafkaSettings;
use flash_stores::kafka::epochs::{EpochReader, EpochTopicError};
use flash_stores::redis::{Fence, Gate, Resized, SkuKeys, StockError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one look at the control topic may take.
const KAFKA_PATIENCE: Duration = Duration::from_secs(10);
/// How long Redis may take to be reached.
const REDIS_PATIENCE: Duration = Duration::from_secs(5);
/// How often the control topic is looked at while a rebuild is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why Redis does not have a change.
#[derive(Debug)]
pub(super) enum NotApplied {
    /// It decides nothing now, and will be filled from MySQL before it does again. Certainly nothing was changed.
    NotDeciding(String),
    /// It, or the control topic, could not be asked; the outcome may be unknown.
    Failed(ChangeError),
}

impl From<StockError> for NotApplied {
    fn from(error: StockError) -> Self {
        match error {
            StockError::Fenced(reason) if reason == "MISSING" => {
                Self::NotDeciding("Redis has no stock of this SKU".to_owned())
            }
            StockError::Fenced(reason) => Self::NotDeciding(format!("Redis must be filled anew ({reason})")),
            error => Self::Failed(error.into()),
        }
    }
}

/// Redis and the epoch it decides under. Cheap to clone.
#[derive(Clone)]
pub(super) struct Stock {
    pub(super) gate: Gate,
    kafka: KafkaSettings,
    reading: Arc<Mutex<Option<Reading>>>,
    given_up: Arc<GivenUp>,
}

/// The control topic, as last read.
struct Reading {
    reader: EpochReader,
    /// When the last complete read began.
    began: Option<Instant>,
}

/// What was waited for in vain: whoever changes 10,000 SKUs waits once, not 10,000 times.
#[derive(Default)]
struct GivenUp {
    redis: AtomicBool,
    /// Number of the epoch that did not open.
    epoch: AtomicU64,
}

impl Stock {
    pub(super) fn new(gate: Gate, kafka: KafkaSettings) -> Self {
        Self { gate, kafka, reading: Arc::default(), given_up: Arc::default() }
    }

    pub(super) fn keys(&self, sku_id: SkuId) -> SkuKeys {
        SkuKeys::new(self.gate.namespace(), sku_id)
    }

    /// Waits until Redis can be asked.
    pub(super) async fn connected(&self) -> Result<(), StockError> {
        let patience = if self.given_up.redis.load(Relaxed) { Duration::ZERO } else { REDIS_PATIENCE };
        let connected = self.gate.wait_connected(patience).await;
        self.given_up.redis.store(connected.is_err(), Relaxed);
        connected
    }

    /// The newest record of the control topic, by a read that began after this call. Callers who wait for one another share it.
    pub(super) async fn latest(&self) -> Result<Option<EpochRecord>, ChangeError> {
        let (kafka, reading, asked) = (self.kafka.clone(), Arc::clone(&self.reading), Instant::now());
        let read = move || {
            // A reader left behind by a panic has at worst not read to the end, which the next line does.
            let mut slot = reading.lock().unwrap_or_else(PoisonError::into_inner);
            let Reading { reader, began } = match slot.as_mut() {
                Some(reading) => reading,
                None => slot.insert(Reading { reader: EpochReader::new(&kafka)?, began: None }),
            };
            if began.is_none_or(|began| began < asked) {
                let now = Instant::now();
                reader.read_to_end(boot_ms(), KAFKA_PATIENCE)?;
                *began = Some(now);
            }
            Ok::<_, EpochTopicError>(reader.view().latest().cloned())
        };
        Ok(tokio::task::spawn_blocking(read).await??)
    }

    /// The open epoch. A rebuild that is under way is waited for, at most `patience`.
    pub(super) async fn fence(&self, patience: Duration) -> Result<Fence, NotApplied> {
        let started = Instant::now();
        loop {
            let latest = self.latest().await.map_err(NotApplied::Failed)?;
            let Some(record) = latest else {
                return Err(NotApplied::NotDeciding("no stock epoch was ever opened".to_owned()));
            };
            let EpochRecord { epoch, state, .. } = record;
            if state == EpochState::Open {
                return Ok(Fence::of(&record));
            }
            if started.elapsed() >= patience || self.given_up.epoch.load(Relaxed) == epoch.0 {
                if !patience.is_zero() {
                    self.given_up.epoch.store(epoch.0, Relaxed);
                }
                return Err(NotApplied::NotDeciding(format!("Redis is being filled under epoch {epoch}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Sets the capacity, and says under which epoch. A fence that is out of date is read again, once.
    pub(super) async fn set_capacity(
        &self,
        sku_id: SkuId,
        capacity: u32,
        patience: Duration,
    ) -> Result<(Resized, Fence), NotApplied> {
        self.connected().await?;
        let keys = self.keys(sku_id);
        let fence = self.fence(patience).await?;
        match self.gate.set_capacity(&keys, &fence, capacity).await {
            Err(StockError::Fenced(_)) => {
                let fence = self.fence(patience).await?;
                Ok((self.gate.set_capacity(&keys, &fence, capacity).await?, fence))
            }
            answer => Ok((answer?, fence)),
        }
    }

    /// Brings the terms to the definition. A fence that is out of date is read again, once.
    pub(super) async fn configure(&self, sku: &Sku, patience: Duration) -> Result<(), NotApplied> {
        self.connected().await?;
        let (keys, terms) = (self.keys(sku.sku_id), terms(sku));
        let fence = self.fence(patience).await?;
        match self.gate.configure(&keys, &fence, &terms).await {
            Err(StockError::Fenced(_)) => {
                let fence = self.fence(patience).await?;
                Ok(self.gate.configure(&keys, &fence, &terms).await?)
            }
            answer => Ok(answer?),
        }
    }
}
