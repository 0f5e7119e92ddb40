//! The same run, shorter or smaller.

use crate::LoadError;
use crate::plan::Plan;
use crate::schedule::{Phase, Schedule};

impl Plan {
    /// The same plan with its stages `time` times as long and its rates and users `size` times as many. How long a buyer thinks,
    /// waits or takes to pay stays as it is: people do not hurry because a test is short.
    pub fn scaled(mut self, time: f64, size: f64) -> Result<Self, LoadError> {
        let good = |factor: f64| factor.is_finite() && (0.0001..=1000.0).contains(&factor);
        if !good(time) || !good(size) {
            return Err(LoadError::Plan("a scale is 0.0001 to 1000".to_owned()));
        }
        for stage in &mut self.stages {
            stage.duration_ms = times(stage.duration_ms, time).max(1);
            // Nobody stays nobody, somebody stays at least one.
            let least = u64::from(stage.buyers.min(1));
            stage.buyers = u32::try_from(times(u64::from(stage.buyers), size).max(least)).unwrap_or(u32::MAX);
        }
        let Some(open) = &mut self.open else { return Ok(self) };
        match &mut open.schedule {
            Schedule::Phases { phases, .. } => phases.iter_mut().for_each(|phase| scale(phase, time, size)),
            #[expect(clippy::float_cmp, reason = "exactly 1 means unchanged")]
            Schedule::Trace(_) if size != 1.0 => {
                return Err(LoadError::Plan("a recorded trace has the size it has: scale its time only".to_owned()));
            }
            Schedule::Trace(trace) => *trace = trace.scaled(time),
        }
        Ok(self)
    }
}

fn scale(phase: &mut Phase, time: f64, size: f64) {
    phase.duration_ms = times(phase.duration_ms, time).max(u64::from(phase.duration_ms > 0));
    phase.from_per_s *= size;
    phase.to_per_s *= size;
    phase.at_once = times(phase.at_once, size).max(phase.at_once.min(1));
}

fn times(value: u64, factor: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; the plan's check bounds it"
    )]
    let scaled = (value as f64 * factor).round() as u64;
    scaled
}
