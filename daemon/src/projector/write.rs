//! Writing a batch: one transaction if all is well; halves, quarters, … down to the one event that the database refuses.

use super::batch::{Batch, Entry};
use super::fold::Fold;
use super::position::Positions;
use super::status::Status;
use super::{ProjectorError, now_ms};
use crate::crash;
use flash_core::event::Body;
use flash_core::ids::Epoch;
use flash_stores::kafka::dead_letter::{DEAD_LETTER_VERSION, DeadLetter, DeadLetters};
use flash_stores::mysql::projection::{Advance, ProjectionTx};
use flash_stores::mysql::{Db, MySqlError};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A database that says nothing for this long is treated as gone. Longer than any lock wait it may report itself.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What writing needs.
pub(super) struct Writer {
    db: Db,
    topic: String,
    dead_letters: DeadLetters,
    status: Arc<Status>,
}

impl Writer {
    pub(super) fn new(db: Db, topic: &str, dead_letters: DeadLetters, status: Arc<Status>) -> Self {
        Self { db, topic: topic.to_owned(), dead_letters, status }
    }

    /// Writes a whole batch, moving `positions` with every commit. After an error the positions are not to be trusted:
    /// the commit may have happened. Read them afresh.
    pub(super) async fn apply(&mut self, batch: &mut Batch, positions: &mut Positions) -> Result<(), ProjectorError> {
        // Parts still to write; the last one is next, so a split pushes its right half first and log order is kept.
        crash::point("project.gathered");
        let mut parts: Vec<Range<usize>> = Vec::new();
        parts.push(0..batch.entries.len());
        while let Some(part) = parts.pop() {
            self.park_poison(batch, part.clone(), positions)?;
            let entries = batch.entries.get(part.clone()).unwrap_or_default();
            let error = match self.commit(entries, positions).await {
                Ok(()) => continue,
                Err(ProjectorError::MySql(MySqlError::Data(error))) => error.to_string(),
                Err(error) => return Err(error),
            };
            crash::point("project.refused");
            if part.len() > 1 {
                let middle = part.start + part.len() / 2;
                parts.extend([middle..part.end, part.start..middle]);
                continue;
            }
            let Some(entry) = batch.entries.get_mut(part.start) else { continue };
            if entry.event.is_err() {
                // The event is parked and yet its offset cannot be passed: nothing of this is the event's fault.
                return Err(ProjectorError::Offset(error));
            }
            entry.event = Err(error);
            parts.push(part);
        }
        Ok(())
    }

    /// Writes that everything up to some time is applied in these partitions.
    pub(super) async fn mark_applied(&self, reached: &[Advance]) -> Result<(), ProjectorError> {
        in_time(async { ProjectionTx::begin(&self.db, &self.topic, reached).await?.commit().await }).await
    }

    async fn commit(&self, entries: &[Entry], positions: &mut Positions) -> Result<(), ProjectorError> {
        let fold = Fold::new(entries, positions);
        let (advances, voided, by_state) = (fold.advances.clone(), fold.voided(), fold.events_by_state());
        let began = Instant::now();
        crash::point("project.folded");
        let committed = in_time(async {
            let mut tx = ProjectionTx::begin(&self.db, &self.topic, &advances).await?;
            crash::point("project.begun");
            let states = tx.states(&fold.orders_to_look_up()).await?;
            tx.write(&self.topic, &fold.rows(&states)).await?;
            crash::point("project.written");
            tx.commit().await
        });
        committed.await.inspect_err(|_| {
            self.status.apply_errors.fetch_add(1, Relaxed);
        })?;
        self.status.apply.observe(began.elapsed());
        crash::point("project.committed");
        positions.advance(&advances);
        self.status.events.fetch_add(entries.len() as u64, Relaxed);
        for (count, more) in self.status.applied.iter().zip(by_state) {
            count.fetch_add(more, Relaxed);
        }
        self.status.batches.fetch_add(1, Relaxed);
        self.status.voided.fetch_add(voided as u64, Relaxed);
        Ok(())
    }

    /// Parks what cannot be applied before its offset is passed. `positions` stand at the beginning of the part.
    fn park_poison(
        &mut self,
        batch: &mut Batch,
        part: Range<usize>,
        positions: &Positions,
    ) -> Result<(), ProjectorError> {
        for index in part.clone() {
            let Some(entry) = batch.entries.get(index) else { continue };
            let Err(error) = &entry.event else { continue };
            if entry.parked {
                continue;
            }
            tracing::error!(partition = entry.partition, offset = entry.offset, %error, "event parked in the dead letters");
            let letter = DeadLetter {
                v: DEAD_LETTER_VERSION,
                topic: self.topic.clone(),
                partition: entry.partition,
                offset: entry.offset,
                timestamp_ms: entry.timestamp_ms,
                parked_at_ms: now_ms(),
                fence_epoch: fence_before(batch.entries.get(part.start..index).unwrap_or_default(), entry, positions),
                error: error.clone(),
                payload_text: None,
                payload_hex: None,
            };
            crash::point("park.decided");
            self.dead_letters.park(&letter.with_payload(batch.payload(entry)))?;
            crash::point("park.parked");
            self.status.dead_letters.fetch_add(1, Relaxed);
            if let Some(entry) = batch.entries.get_mut(index) {
                entry.parked = true;
            }
        }
        Ok(())
    }
}

/// The newest fence that stands before `entry`: the one that was passed, or one among the entries since.
fn fence_before(since: &[Entry], entry: &Entry, positions: &Positions) -> Epoch {
    let passed = positions.get(entry.partition).map_or(Epoch(0), |position| position.fence);
    let events =
        since.iter().filter(|other| other.partition == entry.partition).filter_map(|it| it.event.as_ref().ok());
    let fences = events.filter(|event| matches!(event.body, Body::Fence)).map(|event| event.epoch);
    fences.fold(passed, Epoch::max)
}

/// Gives up on a database that does not answer.
pub(crate) async fn in_time<T>(work: impl Future<Output = Result<T, MySqlError>>) -> Result<T, ProjectorError> {
    match tokio::time::timeout(STALL_TIMEOUT, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(ProjectorError::Stalled),
    }
}
