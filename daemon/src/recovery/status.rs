//! What the coordinator of this process is doing, for `/stats` and `/metrics`.

use crate::clock::boot_ms;
use crate::rebuild::{Progress, Step};
use flash_core::ids::{Epoch, SkuId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Shared with the admin plane.
#[derive(Debug, Default)]
pub(crate) struct Status(Mutex<View>);

/// A look at the coordinator.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct View {
    /// What it is doing; `None` while all is well.
    pub(crate) step: Option<String>,
    /// The step's number in `flash_core::fence::Step`, 1 to 8; 0 while all is well.
    pub(crate) step_number: u8,
    /// Why it began, this time or the last.
    pub(crate) reason: Option<String>,
    /// Rebuilds that were finished by this process.
    pub(crate) rebuilds: u64,
    /// Rebuilds that this process began and gave up.
    pub(crate) failures: u64,
    /// For how long the present one has been going on, in milliseconds.
    pub(crate) running_ms: Option<u64>,
    /// How long the last one took, in milliseconds.
    pub(crate) last_took_ms: Option<u64>,
    /// The epoch it opened.
    pub(crate) last_epoch: Option<Epoch>,
    /// SKUs that the last attempt left closed, and why.
    pub(crate) blocked: BTreeMap<SkuId, String>,
    /// Why the last attempt failed, if it did.
    pub(crate) last_error: Option<String>,
    #[serde(skip)]
    began_ms: u64,
}

impl Status {
    pub(crate) fn view(&self) -> View {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        view.running_ms = view.step.as_ref().map(|_| boot_ms().saturating_sub(view.began_ms));
        view
    }

    fn change(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn began(&self, reason: &str) {
        self.change(|view| {
            view.began_ms = boot_ms();
            view.reason = Some(reason.to_owned());
            view.step = Some(Step::Announcing.as_str().to_owned());
            view.step_number = Step::Announcing.number();
            view.blocked.clear();
        });
    }

    /// SKUs that were left closed are tried again.
    pub(super) fn looks_again(&self) {
        self.change(|view| view.blocked.clear());
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
            Progress::Blocked { sku_id, reason } => {
                return self.change(|view| drop(view.blocked.insert(*sku_id, reason.clone())));
            }
            Progress::Opened(epoch) => format!("epoch {epoch} is open"),
        };
        if !matches!(progress, Progress::Loading { done, all } if done != all && *done > 0) {
            tracing::info!(step, "rebuild");
        }
        self.change(|view| view.step = Some(step));
    }

    pub(super) fn done(&self, epoch: Epoch) {
        self.change(|view| {
            (view.step, view.step_number) = (None, 0);
            view.last_error = None;
            view.rebuilds += 1;
            view.last_epoch = Some(epoch);
            view.last_took_ms = Some(boot_ms().saturating_sub(view.began_ms));
        });
    }

    pub(super) fn failed(&self, error: &str) {
        self.change(|view| {
            // An attempt that never began, since no lock or no server was to be had, is no failure of a rebuild.
            view.failures += u64::from(view.step.is_some());
            (view.step, view.step_number) = (None, 0);
            view.last_error = Some(error.to_owned());
        });
    }
}
