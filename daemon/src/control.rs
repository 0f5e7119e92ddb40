//! What an operator has asked of this process while it runs. Kept in memory only: a restart forgets it.

use crate::logs::LogFilter;
use arc_swap::ArcSwapOption;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::watch;

/// The operator's wishes, and that the process is stopping, which overrules them.
pub(crate) struct Control {
    paused: ArcSwapOption<String>,
    draining: AtomicBool,
    stopping: AtomicBool,
    exit: watch::Sender<bool>,
    /// What is logged.
    pub(crate) logs: LogFilter,
}

impl Control {
    pub(crate) fn new(logs: LogFilter) -> Self {
        Self {
            paused: ArcSwapOption::empty(),
            draining: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            exit: watch::Sender::new(false),
            logs,
        }
    }

    /// Why selling is paused on this daemon, in the operator's words.
    pub(crate) fn paused(&self) -> Option<String> {
        self.paused.load().as_ref().map(|reason| reason.to_string())
    }

    /// Sets or ends the pause; returns the reason before.
    pub(crate) fn set_paused(&self, reason: Option<String>) -> Option<String> {
        self.paused.swap(reason.map(Arc::new)).map(|reason| reason.to_string())
    }

    /// Whether an operator has taken it out of service.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Takes it out of service, or back; returns whether it was out before.
    pub(crate) fn set_draining(&self, on: bool) -> bool {
        self.draining.swap(on, Relaxed)
    }

    /// Whether the process is on its way out.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// The process is on its way out.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Asks for the end of the process.
    pub(crate) fn exit(&self) {
        self.exit.send_replace(true);
    }

    /// Waits until somebody asks for the end of the process.
    pub(crate) async fn asked_to_exit(&self) {
        // The sender is ours: it is never gone.
        let _ = self.exit.subscribe().wait_for(|asked| *asked).await;
    }
}
