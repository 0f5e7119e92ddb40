//! One record of the log, applied after its offset was passed: the replay of a dead letter.
//!
//! The record is judged where it stands – by the fence before it, not by those that have followed – and goes through the
//! same fold and the same statements as in its own time. What it finds in MySQL is the present: an order that has ended
//! meanwhile stays as it is. The caller holds the partition and decides about the transaction.

use super::batch::Batch;
use super::fold::Fold;
use super::position::Positions;
use flash_core::event::Body;
use flash_core::ids::Epoch;
use flash_stores::kafka::dead_letter::DeadLetter;
use flash_stores::mysql::MySqlError;
use flash_stores::mysql::projection::ProjectionTx;

/// A parked record that can be read.
#[derive(Debug)]
pub(crate) struct LateRecord {
    batch: Batch,
    positions: Positions,
    topic: String,
    /// The epoch under which it moved stock; none if it moved none.
    stock_epoch: Option<Epoch>,
}

/// What applying it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Its rows are in MySQL.
    Applied,
    /// It stood behind a newer fence: recorded, not counted.
    Void,
}

impl LateRecord {
    /// Reads a letter's payload again.
    ///
    /// # Errors
    /// Why it still is no event, or none that can be applied late.
    pub(crate) fn read(letter: &DeadLetter) -> Result<Self, String> {
        let payload = letter.payload().ok_or("the letter carries no payload that can be read")?;
        let mut batch = Batch::default();
        batch.push(letter.partition, letter.offset, letter.timestamp_ms, &payload);
        let entry = batch.entries.first().ok_or("the letter is empty")?;
        let event = entry.event.as_ref().map_err(Clone::clone)?;
        if matches!(event.body, Body::Fence) {
            let text = "a fence cannot be applied late: what stands behind it was not void when it was passed";
            return Err(text.to_owned());
        }
        let stock_epoch = matches!(event.body, Body::Order { .. }).then_some(event.epoch);
        let positions = Positions::at(letter.partition, letter.offset, letter.fence_epoch);
        Ok(Self { batch, positions, topic: letter.topic.clone(), stock_epoch })
    }

    /// Whether a Redis that was filled when this fence was passed does not know of it.
    pub(crate) fn is_missed_by(&self, fence: Epoch) -> bool {
        self.stock_epoch.is_some_and(|epoch| fence > epoch)
    }

    /// Writes its rows into a transaction that holds its partition.
    pub(crate) async fn write(&self, tx: &mut ProjectionTx) -> Result<Effect, MySqlError> {
        let fold = Fold::new(&self.batch.entries, &self.positions);
        let effect = if fold.voided() > 0 { Effect::Void } else { Effect::Applied };
        let states = tx.states(&fold.orders_to_look_up()).await?;
        tx.write(&self.topic, &fold.rows(&states)).await?;
        Ok(effect)
    }
}
