//! What every request can see.

use crate::admission::Admission;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::control::Control;
use crate::events::Events;
use crate::http::{Twins, Webhook};
use crate::lane::Deciders;
use crate::meters::Meters;
use crate::nodes::Ids;
use crate::projector::Handle;
use crate::reconcile::AuditStatus;
use crate::recovery::Status;
use flash_stores::mysql::Db;
use std::sync::Arc;
use std::time::Instant;

/// The selling half of the daemon.
pub(crate) struct Shop {
    pub(crate) admission: Admission,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) deciders: Arc<Deciders>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) twins: Twins,
    pub(crate) webhook: Webhook,
}

/// The whole daemon, as its listeners see it.
pub struct App {
    pub(crate) config: Config,
    /// A name that no other process ever has.
    pub(crate) instance: String,
    /// What happened lately.
    pub(crate) events: Arc<Events>,
    /// What an operator has asked for.
    pub(crate) control: Control,
    pub(crate) started: Instant,
    /// The same moment in milliseconds since 1970; never changes, whatever the clock does later.
    pub(crate) started_at_ms: u64,
    pub(crate) db: Db,
    pub(crate) meters: Arc<Meters>,
    /// What decides and records, here for buyers or for the sweeper.
    pub(crate) deciders: Arc<Deciders>,
    /// What is on sale.
    pub(crate) catalog: Arc<Catalog>,
    /// Present if this process sells.
    pub(crate) shop: Option<Shop>,
    /// Present if this process projects.
    pub(crate) projector: Option<Handle>,
    /// What its coordinator does, if it has one.
    pub(crate) recovery: Arc<Status>,
    /// What its auditor has found, if it has one.
    pub(crate) audit: Arc<AuditStatus>,
}

impl App {
    /// Why this process is not ready, one reason per latch; empty: ready.
    pub(crate) fn unready(&self) -> Vec<(&'static str, String)> {
        let mut reasons = Vec::new();
        if self.control.is_stopping() {
            reasons.push(("drain", "the daemon is stopping".to_owned()));
        } else if self.control.is_draining() {
            reasons.push(("drain", "an operator has taken the daemon out of service".to_owned()));
        }
        self.deciders.unready(&mut reasons);
        if !self.catalog.is_loaded() {
            reasons.push(("catalogue", "MySQL has not been read yet".to_owned()));
        }
        if let Some(shop) = &self.shop {
            shop.unready(&mut reasons);
        }
        if let Some(error) = self.projector.as_ref().and_then(|projector| projector.snapshot().last_error) {
            reasons.push(("projector", error));
        }
        reasons
    }
}

impl Shop {
    fn unready(&self, reasons: &mut Vec<(&'static str, String)>) {
        if self.ids.node().is_none() {
            reasons.push(("node", "no node id is leased yet".to_owned()));
        }
    }
}
