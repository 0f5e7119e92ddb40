//! The coordinator of a rebuild as a state machine without I/O: it says what to do next, is told what came of it, and goes
//! on or gives up. Whoever drives it performs the actions; dying between any two of them is safe.
//!
//! The order of the steps is the promise (P1, P2): the stock is counted only behind fences that every older "yes" stands
//! before. Giving up leaves nothing open. It never tries a step again: the next coordinator starts with a higher number.

use super::rules::wait_ms;
use crate::ids::Epoch;
use std::collections::BTreeMap;

/// Replication id of each primary, by the primary's name.
pub type Primaries = BTreeMap<String, String>;

/// Where a rebuild stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The epoch is being announced in the control topic.
    Announcing = 1,
    /// The primaries' replication ids are being noted.
    Noting,
    /// Every SKU is being taken off sale.
    Closing,
    /// Leases of older epochs are running out.
    Waiting,
    /// A fence is being appended to every partition.
    Fencing,
    /// The projection is on its way to the fences.
    Projecting,
    /// The stock is being written afresh.
    Loading,
    /// The epoch is being opened.
    Opening,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 8] = [
        Self::Announcing,
        Self::Noting,
        Self::Closing,
        Self::Waiting,
        Self::Fencing,
        Self::Projecting,
        Self::Loading,
        Self::Opening,
    ];

    /// Its name in logs, statistics and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announcing => "announcing",
            Self::Noting => "noting",
            Self::Closing => "closing",
            Self::Waiting => "waiting",
            Self::Fencing => "fencing",
            Self::Projecting => "projecting",
            Self::Loading => "loading",
            Self::Opening => "opening",
        }
    }

    /// Its place, from 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// What has to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// Append "rebuilding" to the control topic; tell [`Fact::Announced`] with the time of its acknowledgement.
    Announce,
    /// Ask every primary for its replication id.
    NotePrimaries,
    /// Take every SKU off sale, where its epoch is lower.
    Close(&'a Primaries),
    /// Tell [`Fact::Time`] from this time on, in milliseconds of a clock that counts suspended time.
    WaitUntil(u64),
    /// Append a fence to every partition of the log.
    AppendFences,
    /// Wait until the projection has applied all of them.
    AwaitProjection,
    /// Write every SKU afresh, behind the guard.
    Load(&'a Primaries),
    /// Append "open" with these replication ids to the control topic.
    Open(&'a Primaries),
    /// Nothing.
    End(End),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The epoch is open.
    Opened,
    /// It was given up. Nothing that is not sound is open; it may be started again at any time, with a higher number.
    Abandoned,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The announcement was acknowledged at this time.
    Announced {
        /// Milliseconds of the clock that is told as [`Fact::Time`].
        at_ms: u64,
    },
    /// The primaries are these.
    Primaries(Primaries),
    /// Every SKU is off sale.
    Closed,
    /// It is this late.
    Time(u64),
    /// Every partition has acknowledged its fence.
    FencesAppended,
    /// The projection has applied all fences.
    Projected,
    /// Every SKU is written, or left closed for a reason of its own.
    Loaded,
    /// The opening was acknowledged.
    Opened,
    /// A guard said no: a higher epoch is at work, or a primary is not what was noted.
    Refused,
    /// Something failed, or nobody knows whether it did.
    Failed,
}

/// One rebuild.
#[derive(Debug, Clone)]
pub struct Coordinator {
    epoch: Epoch,
    lease_ms: u64,
    step: Step,
    ended: Option<End>,
    wait_until_ms: u64,
    primaries: Primaries,
}

impl Coordinator {
    /// Begins a rebuild under a number that nobody else ever gets; `lease_ms` is D, the longest lease of any daemon.
    #[must_use]
    pub const fn new(epoch: Epoch, lease_ms: u64) -> Self {
        Self { epoch, lease_ms, step: Step::Announcing, ended: None, wait_until_ms: 0, primaries: Primaries::new() }
    }

    /// Its epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The step it is at, or was at when it ended.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.step
    }

    /// What has to be done next.
    #[must_use]
    pub const fn action(&self) -> Action<'_> {
        if let Some(end) = self.ended {
            return Action::End(end);
        }
        match self.step {
            Step::Announcing => Action::Announce,
            Step::Noting => Action::NotePrimaries,
            Step::Closing => Action::Close(&self.primaries),
            Step::Waiting => Action::WaitUntil(self.wait_until_ms),
            Step::Fencing => Action::AppendFences,
            Step::Projecting => Action::AwaitProjection,
            Step::Loading => Action::Load(&self.primaries),
            Step::Opening => Action::Open(&self.primaries),
        }
    }

    /// Takes note of what came of the action. Whatever does not belong to it ends the rebuild: what is not understood is
    /// not built upon.
    pub fn saw(&mut self, fact: Fact) {
        match (self.step, fact) {
            _ if self.ended.is_some() => {}
            (Step::Announcing, Fact::Announced { at_ms }) => {
                self.wait_until_ms = at_ms.saturating_add(wait_ms(self.epoch, self.lease_ms));
                self.step = Step::Noting;
            }
            (Step::Noting, Fact::Primaries(primaries)) if !primaries.is_empty() => {
                self.primaries = primaries;
                self.step = Step::Closing;
            }
            (Step::Closing, Fact::Closed) => self.step = Step::Waiting,
            (Step::Waiting, Fact::Time(now_ms)) => {
                if now_ms >= self.wait_until_ms {
                    self.step = Step::Fencing;
                }
            }
            (Step::Fencing, Fact::FencesAppended) => self.step = Step::Projecting,
            (Step::Projecting, Fact::Projected) => self.step = Step::Loading,
            (Step::Loading, Fact::Loaded) => self.step = Step::Opening,
            (Step::Opening, Fact::Opened) => self.ended = Some(End::Opened),
            _ => self.ended = Some(End::Abandoned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Vec<Fact> {
        let primaries = Primaries::from([("primary".to_owned(), "a".to_owned())]);
        vec![
            Fact::Announced { at_ms: 1_000 },
            Fact::Primaries(primaries),
            Fact::Closed,
            Fact::Time(6_500),
            Fact::FencesAppended,
            Fact::Projected,
            Fact::Loaded,
            Fact::Opened,
        ]
    }

    #[test]
    fn the_steps_come_in_their_order_and_leases_are_waited_out() {
        let mut rebuild = Coordinator::new(Epoch(2), 5_000);
        for (step, fact) in Step::ALL.into_iter().zip(facts()) {
            assert_eq!((rebuild.step(), usize::from(step.number())), (step, step as usize));
            if step == Step::Waiting {
                assert_eq!(rebuild.action(), Action::WaitUntil(6_500));
                rebuild.saw(Fact::Time(6_499));
                assert_eq!(rebuild.step(), Step::Waiting, "too early");
            }
            assert!(!matches!(rebuild.action(), Action::End(_)));
            rebuild.saw(fact);
        }
        assert_eq!(rebuild.action(), Action::End(End::Opened));
        rebuild.saw(Fact::Failed);
        assert_eq!(rebuild.action(), Action::End(End::Opened), "what is open stays open");
    }

    #[test]
    fn every_failure_and_every_fact_out_of_turn_ends_it() {
        for at in 0..facts().len() {
            let others = facts().into_iter().enumerate().filter(|(index, _)| *index != at).map(|(_, fact)| fact);
            for wrong in others.chain([Fact::Refused, Fact::Failed, Fact::Primaries(Primaries::new())]) {
                let mut rebuild = Coordinator::new(Epoch(2), 5_000);
                facts().into_iter().take(at).for_each(|fact| rebuild.saw(fact));
                rebuild.saw(wrong.clone());
                assert_eq!(rebuild.action(), Action::End(End::Abandoned), "{wrong:?} at {:?}", rebuild.step());
            }
        }
    }
}
