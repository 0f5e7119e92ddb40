//! Driving the coordinator: one action after the other, and what came of each.

use super::{Progress, Rebuild, RebuildError};
use crate::clock::{boot_ms, wall_ms};
use crate::crash;
use flash_core::epoch::{EpochRecord, EpochState};
use flash_core::fence::{Action, Coordinator, End, Fact, Primaries, Step};
use flash_core::ids::Epoch;
use flash_stores::mysql::epochs;
use flash_stores::mysql::skus::{self, StoredSku};
use flash_stores::redis::{Fence, LoadError};
use std::time::Duration;

/// How often the clock is looked at while leases run out.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Rebuild {
    /// Fills every SKU under a new epoch and opens it. Takes D and a tenth if there was an older epoch, plus the time the
    /// projection and the loading need.
    ///
    /// # Errors
    /// [`RebuildError`]; nothing is open then, and starting again is safe.
    pub async fn run(&self, progress: impl Fn(Progress)) -> Result<Epoch, RebuildError> {
        let seen = self.latest_epoch().await?.map_or(Epoch(0), |record| record.epoch);
        let epoch = epochs::next_epoch(&self.db, seen).await?;
        crash::point("rebuild.numbered");
        progress(Progress::Began(epoch));
        let mut coordinator = Coordinator::new(epoch, self.lease_ms());
        let (mut definitions, mut failed) = (Vec::new(), None);
        progress(Progress::At(coordinator.step()));
        loop {
            let fact = match self.perform(&coordinator, &mut definitions, &progress).await {
                Ok(Some(fact)) => fact,
                Ok(None) => break,
                Err(error) => {
                    let refused = matches!(&error, RebuildError::Load { source: LoadError::Refused(_), .. });
                    failed = Some(error);
                    if refused { Fact::Refused } else { Fact::Failed }
                }
            };
            let step = coordinator.step();
            coordinator.saw(fact);
            if failed.is_none() && coordinator.step() != step {
                crash_after(step);
                progress(Progress::At(coordinator.step()));
            }
        }
        if coordinator.action() != Action::End(End::Opened) {
            return Err(failed.unwrap_or(RebuildError::GivenUp(coordinator.step())));
        }
        crash::point("rebuild.opened");
        progress(Progress::Opened(epoch));
        Ok(epoch)
    }

    pub(super) fn lease_ms(&self) -> u64 {
        u64::try_from(self.options.lease.as_millis()).unwrap_or(u64::MAX)
    }

    /// Does what the coordinator says; `None` when there is nothing left to do. The definitions that are closed are the ones that
    /// are filled: who changes one meanwhile sees the announcement and looks after Redis itself.
    async fn perform(
        &self,
        coordinator: &Coordinator,
        definitions: &mut Vec<StoredSku>,
        progress: &impl Fn(Progress),
    ) -> Result<Option<Fact>, RebuildError> {
        let epoch = coordinator.epoch();
        let fence = |primaries: &Primaries| Fence { epoch, replids: primaries.values().collect() };
        Ok(Some(match coordinator.action() {
            Action::Announce => {
                self.append_epoch(record(epoch, EpochState::Rebuilding, Primaries::new())).await?;
                Fact::Announced { at_ms: boot_ms() }
            }
            Action::NotePrimaries => Fact::Primaries(self.gate.primaries().await?),
            Action::Close(primaries) => {
                *definitions = skus::list(&self.db).await?;
                self.close_all(definitions, &fence(primaries)).await?;
                Fact::Closed
            }
            Action::WaitUntil(until_ms) => wait(until_ms, progress).await,
            Action::AppendFences => {
                self.append_fences(epoch).await?;
                Fact::FencesAppended
            }
            Action::AwaitProjection => {
                self.project_fences(epoch).await?;
                Fact::Projected
            }
            Action::Load(primaries) => {
                self.load_all(std::mem::take(definitions), &fence(primaries), progress).await?;
                Fact::Loaded
            }
            Action::Open(primaries) => {
                self.append_epoch(record(epoch, EpochState::Open, primaries.clone())).await?;
                Fact::Opened
            }
            Action::End(_) => return Ok(None),
        }))
    }
}

fn record(epoch: Epoch, state: EpochState, replids: Primaries) -> EpochRecord {
    EpochRecord { epoch, state, replids, at_ms: wall_ms() }
}

/// Boot time counts suspended time, a timer may not: the clock is looked at, not the sleep.
async fn wait(until_ms: u64, progress: &impl Fn(Progress)) -> Fact {
    let left_ms = until_ms.saturating_sub(boot_ms());
    if left_ms > 0 {
        progress(Progress::WaitingForLeases(Duration::from_millis(left_ms)));
    }
    while boot_ms() < until_ms {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Fact::Time(boot_ms())
}

fn crash_after(step: Step) {
    match step {
        Step::Announcing => crash::point("rebuild.announced"),
        Step::Closing => crash::point("rebuild.closed"),
        Step::Waiting => crash::point("rebuild.waited"),
        Step::Fencing => crash::point("rebuild.fenced"),
        Step::Projecting => crash::point("rebuild.projected"),
        Step::Loading => crash::point("rebuild.loaded"),
        Step::Noting | Step::Opening => {}
    }
}
