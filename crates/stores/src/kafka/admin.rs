//! Topics: what is there, and creating what is missing. Never changes or deletes a topic that exists.

use super::{KafkaError, KafkaSettings};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;
use std::time::{Duration, Instant};

/// How long a broker may take to answer an admin request.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Full name, namespace included.
    pub name: String,
    /// Number of partitions. It can never change later: the events of one order must stay in one partition.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i32,
    /// Settings that differ from the broker's defaults.
    pub config: Vec<(&'static str, String)>,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicStatus {
    /// Full name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Copies of its first partition.
    pub replication: i32,
}

/// What became of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// As specified.
    Yes,
    /// Created, but the broker refused its settings; they are the broker's defaults.
    WithoutConfig,
    /// It was there already, and stays as it is.
    Existed,
}

/// The topics the system needs.
#[must_use]
pub fn required(settings: &KafkaSettings, partitions: i32, replication: i32) -> Vec<TopicSpec> {
    // An acknowledged event must survive the loss of one broker wherever there are enough of them.
    let in_sync = ("min.insync.replicas", if replication >= 3 { "2" } else { "1" }.to_owned());
    let topic = |name: String, partitions: i32, config: Vec<(&'static str, String)>| TopicSpec {
        name,
        partitions,
        replication,
        config,
    };
    vec![
        topic(settings.topic_events(), partitions, vec![("cleanup.policy", "delete".into()), in_sync.clone()]),
        // Dead letters wait for a human, however long that takes.
        topic(settings.topic_dead_letter(), 1, vec![("retention.ms", "-1".into()), in_sync.clone()]),
        topic(settings.topic_epochs(), 1, vec![("cleanup.policy", "compact".into()), in_sync]),
    ]
}

/// The topics of the cluster among `names`.
///
/// # Errors
/// [`KafkaError`] if no broker answers in time.
pub async fn describe(settings: &KafkaSettings, names: &[String]) -> Result<Vec<TopicStatus>, KafkaError> {
    let (admin, names) = (client(settings)?, names.to_vec());
    // All topics are asked for and filtered here: asking for one by name makes some brokers create it.
    blocking(move || {
        let metadata = admin.inner().fetch_metadata(None, TIMEOUT)?;
        let found = metadata.topics().iter().filter(|topic| topic.error().is_none() && !topic.partitions().is_empty());
        let found = found.filter(|topic| names.iter().any(|name| name == topic.name()));
        Ok(found
            .map(|topic| TopicStatus {
                name: topic.name().to_owned(),
                partitions: count(topic.partitions().len()),
                replication: topic.partitions().first().map_or(0, |partition| count(partition.replicas().len())),
            })
            .collect())
    })
    .await
}

/// How many brokers the cluster has.
///
/// # Errors
/// [`KafkaError`] if none answers in time.
pub async fn broker_count(settings: &KafkaSettings) -> Result<i32, KafkaError> {
    let admin = client(settings)?;
    blocking(move || Ok(count(admin.inner().fetch_metadata(None, TIMEOUT)?.brokers().len()))).await
}

/// Creates the topics that do not exist, and waits until the brokers tell of them: a cluster takes a moment.
///
/// # Errors
/// [`KafkaError`] at the first topic that can be created neither with nor without its settings.
pub async fn create(settings: &KafkaSettings, specs: &[TopicSpec]) -> Result<Vec<(String, Created)>, KafkaError> {
    let admin = client(settings)?;
    let mut outcome = Vec::with_capacity(specs.len());
    for spec in specs {
        let created = match create_one(&admin, spec, true).await? {
            Ok(created) => created,
            Err(code) if refuses_config(code) => match create_one(&admin, spec, false).await? {
                Ok(Created::Yes) => Created::WithoutConfig,
                Ok(other) => other,
                Err(code) => return Err(rdkafka::error::KafkaError::AdminOp(code).into()),
            },
            Err(code) => return Err(rdkafka::error::KafkaError::AdminOp(code).into()),
        };
        outcome.push((spec.name.clone(), created));
    }
    let names: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
    let deadline = Instant::now() + TIMEOUT;
    while describe(settings, &names).await?.len() < names.len() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(outcome)
}

/// Runs a call of the client that blocks, beside the runtime's own threads.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, KafkaError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) => Err(rdkafka::error::KafkaError::ClientCreation(format!("metadata task: {error}")).into()),
    }
}

async fn create_one(
    admin: &AdminClient<DefaultClientContext>,
    spec: &TopicSpec,
    with_config: bool,
) -> Result<Result<Created, RDKafkaErrorCode>, KafkaError> {
    let mut topic = NewTopic::new(&spec.name, spec.partitions, TopicReplication::Fixed(spec.replication));
    if with_config {
        topic = spec.config.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
    }
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
    let results = admin.create_topics([&topic], &options).await?;
    Ok(match results.into_iter().next() {
        None | Some(Ok(_)) => Ok(Created::Yes),
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(Created::Existed),
        Some(Err((_, code))) => Err(code),
    })
}

const fn refuses_config(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::InvalidConfig
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::InvalidRequest
            | RDKafkaErrorCode::UnsupportedVersion
    )
}

fn client(settings: &KafkaSettings) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    Ok(settings.client("admin").create()?)
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
