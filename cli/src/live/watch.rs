//! Samples, one after the other: of daemons that run, recorded on the way if that is wanted, or out of a recording.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use super::{
    Sample,
    poll::{self, Poller},
    recording::{Recorder, Recording, Stopped},
};

/// Looks at daemons at a fixed interval.
pub(crate) struct Watch {
    poller: Poller,
    interval: Interval,
    recorder: Option<Recorder>,
    /// Why nothing is recorded any more, until somebody takes it.
    stopped: Option<Stopped>,
}

impl Watch {
    /// The first look is at once.
    pub(crate) fn new(poller: Poller, interval: Duration, recorder: Option<Recorder>) -> Self {
        let mut interval = tokio::time::interval(interval);
        // A look that was missed is a gap; looking twice at once would not fill it.
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self { poller, interval, recorder, stopped: None }
    }

    /// The next sample.
    pub(crate) async fn next(&mut self) -> Sample {
        self.interval.tick().await;
        let sample = self.poller.look(poll::patience(self.interval.period())).await;
        if let Some(recorder) = &mut self.recorder
            && let Err(stopped) = recorder.record(&sample)
        {
            self.stopped = Some(stopped);
            self.recorder = None;
        }
        sample
    }

    /// Why nothing is recorded any more: once.
    pub(crate) fn stopped(&mut self) -> Option<Stopped> {
        self.stopped.take()
    }
}

/// Goes through a recording from its first sample to its last.
pub(crate) struct Replay {
    recording: Recording,
    next: usize,
    /// How many times as fast as it was; `None`: without pauses.
    speed: Option<f64>,
    last_ms: Option<u64>,
}

/// No pause of a replay is longer: nobody waits for an hour in which flashctl was asleep.
const PAUSE_MAX: Duration = Duration::from_secs(60);

impl Replay {
    pub(crate) fn new(recording: Recording, speed: Option<f64>) -> Self {
        Self { recording, next: 0, speed, last_ms: None }
    }

    /// The next sample when it is due, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<anyhow::Result<Sample>> {
        if self.next >= self.recording.len() {
            return None;
        }
        let sample = self.recording.read(self.next);
        self.next += 1;
        if let (Ok(sample), Some(speed), Some(last_ms)) = (&sample, self.speed, self.last_ms) {
            let pause = Duration::from_millis(sample.at_ms.saturating_sub(last_ms)).div_f64(speed);
            tokio::time::sleep(pause.min(PAUSE_MAX)).await;
        }
        self.last_ms = sample.as_ref().map_or(self.last_ms, |sample| Some(sample.at_ms));
        Some(sample)
    }
}
