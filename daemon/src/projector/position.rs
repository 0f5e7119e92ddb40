//! Where each of our partitions stands: what is applied, behind which fence, and where the log ended at the last look.

use super::batch::Entry;
use flash_core::ids::Epoch;
use flash_stores::mysql::offsets::PartitionPosition;
use flash_stores::mysql::projection::Advance;
use std::collections::BTreeMap;

/// One partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Everything before this offset is applied and committed.
    pub(super) next: u64,
    /// The newest fence passed.
    pub(super) fence: Epoch,
    /// Everything that was in the partition by this time is applied.
    pub(super) applied_ms: u64,
    /// The end of the partition, as far as is known.
    pub(super) end: u64,
    /// Where the partition was last seen to end by reading it: everything before is applied.
    pub(super) read_out: u64,
}

/// All our partitions.
#[derive(Debug, Default, Clone)]
pub(super) struct Positions(BTreeMap<i32, Position>);

impl Positions {
    /// Starts from what MySQL holds.
    pub(super) fn from_rows(rows: &[PartitionPosition]) -> Self {
        let position = |row: &PartitionPosition| Position {
            next: row.next_offset,
            fence: row.fence_epoch,
            applied_ms: row.applied_ms,
            end: row.next_offset,
            read_out: 0,
        };
        Self(rows.iter().map(|row| (row.partition, position(row))).collect())
    }

    /// One partition at one of its records, behind this fence.
    pub(super) fn at(partition: i32, offset: u64, fence: Epoch) -> Self {
        let position = Position { next: offset, fence, applied_ms: 0, end: offset, read_out: 0 };
        Self(BTreeMap::from([(partition, position)]))
    }

    pub(super) fn get(&self, partition: i32) -> Option<&Position> {
        self.0.get(&partition)
    }

    pub(super) fn next_offsets(&self) -> Vec<(i32, u64)> {
        self.0.iter().map(|(partition, position)| (*partition, position.next)).collect()
    }

    /// Takes over what a commit has made true.
    pub(super) fn advance(&mut self, advances: &[Advance]) {
        for advance in advances {
            if let Some(position) = self.0.get_mut(&advance.partition) {
                position.next = advance.to;
                position.fence = position.fence.max(advance.fence_epoch);
                position.applied_ms = position.applied_ms.max(advance.applied_ms);
                position.end = position.end.max(advance.to);
            }
        }
    }

    /// Notes that these partitions had nothing left to read when everything up to `next` was.
    pub(super) fn read_out(&mut self, partitions: &[i32]) {
        for partition in partitions {
            if let Some(position) = self.0.get_mut(partition) {
                position.read_out = position.next;
            }
        }
    }

    /// Counts the records that the log skipped in `entries`. It has no holes of its own: they were deleted unread.
    pub(super) fn missing(&self, entries: &[Entry]) -> u64 {
        let mut expected: BTreeMap<i32, u64> = self.next_offsets().into_iter().collect();
        let skipped = entries.iter().map(|entry| {
            let next = expected.insert(entry.partition, entry.offset + 1).unwrap_or(entry.offset);
            entry.offset.saturating_sub(next)
        });
        skipped.sum()
    }

    /// Takes over where the log ends at least, as asked at `asked_ms`, and says for which partitions this proves that
    /// everything up to that time is applied: those that were read to an end which is not before the one named. (An
    /// end that was read is the end of a batch; an end that was named may lie inside the last batch, never before it.)
    pub(super) fn look(&mut self, ends_at_least: &[(i32, u64)], asked_ms: u64) -> Vec<Advance> {
        let mut reached = Vec::new();
        for (partition, end) in ends_at_least {
            let Some(position) = self.0.get_mut(partition) else { continue };
            position.end = (*end).max(position.next);
            if position.read_out >= *end {
                reached.push(Advance {
                    partition: *partition,
                    from: position.next,
                    to: position.next,
                    fence_epoch: position.fence,
                    applied_ms: asked_ms,
                });
            }
        }
        reached
    }

    /// Events known to be in the log and not applied yet.
    pub(super) fn lag_events(&self) -> u64 {
        self.0.values().map(|position| position.end - position.next).sum()
    }

    /// The time by which everything is applied in every partition; 0 without partitions.
    pub(super) fn applied_ms(&self) -> u64 {
        self.0.values().map(|position| position.applied_ms).min().unwrap_or(0)
    }

    /// Whether every partition has been applied up to these offsets.
    pub(super) fn reached(&self, ends: &[(i32, u64)]) -> bool {
        ends.iter().all(|(partition, end)| self.get(*partition).is_some_and(|position| position.next >= *end))
    }
}
