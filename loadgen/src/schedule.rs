//! When buyers come: schedules that are fixed before the first request.
//!
//! Owns the arithmetic of arrivals. Never looks at a clock or at an answer. The same schedule and seed give the same arrivals,
//! to the microsecond; a schedule that passed [`Schedule::check`] has at least one and at most [`MAX_ARRIVALS`].

mod trace;

use crate::LoadError;
use crate::identity::SplitMix;
use crate::units::duration_words;

pub use trace::{Recorded, Trace};

/// Most arrivals of one run: 8 bytes each, 160 MB.
pub const MAX_ARRIVALS: u64 = 20_000_000;
/// The highest rate.
const MAX_PER_S: f64 = 10_000_000.0;

/// A span of the schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Phase {
    /// How long it lasts.
    pub duration_ms: u64,
    /// Arrivals per second at its begin.
    pub from_per_s: f64,
    /// Arrivals per second at its end; the rate moves in a straight line.
    pub to_per_s: f64,
    /// Arrivals that come all at once at its begin, besides the rate.
    pub at_once: u64,
}

/// When buyers come.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// Phases, one after the other.
    Phases {
        /// The phases, in order.
        phases: Vec<Phase>,
        /// Times drawn as independent buyers would come (a Poisson process of this rate), instead of evenly spaced. What
        /// comes at once does so anyway.
        poisson: bool,
    },
    /// A recorded trace, played again.
    Trace(Trace),
}

impl Schedule {
    /// One phase of a constant rate.
    #[must_use]
    pub fn constant(per_s: f64, duration_ms: u64) -> Self {
        let phase = Phase { duration_ms, from_per_s: per_s, to_per_s: per_s, at_once: 0 };
        Self::Phases { phases: vec![phase], poisson: false }
    }

    /// How long it lasts.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        match self {
            Self::Phases { phases, .. } => phases.iter().fold(0, |sum, phase| sum.saturating_add(phase.duration_ms)),
            Self::Trace(trace) => trace.duration_ms(),
        }
    }

    /// Refuses a schedule that is empty, unbounded or senseless, with the reason.
    pub fn check(&self) -> Result<(), LoadError> {
        let wrong = |reason: String| Err(LoadError::Plan(reason));
        let Self::Phases { phases, .. } = self else { return Ok(()) };
        let rate_is_bad = |per_s: f64| !(0.0..=MAX_PER_S).contains(&per_s);
        if phases.iter().any(|phase| rate_is_bad(phase.from_per_s) || rate_is_bad(phase.to_per_s)) {
            return wrong("a rate is 0 to 10,000,000 per second".to_owned());
        }
        if self.duration_ms() == 0 {
            return wrong("the schedule has no duration: even a spike needs time to be answered".to_owned());
        }
        let expected = phases.iter().map(Phase::expected).sum::<f64>();
        match expected {
            count if count < 1.0 => wrong("the schedule has no arrival".to_owned()),
            // Poisson draws vary by a few times the square root; the bound has room for that.
            count if count > MAX_ARRIVALS as f64 => {
                wrong(format!("the schedule has {count:.0} arrivals; at most {MAX_ARRIVALS} are possible"))
            }
            _ => Ok(()),
        }
    }

    /// Every arrival in microseconds since the start, in order.
    #[must_use]
    pub fn arrivals_us(&self, seed: u64) -> Vec<u64> {
        match self {
            Self::Phases { phases, poisson } => arrivals_us(phases, *poisson, seed),
            Self::Trace(trace) => trace.arrivals().iter().map(|arrival| arrival.at_us).collect(),
        }
    }

    /// Every phase with its begin in milliseconds, in words.
    pub(crate) fn in_words(&self) -> Vec<(u64, String)> {
        let Self::Phases { phases, .. } = self else {
            return vec![(0, self.words())];
        };
        let mut begin_ms = 0;
        let in_words = |phase: &Phase| {
            let begun_ms = begin_ms;
            begin_ms += phase.duration_ms;
            (begun_ms, phase.words())
        };
        phases.iter().map(in_words).collect()
    }

    /// The whole schedule in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Phases { phases, poisson } => {
                let words: Vec<String> = phases.iter().map(Phase::words).collect();
                words.join(", then ") + if *poisson { "; Poisson" } else { "" }
            }
            Self::Trace(trace) => {
                format!("a recorded trace of {} arrivals in {} ms", trace.arrivals().len(), trace.duration_ms())
            }
        }
    }
}

impl Phase {
    /// Arrivals to expect.
    fn expected(&self) -> f64 {
        (self.from_per_s + self.to_per_s) / 2.0 * self.duration_ms as f64 / 1_000.0 + self.at_once as f64
    }

    fn words(&self) -> String {
        let duration = duration_words(self.duration_ms);
        let flow = match (self.from_per_s, self.to_per_s) {
            (0.0, 0.0) if self.at_once > 0 => format!("nobody else for {duration}"),
            (0.0, 0.0) => format!("nobody for {duration}"),
            #[expect(clippy::float_cmp, reason = "the same number was written twice")]
            (from, to) if from == to => format!("{from}/s for {duration}"),
            (from, to) => format!("{from}/s to {to}/s within {duration}"),
        };
        if self.at_once > 0 { format!("{} at once, {flow}", self.at_once) } else { flow }
    }

    /// Seconds into the phase by which `count` arrivals have come: the integral of the rate, solved for the time.
    fn seconds_until(&self, count: f64) -> f64 {
        let slope = (self.to_per_s - self.from_per_s) / (self.duration_ms as f64 / 1_000.0);
        let root = (self.from_per_s * self.from_per_s + 2.0 * slope * count).max(0.0).sqrt();
        2.0 * count / (self.from_per_s + root)
    }
}

/// Arrivals of a flow: the n-th comes when the integral of the rate has reached n – or, for Poisson, a sum of n exponential
/// draws, which is the same process in stretched time. What a phase leaves of an arrival is carried into the next one.
fn arrivals_us(phases: &[Phase], poisson: bool, seed: u64) -> Vec<u64> {
    let mut dice = SplitMix(seed ^ 0x5EED_0A44_11A1_5EED);
    let mut step = || if poisson { dice.exponential() } else { 1.0 };
    let mut arrivals = Vec::new();
    let mut begin_us = 0_u64;
    // How much of the flow must still pass until the next arrival; evenly spaced ones begin at once.
    let mut missing = if poisson { step() } else { 0.0 };
    for phase in phases {
        arrivals.extend(std::iter::repeat_n(begin_us, usize::try_from(phase.at_once).unwrap_or(0)));
        let duration_us = phase.duration_ms * 1_000;
        let flow = phase.expected() - phase.at_once as f64;
        let mut passed = missing;
        while passed < flow {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time within 24 hours")]
            let into_us = (phase.seconds_until(passed) * 1_000_000.0).round() as u64;
            arrivals.push(begin_us + into_us.min(duration_us.saturating_sub(1)));
            passed += step();
        }
        missing = passed - flow;
        begin_us += duration_us;
    }
    arrivals
}

#[cfg(test)]
mod tests;
