//! Snowflake ids: 41 bits of milliseconds, 10 bits of node, 12 bits of sequence. Unique for ever as long as no two
//! daemons share a node id (they lease it in MySQL) – also when the clock steps back.

use crate::limits::NODE_IDS;
use std::sync::atomic::{AtomicU64, Ordering};

/// Millisecond zero of the 41-bit timestamp: 2024-01-01T00:00:00Z. It lasts until 2093.
pub const SNOWFLAKE_ZERO_MS: u64 = 1_704_067_200_000;
const SEQUENCE_BITS: u32 = 12;
const NODE_BITS: u32 = 10;

/// Issues ids for one node. Lock-free: one compare-and-swap per id.
#[derive(Debug)]
pub struct Snowflakes {
    node: u64,
    /// The last `milliseconds << 12 | sequence` that was handed out.
    last: AtomicU64,
}

impl Snowflakes {
    /// A generator for `node` (0–1023) whose ids are all later than `after_ms`, the last instant at which a former holder
    /// of this node id may have issued one.
    ///
    /// # Panics
    /// If `node` is not below 1024.
    #[must_use]
    pub fn new(node: u16, after_ms: u64) -> Self {
        assert!(node < NODE_IDS, "node ids have 10 bits");
        let last = (after_ms.saturating_sub(SNOWFLAKE_ZERO_MS) + 1) << SEQUENCE_BITS;
        Self { node: u64::from(node), last: AtomicU64::new(last) }
    }

    /// The next id. `now_ms` is the wall clock in milliseconds since 1970; if it stands still or steps back, or 4,096
    /// ids were issued in one millisecond, the generator runs ahead of it instead of repeating itself.
    pub fn next(&self, now_ms: u64) -> u64 {
        let clock = now_ms.saturating_sub(SNOWFLAKE_ZERO_MS) << SEQUENCE_BITS;
        let step = |last: u64| Some(clock.max(last + 1));
        let last = match self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(last) | Err(last) => last,
        };
        let ticket = clock.max(last + 1);
        let sequence = ticket & ((1 << SEQUENCE_BITS) - 1);
        (ticket >> SEQUENCE_BITS) << (SEQUENCE_BITS + NODE_BITS) | self.node << SEQUENCE_BITS | sequence
    }

    /// The latest instant any issued id carries, in milliseconds since 1970: what a lease must remember of this node.
    #[must_use]
    pub fn last_ms(&self) -> u64 {
        (self.last.load(Ordering::Relaxed) >> SEQUENCE_BITS) + SNOWFLAKE_ZERO_MS
    }

    /// The node id.
    #[must_use]
    pub fn node(&self) -> u16 {
        u16::try_from(self.node).unwrap_or(u16::MAX)
    }
}

/// The instant an id was issued, in milliseconds since 1970.
#[must_use]
pub const fn issued_at_ms(id: u64) -> u64 {
    (id >> (SEQUENCE_BITS + NODE_BITS)) + SNOWFLAKE_ZERO_MS
}

/// Length of a partition slice, as a power of two of milliseconds.
const SLICE_BITS: u32 = 6;

/// The partition that all events of an order belong to, out of `partitions` (at least one).
///
/// Every program computes it from the id alone, so the events of one order stay in order. Ids of one node that were issued
/// within the same 64 ms share a partition: what is decided together is sent together, in one large batch instead of one
/// small one per partition, while over a second the load still visits them all. Nodes start at different partitions.
#[must_use]
pub const fn partition_of(id: u64, partitions: u32) -> u32 {
    let slice = id >> (SEQUENCE_BITS + NODE_BITS + SLICE_BITS);
    let node = (id >> SEQUENCE_BITS) & (NODE_IDS as u64 - 1);
    let partition = slice.wrapping_add(node) % (if partitions == 0 { 1 } else { partitions as u64 });
    #[expect(clippy::cast_possible_truncation, reason = "a remainder of a u32")]
    {
        partition as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const NOW: u64 = SNOWFLAKE_ZERO_MS + 1_000_000;

    #[test]
    fn ids_grow_through_every_step_of_the_clock() {
        let ids = Snowflakes::new(5, 0);
        let mut last = 0;
        for now in [NOW, NOW, NOW - 60_000, NOW + 1, NOW - 1, NOW + 60_000, 0, NOW] {
            for _ in 0..5_000 {
                let id = ids.next(now);
                assert!(id > last);
                last = id;
            }
        }
        assert_eq!((last >> SEQUENCE_BITS) & 1023, 5);
        assert!(issued_at_ms(last) >= NOW + 60_000);
    }

    #[test]
    fn a_new_holder_starts_behind_the_former_one() {
        let former = Snowflakes::new(1, 0);
        let id = former.next(NOW + 500);
        let heir = Snowflakes::new(1, former.last_ms());
        assert!(heir.next(NOW) > id, "even if its clock is behind");
    }

    #[test]
    fn a_second_visits_every_partition_and_a_moment_only_one() {
        let ids = Snowflakes::new(3, 0);
        let start = NOW >> SLICE_BITS << SLICE_BITS;
        let moment: HashSet<u32> = (0..100).map(|_| partition_of(ids.next(start), 8)).collect();
        assert_eq!(moment.len(), 1);
        let second: HashSet<u32> = (0..1000).map(|ms| partition_of(ids.next(start + ms), 8)).collect();
        assert_eq!(second, (0..8).collect());
        assert_eq!(partition_of(u64::MAX, 1), 0);
    }

    #[test]
    fn threads_never_share_an_id() {
        let ids = Snowflakes::new(1023, 0);
        let all: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..20_000).map(|_| ids.next(NOW)).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 80_000);
    }
}
