//! Repairing what can be proved to be safe: nothing goes on sale that the log does not know to be free.
//!
//! * A hold that the log does not have is given back through the log, like any that has ended – unless its buyer has asked
//!   again since the cut, which `claim.lua` decides in one step with taking it.
//! * What has ended, or was begun and not finished, is finished the way a sweeper does it.
//! * A change of capacity or terms that reached MySQL only is completed by the change desk; a capacity only if nothing else is
//!   wrong with the SKU, because Redis works out what is free from its other counters.
//!
//! Everything else is left, with a remedy for a human.

use super::judge::Report;
use super::{Reconcile, ReconcileError};
use crate::change::{Desk, Edit, Reached};
use crate::clock::boot_ms;
use crate::settle::{finish_covered, publish};
use flash_core::ids::SkuId;
use flash_core::limits::{SETTLE_TAKEOVER_MS, SWEEP_BATCH_MAX};
use flash_core::reconcile::{Finding, Kind};
use flash_core::settlement::Settlement;
use flash_core::stock::Hold;
use flash_stores::kafka::producer::Recorder;
use flash_stores::mysql::author::Author;
use flash_stores::redis::{Early, Fence};
use std::sync::Arc;
use std::time::Duration;

/// How long the log may take to be reached.
const WARM_UP_PATIENCE: Duration = Duration::from_secs(10);

/// One thing that will be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Which finding it repairs.
    pub kind: Kind,
    /// Of which SKU.
    pub sku_id: SkuId,
    /// What will be done, in words; `None`: it is left, and `why_not` says why.
    pub what: Option<String>,
    /// Why it is left.
    pub why_not: Option<String>,
}

/// What was done about one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The repair.
    pub repair: Repair,
    /// What came of it, in words.
    pub outcome: String,
    /// Whether nothing of it is left.
    pub whole: bool,
}

/// A repair that did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Stopped {
    /// What was done before; the last one is what it stopped at.
    pub done: Vec<Fixed>,
    /// Why.
    #[source]
    pub error: Box<ReconcileError>,
}

impl Report {
    /// What `--fix` would do, finding by finding, and what it would leave.
    #[must_use]
    pub fn repairs(&self) -> Vec<Repair> {
        let of = |finding: &Finding| {
            let sku_id = finding.sku_id.unwrap_or(SkuId::new(0));
            let (what, why_not) = match self.repair(finding, sku_id) {
                Ok(what) => (Some(what), None),
                Err(why_not) => (None, Some(why_not)),
            };
            Repair { kind: finding.kind, sku_id, what, why_not }
        };
        self.findings.iter().map(of).collect()
    }

    fn repair(&self, finding: &Finding, sku_id: SkuId) -> Result<String, String> {
        match finding.kind {
            Kind::OrphanHold => {
                Ok(format!("give {} units back through the log before their holds end", finding.amount))
            }
            Kind::ExpiredNotReleased | Kind::SettlementStuck => {
                Ok("record and finish what has ended or was begun".to_owned())
            }
            Kind::CapacityDiffers if self.is_unsound(sku_id) => {
                Err("Redis' other counters are wrong; first: flashctl rebuild".to_owned())
            }
            Kind::CapacityDiffers => Ok(format!("give Redis MySQL's capacity, {} units more", finding.amount)),
            Kind::TermsDiffer => Ok("give Redis MySQL's terms".to_owned()),
            _ => Err(finding.remedy.clone()),
        }
    }

    /// Whether anything is wrong with a SKU's counters that a change of capacity could turn into units on sale.
    fn is_unsound(&self, sku_id: SkuId) -> bool {
        let of_sku = self.findings.iter().filter(|finding| finding.sku_id == Some(sku_id));
        of_sku.into_iter().any(|finding| {
            matches!(
                finding.kind,
                Kind::Oversold | Kind::CounterDrift | Kind::HoldLost | Kind::MissingOrder | Kind::LedgerDiffers
            )
        })
    }
}

