//! What all lanes decide and record with.

use crate::fenced::Fenced;
use crate::lease::Lease;
use crate::meters::Meters;
use crate::selling::Selling;
use flash_stores::kafka::producer::Recorder;
use flash_stores::redis::Gate;
use std::sync::Arc;

/// What all lanes share.
pub(crate) struct Deciders {
    pub(crate) gate: Gate,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) fenced: Fenced,
    pub(crate) selling: Selling,
}

impl Deciders {
    /// Why nothing can be decided or recorded, one reason per latch.
    pub(crate) fn unready(&self, reasons: &mut Vec<(&'static str, String)>) {
        if let Err(why) = self.gate.connected() {
            reasons.push(("redis", why));
        }
        if self.recorder.partitions() == 0 {
            reasons.push(("kafka", "order-events has not been reached yet".to_owned()));
        }
        if let Some(why) = self.lease.problem() {
            reasons.push(("epoch", why));
        }
        if let Some(why) = self.fenced.recent() {
            let hint = "if it has lost its data, a worker fills it anew";
            reasons.push(("stock", format!("Redis was not allowed to decide: {why}; {hint}")));
        }
    }
}
