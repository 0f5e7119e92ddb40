//! Filling Redis from the truth under a new epoch (DESIGN section 5), and loading SKUs that are new.
//!
//! Owns the order of the steps. Promise kept (P1, P2): Redis never gets stock that the log may have given away, because
//! the stock is counted only behind a fence that every older "yes" lies before. A coordinator that dies anywhere leaves
//! nothing open; the next one starts again with a higher number. Two at once are harmless: the higher number wins.

mod blocked;
mod fill;
mod inspect;

pub(crate) use fill::terms;
pub use inspect::{Need, SkuStock};

use crate::clock::{boot_ms, wall_ms};
use crate::crash;
use crate::dead_letters::DeadLetterError;
use crate::projector::{CatchUpError, ProjectorOptions, WaitError, catch_up, wait_for_fence};
use flash_core::epoch::{EpochRecord, EpochState, SINGLE_PRIMARY};
use flash_core::event::{Body, Event};
use flash_core::ids::{Epoch, SkuId};
use flash_stores::kafka::append::{AppendError, append};
use flash_stores::kafka::epochs::{EpochReader, EpochTopicError, append_epoch};
use flash_stores::kafka::{KafkaError, KafkaSettings, admin};
use flash_stores::mysql::lock::NamedLock;
use flash_stores::mysql::skus::StoredSku;
use flash_stores::mysql::{Db, MySqlError, MySqlSettings, epochs, skus};
use flash_stores::redis::{Fence, Gate, GateSettings, LoadError, Loader, SkuKeys, StockError};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one append or one look at Kafka may take.
const KAFKA_PATIENCE: Duration = Duration::from_secs(15);
/// How long Redis may take to be reached.
const REDIS_PATIENCE: Duration = Duration::from_secs(10);
/// How long the projection may take to reach the fences.
const PROJECTION_PATIENCE: Duration = Duration::from_secs(600);
/// The lease is waited out with a tenth more, for clocks that do not run alike.
const LEASE_MARGIN_DIVISOR: u32 = 10;

/// What a rebuild talks to.
#[derive(Debug, Clone)]
pub struct RebuildOptions {
    /// The log.
    pub kafka: KafkaSettings,
    /// The view.
    pub mysql: MySqlSettings,
    /// The gate.
    pub redis: GateSettings,
    /// D: the longest lease any daemon has.
    pub lease: Duration,
}

/// What is happening, for people who wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The new epoch has its number.
    Began(Epoch),
    /// Waiting until no daemon can hold a lease of an older epoch.
    WaitingForLeases(Duration),
    /// The fences are in the log; waiting for the projection to pass them.
    Projecting,
    /// `done` of `all` SKUs are loaded.
    Loading {
        /// SKUs loaded so far.
        done: usize,
        /// SKUs to load.
        all: usize,
    },
    /// This SKU is left closed.
    Blocked {
        /// Which SKU.
        sku_id: SkuId,
        /// Why, and what to do about it.
        reason: String,
    },
    /// The epoch is open.
    Opened(Epoch),
}

