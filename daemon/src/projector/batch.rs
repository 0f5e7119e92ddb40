//! Gathering: records from the log, decoded, until a batch is worth a transaction.

use super::ProjectorError;
use flash_core::event::Event;
use flash_core::limits::PROJECTOR_BATCH_MAX;
use flash_stores::kafka::consumer::{LogConsumer, LogRecord, Polled};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long to wait for the first record before looking at other duties.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// A batch ends when nothing has come for this long. Under load something always comes.
const QUIET: Duration = Duration::from_millis(3);
/// A batch that is not full ends after this time: it bounds how late an order becomes visible.
const LINGER: Duration = Duration::from_millis(25);

/// One record of a batch.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) partition: i32,
    pub(super) offset: u64,
    pub(super) timestamp_ms: u64,
    /// The event, or why there is none.
    pub(super) event: Result<Event, String>,
    /// Whether the dead letters have it already.
    pub(super) parked: bool,
    payload: Range<usize>,
}

/// A batch under construction. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    /// All payloads, one after the other: wanted again only if an event turns out to be poison.
    payloads: Vec<u8>,
    /// Partitions of which nothing was left to read when the batch ended.
    pub(super) read_out: Vec<i32>,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.payloads.clear();
        self.read_out.clear();
    }

    pub(super) fn payload(&self, entry: &Entry) -> &[u8] {
        self.payloads.get(entry.payload.clone()).unwrap_or_default()
    }

    /// Adds a record by its parts.
    pub(super) fn push(&mut self, partition: i32, offset: u64, timestamp_ms: u64, payload: &[u8]) {
        let start = self.payloads.len();
        self.payloads.extend_from_slice(payload);
        let event = Event::decode(payload).map_err(|error| error.to_string());
        let payload = start..self.payloads.len();
        self.entries.push(Entry { partition, offset, timestamp_ms, event, parked: false, payload });
    }

    /// Fills the batch from the log. `wanted` says which records are ours to apply. Empty: nothing came, or a rebalance is
    /// waiting.
    pub(super) fn gather(
        &mut self,
        log: &LogConsumer,
        mut wanted: impl FnMut(&LogRecord<'_>) -> bool,
    ) -> Result<(), ProjectorError> {
        self.clear();
        let mut deadline: Option<Instant> = None;
        while self.entries.len() < PROJECTOR_BATCH_MAX {
            let wait = match deadline {
                None => FIRST_WAIT,
                Some(deadline) => QUIET.min(deadline.saturating_duration_since(Instant::now())),
            };
            match log.poll(wait)? {
                Polled::Nothing => break,
                Polled::End(partition) => self.read_out.push(partition),
                Polled::Record(record) => {
                    // More of a partition that seemed to be at its end.
                    self.read_out.retain(|other| *other != record.partition());
                    if wanted(&record) {
                        self.push(record.partition(), record.offset(), record.timestamp_ms(), record.payload());
                    }
                    deadline.get_or_insert_with(|| Instant::now() + LINGER);
                }
            }
        }
        Ok(())
    }
}
