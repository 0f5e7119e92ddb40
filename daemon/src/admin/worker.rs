//! The working half of the `/stats` document.

use crate::app::App;
use crate::projector::Handle;
use flash_core::stats::{Projector, Worker};

/// What a worker tells.
pub(super) fn worker(app: &App, projector: &Handle) -> Worker {
    Worker {
        projector: projected(projector),
        sweeper: app.meters.sweeper(),
        rebuild: app.recovery.view(),
        audit: app.audit.view(),
    }
}

fn projected(projector: &Handle) -> Projector {
    let seen = projector.snapshot();
    Projector {
        events: seen.events,
        applied: seen.applied.into_iter().map(|(state, count)| (state.to_owned(), count)).collect(),
        batches: seen.batches,
        dead_letters: seen.dead_letters,
        voided: seen.voided,
        missing_events: seen.missing_events,
        reopenings: seen.reopenings,
        lag_events: seen.lag_events,
        lag_ms: seen.lag_ms,
        partitions: seen.partitions as u64,
        last_error: seen.last_error,
    }
}
