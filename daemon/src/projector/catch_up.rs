//! Projecting without a group: apply everything that is in the log now, then return. For setting up and for recovery,
//! when no worker runs. A worker that runs at the same time does no harm: the compare-and-set lets one of them win.

use super::engine::Source;
use super::status::Status;
use super::{EngineThread, Handle, ProjectorError, ProjectorOptions, flatten};
use flash_stores::kafka::consumer::LogConsumer;
use flash_stores::kafka::{KafkaSettings, admin};
use std::sync::Arc;
use std::time::Duration;

/// Why the log was not caught up with.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// The projector could not be started or the log not be looked at.
    #[error(transparent)]
    Projector(#[from] ProjectorError),
    /// There is no log.
    #[error("the topic {0} does not exist")]
    NoTopic(String),
    /// Time ran out. What was applied stays applied.
    #[error("the log was not applied within {} s (last problem: {})", .0.as_secs(), .1.as_deref().unwrap_or("none"))]
    Timeout(Duration, Option<String>),
}

/// How long a broker may take to say where the log ends.
const ENDS_TIMEOUT: Duration = Duration::from_secs(10);

/// Applies everything that was in the log when the call began, and returns the offsets that it reached.
///
/// # Errors
/// [`CatchUpError`].
pub async fn catch_up(options: &ProjectorOptions, within: Duration) -> Result<Vec<(i32, u64)>, CatchUpError> {
    let ends = log_ends(&options.kafka).await?;
    let status: Arc<Status> = Arc::default();
    let handle = Handle::new(&status);
    let mut thread = EngineThread::start(options.clone(), Source::Until(ends.clone()), status)?;
    match tokio::time::timeout(within, &mut thread.done).await {
        Ok(result) => flatten(result)?,
        Err(_) => return Err(CatchUpError::Timeout(within, handle.snapshot().last_error)),
    }
    Ok(ends)
}

/// Where every partition of the log ends now, exactly.
///
/// # Errors
/// [`CatchUpError`].
pub async fn log_ends(kafka: &KafkaSettings) -> Result<Vec<(i32, u64)>, CatchUpError> {
    let topic = kafka.topic_events();
    let topics = admin::describe(kafka, std::slice::from_ref(&topic)).await.map_err(ProjectorError::from)?;
    let partitions = topics.first().map(|topic| (0..topic.partitions).collect::<Vec<i32>>());
    let partitions = partitions.ok_or(CatchUpError::NoTopic(topic))?;
    let kafka = kafka.clone();
    let ask = move || LogConsumer::standalone(&kafka)?.ends(&partitions, ENDS_TIMEOUT);
    let asked = tokio::task::spawn_blocking(ask).await;
    let asked = asked.map_err(|error| ProjectorError::Thread(error.to_string()))?;
    Ok(asked.map_err(ProjectorError::from)?)
}
