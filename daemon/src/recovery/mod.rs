//! Filling a Redis that has lost its data, without a human.
//!
//! Every worker watches. Who suspects that stock can not be decided – the gate was fenced, Redis has another replication id
//! than the open epoch, an epoch was announced and never opened – tries to become the coordinator, looks again, and
//! rebuilds (`rebuild`). A lock in MySQL keeps two from doing it at once, to save work; two at once would be harmless.
//! Never sets up what was never set up: without any epoch it waits for `flashctl setup`.

mod status;

pub(crate) use status::Status;

use crate::lane::Deciders;
use crate::rebuild::{Need, Reason, Rebuild, RebuildError, RebuildOptions};
use flash_core::fence::judge::same_history;
use flash_core::ids::Epoch;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked whether anything is wrong.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often it is tried to fill a SKU that was left closed.
const BLOCKED_EVERY: Duration = Duration::from_secs(5);
/// First and longest pause after a rebuild that failed.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// The watcher of one worker.
pub(crate) struct Recovery {
    options: RebuildOptions,
    deciders: Arc<Deciders>,
    status: Arc<Status>,
}

/// What came of an attempt to repair.
enum Repaired {
    /// Nothing was wrong after all.
    NotNeeded,
    /// SKUs stay closed until an operator has done something about them.
    StillBlocked,
    /// Somebody else is at it.
    Elsewhere,
    /// Redis was filled under this epoch.
    Done(Epoch),
}

impl Recovery {
    pub(crate) fn new(options: RebuildOptions, deciders: Arc<Deciders>, status: Arc<Status>) -> Self {
        Self { options, deciders, status }
    }

    /// Watches until told to stop. A rebuild that is under way then is abandoned; another coordinator starts anew.
    pub(crate) async fn run(self, mut stopped: watch::Receiver<bool>) {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = self.watch() => {}
        }
    }

    async fn watch(&self) {
        let (mut pause, longest) = PAUSES;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(reason) = self.suspicion().await else { continue };
            match self.repair(&reason).await {
                Ok(Repaired::NotNeeded | Repaired::Elsewhere) => pause = PAUSES.0,
                Ok(Repaired::StillBlocked) => tokio::time::sleep(BLOCKED_EVERY).await,
                Ok(Repaired::Done(epoch)) => {
                    tracing::warn!(%epoch, reason, "Redis was filled anew; selling goes on");
                    pause = PAUSES.0;
                }
                Err(error) => {
                    tracing::warn!(%error, reason, "Redis could not be filled anew; trying again");
                    self.status.failed(&error.to_string());
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    /// Why stock may not be decidable. Cheap, and may be wrong: the coordinator looks again.
    async fn suspicion(&self) -> Option<String> {
        let Deciders { lease, gate, fenced, .. } = &*self.deciders;
        if lease.latest() == Epoch(0) || !lease.is_fresh() {
            // Never set up, or Kafka is away: nothing can be rebuilt.
            return None;
        }
        let Some(fence) = lease.fence() else { return Some(format!("epoch {} was never opened", lease.latest())) };
        if let Some(reason) = fenced.take_hint() {
            return Some(reason);
        }
        // No answer, or a replica's, is no suspicion: there is no primary that could be filled.
        let open = fence.open_epoch();
        let mut primaries = gate.primaries().await.ok()?.into_values().collect();
        if !same_history(&open, &primaries) {
            // The primary that the epoch was opened with may be another of the servers.
            gate.look_for(&fence).await;
            primaries = gate.primaries().await.ok()?.into_values().collect();
        }
        (!same_history(&open, &primaries)).then(|| Reason::OtherHistory(open.epoch).to_string())
    }

    async fn repair(&self, suspicion: &str) -> Result<Repaired, RebuildError> {
        let rebuild = Rebuild::connect(self.options.clone()).await?;
        let Some(lock) = rebuild.lock(Duration::ZERO).await? else { return Ok(Repaired::Elsewhere) };
        rebuild.warm_up();
        let repaired = Rebuild::under(&lock, self.repair_alone(&rebuild, suspicion)).await;
        lock.release().await;
        repaired
    }

    async fn repair_alone(&self, rebuild: &Rebuild, suspicion: &str) -> Result<Repaired, RebuildError> {
        let reason = match rebuild.inspect().await?.0 {
            Need::Rebuild(reason) => reason.to_string(),
            Need::Unblock(blocked) => {
                self.status.looks_again();
                let opened = rebuild.unblock(&blocked, |progress| self.status.note(&progress)).await?;
                self.status.looked();
                return Ok(if opened < blocked.len() { Repaired::StillBlocked } else { Repaired::NotNeeded });
            }
            Need::Nothing | Need::Load(_) => return Ok(Repaired::NotNeeded),
        };
        tracing::warn!(suspicion, reason, "Redis is filled anew");
        self.status.began(&reason);
        let epoch = rebuild.run(|progress| self.status.note(&progress)).await?;
        self.status.done(epoch);
        self.deciders.lease.suspect();
        Ok(Repaired::Done(epoch))
    }
}
