//! The metrics of a process that projects, sweeps, fills Redis anew and audits.

use crate::app::App;
use crate::meters::definitions as is;
use crate::meters::text::{Page, seconds};
use crate::projector::Handle;
use flash_core::reconcile::Kind;

pub(super) fn write(app: &App, page: &mut Page) {
    if let Some(projector) = &app.projector {
        project(projector, page);
    }
    let sweeper = app.meters.sweeper();
    let mut swept = page.family(&is::SWEPT);
    sweeper.swept.iter().for_each(|(state, count)| swept.sample(&[state], count));
    page.durations(&is::SWEEP_DELAY, &sweeper.delay);
    recovery(&app.recovery.view(), page);
    audit(app, page);
}

fn project(projector: &Handle, page: &mut Page) {
    let (seen, apply) = (projector.snapshot(), projector.apply());
    page.number(&is::PROJECTED, seen.events);
    let mut applied = page.family(&is::APPLIED);
    seen.applied.iter().for_each(|(kind, count)| applied.sample(&[kind], count));
    page.number(&is::PROJECTED_BATCHES, seen.batches);
    page.durations(&is::APPLY_DURATION, &apply.took);
    page.number(&is::APPLY_ERRORS, apply.errors);
    page.number(&is::DEAD_LETTERS, seen.dead_letters);
    page.number(&is::VOIDED, seen.voided);
    page.number(&is::MISSING, seen.missing_events);
    page.number(&is::REOPENINGS, seen.reopenings);
    page.number(&is::CONSUMER_LAG, seen.lag_events);
    page.optional(&is::PROJECTOR_LAG, seen.lag_ms.map(seconds));
    page.number(&is::PROJECTOR_PARTITIONS, seen.partitions);
}

fn recovery(recovery: &crate::recovery::View, page: &mut Page) {
    page.number(&is::REBUILDS, recovery.rebuilds);
    page.number(&is::REBUILD_FAILURES, recovery.failures);
    page.number(&is::REBUILDING, u8::from(recovery.step.is_some()));
    page.number(&is::REBUILD_STEP, recovery.step_number);
    page.optional(&is::REBUILD_LAST, recovery.last_took_ms.map(seconds));
    page.number(&is::BLOCKED_SKUS, recovery.blocked.len());
}

/// What the auditor has found. A worker that is not the one who audits has no age.
fn audit(app: &App, page: &mut Page) {
    let view = app.audit.view();
    let mut findings = page.family(&is::FINDINGS);
    for kind in Kind::ALL {
        findings.sample(&[kind.as_str()], view.found.get(kind.as_str()).copied().unwrap_or(0));
    }
    page.number(&is::AUDITS, view.runs);
    let last = app.audit.age_ms().zip(view.last_took_ms);
    page.optional(&is::AUDIT_AGE, last.map(|(age_ms, _)| seconds(age_ms)));
    page.optional(&is::AUDIT_DURATION, last.map(|(_, took_ms)| seconds(took_ms)));
    page.optional(&is::AUDIT_PAUSE, last.map(|_| seconds(view.pause_ms)));
}
