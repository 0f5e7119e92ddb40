//! The working half of the document: projector, sweeper, coordinator and auditor.

use super::Histogram;
use crate::ids::{Epoch, SkuId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a worker tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Worker {
    /// Log → MySQL.
    pub projector: Projector,
    /// Holds that nobody paid.
    pub sweeper: Sweeper,
    /// Filling Redis anew.
    pub rebuild: RebuildView,
    /// Comparing the books.
    pub audit: Audit,
}

/// The projector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Projector {
    /// Events applied, voided or parked.
    pub events: u64,
    /// Of these, applied ones by type: `RESERVED`, `CONFIRMED`, `CANCELLED`, `EXPIRED`.
    pub applied: BTreeMap<String, u64>,
    /// Transactions that applied them.
    pub batches: u64,
    /// Events parked in the dead letters.
    pub dead_letters: u64,
    /// Events of older epochs behind a newer fence.
    pub voided: u64,
    /// Events that the log had deleted before they were read. Anything but zero means lost orders.
    pub missing_events: u64,
    /// How often positions were read afresh.
    pub reopenings: u64,
    /// Events in its partitions that are not applied yet.
    pub lag_events: u64,
    /// Age of the oldest moment up to which all its partitions are applied; `None` before the first look and without
    /// partitions.
    pub lag_ms: Option<u64>,
    /// Partitions assigned to it.
    pub partitions: u64,
    /// What it is waiting for, if it makes no progress.
    pub last_error: Option<String>,
}

/// The sweeper.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Sweeper {
    /// Settlements it finished, by state; only `EXPIRED` ones were its own idea.
    pub swept: BTreeMap<String, u64>,
    /// From the end of a hold to its units being on sale again, by Redis' clock.
    pub delay: Histogram,
}

/// The coordinator of this worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RebuildView {
    /// What it is doing; `None` while all is well.
    pub step: Option<String>,
    /// The step's number, 1 to 8; 0 while all is well.
    pub step_number: u8,
    /// While a step is under way: the server that does not answer, and what is known of why.
    pub waits_for: Option<String>,
    /// Why it began, this time or the last.
    pub reason: Option<String>,
    /// Rebuilds that it finished.
    pub rebuilds: u64,
    /// Rebuilds that it began and gave up.
    pub failures: u64,
    /// For how long the present one has been going on.
    pub running_ms: Option<u64>,
    /// How long the last one took.
    pub last_took_ms: Option<u64>,
    /// The epoch it opened last.
    pub last_epoch: Option<Epoch>,
    /// SKUs that the last attempt left closed, and why.
    pub blocked: BTreeMap<SkuId, String>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<String>,
}

/// The auditor of this worker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Audit {
    /// Whether this worker is the one that audits.
    pub active: bool,
    /// Audits that came to an end.
    pub runs: u64,
    /// When the last one did.
    pub last_at_ms: Option<u64>,
    /// How long it took.
    pub last_took_ms: Option<u64>,
    /// The pause before the next one.
    pub pause_ms: u64,
    /// What it found, by kind.
    pub found: BTreeMap<String, u64>,
    /// The findings themselves, the first of them.
    pub findings: Vec<AuditFinding>,
    /// Why the last one came to no end, if it did not.
    pub last_error: Option<String>,
}

/// One finding, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AuditFinding {
    /// Its kind, such as `ORPHAN_HOLD`.
    pub kind: String,
    /// The SKU, if it is about one.
    pub sku_id: Option<SkuId>,
    /// What is wrong.
    pub text: String,
}
