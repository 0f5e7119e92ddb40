//! The servers that `why` asks, each reached once. One that cannot be reached in a few seconds is remembered with its reason, so
//! that the others are still asked, and it is not asked again for every part that it has.

use std::time::Duration;

use flash_core::ids::SkuId;
use flash_stores::{
    kafka::{KafkaSettings, admin},
    mysql::{Db, MySqlError, MySqlSettings, skus},
    redis::{Gate, SkuKeys, StockError},
};
use flashd::{config::Config, dead_letters::Desk, projector::ProjectorOptions};

use super::facts::Asked;

/// How long one part may take to answer at first.
const REACHED_WITHIN: Duration = Duration::from_secs(5);
/// How long a part may take over everything that it is asked, unless it shows its progress.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// One question after the other.
const CONNECTIONS: u32 = 2;

/// All of them.
pub(super) struct Sources {
    pub(super) config: Config,
    pub(super) gate: Asked<Gate>,
    pub(super) db: Asked<Db>,
    /// Partitions of the log.
    pub(super) kafka: Asked<i32>,
    pub(super) desk: Desk,
    /// Every SKU that MySQL knows, with its currency.
    pub(super) skus: Vec<(SkuId, String)>,
}

impl Sources {
    /// Reaches all of them at the same time.
    pub(super) async fn reach(config: Config) -> Self {
        let mysql = MySqlSettings { connections_max: CONNECTIONS, ..config.mysql.clone() };
        let db = Db::open(&mysql);
        let skus = within(REACHED_WITHIN, skus::list(&db), of_mysql);
        let (gate, kafka, skus) = tokio::join!(reach_gate(&config), reach_kafka(&config.kafka), skus);
        let known = |skus: Vec<skus::StoredSku>| {
            skus.into_iter().map(|stored| (stored.sku.sku_id, stored.sku.currency)).collect::<Vec<_>>()
        };
        let (db, skus) = match skus.map(known) {
            Ok(skus) => (Ok(db), skus),
            Err(reason) => (Err(reason), Vec::new()),
        };
        let desk = Desk::open(&ProjectorOptions { kafka: config.kafka.clone(), mysql: config.mysql.clone() });
        Self { config, gate, db, kafka, desk, skus }
    }

    pub(super) fn keys(&self, sku_id: SkuId) -> SkuKeys {
        SkuKeys::new(&self.config.redis.namespace, sku_id)
    }

    /// The SKUs whose keys may have to be looked through: the one that was named, or all.
    pub(super) fn sku_ids(&self, named: Option<SkuId>) -> Vec<SkuId> {
        named.map_or_else(|| self.skus.iter().map(|(sku_id, _)| *sku_id).collect(), |sku_id| vec![sku_id])
    }

    pub(super) fn currency(&self, sku_id: SkuId) -> Option<String> {
        self.skus.iter().find(|(known, _)| *known == sku_id).map(|(_, currency)| currency.clone())
    }
}

async fn reach_gate(config: &Config) -> Asked<Gate> {
    let gate = Gate::new(&config.redis).map_err(|error| of_redis(&error))?;
    gate.wait_connected(REACHED_WITHIN).await.map_err(|error| of_redis(&error))?;
    Ok(gate)
}

async fn reach_kafka(kafka: &KafkaSettings) -> Asked<i32> {
    let topic = kafka.topic_events();
    let described = within(REACHED_WITHIN, admin::describe(kafka, std::slice::from_ref(&topic)), ToString::to_string);
    let found = described.await?;
    found.first().map(|found| found.partitions).ok_or_else(|| format!("the topic {topic} does not exist"))
}

/// What a part says, if it does in time.
pub(super) async fn within<T, E>(
    limit: Duration,
    asked: impl Future<Output = Result<T, E>>,
    told: impl FnOnce(&E) -> String,
) -> Asked<T> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer.map_err(|error| told(&error)),
        Err(_) => Err(format!("not readable (timed out after {} s)", limit.as_secs())),
    }
}

/// A reason in one line.
pub(super) fn of_mysql(error: &MySqlError) -> String {
    error.to_string()
}

/// A reason in one line.
pub(super) fn of_redis(error: &StockError) -> String {
    error.to_string()
}
