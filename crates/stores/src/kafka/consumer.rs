//! Reading the log. Positions come from whoever reads (the projector keeps them in MySQL), never from the group: the
//! group only says which partitions are ours.
//!
//! Promise kept: after a rebalance nothing is delivered until [`LogConsumer::read_from`] has said from where. The
//! assignment is therefore not made inside the rebalance callback, which would have to wait for MySQL, but handed to the
//! polling loop; the client keeps its membership alive meanwhile.

use super::{KafkaError, KafkaSettings};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError as RdKafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A consumer of one topic, usually `order-events`. Not shared: one thread polls it.
pub struct LogConsumer {
    consumer: BaseConsumer<Assignments>,
    topic: String,
}

/// What the log had to say.
pub enum Polled<'a> {
    /// The next record.
    Record(LogRecord<'a>),
    /// Everything that was in this partition has been delivered.
    End(i32),
    /// Nothing within the time given, or a rebalance happened.
    Nothing,
}

/// One record, borrowed from the client's buffer.
pub struct LogRecord<'a>(BorrowedMessage<'a>);

impl LogRecord<'_> {
    /// Its partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// Its place in the partition.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.0.offset().unsigned_abs()
    }

    /// When it was appended or produced, in milliseconds since 1970; 0 if the record does not say.
    #[must_use]
    pub fn timestamp_ms(&self) -> u64 {
        self.0.timestamp().to_millis().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
    }

    /// Its payload; empty if it has none.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.0.payload().unwrap_or_default()
    }
}

/// What a rebalance decided, until the polling loop fetches it.
#[derive(Default)]
struct Assignments {
    changed: Mutex<Option<Vec<i32>>>,
}

impl Assignments {
    fn set(&self, partitions: Vec<i32>) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(partitions);
    }
}

impl ClientContext for Assignments {
    /// The end of a partition is what we ask to be told; the library would log it as an error each time.
    fn error(&self, error: RdKafkaError, reason: &str) {
        if !matches!(error, RdKafkaError::Global(RDKafkaErrorCode::PartitionEOF)) {
            tracing::warn!(%error, reason, "Kafka client");
        }
    }
}

impl ConsumerContext for Assignments {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let outcome = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.set(list.elements().iter().map(TopicPartitionListElem::partition).collect());
            // An empty share needs no positions, so it is acknowledged to the group at once.
            if list.count() == 0 { consumer.assign(list) } else { Ok(()) }
        } else {
            // Revoked, lost or failed: stop reading at once; what was read but not committed is read again elsewhere.
            self.set(Vec::new());
            consumer.unassign()
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "could not follow a rebalance");
        }
    }
}

impl LogConsumer {
    /// Joins the projector group: partitions are shared with the other members and arrive through
    /// [`LogConsumer::take_assignment`].
    ///
    /// # Errors
    /// [`KafkaError`] if the client cannot be created. Brokers that are away are not an error; the client keeps trying.
    pub fn join(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        let consumer = Self::create(settings, &settings.topic_events(), &settings.group_projector())?;
        consumer.consumer.subscribe(&[&consumer.topic])?;
        Ok(consumer)
    }

    /// Reads without a group: the caller says which partitions with [`LogConsumer::read_from`].
    ///
    /// # Errors
    /// As [`LogConsumer::join`].
    pub fn standalone(settings: &KafkaSettings) -> Result<Self, KafkaError> {
        Self::standalone_on(settings, &settings.topic_events())
    }

    /// Reads any topic without a group, as [`LogConsumer::standalone`] reads the events.
    ///
    /// # Errors
    /// As [`LogConsumer::join`].
    pub fn standalone_on(settings: &KafkaSettings, topic: &str) -> Result<Self, KafkaError> {
        // The client insists on a group name; nothing is ever sent to it.
        Self::create(settings, topic, &format!("{}.standalone", settings.group_projector()))
    }

    fn create(settings: &KafkaSettings, topic: &str, group: &str) -> Result<Self, KafkaError> {
        let mut config = settings.client("projector");
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_uncommitted")
            // A member that was killed should be missed soon; the group takes over within this time.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "1000")
            .set("max.poll.interval.ms", "300000")
            // Some brokers answer an idle fetch only after this wait; short, so that a first event is not late.
            .set("fetch.wait.max.ms", "20")
            .set("fetch.error.backoff.ms", "100")
            .set("topic.metadata.refresh.interval.ms", "30000")
            // What may wait decoded in memory; a few batches are enough to keep the projector busy.
            .set("queued.max.messages.kbytes", "16384")
            .set("queued.min.messages", "20000");
        let consumer = config.create_with_context(Assignments::default())?;
        Ok(Self { consumer, topic: topic.to_owned() })
    }

