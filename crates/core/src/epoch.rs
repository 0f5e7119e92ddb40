//! Stock epochs and the lease that a 200 needs (DESIGN section 5).
//!
//! An epoch is the statement "this Redis primary, with this replication id, was filled from the truth". The statements
//! stand in the topic `stock-epochs`; the highest number wins. A daemon may tell a buyer "yes" only while a complete
//! query of that topic, begun less than D ago, showed the deciding epoch open.

use crate::ids::Epoch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One record of `stock-epochs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EpochRecord {
    /// The epoch the record is about.
    pub epoch: Epoch,
    /// Whether it may be sold under.
    pub state: EpochState,
    /// Replication id of each Redis primary, by the primary's name (one primary without a cluster is called `primary`).
    #[serde(default)]
    pub replids: BTreeMap<String, String>,
    /// When the record was written, in milliseconds since 1970; for people, not for decisions.
    pub at_ms: u64,
}

/// Where an epoch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochState {
    /// Redis is being filled; nothing may be decided.
    Rebuilding,
    /// Redis is filled; decisions under this epoch count.
    Open,
}

/// Name of the only primary where there is no cluster.
pub const SINGLE_PRIMARY: &str = "primary";

/// What one reader knows about the topic, folded record by record.
#[derive(Debug, Clone, Default)]
pub struct EpochView {
    latest: Option<EpochRecord>,
    lease_start_ms: Option<u64>,
}

impl EpochView {
    /// Applies the next record. Older epochs never replace newer ones, and an epoch that is open is never "rebuilt"
    /// again under the same number: late duplicates of a coordinator's appends change nothing.
    pub fn apply(&mut self, record: EpochRecord) {
        let replaces = match &self.latest {
            None => true,
            Some(known) if record.epoch != known.epoch => record.epoch > known.epoch,
            Some(known) => known.state == EpochState::Rebuilding,
        };
        if replaces {
            self.latest = Some(record);
        }
    }

    /// Says that a query which began at `start_ms` (a clock that counts suspended time) has shown everything up to the
    /// end of the topic. Only such complete queries extend the lease.
    pub fn completed(&mut self, start_ms: u64) {
        self.lease_start_ms = Some(self.lease_start_ms.map_or(start_ms, |known| known.max(start_ms)));
    }

    /// The newest epoch, whatever its state.
    #[must_use]
    pub fn latest(&self) -> Option<&EpochRecord> {
        self.latest.as_ref()
    }

    /// The epoch to decide under, if the newest one is open.
    #[must_use]
    pub fn open(&self) -> Option<&EpochRecord> {
        self.latest.as_ref().filter(|record| record.state == EpochState::Open)
    }

    /// Start of the last complete query, on the clock it was given.
    #[must_use]
    pub fn lease_start_ms(&self) -> Option<u64> {
        self.lease_start_ms
    }
}

/// Whether a lease that began at `start_ms` is fresh at `now_ms`, both on one clock that counts suspended time.
#[must_use]
pub const fn lease_is_fresh(start_ms: u64, now_ms: u64, lease_ms: u64) -> bool {
    now_ms < start_ms.saturating_add(lease_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u64, state: EpochState, replid: &str) -> EpochRecord {
        let replids = BTreeMap::from([(SINGLE_PRIMARY.to_owned(), replid.to_owned())]);
        EpochRecord { epoch: Epoch(epoch), state, replids, at_ms: 0 }
    }

    #[test]
    fn the_highest_number_wins_and_open_is_not_undone() {
        use EpochState::{Open, Rebuilding};
        let mut view = EpochView::default();
        assert!(view.open().is_none());
        for (next, open) in [
            (record(1, Rebuilding, ""), None),
            (record(1, Open, "a"), Some(1)),
            (record(1, Rebuilding, ""), Some(1)),
            (record(3, Rebuilding, ""), None),
            (record(2, Open, "b"), None),
            (record(3, Open, "c"), Some(3)),
            (record(3, Open, "z"), Some(3)),
        ] {
            view.apply(next);
            assert_eq!(view.open().map(|record| record.epoch.0), open);
        }
        assert_eq!(view.open().unwrap().replids[SINGLE_PRIMARY], "c", "the first opening counts");
    }

    #[test]
    fn a_lease_counts_from_the_start_of_the_query() {
        let mut view = EpochView::default();
        assert_eq!(view.lease_start_ms(), None);
        view.completed(100);
        view.completed(90);
        assert_eq!(view.lease_start_ms(), Some(100));
        assert!(lease_is_fresh(100, 5_099, 5_000));
        assert!(!lease_is_fresh(100, 5_100, 5_000));
    }
}