impl Reconcile {
    /// Does what [`Report::repairs`] says. What has changed since is found out by each step itself.
    ///
    /// # Errors
    /// [`Stopped`]; what was begun is finished by any sweeper.
    pub async fn fix(&self, report: &Report, author: &Author) -> Result<Vec<Fixed>, Stopped> {
        let mut done = Vec::new();
        let mut recorder: Option<Arc<Recorder>> = None;
        for repair in report.repairs() {
            if repair.what.is_none() {
                continue;
            }
            let mut outcome = String::new();
            match self.fix_one(report, &repair, author, &mut recorder, &mut outcome).await {
                Ok(whole) => done.push(Fixed { repair, outcome, whole }),
                Err(error) => {
                    let before = if outcome.is_empty() { outcome } else { format!("{outcome}; ") };
                    done.push(Fixed { repair, outcome: format!("{before}stopped: {error}"), whole: false });
                    return Err(Stopped { done, error: Box::new(error) });
                }
            }
        }
        Ok(done)
    }

    /// One repair; whether nothing of it is left. `outcome` says what has been done also if it fails half-way.
    async fn fix_one(
        &self,
        report: &Report,
        repair: &Repair,
        author: &Author,
        recorder: &mut Option<Arc<Recorder>>,
        outcome: &mut String,
    ) -> Result<bool, ReconcileError> {
        match repair.kind {
            Kind::OrphanHold => {
                let recorder = self.recorder(recorder).await?;
                self.release_orphans(report, repair.sku_id, &recorder, outcome).await
            }
            Kind::ExpiredNotReleased | Kind::SettlementStuck => {
                let recorder = self.recorder(recorder).await?;
                self.sweep(report, repair.sku_id, &recorder, outcome).await
            }
            _ => {
                let (told, whole) = self.complete_change(report, repair, author).await?;
                *outcome = told;
                Ok(whole)
            }
        }
    }

    /// A producer that has reached the log.
    async fn recorder(&self, slot: &mut Option<Arc<Recorder>>) -> Result<Arc<Recorder>, ReconcileError> {
        if let Some(recorder) = slot {
            return Ok(Arc::clone(recorder));
        }
        let (kafka, settings) = (self.options.parts.kafka.clone(), self.options.recorder);
        let reach = move || {
            let recorder = Recorder::new(&kafka, &settings)?;
            recorder.warm_up(WARM_UP_PATIENCE).map(|()| recorder)
        };
        let reached = tokio::task::spawn_blocking(reach).await?;
        let recorder = Arc::new(reached.map_err(flash_stores::kafka::KafkaError::from)?);
        *slot = Some(Arc::clone(&recorder));
        Ok(recorder)
    }

    async fn release_orphans(
        &self,
        report: &Report,
        sku_id: SkuId,
        recorder: &Recorder,
        outcome: &mut String,
    ) -> Result<bool, ReconcileError> {
        let Some((orphans, since_ms)) = report.orphans.get(&sku_id) else {
            "nothing was left to do".clone_into(outcome);
            return Ok(true);
        };
        let keys = self.keys(sku_id);
        let (mut units, mut retried, mut gone, mut unfinished) = (0, 0, 0, 0);
        for chunk in orphans.chunks(SWEEP_BATCH_MAX) {
            let mut taken = Vec::new();
            for orphan in chunk {
                match self.gate.take_early(&keys, &report.fence, orphan, *since_ms).await? {
                    Early::Begun(settlement) => taken.push(settlement),
                    Early::Retried => retried += 1,
                    Early::Gone => gone += 1,
                }
            }
            let back = self.settle(sku_id, &report.fence, &taken, recorder).await?;
            unfinished += taken.len() - back.len();
            units += back.iter().map(|hold| u64::from(hold.quantity)).sum::<u64>();
            let mut told = vec![format!("{units} units are on sale again")];
            let mut tell = |count: usize, what: &str| {
                if count > 0 {
                    told.push(format!("{count} {what}"));
                }
            };
            tell(retried, "left: their buyers have asked again lately, and that records them; a later run looks again");
            tell(gone, "had ended meanwhile");
            tell(unfinished, "not acknowledged by the log yet: a sweeper finishes them");
            *outcome = told.join("; ");
        }
        Ok(unfinished == 0)
    }

