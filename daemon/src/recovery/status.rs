//! What the coordinator of this process is doing, for `/stats` and `/metrics`.

use crate::clock::boot_ms;
use crate::events::Events;
use crate::rebuild::{Progress, Step};
use flash_core::ids::{Epoch, SkuId};
use flash_core::stats::HappeningKind::Rebuild;
use flash_core::stats::{RebuildView, Severity};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared with the admin plane.
#[derive(Debug)]
pub(crate) struct Status {
    now: Mutex<Now>,
    events: Arc<Events>,
}

#[derive(Debug, Default)]
struct Now {
    view: RebuildView,
    began_ms: u64,
    /// SKUs that people were told are closed.
    told_blocked: BTreeSet<SkuId>,
}

impl Status {
    pub(crate) fn new(events: Arc<Events>) -> Self {
        Self { now: Mutex::default(), events }
    }

    /// A look at the coordinator.
    pub(crate) fn view(&self) -> RebuildView {
        let now = self.now();
        let running_ms = now.view.step.as_ref().map(|_| boot_ms().saturating_sub(now.began_ms));
        RebuildView { running_ms, ..now.view.clone() }
    }

    fn change(&self, change: impl FnOnce(&mut RebuildView)) {
        change(&mut self.now().view);
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn began(&self, reason: &str) {
        self.events.note(Rebuild, Severity::Critical, format!("Redis is filled anew: {reason}"));
        let mut now = self.now();
        now.began_ms = boot_ms();
        let view = &mut now.view;
        view.reason = Some(reason.to_owned());
        view.step = Some(Step::Announcing.as_str().to_owned());
        view.step_number = Step::Announcing.number();
        view.blocked.clear();
    }

    /// SKUs that were left closed are tried again.
    pub(super) fn looks_again(&self) {
        self.change(|view| view.blocked.clear());
    }

    /// Afterwards: what was closed and is not any more is told.
    pub(super) fn looked(&self) {
        let mut now = self.now();
        let Now { view, told_blocked, .. } = &mut *now;
        told_blocked.retain(|sku_id| {
            let still = view.blocked.contains_key(sku_id);
            if !still {
                self.events.note_sku(*sku_id, Rebuild, Severity::Info, "its stock is filled and open again");
            }
            still
        });
    }

    fn blocked(&self, sku_id: SkuId, reason: &str) {
        let mut now = self.now();
        now.view.blocked.insert(sku_id, reason.to_owned());
        if now.told_blocked.insert(sku_id) {
            self.events.note_sku(sku_id, Rebuild, Severity::Critical, format!("stays closed: {reason}"));
        }
    }

    pub(super) fn note(&self, progress: &Progress) {
        let step = match progress {
            Progress::Began(epoch) => format!("epoch {epoch}: {}", Step::Announcing.as_str()),
            Progress::At(step) => {
                self.change(|view| view.step_number = step.number());
                step.as_str().to_owned()
            }
            Progress::WaitingForLeases(wait) => format!("waiting {:.1} s for older leases to end", wait.as_secs_f64()),
            Progress::Loading { done, all } => format!("loading: {done} of {all} SKUs"),
            Progress::Blocked { sku_id, reason } => return self.blocked(*sku_id, reason),
            Progress::Opened(epoch) => format!("epoch {epoch} is open"),
        };
        let quiet = matches!(progress, Progress::Loading { done, all } if done != all && *done > 0);
        if !quiet {
            tracing::info!(step, "rebuild");
        }
        self.change(|view| {
            // Without a rebuild these are attempts to fill what was left closed, every few seconds.
            if view.step_number > 0 {
                if !quiet {
                    self.events.note(Rebuild, Severity::Info, &step);
                }
                view.step = Some(step);
            }
        });
    }

    pub(super) fn done(&self, epoch: Epoch) {
        self.looked();
        let mut now = self.now();
        let took_ms = boot_ms().saturating_sub(now.began_ms);
        let view = &mut now.view;
        (view.step, view.step_number) = (None, 0);
        view.last_error = None;
        view.rebuilds += 1;
        view.last_epoch = Some(epoch);
        view.last_took_ms = Some(took_ms);
        self.events.note(Rebuild, Severity::Info, format!("Redis was filled under epoch {epoch} in {took_ms} ms"));
    }

    pub(super) fn failed(&self, error: &str) {
        self.change(|view| {
            if view.last_error.as_deref() != Some(error) {
                self.events.note(Rebuild, Severity::Critical, format!("Redis could not be filled anew: {error}"));
            }
            // An attempt that never began, since no lock or no server was to be had, is no failure of a rebuild.
            view.failures += u64::from(view.step.is_some());
            (view.step, view.step_number) = (None, 0);
            view.last_error = Some(error.to_owned());
        });
    }
}
