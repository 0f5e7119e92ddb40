//! What kind of cluster this is: its brokers, the shape and settings of our topics, for whoever judges a deployment.
//! Never changes anything.

use super::{KafkaError, KafkaSettings};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A cluster as it describes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// Its id, if it has one.
    pub cluster_id: Option<String>,
    /// `host:port` of each broker that is alive, by id.
    pub brokers: BTreeMap<i32, String>,
    /// The topics that were asked about and exist.
    pub topics: Vec<TopicInfo>,
    /// Settings of the broker that answered; empty if it does not tell.
    pub broker_config: HashMap<String, String>,
}

/// One topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its full name.
    pub name: String,
    /// Each partition, by number.
    pub partitions: Vec<PartitionInfo>,
    /// Its settings; `None` if the broker does not tell.
    pub config: Option<HashMap<String, String>>,
}

/// One partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Whether a broker leads it.
    pub has_leader: bool,
    /// Copies there should be.
    pub replicas: usize,
    /// Copies that are up to date.
    pub in_sync: usize,
}

impl TopicInfo {
    /// Copies of its scarcest partition.
    #[must_use]
    pub fn replication(&self) -> usize {
        self.partitions.iter().map(|partition| partition.replicas).min().unwrap_or(0)
    }

    /// A setting, if the broker tells.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.config.as_ref()?.get(name).map(String::as_str)
    }
}

/// Asks the cluster about itself and about those of `names` that exist.
///
/// # Errors
/// [`KafkaError`] if no broker answers within `patience`. Settings that cannot be had are left out.
pub async fn cluster(
    settings: &KafkaSettings,
    names: &[String],
    patience: Duration,
) -> Result<ClusterInfo, KafkaError> {
    let admin: AdminClient<DefaultClientContext> = settings.client("describe").create()?;
    let wanted = names.to_vec();
    let read = move || metadata(&admin, &wanted, patience).map(|info| (admin, info));
    let failed = |error| rdkafka::error::KafkaError::ClientCreation(format!("metadata task: {error}"));
    let (admin, mut info) = tokio::task::spawn_blocking(read).await.map_err(failed)??;
    for topic in &mut info.topics {
        topic.config = config_of(&admin, &ResourceSpecifier::Topic(&topic.name), patience).await;
    }
    if let Some(broker) = info.brokers.keys().next() {
        info.broker_config = config_of(&admin, &ResourceSpecifier::Broker(*broker), patience).await.unwrap_or_default();
    }
    Ok(info)
}

fn metadata(
    admin: &AdminClient<DefaultClientContext>,
    names: &[String],
    patience: Duration,
) -> Result<ClusterInfo, KafkaError> {
    // All topics are asked for and filtered here: asking for one by name makes some brokers create it.
    let metadata = admin.inner().fetch_metadata(None, patience)?;
    let ours = metadata.topics().iter().filter(|topic| topic.error().is_none() && !topic.partitions().is_empty());
    let ours = ours.filter(|topic| names.iter().any(|name| name == topic.name()));
    let topics = ours.map(|topic| {
        let partition = |partition: &rdkafka::metadata::MetadataPartition| PartitionInfo {
            has_leader: partition.leader() >= 0 && partition.error().is_none(),
            replicas: partition.replicas().len(),
            in_sync: partition.isr().len(),
        };
        let partitions = topic.partitions().iter().map(partition).collect();
        TopicInfo { name: topic.name().to_owned(), partitions, config: None }
    });
    let broker =
        |broker: &rdkafka::metadata::MetadataBroker| (broker.id(), format!("{}:{}", broker.host(), broker.port()));
    Ok(ClusterInfo {
        topics: topics.collect(),
        brokers: metadata.brokers().iter().map(broker).collect(),
        cluster_id: admin.inner().fetch_cluster_id(patience).filter(|id| !id.is_empty()),
        broker_config: HashMap::new(),
    })
}

/// The settings of one thing; `None` if the broker does not tell. Those marked as sensitive are left out.
async fn config_of(
    admin: &AdminClient<DefaultClientContext>,
    what: &ResourceSpecifier<'_>,
    patience: Duration,
) -> Option<HashMap<String, String>> {
    let options = AdminOptions::new().request_timeout(Some(patience));
    let answers = admin.describe_configs([what], &options).await.ok()?;
    let entries = answers.into_iter().next()?.ok()?.entries;
    let entries = entries.into_iter().filter(|entry| !entry.is_sensitive);
    let known: HashMap<String, String> = entries.filter_map(|entry| Some((entry.name, entry.value?))).collect();
    (!known.is_empty()).then_some(known)
}
