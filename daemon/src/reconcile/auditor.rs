//! The auditor: a worker compares the books by itself now and then, and says so once when something is wrong.
//!
//! One worker at a time: a lock in MySQL that is kept while the worker lives. The first look adds up the ledger, each later one
//! only what has come since; an idle SKU costs one short call to Redis. A finding that stays costs more – its events are waited
//! for and looked for –, so the same findings again make the pause twice as long. Repairs nothing.

use super::ledger::Memory;
use super::{Reconcile, ReconcileError, ReconcileOptions, Report};
use crate::clock::{boot_ms, wall_ms};
use crate::events::Events;
use crate::rebuild::RebuildError;
use flash_core::ids::SkuId;
use flash_core::reconcile::Kind;
use flash_core::stats::{Audit, AuditFinding, HappeningKind, Severity};
use flash_stores::mysql::lock::NamedLock;
use flash_stores::mysql::reconcile::{NewRun, record};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Who runs an audit that nobody has asked for.
const WHO: &str = "auditor";
/// Longest pause while the same findings stay, unless audits are further apart anyway.
const PAUSE_MAX: Duration = Duration::from_mins(15);
/// Most findings that are shown.
const SHOWN_MAX: usize = 50;

/// The auditor of one worker.
pub(crate) struct Auditor {
    options: ReconcileOptions,
    every: Duration,
    status: Arc<AuditStatus>,
}

/// Shared with the admin plane.
#[derive(Debug)]
pub(crate) struct AuditStatus {
    now: Mutex<Now>,
    events: Arc<Events>,
}

/// The last audit of this worker.
#[derive(Debug, Default)]
struct Now {
    view: Audit,
    last_boot_ms: u64,
}

impl AuditStatus {
    pub(crate) fn new(events: Arc<Events>) -> Self {
        Self { now: Mutex::default(), events }
    }

    /// A look at it.
    pub(crate) fn view(&self) -> Audit {
        self.now().view.clone()
    }

    /// How long ago the last audit came to its end, in milliseconds.
    pub(crate) fn age_ms(&self) -> Option<u64> {
        let now = self.now();
        now.view.last_at_ms.map(|_| boot_ms().saturating_sub(now.last_boot_ms))
    }

    fn change(&self, change: impl FnOnce(&mut Audit)) {
        change(&mut self.now().view);
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, severity: Severity, sku_id: Option<SkuId>, text: &str) {
        match sku_id {
            Some(sku_id) => self.events.note_sku(sku_id, HappeningKind::Audit, severity, text),
            None => self.events.note(HappeningKind::Audit, severity, text),
        }
    }
}

/// What has been told of already.
type Told = BTreeSet<(Kind, Option<SkuId>)>;

/// What the last run found, and by how much.
type Last = BTreeSet<(Kind, Option<SkuId>, i64)>;

/// The pause behind a run: the usual one, or twice the last one if nothing has changed about what is wrong.
fn pause(every: Duration, before: Duration, last: &Last, now: &Last) -> Duration {
    if now.is_empty() || now != last { every } else { (before * 2).min(PAUSE_MAX).max(every) }
}

impl Auditor {
    pub(crate) fn new(options: ReconcileOptions, every: Duration, status: Arc<AuditStatus>) -> Self {
        Self { options, every, status }
    }

