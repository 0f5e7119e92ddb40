//! Reads a whole topic, from the first record to a moment at which nothing followed; not for a topic that never rests.
//!
//! Where a partition ends is not believed but read: some brokers (Tansu with memory storage) name the second record of the last
//! batch. So a partition is read until the client says that nothing follows, and at least to the end that was named.

use crate::WitnessError;
use crate::log::Record;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long one question to the broker may take, and how long nothing may come while something is due.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every record of `topic` at the brokers `HOST:PORT[,…]`; each partition's records in their order.
///
/// # Errors
/// [`WitnessError`] if the broker does not answer, or falls silent before the end.
pub async fn read(brokers: &str, topic: &str) -> Result<Vec<Record>, WitnessError> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || read_all(&brokers, &topic)).await?
}

/// Where every partition of `topic` ends at least: partition and next offset.
///
/// # Errors
/// As [`read`].
pub async fn ends(brokers: &str, topic: &str) -> Result<BTreeMap<i32, i64>, WitnessError> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || ends_of(&consumer(&brokers)?, &topic)).await?
}

fn consumer(brokers: &str) -> Result<BaseConsumer, WitnessError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "flash-witness").set("client.id", "flash-witness");
    config
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "20");
    Ok(config.create()?)
}

fn ends_of(consumer: &BaseConsumer, topic: &str) -> Result<BTreeMap<i32, i64>, WitnessError> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id());
    let end = |partition| Ok((partition, consumer.fetch_watermarks(topic, partition, PATIENCE)?.1));
    partitions.map(end).collect()
}

fn read_all(brokers: &str, topic: &str) -> Result<Vec<Record>, WitnessError> {
    let consumer = consumer(brokers)?;
    let ends = ends_of(&consumer, topic)?;
    let mut list = TopicPartitionList::new();
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for (partition, end) in ends.iter().filter(|(_, end)| **end > 0) {
        list.add_partition_offset(topic, *partition, Offset::Beginning)?;
        next.insert(*partition, 0);
        debug_assert!(*end > 0);
    }
    consumer.assign(&list)?;
    let mut unread: BTreeSet<i32> = next.keys().copied().collect();
    let (mut records, mut heard) = (Vec::new(), Instant::now());
    while let Some(partition) = unread.first().copied() {
        if heard.elapsed() > PATIENCE {
            return Err(WitnessError::Silent { partition, offset: next[&partition], end: ends[&partition] });
        }
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let (partition, offset) = (message.partition(), message.offset());
                next.insert(partition, offset + 1);
                records.push(Record { partition, offset, payload: message.payload().unwrap_or_default().to_vec() });
            }
            Some(Err(KafkaError::PartitionEOF(partition))) if next[&partition] >= ends[&partition] => {
                unread.remove(&partition);
            }
            // A broker that was just restarted is asked again by the client; only silence counts.
            Some(Err(_)) | None => {}
        }
    }
    Ok(records)
}
