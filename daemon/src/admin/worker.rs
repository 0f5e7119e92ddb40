//! The working half of the `/stats` document.

use crate::app::App;
use crate::meters;
use crate::projector::Handle;
use flash_core::stats::{RebuildView, Stores, Worker};

/// What a worker tells.
pub(super) fn worker(app: &App, projector: &Handle) -> Worker {
    Worker {
        projector: projector.snapshot(),
        sweeper: app.meters.sweeper(),
        rebuild: rebuild(app),
        audit: app.audit.view(),
    }
}

/// The step that a rebuild is at, with the server that keeps it waiting: each has its own watcher here.
fn rebuild(app: &App) -> RebuildView {
    let view = app.recovery.view();
    let silent = view.step.as_ref().and_then(|_| {
        let Stores { mysql, redis, kafka } = meters::stores(app);
        let problems = [("MySQL", mysql.problem), ("Redis", redis.problem), ("Kafka", kafka.problem)];
        problems.into_iter().find_map(|(server, problem)| Some(format!("{server}: {}", problem?)))
    });
    RebuildView { waits_for: silent, ..view }
}
