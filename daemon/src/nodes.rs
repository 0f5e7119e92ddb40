//! Order and reservation ids: Snowflakes of a node id that is leased in MySQL.
//!
//! Promise kept: two daemons never issue ids with one node id. A lease outlives a MySQL outage of most of an hour; when it
//! can no longer be proved to be ours, no ids are issued and the API answers 503.

use crate::clock::{boot_ms, wall_ms};
use crate::events::Events;
use arc_swap::ArcSwapOption;
use flash_core::ids::{OrderId, ReservationId};
use flash_core::limits::NODE_LEASE_MS;
use flash_core::snowflake::Snowflakes;
use flash_core::stats::{HappeningKind::Node, Severity};
use flash_stores::mysql::Db;
use flash_stores::mysql::nodes::{self, NodeError, NodeLease};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often the lease is renewed, or asked for again.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// Pause after a failed attempt to get the first lease.
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// Past this share of the lease without renewal the id is given up, well before anybody else may take it.
const GIVE_UP_AFTER_MS: u64 = NODE_LEASE_MS / 10 * 9;

/// Issues ids while the lease lasts.
#[derive(Debug)]
pub(crate) struct Ids {
    issuer: ArcSwapOption<Snowflakes>,
    renewed_ms: AtomicU64,
    events: Arc<Events>,
}

impl Ids {
    pub(crate) fn new(events: Arc<Events>) -> Self {
        Self { issuer: ArcSwapOption::empty(), renewed_ms: AtomicU64::new(0), events }
    }

    /// Two ids for a purchase, or `None` without a lease.
    pub(crate) fn next(&self) -> Option<(OrderId, ReservationId)> {
        let issuer = self.issuer.load();
        let issuer = issuer.as_ref()?;
        if boot_ms().saturating_sub(self.renewed_ms.load(Ordering::Relaxed)) > GIVE_UP_AFTER_MS {
            return None;
        }
        let now_ms = wall_ms();
        Some((OrderId::new(issuer.next(now_ms)), ReservationId::new(issuer.next(now_ms))))
    }

    /// The node id in use.
    pub(crate) fn node(&self) -> Option<u16> {
        self.issuer.load().as_ref().map(|issuer| issuer.node())
    }

    /// Leases a node id and keeps it until the future is dropped; [`Ids::release`] gives it back.
    pub(crate) async fn keep(self: Arc<Self>, db: Db, holder: String, preferred: Option<u16>) {
        loop {
            let lease = self.take(&db, &holder, preferred).await;
            let lost = self.renew_until_lost(&db, &lease).await;
            tracing::error!(node = lease.node_id, error = %lost, "the node id is lost; no orders until another one is leased");
            self.events.note(Node, Severity::Critical, format!("node id {} is lost: {lost}", lease.node_id));
            self.issuer.store(None);
        }
    }

    async fn take(&self, db: &Db, holder: &str, preferred: Option<u16>) -> NodeLease {
        let mut complained = false;
        loop {
            let asked_ms = boot_ms();
            match nodes::lease(db, holder, preferred).await {
                Ok(lease) => {
                    if preferred.is_some_and(|wanted| wanted != lease.node_id) {
                        tracing::warn!(
                            ?preferred,
                            node = lease.node_id,
                            "the preferred node id is taken; using another"
                        );
                    }
                    tracing::info!(node = lease.node_id, "node id leased");
                    self.events.note(Node, Severity::Info, format!("node id {} is leased", lease.node_id));
                    self.renewed_ms.store(asked_ms, Ordering::Relaxed);
                    self.issuer.store(Some(Arc::new(Snowflakes::new(lease.node_id, lease.start_after_ms))));
                    return lease;
                }
                Err(error) if !complained => {
                    tracing::warn!(%error, "no node id yet; trying on");
                    self.events.note(Node, Severity::Warning, format!("no node id yet: {error}"));
                    complained = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    async fn renew_until_lost(&self, db: &Db, lease: &NodeLease) -> NodeError {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let asked_ms = boot_ms();
            match nodes::renew(db, lease, self.last_ms()).await {
                Ok(()) => self.renewed_ms.store(asked_ms, Ordering::Relaxed),
                Err(NodeError::MySql(error)) => tracing::debug!(%error, "the node lease could not be renewed"),
                Err(lost) => return lost,
            }
        }
    }

    /// Gives the node id back, so that the next daemon can have it at once.
    pub(crate) async fn release(&self, db: &Db, holder: &str) {
        let Some(issuer) = self.issuer.swap(None) else { return };
        let lease = NodeLease { node_id: issuer.node(), start_after_ms: 0, holder: holder.to_owned() };
        if let Err(error) = nodes::release(db, &lease, issuer.last_ms()).await {
            tracing::warn!(%error, node = lease.node_id, "the node id could not be given back; it frees itself");
        }
    }

    fn last_ms(&self) -> u64 {
        self.issuer.load().as_ref().map_or(0, |issuer| issuer.last_ms())
    }
}