    /// Audits until told to stop.
    pub(crate) async fn run(self, mut stopped: watch::Receiver<bool>) {
        if self.every.is_zero() {
            return;
        }
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = self.keep_auditing() => {}
        }
    }

    async fn keep_auditing(&self) {
        let (mut memory, mut told, mut last) = (Memory::default(), Told::new(), Last::new());
        let mut wait = self.every;
        let mut desk: Option<(Reconcile, NamedLock)> = None;
        loop {
            self.status.change(|view| view.pause_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            // Before the first run too: servers may still be starting.
            tokio::time::sleep(wait).await;
            if desk.as_ref().is_none_or(|(_, lock)| lock.is_lost()) {
                // Whoever has got the lock meanwhile goes on.
                drop(desk.take());
                desk = self.open().await;
                self.status.change(|view| view.active = desk.is_some());
            }
            let Some((reconcile, lock)) = &desk else { continue };
            let audited = tokio::select! {
                audited = reconcile.run_light(&mut memory) => audited,
                () = lock.lost() => Err(RebuildError::LockLost.into()),
            };
            match audited {
                Ok(report) => {
                    self.note(reconcile, &report, &mut told).await;
                    let found = &report.findings;
                    let now: Last = found.iter().map(|one| (one.kind, one.sku_id, one.amount)).collect();
                    wait = pause(self.every, wait, &last, &now);
                    last = now;
                }
                Err(error) => {
                    // The lock goes with its connection; whoever is quicker takes it.
                    self.failed(&error);
                    memory = Memory::default();
                    wait = self.every;
                    desk = None;
                    self.status.change(|view| view.active = false);
                }
            }
        }
    }

    /// The connections and the lock, unless another worker has it.
    async fn open(&self) -> Option<(Reconcile, NamedLock)> {
        let reconcile = match Reconcile::connect(self.options.clone()).await {
            Ok(reconcile) => reconcile,
            Err(error) => {
                self.failed(&error);
                return None;
            }
        };
        match NamedLock::take(reconcile.db(), "audit", Duration::ZERO).await {
            Ok(lock) => lock.map(|lock| (reconcile, lock)),
            Err(error) => {
                self.failed(&error.into());
                None
            }
        }
    }

    fn failed(&self, error: &ReconcileError) {
        let text = error.to_string();
        tracing::debug!(error = text, "an audit came to no end");
        self.status.change(|view| view.last_error = Some(text));
    }

    /// Tells of what is new, shows the rest, and keeps the run if it found anything else than the one before.
    async fn note(&self, reconcile: &Reconcile, report: &Report, told: &mut Told) {
        let now: Told = report.findings.iter().map(|finding| (finding.kind, finding.sku_id)).collect();
        for finding in report.findings.iter().filter(|finding| !told.contains(&(finding.kind, finding.sku_id))) {
            tracing::error!(
                kind = finding.kind.as_str(),
                sku = finding.sku_id.map_or(0, SkuId::get),
                hop = finding.hop.as_str(),
                amount = finding.amount,
                detail = finding.detail,
                remedy = finding.remedy,
                "the books do not agree"
            );
            let text = format!("the books do not agree: {}: {}", finding.kind.as_str(), finding.detail);
            self.status.tell(Severity::Critical, finding.sku_id, &text);
        }
        for (kind, sku_id) in told.difference(&now) {
            tracing::info!(kind = kind.as_str(), sku = sku_id.map_or(0, SkuId::get), "this agrees again");
            self.status.tell(Severity::Info, *sku_id, &format!("agrees again: {}", kind.as_str()));
        }
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        for finding in &report.findings {
            *found.entry(finding.kind.as_str().to_owned()).or_default() += 1;
        }
        if *told != now {
            let run = NewRun {
                took: report.took,
                who: WHO,
                why: "",
                epoch: report.epoch,
                skus: report.skus.len(),
                findings: &report.findings,
                repairs: &[],
                fixed: 0,
            };
            if let Err(error) = record(reconcile.db(), &run).await {
                tracing::debug!(%error, "an audit could not be kept");
            }
        }
        *told = now;
        let shown = report.findings.iter().take(SHOWN_MAX).map(|finding| AuditFinding {
            kind: finding.kind.as_str().to_owned(),
            sku_id: finding.sku_id,
            text: format!("{} – {}", finding.detail, finding.remedy),
        });
        let mut now = self.status.now();
        now.last_boot_ms = boot_ms();
        now.view = Audit {
            runs: now.view.runs + 1,
            last_at_ms: Some(wall_ms()),
            last_took_ms: u64::try_from(report.took.as_millis()).ok(),
            found,
            findings: shown.collect(),
            last_error: None,
            ..now.view.clone()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_findings_again_make_the_pause_longer_and_anything_else_makes_it_the_usual_one() {
        let minutes = Duration::from_mins;
        let drift = |amount| Last::from([(Kind::CounterDrift, Some(SkuId::new(1)), amount)]);
        let every = minutes(1);
        assert_eq!(pause(every, every, &Last::new(), &Last::new()), every);
        assert_eq!(pause(every, every, &Last::new(), &drift(1)), every, "new");
        assert_eq!(pause(every, every, &drift(1), &drift(1)), minutes(2), "the same");
        assert_eq!(pause(every, minutes(8), &drift(1), &drift(1)), minutes(15), "bounded");
        assert_eq!(pause(minutes(60), minutes(60), &drift(1), &drift(1)), minutes(60), "never shorter than asked for");
        assert_eq!(pause(every, minutes(15), &drift(1), &drift(2)), every, "another amount");
        assert_eq!(pause(every, minutes(15), &drift(1), &Last::new()), every, "over");
    }
}
