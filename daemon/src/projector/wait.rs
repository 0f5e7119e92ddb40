//! Waiting for the projection to reach a point, wherever the projectors run: MySQL is asked, not they.

use flash_core::ids::Epoch;
use flash_stores::mysql::offsets::{self, PartitionPosition};
use flash_stores::mysql::{Db, MySqlError};
use std::time::Duration;
use tokio::time::Instant;

/// How often MySQL is asked.
const INTERVAL: Duration = Duration::from_millis(25);

/// Why waiting ended without the point being reached.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The database refused the question. (Outages are waited out.)
    #[error(transparent)]
    MySql(#[from] MySqlError),
    /// Time ran out. Is a worker running?
    #[error("the projection did not get there within {} s: {waiting}", .within.as_secs())]
    Timeout {
        /// How long was waited.
        within: Duration,
        /// What is still missing.
        waiting: String,
    },
}

/// Waits until the fence of `epoch` or of a newer one has been applied in all partitions `0..partitions` of `topic`.
///
/// # Errors
/// [`WaitError`].
pub async fn wait_for_fence(
    db: &Db,
    topic: &str,
    partitions: i32,
    epoch: Epoch,
    within: Duration,
) -> Result<(), WaitError> {
    let passed = |row: &PartitionPosition| row.fence_epoch >= epoch;
    let all: Vec<i32> = (0..partitions).collect();
    wait(db, topic, within, |rows| missing(&all, rows, |_, row| passed(row), &format!("fence {epoch}"))).await
}

/// Waits until everything before these offsets has been applied.
///
/// # Errors
/// [`WaitError`].
pub async fn wait_for_offsets(db: &Db, topic: &str, ends: &[(i32, u64)], within: Duration) -> Result<(), WaitError> {
    let partitions: Vec<i32> = ends.iter().filter(|(_, end)| *end > 0).map(|(partition, _)| *partition).collect();
    let end = |partition: i32| ends.iter().find(|(other, _)| *other == partition).map_or(0, |(_, end)| *end);
    let passed = |partition: i32, row: &PartitionPosition| row.next_offset >= end(partition);
    wait(db, topic, within, |rows| missing(&partitions, rows, passed, "the log's end")).await
}

/// Names the partitions that have not passed yet; `None` when all have.
fn missing(
    partitions: &[i32],
    rows: &[PartitionPosition],
    passed: impl Fn(i32, &PartitionPosition) -> bool,
    what: &str,
) -> Option<String> {
    let behind = |partition: &&i32| !rows.iter().any(|row| row.partition == **partition && passed(**partition, row));
    let behind: Vec<String> = partitions.iter().filter(behind).map(i32::to_string).collect();
    (!behind.is_empty()).then(|| format!("{what} is not applied in partition {}", behind.join(", ")))
}

async fn wait(
    db: &Db,
    topic: &str,
    within: Duration,
    missing: impl Fn(&[PartitionPosition]) -> Option<String>,
) -> Result<(), WaitError> {
    let deadline = Instant::now() + within;
    loop {
        let waiting = match offsets::list(db, topic).await {
            Ok(rows) => missing(&rows),
            Err(error) if error.is_outage() => Some(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        let Some(waiting) = waiting else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(WaitError::Timeout { within, waiting });
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
