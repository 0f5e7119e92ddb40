//! Reads a whole topic, also one that never rests: every record that was there when reading began, and a few that came since.
//!
//! Where a partition ends is not believed but read: some brokers (Tansu with memory storage) name the second record of the last
//! batch. So a partition is read until the client says that nothing follows, and at least to the end that was named – but no
//! further than a whole batch beyond it, because on a busy topic something always follows.

use crate::WitnessError;
use crate::log::Record;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one question to the broker may take, and how long nothing may come while something is due.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most records of one batch (librdkafka's `batch.num.messages`): so far may a named end be from the true one.
const BATCH_MAX: i64 = 10_000;

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
    let bounds = tokio::task::spawn_blocking(move || bounds_of(&consumer(&brokers)?, &topic)).await??;
    Ok(bounds.into_iter().map(|(partition, (_, end))| (partition, end)).collect())
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

/// First and next offset per partition.
fn bounds_of(consumer: &BaseConsumer, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>, WitnessError> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id());
    let bounds = |partition| Ok((partition, consumer.fetch_watermarks(topic, partition, PATIENCE)?));
    partitions.map(bounds).collect()
}

/// How far one partition has been read.
#[derive(Debug, Clone, Copy)]
struct Reading {
    next: i64,
    /// The end that was named when reading began.
    end: i64,
}

impl Reading {
    /// Whether it is read, the client having said that nothing follows or not.
    fn is_done(self, at_end: bool) -> bool {
        self.next >= self.end && (at_end || self.next >= self.end.saturating_add(BATCH_MAX))
    }
}

fn read_all(brokers: &str, topic: &str) -> Result<Vec<Record>, WitnessError> {
    let consumer = consumer(brokers)?;
    let mut list = TopicPartitionList::new();
    let mut unread: BTreeMap<i32, Reading> = BTreeMap::new();
    for (partition, (first, end)) in bounds_of(&consumer, topic)?.into_iter().filter(|(_, (_, end))| *end > 0) {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
        unread.insert(partition, Reading { next: first.max(0), end });
    }
    consumer.assign(&list)?;
    // What is done is not read on, so whatever comes brings the end nearer: only true silence uses up the patience.
    let (mut records, mut heard) = (Vec::new(), Instant::now());
    while let Some((partition, Reading { next, end })) = unread.first_key_value().map(|(id, reading)| (*id, *reading)) {
        if heard.elapsed() > PATIENCE {
            return Err(WitnessError::Silent { partition, offset: next, end });
        }
        let (partition, at_end) = match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                // Of a partition that is done something may still be under way.
                let Some(reading) = unread.get_mut(&partition) else { continue };
                reading.next = offset + 1;
                heard = Instant::now();
                records.push(Record { partition, offset, payload: message.payload().unwrap_or_default().to_vec() });
                (partition, false)
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => (partition, true),
            // A broker that was just restarted is asked again by the client; only silence counts.
            Some(Err(_)) | None => continue,
        };
        if unread.get(&partition).is_some_and(|reading| reading.is_done(at_end)) {
            unread.remove(&partition);
            let mut done = TopicPartitionList::new();
            done.add_partition(topic, partition);
            consumer.pause(&done)?;
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::{BATCH_MAX, Reading};

    #[test]
    fn a_partition_ends_where_nothing_follows_or_a_batch_after_its_named_end() {
        let reading = |next| Reading { next, end: 100 };
        assert!(!reading(99).is_done(true), "more was named than has come");
        assert!(!reading(100).is_done(false), "the named end may be too early");
        assert!(reading(100).is_done(true) && reading(105).is_done(true));
        assert!(reading(100 + BATCH_MAX).is_done(false), "a topic that never rests ends all the same");
    }
}
