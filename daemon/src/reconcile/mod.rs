//! Reconcile: the exact check of Redis, log and MySQL against one another while selling goes on (DESIGN section 8).
//!
//! Owns the order of the steps. `cut` reads each SKU's counters together with the sequence number `N` of its last stock
//! change; `ledger` waits until the ledger has exactly one row for every number up to `N` – then nothing is on its way any
//! more, and the sums up to `N` must be the counters; `search` names what is missing for good; `judge` turns differences into
//! findings; `fix` repairs what can be proved to be safe. The arithmetic is in `flash_core::reconcile`. A run during which
//! another epoch opens starts again.
//!
//! Never guesses: a difference is only told of after everything that could still explain it has been waited out. Knows no
//! terminal.

mod auditor;
mod cut;
mod fix;
mod judge;
mod ledger;
mod search;

pub(crate) use auditor::{AuditStatus, Auditor};
pub use fix::{Fixed, Repair, Stopped};
pub use judge::{RedisRow, Report, SkuRow};

use crate::change::ChangeError;
use crate::dead_letters::DeadLetterError;
use crate::projector::{CatchUpError, WaitError};
use crate::rebuild::{Rebuild, RebuildError, RebuildOptions};
use flash_core::ids::SkuId;
use flash_core::limits::RECORD_WITHIN_MS;
use flash_stores::kafka::KafkaError;
use flash_stores::kafka::producer::RecorderSettings;
use flash_stores::mysql::{Db, MySqlError, MySqlSettings};
use flash_stores::redis::{Gate, SkuKeys, StockError};
use ledger::Memory;
use std::time::Duration;

/// How often a run starts again because another epoch opened under it.
const ROUNDS_MAX: usize = 5;
/// Beyond the producers' own time-outs: for clocks, and for a broker that takes its time over what it has already received.
const HORIZON_MARGIN: Duration = Duration::from_secs(2);
/// A run does one thing after the other.
const CONNECTIONS: u32 = 4;

/// What an audit talks to.
#[derive(Debug, Clone)]
pub struct ReconcileOptions {
    /// The stores.
    pub parts: RebuildOptions,
    /// How events are produced: by this process when it repairs, and – its time-out – by every daemon.
    pub recorder: RecorderSettings,
}

/// What is happening, for people who wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Redis is read.
    Cutting {
        /// SKUs read so far.
        done: usize,
        /// SKUs to read.
        all: usize,
    },
    /// Waiting for the projector to pass the log's end.
    Projecting,
    /// MySQL adds up.
    Summing,
    /// Stock changes of this many SKUs have no row yet; they are waited for at most so long.
    Waiting {
        /// SKUs that are not complete.
        skus: usize,
        /// How long at most.
        left: Duration,
    },
    /// What is missing for good is looked for in Redis, the dead letters and the log.
    Searching,
    /// Another epoch opened; it starts again.
    Again(String),
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// There is no such SKU.
    #[error("SKU {0} does not exist")]
    Missing(SkuId),
    /// Redis decides nothing: there is nothing to compare.
    #[error("nothing can be compared: {0}")]
    NotOpen(String),
    /// The epoch changed under every try.
    #[error("Redis was filled anew during each of {ROUNDS_MAX} tries")]
    Restless,
    /// The database.
    #[error(transparent)]
    MySql(#[from] MySqlError),
    /// Redis.
    #[error(transparent)]
    Stock(#[from] StockError),
    /// The brokers.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The log could not be looked at.
    #[error(transparent)]
    Log(#[from] CatchUpError),
    /// The projector does not move on.
    #[error("{0}; is a worker running?")]
    Projection(#[from] WaitError),
    /// The epochs.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// The dead letters.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    /// A change that was to be completed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A task of this process died.
    #[error("a task died: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl ReconcileError {
    /// Whether a server could not be reached, or no worker runs, so that the same call may succeed later.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::MySql(error) => error.is_outage(),
            Self::Stock(error) => matches!(error, StockError::NotSent(_) | StockError::Unknown(_)),
            Self::Kafka(_) | Self::Log(_) | Self::Projection(_) => true,
            Self::Rebuild(error) => matches!(
                error,
                RebuildError::MySql(_)
                    | RebuildError::Stock(_)
                    | RebuildError::Epochs(_)
                    | RebuildError::Kafka(_)
                    | RebuildError::LockLost
            ),
            Self::DeadLetters(error) => error.is_unreachable(),
            Self::Change(error) => error.is_unreachable(),
            Self::Missing(_) | Self::NotOpen(_) | Self::Restless | Self::Task(_) => false,
        }
    }
}

/// An audit's connections.
pub struct Reconcile {
    options: ReconcileOptions,
    rebuild: Rebuild,
    gate: Gate,
    db: Db,
}

impl Reconcile {
    /// Connects to Redis; MySQL and Kafka are reached when they are needed. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// If Redis cannot be reached within ten seconds.
    pub async fn connect(options: ReconcileOptions) -> Result<Self, ReconcileError> {
        let rebuild = Rebuild::connect(options.parts.clone()).await?;
        let gate = rebuild.gate().clone();
        let db = Db::open(&MySqlSettings { connections_max: CONNECTIONS, ..options.parts.mysql.clone() });
        Ok(Self { options, rebuild, gate, db })
    }

    /// The view, for whoever keeps or lists runs.
    #[must_use]
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// Compares everything about one SKU, or about all. Changes nothing. Takes about a second if nothing is missing; what is
    /// missing is waited for as long as its event may still come.
    ///
    /// # Errors
    /// [`ReconcileError`].
    pub async fn run(&self, sku_id: Option<SkuId>, progress: impl Fn(Step)) -> Result<Report, ReconcileError> {
        self.rounds(sku_id, None, &progress).await
    }

    /// The same without what takes reading whole tables, given what an earlier run has added up.
    pub(crate) async fn run_light(&self, memory: &mut Memory) -> Result<Report, ReconcileError> {
        self.rounds(None, Some(memory), &|_| {}).await
    }

    async fn rounds(
        &self,
        sku_id: Option<SkuId>,
        mut memory: Option<&mut Memory>,
        progress: &impl Fn(Step),
    ) -> Result<Report, ReconcileError> {
        for _ in 0..ROUNDS_MAX {
            let cut = self.cut(sku_id, progress).await?;
            let books = self.ledger(&cut, memory.as_deref_mut(), progress).await?;
            let report = self.judge(&cut, books, memory.is_some()).await?;
            match self.rebuild.open_fence().await? {
                Some(fence) if fence == cut.fence => return Ok(report),
                _ => progress(Step::Again("Redis was filled anew meanwhile".to_owned())),
            }
        }
        Err(ReconcileError::Restless)
    }

    /// After this time an event of before the cut is in the log or never will be.
    fn horizon(&self) -> Duration {
        Duration::from_millis(RECORD_WITHIN_MS) + self.options.recorder.message_timeout + HORIZON_MARGIN
    }

    fn keys(&self, sku_id: SkuId) -> SkuKeys {
        SkuKeys::new(self.gate.namespace(), sku_id)
    }
}