    /// The topic that is read.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Waits for what comes next.
    ///
    /// # Errors
    /// [`KafkaError`]: the client recovers by itself; the caller only reports it.
    pub fn poll(&self, timeout: Duration) -> Result<Polled<'_>, KafkaError> {
        match self.consumer.poll(timeout) {
            None => Ok(Polled::Nothing),
            Some(Err(RdKafkaError::PartitionEOF(partition))) => Ok(Polled::End(partition)),
            Some(Ok(message)) => Ok(Polled::Record(LogRecord(message))),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// The partitions that are ours since the last rebalance, once. Until they are given to
    /// [`LogConsumer::read_from`], nothing is read.
    pub fn take_assignment(&self) -> Option<Vec<i32>> {
        self.consumer.context().changed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Reads these partitions from these offsets on, and no others. What was fetched before is dropped.
    ///
    /// # Errors
    /// [`KafkaError`] if the client refuses the assignment.
    pub fn read_from(&self, positions: &[(i32, u64)]) -> Result<(), KafkaError> {
        Ok(self.consumer.assign(&self.list(positions)?)?)
    }

    /// Where each partition ends at least: the offset its next record will get, or less. Some brokers (Tansu with memory
    /// storage) name the second record of the last batch instead. So whoever has read up to this offset has been sent that
    /// whole batch, and has read all of it when [`Polled::End`] comes. One request for all partitions.
    ///
    /// # Errors
    /// [`KafkaError`] if a broker does not answer in time.
    pub fn ends_at_least(&self, partitions: &[i32], timeout: Duration) -> Result<Vec<(i32, u64)>, KafkaError> {
        self.bounds(partitions, Offset::End, timeout)
    }

    /// Where each partition ends right now, exactly: reads the last batch of each. Afterwards nothing is being read until
    /// [`LogConsumer::read_from`] says so again.
    ///
    /// # Errors
    /// [`KafkaError`] if the brokers do not answer in time.
    pub fn ends(&self, partitions: &[i32], timeout: Duration) -> Result<Vec<(i32, u64)>, KafkaError> {
        let deadline = Instant::now() + timeout;
        let mut ends = self.ends_at_least(partitions, timeout)?;
        let last_batches: Vec<(i32, u64)> =
            ends.iter().filter(|(_, end)| *end > 0).map(|(partition, end)| (*partition, end - 1)).collect();
        let mut unread: Vec<i32> = last_batches.iter().map(|(partition, _)| *partition).collect();
        self.read_from(&last_batches)?;
        // One broker of several that is away is told like an error of our own, once; the others go on serving.
        let mut complaint = None;
        while !unread.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let timed_out = || RdKafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut).into();
                return Err(complaint.unwrap_or_else(timed_out));
            }
            match self.poll(left.min(Duration::from_millis(50))) {
                Ok(Polled::End(partition)) => unread.retain(|other| *other != partition),
                Ok(Polled::Record(record)) => {
                    let found = ends.iter_mut().filter(|(partition, _)| *partition == record.partition());
                    found.for_each(|(_, end)| *end = (*end).max(record.offset() + 1));
                }
                Ok(Polled::Nothing) => {}
                Err(error) if super::is_passing(&error.0) => complaint = Some(error),
                Err(error) => return Err(error),
            }
        }
        self.read_from(&[])?;
        Ok(ends)
    }

    /// Where each partition begins right now: the oldest record that is still kept.
    ///
    /// # Errors
    /// As [`LogConsumer::ends_at_least`].
    pub fn starts(&self, partitions: &[i32], timeout: Duration) -> Result<Vec<(i32, u64)>, KafkaError> {
        self.bounds(partitions, Offset::Beginning, timeout)
    }

    fn bounds(&self, partitions: &[i32], bound: Offset, timeout: Duration) -> Result<Vec<(i32, u64)>, KafkaError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            query.add_partition_offset(&self.topic, *partition, bound)?;
        }
        let answer = self.consumer.offsets_for_times(query, timeout)?;
        answer.elements().iter().map(bound_of).collect()
    }

    /// Tells the group how far we are, for tools that show lag. Nothing here ever reads it back, so nobody waits for it.
    pub fn report(&self, positions: &[(i32, u64)]) {
        let committed = self.list(positions).and_then(|list| Ok(self.consumer.commit(&list, CommitMode::Async)?));
        if let Err(error) = committed {
            tracing::debug!(%error, "could not report offsets to the group");
        }
    }

    fn list(&self, positions: &[(i32, u64)]) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (partition, offset) in positions {
            let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
            list.add_partition_offset(&self.topic, *partition, offset)?;
        }
        Ok(list)
    }
}

/// Reads one answer about a partition's bound.
fn bound_of(element: &TopicPartitionListElem<'_>) -> Result<(i32, u64), KafkaError> {
    element.error()?;
    match element.offset() {
        Offset::Offset(offset) => Ok((element.partition(), offset.unsigned_abs())),
        other => {
            let text = format!("partition {} has no readable bound: {other:?}", element.partition());
            Err(RdKafkaError::ClientCreation(text).into())
        }
    }
}
