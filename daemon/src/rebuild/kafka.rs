//! The connections to Kafka that a rebuild keeps: making one costs most of a second, and nothing is sold meanwhile.
//!
//! One that has failed is thrown away; the next call makes another.

use super::{KAFKA_PATIENCE, Rebuild, RebuildError};
use crate::clock::boot_ms;
use flash_core::epoch::EpochRecord;
use flash_stores::kafka::KafkaSettings;
use flash_stores::kafka::append::{AppendError, Appender};
use flash_stores::kafka::epochs::{EpochReader, EpochTopicError, epoch_record};
use std::sync::{Arc, Mutex, PoisonError};

/// What is connected already.
#[derive(Default)]
pub(super) struct Connections {
    appender: Mutex<Option<Appender>>,
    reader: Mutex<Option<EpochReader>>,
}

/// Uses what is kept, or makes it first; keeps it only if all went well.
fn with<C, R, E>(
    kept: &Mutex<Option<C>>,
    make: impl FnOnce() -> Result<C, E>,
    work: impl FnOnce(&mut C) -> Result<R, E>,
) -> Result<R, E> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => make()?,
    };
    let done = work(&mut connection)?;
    *kept = Some(connection);
    Ok(done)
}

impl Rebuild {
    fn connections(&self) -> (Arc<Connections>, KafkaSettings) {
        (Arc::clone(&self.connections), self.options.kafka.clone())
    }

    /// The newest record of the control topic.
    ///
    /// # Errors
    /// [`RebuildError::Epochs`].
    pub async fn latest_epoch(&self) -> Result<Option<EpochRecord>, RebuildError> {
        let (connections, kafka) = self.connections();
        let read = |reader: &mut EpochReader| {
            reader.read_to_end(boot_ms(), KAFKA_PATIENCE)?;
            Ok::<_, EpochTopicError>(reader.view().latest().cloned())
        };
        let read = move || with(&connections.reader, || EpochReader::new(&kafka), read);
        Ok(tokio::task::spawn_blocking(read).await??)
    }

    pub(super) async fn append_epoch(&self, record: EpochRecord) -> Result<(), RebuildError> {
        let record = epoch_record(&record)?;
        self.append(self.options.kafka.topic_epochs(), vec![record]).await
    }

    /// Appends records and waits for their acknowledgement.
    pub(super) async fn append(&self, topic: String, records: Vec<(i32, String, Vec<u8>)>) -> Result<(), RebuildError> {
        let (connections, kafka) = self.connections();
        let append = move || {
            let failed = |source| AppendError::Kafka { topic: topic.clone(), source };
            let make = || Appender::new(&kafka, KAFKA_PATIENCE).map_err(failed);
            with(&connections.appender, make, |appender| appender.append(&topic, &records))
        };
        Ok(tokio::task::spawn_blocking(append).await??)
    }

    /// Makes the connection that will be appended over, while something else is looked at.
    pub(crate) fn warm_up(&self) {
        let (connections, kafka) = self.connections();
        tokio::task::spawn_blocking(move || {
            let make = || Appender::new(&kafka, KAFKA_PATIENCE);
            let warmed = with(&connections.appender, make, |appender| {
                appender.warm_up(&kafka.topic_epochs())?;
                appender.warm_up(&kafka.topic_events())
            });
            // Whoever appends next will say so louder.
            warmed.inspect_err(|error| tracing::debug!(%error, "Kafka cannot be reached yet"))
        });
    }
}
