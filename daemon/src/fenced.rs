//! That Redis was not allowed to decide, and why: for readiness, for people, and for the recovery.

use crate::clock::boot_ms;
use arc_swap::ArcSwapOption;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The last time Redis was not allowed to decide, for readiness and for people.
#[derive(Default)]
pub(crate) struct Fenced {
    at_ms: AtomicU64,
    reason: ArcSwapOption<String>,
    /// The same for the recovery, until it has taken it.
    hint: ArcSwapOption<String>,
}

/// How long a fenced batch keeps the daemon unready. Not longer: without purchases nothing would ever clear it.
const FENCED_MS: u64 = 5_000;

impl Fenced {
    /// Notes that a purchase or settlement was fenced.
    pub(crate) fn note(&self, reason: &str) {
        let now_ms = boot_ms();
        if now_ms.saturating_sub(self.at_ms.swap(now_ms, Ordering::Relaxed)) > FENCED_MS {
            tracing::error!(reason, "Redis may not decide stock; a worker fills it anew if it has lost its data");
        }
        self.reason.store(Some(Arc::new(reason.to_owned())));
        self.hint(reason);
    }

    /// Lets the recovery look whether anything is wrong. Nothing need be: a SKU may be new and not loaded yet.
    pub(crate) fn hint(&self, reason: &str) {
        self.hint.store(Some(Arc::new(reason.to_owned())));
    }

    /// What the recovery was hinted at, once.
    pub(crate) fn take_hint(&self) -> Option<String> {
        self.hint.swap(None).map(|reason| reason.to_string())
    }

    /// A batch was decided: all is well.
    pub(crate) fn clear(&self) {
        if self.reason.load().is_some() {
            self.reason.store(None);
        }
    }

    /// Why nothing was decided a moment ago.
    pub(crate) fn recent(&self) -> Option<String> {
        let recent = boot_ms().saturating_sub(self.at_ms.load(Ordering::Relaxed)) <= FENCED_MS;
        self.reason.load().as_ref().filter(|_| recent).map(|reason| reason.to_string())
    }
}
