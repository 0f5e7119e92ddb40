//! The control topic `stock-epochs`: appending epoch records, and reading all of them to the end.
//!
//! A read is *complete* when everything up to the end offset, asked for after the read began, has been applied. Only a
//! complete read extends a daemon's lease (DESIGN section 5), so a broker that cannot be reached can never keep one alive.

use super::append::AppendError;
use super::{KafkaSettings, is_passing};
use flash_core::epoch::{EpochRecord, EpochView};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// For how long a broker may not have heard of a topic that was just made, and how soon it is asked again.
const UNHEARD_OF: Duration = Duration::from_secs(3);
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Why the control topic could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EpochTopicError {
    /// The broker.
    #[error("stock-epochs: {0}")]
    Kafka(#[from] KafkaError),
    /// The end was not reached in time.
    #[error("stock-epochs: the end was not reached in {0:?}")]
    Slow(Duration),
    /// A record is not an epoch record. Nobody may sell past something they do not understand.
    #[error("stock-epochs: record at offset {offset} is not an epoch record: {error}")]
    Malformed {
        /// Its offset.
        offset: i64,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The record could not be delivered.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Reads the topic from its beginning and keeps up with it. Every call blocks; it lives on a thread of its own.
pub struct EpochReader {
    consumer: BaseConsumer,
    topic: String,
    next_offset: i64,
    view: EpochView,
}

impl EpochReader {
    /// A reader that has seen nothing yet.
    ///
    /// # Errors
    /// If the library refuses the settings.
    pub fn new(kafka: &KafkaSettings) -> Result<Self, EpochTopicError> {
        let topic = kafka.topic_epochs();
        let consumer: BaseConsumer = kafka
            .client("epochs")
            .set("group.id", "flash-epochs-unused")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50")
            .create()?;
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(&topic, 0, Offset::Beginning)?;
        consumer.assign(&partitions)?;
        Ok(Self { consumer, topic, next_offset: 0, view: EpochView::default() })
    }

    /// What is known so far.
    #[must_use]
    pub fn view(&self) -> &EpochView {
        &self.view
    }

    /// Reads to the end of the topic. `start_ms` is the time at which the caller began, on the clock its lease is
    /// measured with; only a complete read counts from it.
    ///
    /// # Errors
    /// [`EpochTopicError`]; the view then keeps what it had and the lease is not extended.
    pub fn read_to_end(&mut self, start_ms: u64, patience: Duration) -> Result<(), EpochTopicError> {
        let deadline = Instant::now() + patience;
        let (begin, end) = self.ends(deadline)?;
        self.next_offset = self.next_offset.max(begin);
        // One broker of several that is away is told like an error of our own, once; the others go on serving.
        let mut complaint = None;
        while self.next_offset < end {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(complaint.map_or(EpochTopicError::Slow(patience), Into::into));
            }
            match self.consumer.poll(left) {
                None => {}
                Some(Err(error)) if is_passing(&error) => complaint = Some(error),
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(message)) => {
                    let offset = message.offset();
                    let payload = message.payload().unwrap_or_default();
                    let record: EpochRecord = serde_json::from_slice(payload)
                        .map_err(|error| EpochTopicError::Malformed { offset, error })?;
                    self.view.apply(record);
                    self.next_offset = offset + 1;
                }
            }
        }
        self.view.completed(start_ms);
        Ok(())
    }

    /// First and next offset. Of several brokers, one may not have heard of a topic that was just made, or of its leader.
    fn ends(&self, deadline: Instant) -> Result<(i64, i64), EpochTopicError> {
        let heard_by = deadline.min(Instant::now() + UNHEARD_OF);
        loop {
            let now = Instant::now();
            match self.consumer.fetch_watermarks(&self.topic, 0, deadline.saturating_duration_since(now)) {
                Err(error) if is_unheard_of(&error) && now + ASK_AGAIN < heard_by => std::thread::sleep(ASK_AGAIN),
                told => return Ok(told?),
            }
        }
    }
}

/// Whether the broker that was asked does not know the partition, or not who leads it.
fn is_unheard_of(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::LeaderNotAvailable
        )
    )
}

/// The record of the topic that an epoch record becomes. Its key is the epoch and its state, so that compaction keeps every
/// epoch's last word. It may be appended twice, and late: epoch numbers are unique, so that is harmless.
///
/// # Errors
/// Only if the serializer itself fails.
pub fn epoch_record(record: &EpochRecord) -> Result<(i32, String, Vec<u8>), EpochTopicError> {
    let payload = serde_json::to_vec(record).map_err(|error| EpochTopicError::Malformed { offset: -1, error })?;
    Ok((0, format!("{}:{:?}", record.epoch, record.state), payload))
}

#[cfg(test)]
mod tests {
    use super::is_unheard_of;
    use rdkafka::error::KafkaError;
    use rdkafka::types::RDKafkaErrorCode;

    #[test]
    fn a_topic_that_was_just_made_is_asked_for_again_and_nothing_else_is() {
        // What a broker of three said to `flashctl setup` right after the topic was made elsewhere.
        assert!(is_unheard_of(&KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownPartition)));
        for code in
            [RDKafkaErrorCode::OperationTimedOut, RDKafkaErrorCode::AllBrokersDown, RDKafkaErrorCode::Authentication]
        {
            assert!(!is_unheard_of(&KafkaError::MetadataFetch(code)), "{code}");
        }
    }
}
