//! Ctrl-C and friends: the first asks for an orderly stop, the second exits at once.
//!
//! Exiting at once is safe: every server of ours is under a guard that ends it when we are gone.

use std::{future, process};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{exit::Exit, report::Failure};

/// Told once when the first signal came. Clones hear of the same signal.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts to listen for SIGINT, SIGTERM and SIGHUP.
    pub(crate) fn listen() -> Result<Interrupt, Failure> {
        let (sender, receiver) = watch::channel(false);
        let listen = |kind| signal(kind).map_err(Failure::from_error);
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hangup = listen(SignalKind::hangup())?;
        tokio::spawn(async move {
            for is_second in [false, true] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    // A terminal that goes away says so twice, by the kernel and by its shell. That is one wish, not two.
                    _ = hangup.recv(), if !is_second => {}
                }
                if is_second {
                    crate::screen::restore();
                    process::exit(i32::from(Exit::Interrupted.code()));
                }
                sender.send_replace(true);
            }
        });
        Ok(Interrupt(receiver))
    }

    /// Whether the first signal has come.
    pub(crate) fn was_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves at the first signal, and at once ever after. Cancel-safe.
    pub(crate) async fn requested(&mut self) {
        if self.0.wait_for(|requested| *requested).await.is_err() {
            // The listener is gone only when the runtime is ending.
            future::pending::<()>().await;
        }
    }
}
