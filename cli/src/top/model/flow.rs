//! What flows through the system, in units per second: answers to buyers, and steps of the pipeline.

use flash_core::stats::Stats;

/// One kind of flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Kind {
    /// Purchases told "yes".
    Won,
    /// Told "sold out".
    SoldOut,
    /// Every other refusal.
    Refused,
    /// Overloaded, recovering, unknown.
    Failed,
    /// Holds that Redis decided.
    Reserved,
    /// `RESERVED` events acknowledged by the log.
    Logged,
    /// Events of new orders applied to MySQL.
    Projected,
    /// Events that ended a hold, applied to MySQL.
    Settled,
}

/// How many kinds there are.
const KINDS: usize = 8;

impl Kind {
    /// The answers to buyers.
    pub(crate) const ANSWERS: [Kind; 4] = [Kind::Won, Kind::SoldOut, Kind::Refused, Kind::Failed];
    /// The pipeline.
    pub(crate) const STEPS: [Kind; 4] = [Kind::Reserved, Kind::Logged, Kind::Projected, Kind::Settled];
}

/// Counters of one process, by [`Kind`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters([u64; KINDS]);

impl Counters {
    pub(crate) fn of(stats: &Stats) -> Self {
        let mut counters = Self::default();
        if let Some(api) = &stats.api {
            for outcome in &api.outcomes {
                let kind = kind_of(&outcome.status, &outcome.reason);
                counters.0[kind as usize] = counters.at(kind).saturating_add(outcome.count);
            }
            counters.0[Kind::Reserved as usize] = api.reserved;
            counters.0[Kind::Logged as usize] = api.logged;
        }
        if let Some(worker) = &stats.worker {
            for (event, count) in &worker.projector.applied {
                let kind = if event == "RESERVED" { Kind::Projected } else { Kind::Settled };
                counters.0[kind as usize] = counters.at(kind).saturating_add(*count);
            }
        }
        counters
    }

    pub(crate) fn at(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// Whether a counter is smaller than it was, which only a new process can bring about.
    pub(crate) fn has_shrunk_since(&self, earlier: &Self) -> bool {
        self.0.iter().zip(&earlier.0).any(|(now, then)| now < then)
    }

    /// Per second; `None` if no time has passed.
    pub(crate) fn since(&self, earlier: &Self, span_ms: u64) -> Option<Flow> {
        if span_ms == 0 {
            return None;
        }
        let mut flow = Flow::default();
        for ((rate, now), then) in flow.0.iter_mut().zip(&self.0).zip(&earlier.0) {
            *rate = per_second(now.saturating_sub(*then), span_ms);
        }
        Some(flow)
    }
}

/// The kind of an outcome. What a newer daemon calls a status that is not known here is counted as failed: it must be seen.
pub(crate) fn kind_of(status: &str, reason: &str) -> Kind {
    match status {
        "won" => Kind::Won,
        "refused" if reason == "sold_out" || reason == "held_out" => Kind::SoldOut,
        "refused" => Kind::Refused,
        _ => Kind::Failed,
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a rate to be drawn")]
pub(crate) fn per_second(count: u64, span_ms: u64) -> f32 {
    (count as f64 * 1_000.0 / span_ms.max(1) as f64) as f32
}

/// A sum that does not trust who told the numbers.
pub(crate) fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// Rates by [`Kind`], per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Flow([f32; KINDS]);

impl Flow {
    pub(crate) fn at(&self, kind: Kind) -> f32 {
        self.0[kind as usize]
    }

    /// All answers to buyers together.
    pub(crate) fn answers(&self) -> f32 {
        Kind::ANSWERS.iter().map(|kind| self.at(*kind)).sum()
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    /// The larger of two, kind by kind.
    pub(crate) fn max(self, other: Self) -> Self {
        self.zip(other, f32::max)
    }

    fn zip(mut self, other: Self, with: impl Fn(f32, f32) -> f32) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = with(*mine, *theirs);
        }
        self
    }
}
