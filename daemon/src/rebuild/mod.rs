//! Filling Redis from the truth under a new epoch (DESIGN section 5), and loading SKUs that are new.
//!
//! Performs what `flash_core::fence` decides: the order of the steps, when to give up and whether anything is needed are
//! decided there, and simulated there. Promise kept (P1, P2): Redis never gets stock that the log may have given away, because
//! the stock is counted only behind a fence that every older "yes" lies before. A coordinator that dies anywhere leaves
//! nothing open; the next one starts again with a higher number. Two at once are harmless: the higher number wins.

mod blocked;
mod drive;
mod fill;
mod inspect;
mod kafka;
mod plan;
mod steps;

pub(crate) use fill::terms;
pub use flash_core::fence::{Need, Reason};
pub use inspect::SkuStock;
pub use plan::Plan;

use crate::dead_letters::DeadLetterError;
use crate::projector::{CatchUpError, WaitError};
pub use flash_core::fence::Step;
use flash_core::ids::{Epoch, SkuId};
use flash_core::stock::Oversold;
use flash_stores::kafka::append::AppendError;
use flash_stores::kafka::epochs::EpochTopicError;
use flash_stores::kafka::{KafkaError, KafkaSettings};
use flash_stores::mysql::lock::NamedLock;
use flash_stores::mysql::{Db, MySqlError, MySqlSettings};
use flash_stores::redis::{Gate, GateSettings, LoadError, SkuKeys, StockError};
use std::sync::Arc;
use std::time::Duration;

/// The lock in MySQL that coordinators take turns with.
const LOCK: &str = "rebuild";
/// How long one append or one look at Kafka may take.
const KAFKA_PATIENCE: Duration = Duration::from_secs(15);
/// How long Redis may take to be reached.
const REDIS_PATIENCE: Duration = Duration::from_secs(10);
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
    /// This step begins.
    At(Step),
    /// Waiting until no daemon can hold a lease of an older epoch.
    WaitingForLeases(Duration),
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
    #[error("SKU {sku_id}: {oversold}")]
    Oversold {
        /// Which SKU.
        sku_id: SkuId,
        /// The numbers.
        oversold: Oversold,
    },
    /// The ledger has given away more than the orders occupy: orders were deleted or changed by hand.
    #[error("SKU {sku_id}: its orders occupy {occupied} units, and its ledger has given away {given_away}")]
    OrdersLost {
        /// Which SKU.
        sku_id: SkuId,
        /// Units of its orders on hold or sold.
        occupied: i64,
        /// Units by its ledger.
        given_away: i64,
    },
    /// What was seen did not fit the step: no primary answered, for one.
    #[error("the rebuild was given up while {}", .0.as_str())]
    GivenUp(Step),
    /// The lock is lost: MySQL has not answered for a while, and another coordinator may be at work.
    #[error("MySQL does not answer any more; what was begun is given up")]
    LockLost,
    /// Another coordinator has been at work for too long.
    #[error("somebody else has been filling Redis for {} s; look at worker.rebuild.step in GET /stats of the workers", .0.as_secs())]
    Busy(Duration),
    /// A task of this process died.
    #[error("a task died: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl RebuildError {
    /// Whether a server could not be reached, so that the same call may succeed later.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        match self {
            Self::MySql(error) => error.is_outage(),
            Self::Kafka(_) | Self::Stock(_) | Self::Append(_) | Self::LockLost => true,
            Self::Epochs(error) => !matches!(error, EpochTopicError::Malformed { .. }),
            _ => false,
        }
    }
}

/// The coordinator.
#[derive(Clone)]
pub struct Rebuild {
    options: RebuildOptions,
    db: Db,
    gate: Gate,
    connections: Arc<kafka::Connections>,
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
        Ok(Self { options, db, gate, connections: Arc::default() })
    }

    /// Waits until no other coordinator is at work, at most `patience`; `None` if one still is. Two at once are harmless, but
    /// one of them works in vain.
    ///
    /// # Errors
    /// [`RebuildError::MySql`].
    pub async fn lock(&self, patience: Duration) -> Result<Option<NamedLock>, RebuildError> {
        Ok(NamedLock::take(&self.db, LOCK, patience).await?)
    }

    /// Works as long as the lock is held; what is not finished when it is lost is given up, as if the process had died there.
    ///
    /// # Errors
    /// [`RebuildError::LockLost`], or what `work` ends with.
    pub async fn under<T>(
        lock: &NamedLock,
        work: impl Future<Output = Result<T, RebuildError>>,
    ) -> Result<T, RebuildError> {
        tokio::select! {
            done = work => done,
            () = lock.lost() => Err(RebuildError::LockLost),
        }
    }

    /// The connection to Redis, for whoever looks at the same one.
    pub(crate) const fn gate(&self) -> &Gate {
        &self.gate
    }

    fn keys(&self, sku_id: SkuId) -> SkuKeys {
        SkuKeys::new(self.gate.namespace(), sku_id)
    }
}
