//! Counting what is asked of Redis: wait-free, in handles that exist from the start.
//!
//! Owns the names of the operations. Counts every round trip of the gate, the reserving ones of buyers included, and never
//! decides anything. What was never sent is no round trip.

use super::StockError;
use flash_core::stats::{OperationStats, Timings};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What is asked in one round trip. Named after the scripts, and after what the others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Reserve,
    Snapshot,
    Configure,
    Close,
    Load,
    Confirm,
    Claim,
    Release,
    Capacity,
    Payment,
    Audit,
    /// Claims of idempotency keys, before a batch.
    ClaimKeys,
    /// Plain writes of what is decided already: claims that are kept, fates of payments.
    Write,
    /// Plain reads.
    Read,
}

/// The operations and their names, in the order of the enum.
const OPERATIONS: [(Operation, &str); 14] = [
    (Operation::Reserve, "reserve"),
    (Operation::Snapshot, "snapshot"),
    (Operation::Configure, "configure"),
    (Operation::Close, "close"),
    (Operation::Load, "load"),
    (Operation::Confirm, "confirm"),
    (Operation::Claim, "claim"),
    (Operation::Release, "release"),
    (Operation::Capacity, "capacity"),
    (Operation::Payment, "payment"),
    (Operation::Audit, "audit"),
    (Operation::ClaimKeys, "claim_keys"),
    (Operation::Write, "write"),
    (Operation::Read, "read"),
];

#[derive(Debug, Default)]
struct Counted {
    took: Timings,
    errors: AtomicU64,
}

/// The counters of one gate.
#[derive(Debug, Default)]
pub(super) struct Meters {
    operations: [Counted; OPERATIONS.len()],
    breaker_opened: AtomicU64,
}

impl Meters {
    /// Counts one round trip, unless nothing was sent.
    pub(super) fn count<T>(&self, operation: Operation, began: Instant, result: &Result<T, StockError>) {
        let counted = &self.operations[operation as usize];
        match result {
            Ok(_) => counted.took.observe(began.elapsed()),
            Err(StockError::NotSent(_)) => {}
            // An answer all the same.
            Err(StockError::Fenced(_)) => counted.took.observe(began.elapsed()),
            Err(StockError::Refused(_) | StockError::Unknown(_)) => {
                counted.errors.fetch_add(1, Relaxed);
            }
        }
    }

    /// Counts that a connection was given up.
    pub(super) fn breaker_opens(&self) {
        self.breaker_opened.fetch_add(1, Relaxed);
    }

    pub(super) fn breaker_opened(&self) -> u64 {
        self.breaker_opened.load(Relaxed)
    }

    /// Everything, zeros included.
    pub(super) fn operations(&self) -> BTreeMap<String, OperationStats> {
        let read =
            |counted: &Counted| OperationStats { took: counted.took.read(), errors: counted.errors.load(Relaxed) };
        OPERATIONS
            .iter()
            .map(|(operation, name)| ((*name).to_owned(), read(&self.operations[*operation as usize])))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_own_counters() {
        for (place, (operation, name)) in OPERATIONS.iter().enumerate() {
            assert_eq!(*operation as usize, place, "{name}");
        }
        let meters = Meters::default();
        let now = Instant::now();
        meters.count(Operation::Claim, now, &Ok(()));
        meters.count(Operation::Claim, now, &Err::<(), _>(StockError::Fenced(String::new())));
        meters.count(Operation::Claim, now, &Err::<(), _>(StockError::Unknown(String::new())));
        meters.count(Operation::Claim, now, &Err::<(), _>(StockError::NotSent(String::new())));
        let read = meters.operations();
        assert_eq!((read["claim"].took.count(), read["claim"].errors), (2, 1));
        assert_eq!((read["reserve"].took.count(), read["reserve"].errors), (0, 0));
    }
}
