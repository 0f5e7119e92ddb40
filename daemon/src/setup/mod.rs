//! Setting a sale up: schema, topics, definitions of what is on sale, stock in Redis.
//!
//! Two steps: [`inspect`] looks and changes nothing, [`apply`] does what the plan says. Owns the comparison of what is
//! wanted with what is there. Never resets stock: a SKU that exists keeps its capacity, and Redis is only ever filled
//! through `rebuild`, from what the log says is left. Safe to run twice, also by two at once, and after a crash anywhere.
//! Knows no terminal: `flashctl setup`, `up`, `demo` and the tests all call it.

mod apply;
mod plan;

pub use apply::{SetupProgress, SetupReport, apply};
pub use plan::{Action, Item, Kind, Plan};

use crate::rebuild::{Need, Reason, Rebuild, RebuildError, RebuildOptions};
use flash_core::ids::SkuId;
use flash_core::limits::SKUS_MAX;
use flash_core::sale::{Sku, SkuError};
use flash_stores::kafka::{KafkaError, admin};
use flash_stores::mysql::author::Author;
use flash_stores::mysql::author::AuthorError;
use flash_stores::mysql::migrate::SchemaError;
use flash_stores::mysql::{Db, MySqlError, migrate, skus};
use plan::Found;
use std::collections::BTreeSet;

/// Partitions of the event topic if nobody says otherwise: enough for eight projectors.
pub const PARTITIONS_DEFAULT: i32 = 8;
/// Most copies that are made if nobody says otherwise; fewer on a smaller cluster.
pub const REPLICATION_DEFAULT_MAX: i32 = 3;
/// Most partitions: more than this and no two of them would share a worker's batch.
pub const PARTITIONS_MAX: i32 = 512;

/// Why a setup changes something, in the journal.
const JOURNAL_REASON: &str = "setup";

/// What is wanted, and where.
#[derive(Debug, Clone)]
pub struct SetupOptions {
    /// The log, the view, the gate and the lease.
    pub parts: RebuildOptions,
    /// Partitions of `order-events`; `None`: as it is, or [`PARTITIONS_DEFAULT`].
    pub partitions: Option<i32>,
    /// Copies of each partition; `None`: as it is, or as many as there are brokers, at most [`REPLICATION_DEFAULT_MAX`].
    pub replication: Option<i32>,
    /// What shall be on sale. SKUs that exist and are not named here stay as they are.
    pub skus: Vec<Sku>,
    /// Who does it, for the journal of changes; the reason written there is `setup`.
    pub who: String,
}

impl SetupOptions {
    fn author(&self) -> Result<Author, AuthorError> {
        Author::new(&self.who, JOURNAL_REASON)
    }
}

/// Why nothing, or not everything, was set up. What was done before stays done; running again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A definition is out of bounds.
    #[error("SKU {sku_id}: {error}")]
    Sku {
        /// Which SKU.
        sku_id: SkuId,
        /// Which bound.
        error: SkuError,
    },
    /// The same SKU twice.
    #[error("SKU {0} is defined twice")]
    Duplicate(SkuId),
    /// See [`SKUS_MAX`].
    #[error("at most {SKUS_MAX} SKUs are supported, this would be {0}")]
    TooMany(usize),
    /// Nobody can be named in the journal.
    #[error(transparent)]
    Author(#[from] AuthorError),
    /// Partitions or replication out of range.
    #[error("{0}")]
    Range(String),
    /// The wish contradicts what is there in a way that must not be changed here. Nothing was done.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// The schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The database.
    #[error(transparent)]
    MySql(#[from] MySqlError),
    /// The brokers.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The stock.
    #[error(transparent)]
    Stock(#[from] RebuildError),
}

impl SetupError {
    /// Whether a server could not be reached, so that the same call may succeed later.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        match self {
            Self::MySql(error) | Self::Schema(SchemaError::MySql(error)) => error.is_outage(),
            Self::Stock(error) => error.is_unreachable(),
            Self::Kafka(_) => true,
            _ => false,
        }
    }
}

/// Compares what is wanted with what is there. Changes nothing.
///
/// # Errors
/// [`SetupError`]; every contradiction is named at once.
pub async fn inspect(options: &SetupOptions) -> Result<Plan, SetupError> {
    check(options)?;
    let schema = migrate::status(&options.parts.mysql).await?;
    let brokers = admin::broker_count(&options.parts.kafka).await?;
    let replication = options.replication.unwrap_or_else(|| brokers.clamp(1, REPLICATION_DEFAULT_MAX));
    let partitions = options.partitions.unwrap_or(PARTITIONS_DEFAULT);
    let required = admin::required(&options.parts.kafka, partitions, replication);
    let names: Vec<String> = required.iter().map(|topic| topic.name.clone()).collect();
    let topics = admin::describe(&options.parts.kafka, &names).await?;
    // Tables and topics that are not there hold nothing to compare with.
    let has_tables = schema.database_exists && schema.pending == 0;
    let stored = if has_tables { stored(options).await? } else { Vec::new() };
    let need = if has_tables && topics.len() == names.len() {
        Rebuild::connect(options.parts.clone()).await?.inspect().await?.0
    } else {
        Need::Rebuild(Reason::NotSetUp)
    };
    Plan::new(options, Found { schema, required, topics, stored, need })
}

/// [`inspect`] and [`apply`] in one go, for those who do not ask.
///
/// # Errors
/// [`SetupError`].
pub async fn run(options: &SetupOptions, progress: impl Fn(SetupProgress)) -> Result<SetupReport, SetupError> {
    let plan = inspect(options).await?;
    apply(options, &plan, progress).await
}

async fn stored(options: &SetupOptions) -> Result<Vec<skus::StoredSku>, MySqlError> {
    let db = Db::open(&options.parts.mysql);
    let stored = skus::list(&db).await;
    db.close().await;
    stored
}

/// What can be said without asking anybody.
fn check(options: &SetupOptions) -> Result<(), SetupError> {
    options.author()?;
    let mut seen = BTreeSet::new();
    for sku in &options.skus {
        let sku_id = sku.sku_id;
        sku.check().map_err(|error| SetupError::Sku { sku_id, error })?;
        if !seen.insert(sku_id) {
            return Err(SetupError::Duplicate(sku_id));
        }
    }
    if options.partitions.is_some_and(|count| !(1..=PARTITIONS_MAX).contains(&count)) {
        return Err(SetupError::Range(format!("partitions must be 1 to {PARTITIONS_MAX}")));
    }
    if options.replication.is_some_and(|copies| !(1..=i32::from(i16::MAX)).contains(&copies)) {
        return Err(SetupError::Range("replication must be at least 1".into()));
    }
    Ok(())
}
