//! How far the projection has come, partition by partition. Reading only: offsets move together with the rows they stand
//! for, in `projection`.

use super::bounded::soon;
use super::{Db, MySqlError};
use flash_core::ids::Epoch;

/// One row of `projector_offsets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionPosition {
    /// The partition.
    pub partition: i32,
    /// Everything before this offset is applied.
    pub next_offset: u64,
    /// The newest epoch whose fence has been passed.
    pub fence_epoch: Epoch,
    /// Everything that was in the partition by this wall-clock time is applied.
    pub applied_ms: u64,
}

impl PartitionPosition {
    /// Where a partition stands that nothing has been read from.
    #[must_use]
    pub const fn start(partition: i32) -> Self {
        Self { partition, next_offset: 0, fence_epoch: Epoch(0), applied_ms: 0 }
    }
}

/// Every partition of `topic` that the projector has ever been assigned, by number.
///
/// # Errors
/// [`MySqlError`].
pub async fn list(db: &Db, topic: &str) -> Result<Vec<PartitionPosition>, MySqlError> {
    let sql = "SELECT partition_id, next_offset, fence_epoch, applied_ms FROM projector_offsets \
               WHERE topic = ? ORDER BY partition_id";
    let rows: Vec<(u32, u64, u64, u64)> = soon(sqlx::query_as(sql).bind(topic).fetch_all(db.pool())).await?;
    rows.into_iter()
        .map(|(partition, next_offset, fence_epoch, applied_ms)| {
            let partition =
                i32::try_from(partition).map_err(|_| MySqlError::Foreign(format!("partition {partition}")))?;
            Ok(PartitionPosition { partition, next_offset, fence_epoch: Epoch(fence_epoch), applied_ms })
        })
        .collect()
}

/// Reads the positions of `partitions`, creating the rows that do not exist yet: a compare-and-set needs a row to hit.
///
/// # Errors
/// [`MySqlError`].
pub async fn open(db: &Db, topic: &str, partitions: &[i32]) -> Result<Vec<PartitionPosition>, MySqlError> {
    let mut known = list(db, topic).await?;
    let missing: Vec<i32> =
        partitions.iter().copied().filter(|partition| known.iter().all(|row| row.partition != *partition)).collect();
    for partition in &missing {
        // Two projectors may come here at once; the row of the first one is as good as ours.
        let sql = "INSERT INTO projector_offsets (topic, partition_id, next_offset, fence_epoch, applied_ms) \
                   VALUES (?, ?, 0, 0, 0) ON DUPLICATE KEY UPDATE topic = topic";
        soon(sqlx::query(sql).bind(topic).bind(partition).execute(db.pool())).await?;
    }
    if !missing.is_empty() {
        known = list(db, topic).await?;
    }
    known.retain(|row| partitions.contains(&row.partition));
    Ok(known)
}

/// The time by which everything in every partition of `topic` is applied: the oldest `applied_ms`. `None` while fewer
/// than `partitions` partitions have been opened.
///
/// # Errors
/// [`MySqlError`].
pub async fn applied_ms(db: &Db, topic: &str, partitions: usize) -> Result<Option<u64>, MySqlError> {
    let rows = list(db, topic).await?;
    Ok(if rows.len() < partitions { None } else { rows.iter().map(|row| row.applied_ms).min() })
}
