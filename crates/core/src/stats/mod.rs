//! The `/stats` document of one daemon: what `flashctl top` draws and a recording keeps.
//!
//! Plain data, the same types for the daemon that writes it and the terminal that reads it. A reader takes what it knows and
//! fills the rest with defaults, so a newer daemon can be watched by an older terminal; [`VERSION`] grows when a field
//! changes its meaning or goes away. Counters only grow and start at zero with the process; rates are the reader's business.
//! Times are milliseconds, moments are milliseconds since 1970 by the daemon's clock unless said otherwise.

mod api;
mod event;
mod histogram;
mod stores;
mod timings;
mod worker;

pub use api::{Api, Connections, EpochView, Lanes, Latency, OutcomeCount, Settling, SkuState, SkuStats, Stops};
pub use event::{Happening, HappeningKind, Severity};
pub use histogram::{BUCKETS, Histogram, bucket_of, highest_up_to_us, highest_us};
pub use stores::{Breaker, KafkaStats, MySqlStats, OperationStats, RedisNode, RedisStats, Stores};
pub use timings::{Counter, Timings};
pub use worker::{Audit, AuditFinding, Projector, RebuildView, Sweeper, Worker};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the document.
pub const VERSION: u32 = 2;

/// Everything one daemon tells about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Stats {
    /// [`VERSION`].
    pub version: u32,
    /// Version of the program.
    pub build: String,
    /// `all`, `api` or `worker`.
    pub role: String,
    /// A name that no other process ever has.
    pub instance: String,
    /// Its node id, once it has leased one.
    pub node: Option<u16>,
    /// When the document was made.
    pub at_ms: u64,
    /// For how long the process has been running.
    pub uptime_ms: u64,
    /// Whether every readiness latch is dropped.
    pub ready: bool,
    /// Why it is not ready: latch → reason.
    pub unready: BTreeMap<String, String>,
    /// It takes no purchases any more; orders are still settled.
    pub draining: bool,
    /// An operator has stopped selling on this daemon alone; the word of the operator.
    pub paused: Option<String>,
    /// What is logged, as `log.filter` spells it.
    pub log_filter: String,
    /// The process itself.
    pub process: Process,
    /// Present if it sells.
    pub api: Option<Api>,
    /// Present if it projects, sweeps and audits.
    pub worker: Option<Worker>,
    /// What it sees of the servers it needs.
    pub stores: Stores,
    /// What happened lately, the oldest first.
    pub events: Vec<Happening>,
}

/// What the process takes from its machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Memory in RAM, in bytes; `None` where the system does not tell.
    pub resident_bytes: Option<u64>,
    /// Processor time used since the start, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_another_version_is_read_as_far_as_it_is_known() {
        let text = r#"{
            "version": 3, "role": "api", "newField": {"a": 1},
            "api": {"epoch": {"latest": 7, "open": true}, "skus": [{"skuId": "1", "state": "melting", "other": 1}]},
            "stores": {"redis": {"breaker": "half_open"}},
            "events": [{"number": 1, "kind": "volcano", "severity": "critical", "text": "x"}]
        }"#;
        let stats: Stats = serde_json::from_str(text).unwrap();
        let api = stats.api.unwrap();
        assert_eq!((stats.version, api.epoch.latest.0, api.skus[0].state), (3, 7, SkuState::Unknown));
        assert_eq!((stats.stores.redis.breaker, stats.events[0].kind), (Breaker::Unknown, HappeningKind::Other));
        assert!(stats.worker.is_none());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let stats = Stats {
            version: VERSION,
            api: Some(Api { skus: vec![SkuStats::of(crate::ids::SkuId::new(5))], ..Api::default() }),
            worker: Some(Worker::default()),
            ..Stats::default()
        };
        let text = serde_json::to_string(&stats).unwrap();
        assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
    }
}
