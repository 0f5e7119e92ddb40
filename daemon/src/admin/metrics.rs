//! `/metrics`: Prometheus text of everything this process counts. Asks no backend: everything is already in memory.

use crate::app::App;
use crate::http::{Answer, json};
use crate::meters::{gauge, header};
use bytes::Bytes;
use flash_core::reconcile::Kind;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use std::fmt::Write as _;

/// Prometheus text of how long buyers could not be served.
fn render_stops(stops: &flash_core::stats::Stops, text: &mut String) {
    header(text, "flash_selling_stops_total", "counter", "Times that purchases could not be decided any more.");
    let _ = writeln!(text, "flash_selling_stops_total {}", stops.stops);
    header(
        text,
        "flash_selling_stopped_milliseconds_total",
        "counter",
        "Time without selling, the present stop included.",
    );
    let _ = writeln!(text, "flash_selling_stopped_milliseconds_total {}", stops.total_ms);
    let name = "flash_selling_stopped_milliseconds";
    gauge(text, name, "Time since selling has stopped; 0 while it goes on.", stops.stopped_for_ms.unwrap_or(0));
}

/// Prometheus text of the coordinator.
fn render_recovery(recovery: &flash_core::stats::RebuildView, text: &mut String) {
    header(text, "flash_rebuilds_total", "counter", "Times this process has filled Redis anew.");
    let _ = writeln!(text, "flash_rebuilds_total {}", recovery.rebuilds);
    header(text, "flash_rebuild_failures_total", "counter", "Times this process began to fill Redis anew and gave up.");
    let _ = writeln!(text, "flash_rebuild_failures_total {}", recovery.failures);
    gauge(text, "flash_rebuilding", "1 while this process fills Redis anew.", u64::from(recovery.step.is_some()));
    let steps = "Step of the rebuild: 1 announcing, 2 noting, 3 closing, 4 waiting, 5 fencing, 6 projecting, 7 loading, \
                 8 opening; 0 while none runs.";
    gauge(text, "flash_rebuild_step", steps, recovery.step_number.into());
    let took_ms = recovery.last_took_ms.unwrap_or(0);
    gauge(text, "flash_rebuild_last_milliseconds", "How long the last finished rebuild took.", took_ms);
    let blocked = recovery.blocked.len() as u64;
    gauge(text, "flash_blocked_skus", "SKUs that the last attempt to fill them left closed.", blocked);
}

/// Prometheus text of what the auditor has found. A worker that is not the one who audits shows no age.
fn audited(app: &App, text: &mut String) {
    let view = app.audit.view();
    header(text, "flash_reconcile_findings", "gauge", "Findings of the last audit, by kind.");
    for kind in Kind::ALL {
        let count = view.found.get(kind.as_str()).copied().unwrap_or(0);
        let _ = writeln!(text, "flash_reconcile_findings{{kind=\"{}\"}} {count}", kind.as_str());
    }
    header(text, "flash_reconcile_runs_total", "counter", "Audits of this process that came to an end.");
    let _ = writeln!(text, "flash_reconcile_runs_total {}", view.runs);
    if let (Some(age_ms), Some(took_ms)) = (app.audit.age_ms(), view.last_took_ms) {
        gauge(text, "flash_reconcile_age_milliseconds", "Age of the last audit.", age_ms);
        gauge(text, "flash_reconcile_duration_milliseconds", "How long the last audit took.", took_ms);
        let help = "Pause before the next audit; longer while the same findings stay.";
        gauge(text, "flash_reconcile_pause_milliseconds", help, view.pause_ms);
    }
}

/// `/metrics`: Prometheus text.
pub(super) fn metrics(app: &App) -> Answer {
    let mut text = String::with_capacity(8 * 1024);
    header(&mut text, "flash_build_info", "gauge", "Always 1; the labels say what runs.");
    let role = app.config.role.as_str();
    let _ = writeln!(text, "flash_build_info{{version=\"{}\",role=\"{role}\"}} 1", env!("CARGO_PKG_VERSION"));
    gauge(&mut text, "flash_ready", "1 when every readiness latch is dropped.", u64::from(app.unready().is_empty()));
    if let Some(shop) = &app.shop {
        app.meters.render(&mut text);
        let lease = &shop.deciders.lease;
        gauge(
            &mut text,
            "flash_in_flight",
            "Purchases between admission and answer.",
            shop.admission.in_flight() as u64,
        );
        gauge(
            &mut text,
            "flash_unacknowledged_events",
            "Events handed to Kafka without an answer yet.",
            shop.deciders.recorder.unanswered(),
        );
        gauge(&mut text, "flash_epoch", "Newest stock epoch seen.", lease.latest().0);
        gauge(&mut text, "flash_epoch_open", "1 while purchases may be decided.", u64::from(lease.is_open()));
        render_stops(&shop.deciders.selling.view(), &mut text);
        gauge(&mut text, "flash_lease_age_milliseconds", "Age of the epoch lease.", lease.age_ms().unwrap_or(0));
    }
    if app.config.role.works() {
        app.meters.render_sweeping(&mut text);
        render_recovery(&app.recovery.view(), &mut text);
    }
    if app.config.role.works() {
        audited(app, &mut text);
    }
    if let Some(projector) = &app.projector {
        let seen = projector.snapshot();
        header(&mut text, "flash_projected_events_total", "counter", "Events applied, voided or parked.");
        let _ = writeln!(text, "flash_projected_events_total {}", seen.events);
        header(&mut text, "flash_dead_letters_total", "counter", "Events parked in the dead letters.");
        let _ = writeln!(text, "flash_dead_letters_total {}", seen.dead_letters);
        header(&mut text, "flash_voided_events_total", "counter", "Events of an older epoch behind a fence.");
        let _ = writeln!(text, "flash_voided_events_total {}", seen.voided);
        gauge(&mut text, "kafka_consumer_lag", "Events in our partitions that are not applied yet.", seen.lag_events);
        gauge(&mut text, "flash_projector_lag_milliseconds", "Age of what is applied.", seen.lag_ms.unwrap_or(0));
    }
    let mut answer = json(Bytes::from(text));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    answer
}