    /// What a sweeper does, until nothing is due.
    async fn sweep(
        &self,
        report: &Report,
        sku_id: SkuId,
        recorder: &Recorder,
        outcome: &mut String,
    ) -> Result<bool, ReconcileError> {
        let keys = self.keys(sku_id);
        let (mut finished, mut left) = (0, 0);
        loop {
            let due = self.gate.take_due(&keys, &report.fence, SWEEP_BATCH_MAX, SETTLE_TAKEOVER_MS).await?;
            let back = self.settle(sku_id, &report.fence, &due.taken, recorder).await?;
            finished += back.len();
            left += due.taken.len() - back.len();
            *outcome = format!("{finished} finished");
            if left > 0 {
                *outcome += &format!("; {left} not acknowledged by the log yet: a sweeper finishes them");
            }
            if due.taken.len() < SWEEP_BATCH_MAX || left > 0 {
                return Ok(left == 0);
            }
        }
    }

    /// Records settlements and finishes those that the log has; returns their holds.
    async fn settle<'a>(
        &self,
        sku_id: SkuId,
        fence: &Fence,
        taken: &'a [Settlement],
        recorder: &Recorder,
    ) -> Result<Vec<&'a Hold>, ReconcileError> {
        let events = taken.iter().map(|settled| (settled.hold.order_id, settled.event(sku_id, fence.epoch)));
        let acknowledged = publish(recorder, events).await;
        let settled: Vec<&Settlement> =
            taken.iter().zip(acknowledged).filter(|(_, acknowledged)| *acknowledged).map(|(one, _)| one).collect();
        if settled.is_empty() || !self.is_covered(fence).await? {
            // Whatever has been recorded under an epoch that is over is judged by the next one.
            return Ok(Vec::new());
        }
        finish_covered(&self.gate, &self.keys(sku_id), fence, &settled).await?;
        Ok(settled.into_iter().map(|one| &one.hold).collect())
    }

    /// Whether a complete look at the epochs, begun now and over in less than D, shows this one open: a lease of our own.
    async fn is_covered(&self, fence: &Fence) -> Result<bool, ReconcileError> {
        let began_ms = boot_ms();
        let open = self.rebuild.open_fence().await?;
        let took = Duration::from_millis(boot_ms().saturating_sub(began_ms));
        Ok(open.as_ref() == Some(fence) && took < self.options.parts.lease)
    }

    /// Gives Redis what MySQL says, through the change desk.
    async fn complete_change(
        &self,
        report: &Report,
        repair: &Repair,
        author: &Author,
    ) -> Result<(String, bool), ReconcileError> {
        let sku_id = repair.sku_id;
        let Some(stored) = report.definitions.get(&sku_id) else { return Ok(("nothing to do".to_owned(), true)) };
        let desk = Desk::new(&self.options.parts)?;
        let done = if repair.kind == Kind::CapacityDiffers {
            // What MySQL says by now: whoever has changed it since is right.
            let capacity = desk.show(sku_id).await?.stored.sku.capacity;
            desk.set_capacity(sku_id, capacity, author).await
        } else {
            // The same value again writes nothing, and gives Redis the whole row.
            desk.edit(sku_id, Edit::PerUser(desk.show(sku_id).await?.stored.sku.per_user), author).await
        };
        match done {
            Ok(outcome) => {
                let whole = outcome.reached == Reached::Now;
                Ok((
                    format!(
                        "{} has what MySQL says",
                        if whole { "Redis" } else { "Redis will have, once it is filled," }
                    ),
                    whole,
                ))
            }
            Err(error @ crate::change::ChangeError::Below { .. }) => Ok((format!("left: {error}"), false)),
            Err(error) => {
                tracing::debug!(sku = %sku_id, version = stored.version, %error, "a change was not completed");
                Err(error.into())
            }
        }
    }
}
