//! Looking into the log at certain places, or through a stretch of one partition, for whoever explains a ticket.
//!
//! Reads without a group and commits nothing. Every call blocks, and ends after its patience.

use super::consumer::{LogConsumer, Polled};
use super::{KafkaError, KafkaSettings};
use flash_core::epoch::EpochRecord;
use rdkafka::error::KafkaError as RdKafkaError;
use rdkafka::types::RDKafkaErrorCode;
use std::time::{Duration, Instant};

/// A stretch this short is read through rather than divided once more.
const NARROW_ENOUGH: u64 = 2_000;

/// A record, copied out of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// Its partition.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: u64,
    /// When it was appended or produced, in milliseconds since 1970; 0 if the record does not say.
    pub timestamp_ms: u64,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// What a scan came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The records that were wanted, in log order.
    pub found: Vec<FoundRecord>,
    /// The first offset that was looked at.
    pub from: u64,
    /// The offset behind the last one that was looked at.
    pub to: u64,
    /// Whether the stretch ended before the bound on records did.
    pub complete: bool,
}

/// Looks into one topic.
pub struct LogLens {
    log: LogConsumer,
    patience: Duration,
}

impl LogLens {
    /// Looks into `topic`; each call may take `patience`.
    ///
    /// # Errors
    /// [`KafkaError`] if the client cannot be created.
    pub fn new(kafka: &KafkaSettings, topic: &str, patience: Duration) -> Result<Self, KafkaError> {
        Ok(Self { log: LogConsumer::standalone_on(kafka, topic)?, patience })
    }

    /// Where a partition begins and ends right now.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn bounds(&self, partition: i32) -> Result<(u64, u64), KafkaError> {
        let first = |bounds: Vec<(i32, u64)>| bounds.first().map_or(0, |(_, offset)| *offset);
        let start = first(self.log.starts(&[partition], self.patience)?);
        Ok((start, first(self.log.ends(&[partition], self.patience)?).max(start)))
    }

    /// The record at one place; `None` if the log does not have it (any more).
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn at(&self, partition: i32, offset: u64) -> Result<Option<FoundRecord>, KafkaError> {
        Ok(self.first_from(partition, offset)?.filter(|record| record.offset == offset))
    }

    /// About where the records of `since_ms` begin: nothing from then on stands before it, if producers' clocks agree.
    /// Found by halving rather than by asking: not every broker keeps an index of times.
    ///
    /// # Errors
    /// [`KafkaError`].
    pub fn about(&self, partition: i32, since_ms: u64, bounds: (u64, u64)) -> Result<u64, KafkaError> {
        let (mut low, mut high) = bounds;
        while high.saturating_sub(low) > NARROW_ENOUGH {
            let middle = low + (high - low) / 2;
            match self.first_from(partition, middle)? {
                Some(record) if record.timestamp_ms < since_ms => low = middle,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Reads a partition from `from` up to `to`, at most `most` records, and keeps what `wanted` picks. `progress` hears
    /// of every thousandth record: done, of how many.
    ///
    /// # Errors
    /// [`KafkaError`] if nothing comes for as long as the patience lasts.
    pub fn scan(
        &self,
        partition: i32,
        (from, to): (u64, u64),
        most: u64,
        wanted: impl Fn(&[u8]) -> bool,
        progress: impl Fn(u64, u64),
    ) -> Result<Scanned, KafkaError> {
        let last = to.min(from.saturating_add(most));
        let mut scanned = Scanned { from, to: from, complete: last == to, ..Scanned::default() };
        if from >= last {
            return Ok(scanned);
        }
        self.log.read_from(&[(partition, from)])?;
        let mut heard = Instant::now();
        while scanned.to < last {
            match self.log.poll(Duration::from_millis(100)) {
                Ok(Polled::Record(record)) => {
                    heard = Instant::now();
                    if record.offset() < last && wanted(record.payload()) {
                        scanned.found.push(FoundRecord {
                            partition,
                            offset: record.offset(),
                            timestamp_ms: record.timestamp_ms(),
                            payload: record.payload().to_vec(),
                        });
                    }
                    scanned.to = (record.offset() + 1).min(last);
                    if scanned.to.is_multiple_of(1_000) {
                        progress(scanned.to - from, last - from);
                    }
                }
                Ok(Polled::End(_)) => scanned.to = last,
                Ok(Polled::Nothing) | Err(_) if heard.elapsed() < self.patience => {}
                Ok(Polled::Nothing) => return Err(timed_out()),
                Err(error) => return Err(error),
            }
        }
        self.log.read_from(&[])?;
        Ok(scanned)
    }

    fn first_from(&self, partition: i32, offset: u64) -> Result<Option<FoundRecord>, KafkaError> {
        let deadline = Instant::now() + self.patience;
        self.log.read_from(&[(partition, offset)])?;
        let mut found = None;
        while Instant::now() < deadline {
            match self.log.poll(Duration::from_millis(50))? {
                Polled::Record(record) => {
                    found = Some(FoundRecord {
                        partition,
                        offset: record.offset(),
                        timestamp_ms: record.timestamp_ms(),
                        payload: record.payload().to_vec(),
                    });
                    break;
                }
                Polled::End(_) => break,
                Polled::Nothing if deadline.saturating_duration_since(Instant::now()).is_zero() => {
                    return Err(timed_out());
                }
                Polled::Nothing => {}
            }
        }
        self.log.read_from(&[])?;
        Ok(found)
    }
}

/// Every record of the control topic with its offset, and how many records there are that are no epoch records.
///
/// # Errors
/// [`KafkaError`].
pub fn epoch_history(kafka: &KafkaSettings, patience: Duration) -> Result<(Vec<(u64, EpochRecord)>, u64), KafkaError> {
    let lens = LogLens::new(kafka, &kafka.topic_epochs(), patience)?;
    let bounds = lens.bounds(0)?;
    let scanned = lens.scan(0, bounds, u64::MAX, |_| true, |_, _| {})?;
    let (mut records, mut unreadable) = (Vec::with_capacity(scanned.found.len()), 0);
    for record in scanned.found {
        match serde_json::from_slice(&record.payload) {
            Ok(epoch) => records.push((record.offset, epoch)),
            Err(_) => unreadable += 1,
        }
    }
    Ok((records, unreadable))
}

fn timed_out() -> KafkaError {
    RdKafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut).into()
}
