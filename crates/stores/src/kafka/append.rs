//! Appending a few records slowly and surely: fences, epoch records. Not for the purchase path.

use super::KafkaSettings;
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Why records are not known to be in the log. They may still appear there.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The library or the broker.
    #[error("append to {topic}: {source}")]
    Kafka {
        /// Which topic.
        topic: String,
        /// What it said.
        source: KafkaError,
    },
    /// Not every record was acknowledged.
    #[error("append to {topic}: {acknowledged} of {sent} records were acknowledged")]
    NotAcknowledged {
        /// Which topic.
        topic: String,
        /// Records with an acknowledgement.
        acknowledged: usize,
        /// Records sent.
        sent: usize,
    },
}

#[derive(Default)]
struct Counting {
    acknowledged: AtomicUsize,
}

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, record)) => tracing::warn!(%error, topic = record.topic(), "record not acknowledged"),
        }
    }
}

/// A producer for whoever appends several times: the first record of a new one waits for most of a second until the broker
/// has introduced itself. After an error it is of no more use.
pub struct Appender {
    producer: BaseProducer<Counting>,
    patience: Duration,
}

impl Appender {
    /// A producer whose records may wait for their acknowledgement for `patience`.
    ///
    /// # Errors
    /// If the library refuses the settings.
    pub fn new(kafka: &KafkaSettings, patience: Duration) -> Result<Self, KafkaError> {
        let producer = kafka
            .client("append")
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", patience.as_millis().to_string())
            .create_with_context(Counting::default())?;
        Ok(Self { producer, patience })
    }

    /// Gets to know the broker, so that the first record need not wait for that. Blocks.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn warm_up(&self, topic: &str) -> Result<(), KafkaError> {
        self.producer.client().fetch_metadata(Some(topic), self.patience).map(drop)
    }

    /// Appends `(partition, key, payload)` records and waits until all in-sync replicas have all of them. Blocks.
    ///
    /// # Errors
    /// [`AppendError`]: some records may be in the log, now or later.
    pub fn append(&mut self, topic: &str, records: &[(i32, String, Vec<u8>)]) -> Result<(), AppendError> {
        let failed = |source| AppendError::Kafka { topic: topic.to_owned(), source };
        let acknowledged = || self.producer.context().acknowledged.load(Ordering::Relaxed);
        let before = acknowledged();
        for (partition, key, payload) in records {
            let record = BaseRecord::to(topic).partition(*partition).key(key).payload(payload);
            self.producer.send(record).map_err(|(error, _)| failed(error))?;
        }
        // The message time-out ends first, so a flush that fails means a library in trouble.
        self.producer.flush(self.patience + Duration::from_secs(2)).map_err(failed)?;
        let acknowledged = acknowledged() - before;
        if acknowledged == records.len() {
            Ok(())
        } else {
            Err(AppendError::NotAcknowledged { topic: topic.to_owned(), acknowledged, sent: records.len() })
        }
    }
}

/// [`Appender::append`] for whoever appends once.
///
/// # Errors
/// [`AppendError`]: some records may be in the log, now or later.
pub fn append(
    kafka: &KafkaSettings,
    topic: &str,
    records: &[(i32, String, Vec<u8>)],
    patience: Duration,
) -> Result<(), AppendError> {
    let appender = Appender::new(kafka, patience);
    appender.map_err(|source| AppendError::Kafka { topic: topic.to_owned(), source })?.append(topic, records)
}
