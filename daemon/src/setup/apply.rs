//! Doing what the plan says, in an order in which a crash anywhere leaves something that the next run completes: tables,
//! topics, definitions, and stock last.

use super::{Plan, SetupError, SetupOptions};
use crate::crash;
use crate::rebuild::{self, Need, Rebuild, RebuildError, SkuStock};
use flash_core::ids::SkuId;
use flash_core::sale::Sku;
use flash_stores::kafka::admin::{self, Created};
use flash_stores::mysql::skus::StoredSku;
use flash_stores::mysql::{Db, migrate, skus};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Definitions written between two reports of progress.
const SKUS_PER_STEP: usize = 1_000;
/// How often terms that change all the time are run after.
const CONFIGURE_ROUNDS_MAX: usize = 10;

/// How long another coordinator may take to finish.
const OTHERS_PATIENCE: Duration = Duration::from_secs(120);

/// What is happening, for people who wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupProgress {
    /// Migrating the schema.
    Schema,
    /// Creating topics.
    Topics,
    /// Writing definitions.
    Skus {
        /// Written so far.
        done: usize,
        /// To write.
        all: usize,
    },
    /// Filling Redis.
    Stock(rebuild::Progress),
}

/// What else is worth knowing afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetupReport {
    /// Topics whose settings the broker refused; they have its defaults.
    pub topics_without_config: Vec<String>,
}

/// Carries out a plan made by [`super::inspect`].
///
/// # Errors
/// [`SetupError`]; what was done before stays done, and running again goes on from there.
pub async fn apply(
    options: &SetupOptions,
    plan: &Plan,
    progress: impl Fn(SetupProgress),
) -> Result<SetupReport, SetupError> {
    let mut report = SetupReport::default();
    if plan.migrate {
        progress(SetupProgress::Schema);
        migrate::apply(&options.parts.mysql).await?;
        crash::point("setup.migrated");
    }
    if !plan.topics.is_empty() {
        progress(SetupProgress::Topics);
        let created = admin::create(&options.parts.kafka, &plan.topics).await?;
        let bare = created.into_iter().filter(|(_, created)| *created == Created::WithoutConfig);
        crash::point("setup.topics");
        report.topics_without_config = bare.map(|(name, _)| name).collect();
    }
    let db = Db::open(&options.parts.mysql);
    let written = write_skus(&db, options, &plan.skus, &progress).await;
    db.close().await;
    written?;
    crash::point("setup.written");
    fill(options, &progress).await?;
    Ok(report)
}

async fn write_skus(
    db: &Db,
    options: &SetupOptions,
    changed: &[Sku],
    progress: &impl Fn(SetupProgress),
) -> Result<(), SetupError> {
    if changed.is_empty() {
        return Ok(());
    }
    let author = options.author()?;
    let all = changed.len();
    for (step, chunk) in changed.chunks(SKUS_PER_STEP).enumerate() {
        progress(SetupProgress::Skus { done: step * SKUS_PER_STEP, all });
        skus::upsert(db, chunk, &author).await?;
    }
    progress(SetupProgress::Skus { done: all, all });
    Ok(())
}

/// Looks again, because MySQL now holds the new definitions and time has passed, and does what Redis needs.
async fn fill(options: &SetupOptions, progress: &impl Fn(SetupProgress)) -> Result<(), SetupError> {
    let rebuild = Rebuild::connect(options.parts.clone()).await?;
    // A worker may be filling Redis this very moment.
    let lock = rebuild.lock(OTHERS_PATIENCE).await?.ok_or(RebuildError::Busy(OTHERS_PATIENCE))?;
    let filled = fill_alone(options, &rebuild, progress).await;
    lock.release().await;
    filled
}

async fn fill_alone(
    options: &SetupOptions,
    rebuild: &Rebuild,
    progress: &impl Fn(SetupProgress),
) -> Result<(), SetupError> {
    let (need, stocks) = rebuild.inspect().await?;
    let told = |step| progress(SetupProgress::Stock(step));
    match need {
        Need::Nothing => {}
        Need::Load(new) => rebuild.load_new(&new, told).await?,
        Need::Unblock(blocked) => {
            rebuild.unblock(&blocked, told).await?;
        }
        Need::Rebuild(_) => {
            rebuild.run(told).await?;
            return Ok(());
        }
    }
    let loaded: HashSet<SkuId> =
        stocks.iter().filter(|(_, stock)| matches!(stock, SkuStock::Loaded(_))).map(|(sku_id, _)| *sku_id).collect();
    // All SKUs named, not only those that differ in MySQL: an earlier run may have died between the two.
    let named: HashSet<SkuId> =
        options.skus.iter().map(|sku| sku.sku_id).filter(|sku_id| loaded.contains(sku_id)).collect();
    if named.is_empty() {
        return Ok(());
    }
    let db = Db::open(&options.parts.mysql);
    let configured = configure(rebuild, &db, &named).await;
    db.close().await;
    configured
}

/// Brings the terms in Redis to those in MySQL – not to those of the file, which knows nothing of a pause. Reads again
/// afterwards: whatever an operator has changed meanwhile is what Redis must end with.
async fn configure(rebuild: &Rebuild, db: &Db, named: &HashSet<SkuId>) -> Result<(), SetupError> {
    let mut done: HashMap<SkuId, u64> = HashMap::new();
    for _ in 0..CONFIGURE_ROUNDS_MAX {
        let stored = skus::list(db).await?;
        let waiting = |stored: &StoredSku| {
            named.contains(&stored.sku.sku_id) && done.get(&stored.sku.sku_id) != Some(&stored.version)
        };
        let waiting: Vec<StoredSku> = stored.into_iter().filter(waiting).collect();
        if waiting.is_empty() {
            break;
        }
        let skus: Vec<Sku> = waiting.iter().map(|stored| stored.sku.clone()).collect();
        rebuild.configure(&skus).await?;
        done.extend(waiting.iter().map(|stored| (stored.sku.sku_id, stored.version)));
    }
    Ok(())
}
