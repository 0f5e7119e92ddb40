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

/// Appends `(partition, key, payload)` records and waits until all in-sync replicas have all of them. Blocks.
///
/// # Errors
/// [`AppendError`]: some records may be in the log, now or later.
pub fn append(
    kafka: &KafkaSettings,
    topic: &str,
    records: &[(i32, String, Vec<u8>)],
    patience: Duration,
) -> Result<(), AppendError> {
    let failed = |source| AppendError::Kafka { topic: topic.to_owned(), source };
    let producer: BaseProducer<Counting> = kafka
        .client("append")
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", patience.as_millis().to_string())
        .create_with_context(Counting::default())
        .map_err(failed)?;
    for (partition, key, payload) in records {
        let record = BaseRecord::to(topic).partition(*partition).key(key).payload(payload);
        producer.send(record).map_err(|(error, _)| failed(error))?;
    }
    // The message time-out ends first, so a flush that fails means a library in trouble.
    producer.flush(patience + Duration::from_secs(2)).map_err(failed)?;
    let acknowledged = producer.context().acknowledged.load(Ordering::Relaxed);
    if acknowledged == records.len() {
        Ok(())
    } else {
        Err(AppendError::NotAcknowledged { topic: topic.to_owned(), acknowledged, sent: records.len() })
    }
}
