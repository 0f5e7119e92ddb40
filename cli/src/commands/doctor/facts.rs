//! What a deployment looks like. Plain values: read by `read`, judged by `judge` and `losses`.

use std::time::Duration;

use flash_core::{
    epoch::EpochRecord,
    ids::{Epoch, SkuId},
};
use flash_stores::{
    kafka::{KafkaSettings, describe::ClusterInfo, describe::TopicInfo},
    mysql::{
        health::{HeldNode, ServerHealth},
        migrate::SchemaStatus,
        offsets::PartitionPosition,
    },
    redis::ServerInfo,
};

/// What a part said, or why it could not be asked.
pub(super) type Asked<T> = Result<T, String>;

/// Everything that was seen.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Our own clock, in milliseconds since 1970.
    pub(super) now_ms: u64,
    /// D.
    pub(super) lease: Duration,
    pub(super) names: Names,
    pub(super) redis: Asked<RedisFacts>,
    pub(super) kafka: Asked<ClusterInfo>,
    pub(super) mysql: Asked<MysqlFacts>,
    pub(super) schema: Asked<SchemaStatus>,
    /// The newest record of stock-epochs.
    pub(super) epoch: Asked<Option<EpochRecord>>,
    pub(super) skus: Asked<Vec<SkuFacts>>,
    /// Events in the log that are not in MySQL yet, at least.
    pub(super) lag: Asked<u64>,
    /// Dead letters that wait.
    pub(super) letters: Asked<u64>,
    pub(super) daemons: Vec<DaemonFacts>,
    /// Whether every server is addressed by a loopback name.
    pub(super) one_host: bool,
}

/// What our topics are called.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) events: String,
    pub(super) letters: String,
    pub(super) epochs: String,
}

impl Names {
    pub(super) fn of(kafka: &KafkaSettings) -> Self {
        Self { events: kafka.topic_events(), letters: kafka.topic_dead_letter(), epochs: kafka.topic_epochs() }
    }

    pub(super) fn all(&self) -> [String; 3] {
        [self.events.clone(), self.letters.clone(), self.epochs.clone()]
    }
}

/// Redis.
#[derive(Debug, Clone, Default)]
pub(super) struct RedisFacts {
    /// Every primary, by its name.
    pub(super) primaries: Vec<(String, ServerInfo)>,
    /// Its clock minus ours, in milliseconds.
    pub(super) skew_ms: i64,
}

/// MySQL.
#[derive(Debug, Clone, Default)]
pub(super) struct MysqlFacts {
    pub(super) health: ServerHealth,
    /// Its clock minus ours, in milliseconds.
    pub(super) skew_ms: i64,
    /// Node ids with a holder.
    pub(super) nodes: Vec<HeldNode>,
    /// How far each partition is projected.
    pub(super) positions: Vec<PartitionPosition>,
}

/// One SKU, from both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SkuFacts {
    pub(super) sku_id: SkuId,
    /// The epoch MySQL remembers that it was loaded under.
    pub(super) loaded: Option<Epoch>,
    /// The epoch field in Redis, which may be a mark; `moved:N` if it was not filled where it is.
    pub(super) mark: Option<String>,
}

/// One flashd.
#[derive(Debug, Clone)]
pub(super) struct DaemonFacts {
    /// Where its admin listener is.
    pub(super) url: String,
    pub(super) said: Asked<DaemonSaid>,
}

/// What it said.
#[derive(Debug, Clone, Default)]
pub(super) struct DaemonSaid {
    pub(super) role: String,
    pub(super) version: String,
    /// Why it is not ready; empty if it is.
    pub(super) unready: String,
}

impl Facts {
    /// One of our topics, if Kafka was asked and it exists.
    pub(super) fn topic(&self, name: &str) -> Option<&TopicInfo> {
        self.kafka.as_ref().ok()?.topics.iter().find(|topic| topic.name == name)
    }

    /// The open epoch, if there is one.
    pub(super) fn open(&self) -> Option<&EpochRecord> {
        let record = self.epoch.as_ref().ok()?.as_ref()?;
        (record.state == flash_core::epoch::EpochState::Open).then_some(record)
    }

    /// Whether the broker is Tansu, which names itself in its cluster id.
    pub(super) fn is_tansu(&self) -> bool {
        let id = self.kafka.as_ref().ok().and_then(|cluster| cluster.cluster_id.as_deref());
        id.is_some_and(|id| id.to_ascii_lowercase().contains("tansu"))
    }
}