/// Why stock was not loaded. Starting again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The database.
    #[error(transparent)]
    MySql(#[from] MySqlError),
    /// Redis.
    #[error(transparent)]
    Stock(#[from] StockError),
    /// The guarded loader said no: Redis restarted meanwhile, or a higher epoch is at work.
    #[error("SKU {sku_id}: {source}")]
    Load {
        /// Which SKU.
        sku_id: SkuId,
        /// Why.
        source: LoadError,
    },
    /// The control topic.
    #[error(transparent)]
    Epochs(#[from] EpochTopicError),
    /// The fences.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The brokers.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// `order-events` is not there.
    #[error("the topic {0} does not exist; run `flashctl setup`")]
    NoTopic(String),
    /// The dead letters, whose events count.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    /// The projection.
    #[error(transparent)]
    CatchUp(#[from] CatchUpError),
    /// The projection, seen from MySQL.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// More units are held and sold than exist: selling must not go on.
    #[error("SKU {sku_id}: {held} held + {sold} sold exceed the capacity of {capacity}")]
    Oversold {
        /// Which SKU.
        sku_id: SkuId,
        /// Units on hold.
        held: u64,
        /// Units sold.
        sold: u64,
        /// Units that exist.
        capacity: u32,
    },
    /// Another coordinator has been at work for too long.
    #[error("somebody else has been filling Redis for {} s; look at `step` in GET /stats of the workers", .0.as_secs())]
    Busy(Duration),
    /// A task of this process died.
    #[error("a task died: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The coordinator.
pub struct Rebuild {
    options: RebuildOptions,
    db: Db,
    gate: Gate,
}

impl Rebuild {
    /// Connects to Redis; MySQL and Kafka are reached when they are needed. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// If Redis cannot be reached within ten seconds.
    pub async fn connect(options: RebuildOptions) -> Result<Self, RebuildError> {
        let gate = Gate::new(&options.redis)?;
        gate.wait_connected(REDIS_PATIENCE).await?;
        let db = Db::open(&options.mysql);
        Ok(Self { options, db, gate })
    }

    /// Waits until no other coordinator is at work, at most `patience`; `None` if one still is. Two at once are harmless, but
    /// one of them works in vain.
    ///
    /// # Errors
    /// [`RebuildError::MySql`].
    pub async fn lock(&self, patience: Duration) -> Result<Option<NamedLock>, RebuildError> {
        Ok(NamedLock::take(&self.db, "rebuild", patience).await?)
    }

    /// Fills every SKU under a new epoch and opens it. Takes D and a tenth if there was an older epoch, plus the time the
    /// projection and the loading need.
    ///
    /// # Errors
    /// [`RebuildError`]; nothing is open then, and starting again is safe.
    pub async fn run(&self, progress: impl Fn(Progress)) -> Result<Epoch, RebuildError> {
        let seen = self.latest_epoch().await?.map_or(Epoch(0), |record| record.epoch);
        let epoch = epochs::next_epoch(&self.db, seen).await?;
        crash::point("rebuild.numbered");
        progress(Progress::Began(epoch));
        self.append_epoch(EpochRecord {
            epoch,
            state: EpochState::Rebuilding,
            replids: BTreeMap::new(),
            at_ms: wall_ms(),
        })
        .await?;
        let announced_ms = boot_ms();
        crash::point("rebuild.announced");
        let fence = Fence { epoch, replid: self.gate.replid().await? };
        let skus = skus::list(&self.db).await?;
        self.close_all(&skus, &fence).await?;
        crash::point("rebuild.closed");
        if seen.0 > 0 {
            self.wait_for_leases(announced_ms, &progress).await;
        }
        crash::point("rebuild.waited");
        self.append_fences(epoch).await?;
        crash::point("rebuild.fenced");
        progress(Progress::Projecting);
        self.project_fences(epoch).await?;
        crash::point("rebuild.projected");
        let ids: Vec<SkuId> = skus.iter().map(|stored| stored.sku.sku_id).collect();
        // Marked before the first unit can be sold, so that "never loaded" can be believed whatever dies.
        skus::mark_loaded(&self.db, &ids, epoch).await?;
        crash::point("rebuild.marked");
        let parked = self.parked().await?;
        for (done, stored) in skus.iter().enumerate() {
            progress(Progress::Loading { done, all: skus.len() });
            self.fill_or_block(stored, &fence, &parked, &progress).await?;
        }
        progress(Progress::Loading { done: skus.len(), all: skus.len() });
        crash::point("rebuild.loaded");
        let replids = BTreeMap::from([(SINGLE_PRIMARY.to_owned(), fence.replid)]);
        self.append_epoch(EpochRecord { epoch, state: EpochState::Open, replids, at_ms: wall_ms() }).await?;
        crash::point("rebuild.opened");
        progress(Progress::Opened(epoch));
        Ok(epoch)
    }

    /// The newest record of the control topic.
    ///
    /// # Errors
    /// [`RebuildError::Epochs`].
    pub async fn latest_epoch(&self) -> Result<Option<EpochRecord>, RebuildError> {
        let kafka = self.options.kafka.clone();
        let read = move || {
            let mut reader = EpochReader::new(&kafka)?;
            reader.read_to_end(boot_ms(), KAFKA_PATIENCE)?;
            Ok::<_, EpochTopicError>(reader.view().latest().cloned())
        };
        Ok(tokio::task::spawn_blocking(read).await??)
    }

    async fn append_epoch(&self, record: EpochRecord) -> Result<(), RebuildError> {
        let kafka = self.options.kafka.clone();
        Ok(tokio::task::spawn_blocking(move || append_epoch(&kafka, &record, KAFKA_PATIENCE)).await??)
    }

    async fn close_all(&self, skus: &[StoredSku], fence: &Fence) -> Result<(), RebuildError> {
        for StoredSku { sku, .. } in skus {
            let keys = self.keys(sku.sku_id);
            let closed = Loader::new(&self.gate, &keys, fence).close().await;
            closed.map_err(|source| RebuildError::Load { sku_id: sku.sku_id, source })?;
            crash::point("rebuild.closing");
        }
        Ok(())
    }

    /// Every "yes" of an older epoch was said under a lease that began before the announcement was acknowledged.
    async fn wait_for_leases(&self, announced_ms: u64, progress: &impl Fn(Progress)) {
        let lease = self.options.lease + self.options.lease / LEASE_MARGIN_DIVISOR;
        progress(Progress::WaitingForLeases(lease));
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        // Boot time counts suspended time, a timer may not: look at the clock, not at the sleep.
        while boot_ms() < announced_ms.saturating_add(lease_ms) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn append_fences(&self, epoch: Epoch) -> Result<(), RebuildError> {
        let topic = self.options.kafka.topic_events();
        let fence = Event { epoch, at_ms: wall_ms(), body: Body::Fence };
        let payload = fence.encode().unwrap_or_default();
        let fences: Vec<_> = (0..self.partitions().await?)
            .map(|partition| (partition, format!("fence-{epoch}"), payload.clone()))
            .collect();
        let kafka = self.options.kafka.clone();
        Ok(tokio::task::spawn_blocking(move || append(&kafka, &topic, &fences, KAFKA_PATIENCE)).await??)
    }

    /// Projects up to the fences itself, since no worker may be running; one that does run does no harm.
    async fn project_fences(&self, epoch: Epoch) -> Result<(), RebuildError> {
        let options = ProjectorOptions { kafka: self.options.kafka.clone(), mysql: self.options.mysql.clone() };
        catch_up(&options, PROJECTION_PATIENCE).await?;
        let topic = self.options.kafka.topic_events();
        Ok(wait_for_fence(&self.db, &topic, self.partitions().await?, epoch, PROJECTION_PATIENCE).await?)
    }

    async fn partitions(&self) -> Result<i32, RebuildError> {
        let topic = self.options.kafka.topic_events();
        let described = admin::describe(&self.options.kafka, std::slice::from_ref(&topic)).await?;
        described.first().map(|topic| topic.partitions).ok_or(RebuildError::NoTopic(topic))
    }

    fn keys(&self, sku_id: SkuId) -> SkuKeys {
        SkuKeys::new(self.gate.namespace(), sku_id)
    }
}
