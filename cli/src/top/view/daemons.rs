//! Each daemon by itself: where trouble is, if there is some.

use ratatui::layout::Rect;

use super::pen::{Pen, below, width};
use crate::top::{
    format,
    model::{Daemon, Kind},
    state::State,
    tone::Tone,
};

/// Columns: heading, width, value.
type Column = (&'static str, u16, fn(&Daemon) -> String);

const COLUMNS: &[Column] = &[
    ("wins", 10, |daemon| format::rate_or(daemon.flow.map(|flow| flow.at(Kind::Won)))),
    ("answers", 11, |daemon| format::rate_or(daemon.flow.map(|flow| flow.answers()))),
    ("in flight", 12, |daemon| {
        api(daemon, |api| format!("{}/{}", format::short(api.in_flight), format::short(api.in_flight_max)))
    }),
    ("conns", 8, |daemon| api(daemon, |api| format::short(api.connections.open))),
    ("lane", 6, |daemon| api(daemon, |api| format::short(api.lanes.deepest))),
    ("lag", 8, |daemon| {
        let lag =
            daemon.last.as_ref().and_then(|stats| stats.worker.as_ref()).map(|worker| worker.projector.lag_events);
        lag.map_or_else(|| format::UNKNOWN.into(), format::short)
    }),
    ("lease", 8, |daemon| {
        api(daemon, |api| api.epoch.lease_age_ms.map_or_else(|| format::UNKNOWN.into(), format::span))
    }),
    ("cpu", 6, |daemon| daemon.cpu.map_or_else(|| format::UNKNOWN.into(), |share| format!("{:.0}%", share * 100.0))),
    ("memory", 10, |daemon| {
        let bytes = daemon.last.as_ref().and_then(|stats| stats.process.resident_bytes);
        bytes.map_or_else(|| format::UNKNOWN.into(), format::bytes)
    }),
    ("up", 8, |daemon| {
        daemon.last.as_ref().map_or_else(|| format::UNKNOWN.into(), |stats| format::span(stats.uptime_ms))
    }),
    ("answer", 8, |daemon| format!("{} ms", daemon.took_ms)),
];

fn api(daemon: &Daemon, value: fn(&flash_core::stats::Api) -> String) -> String {
    let api = daemon.last.as_ref().and_then(|stats| stats.api.as_ref());
    api.map_or_else(|| format::UNKNOWN.to_owned(), value)
}

/// The page.
pub(crate) fn draw(state: &State, area: Rect, pen: &mut Pen<'_>) {
    table(state, area, state.scroll, pen);
}

/// The panel of the overview.
pub(crate) fn panel(state: &State, area: Rect, pen: &mut Pen<'_>) {
    table(state, area, 0, pen);
}

fn table(state: &State, area: Rect, first: usize, pen: &mut Pen<'_>) {
    if area.height < 3 {
        return;
    }
    let look = pen.look;
    let model = state.shown();
    let remark = format!("{} of {} answer", model.answering().count(), model.daemons.len());
    let body = pen.title(area, "DAEMONS", &remark);
    if model.daemons.is_empty() {
        pen.text(body, 2, 0, "none answered yet", look.dim);
        return;
    }
    let longest = model.daemons.iter().map(|daemon| width(&label(daemon))).max().unwrap_or(0);
    let name = longest.clamp(8, (area.width / 3).max(8)) + 2;
    // Two lines for each where the words would not fit behind the numbers.
    let mut end = name;
    let shown: Vec<&Column> = COLUMNS
        .iter()
        .take_while(|(_, width, _)| {
            end += width;
            end <= area.width
        })
        .collect();
    let mut end = name;
    for (heading, width, _) in &shown {
        end += width;
        pen.right(body, end, 0, heading, look.dim);
    }
    let mut y = 1;
    for daemon in model.daemons.iter().skip(first) {
        if y >= body.height {
            break;
        }
        let (tone, words) = condition(daemon, state.shown_at_ms());
        pen.text(body, 0, y, tone.sign(), pen.tone(tone));
        pen.text(body, 2, y, &format::cut(&label(daemon), usize::from(name - 2)), look.strong);
        let mut end = name;
        for (_, width, value) in &shown {
            end += width;
            pen.right(body, end, y, &value(daemon), if daemon.failed.is_some() { look.dim } else { look.text });
        }
        let room = usize::from(body.width.saturating_sub(4));
        let style = if tone >= Tone::Warn { pen.tone(tone) } else { look.dim };
        pen.text(below(body, y + 1), 4, 0, &format::cut(&words, room), style);
        y += 2;
    }
}

fn label(daemon: &Daemon) -> String {
    match daemon.name() {
        name if name == daemon.address() => name,
        name => format!("{name} {}", daemon.address()),
    }
}

/// How it is, in words.
fn condition(daemon: &Daemon, now_ms: u64) -> (Tone, String) {
    if let Some(reason) = &daemon.failed {
        let ago = format::age(now_ms.saturating_sub(daemon.answered_at_ms));
        return match daemon.last {
            Some(_) => (Tone::Bad, format!("STALE {ago}: {reason}")),
            None => (Tone::Bad, format!("never answered, {ago}: {reason}")),
        };
    }
    let Some(stats) = &daemon.last else { return (Tone::Quiet, "not asked yet".to_owned()) };
    if stats.draining {
        return (Tone::Warn, "draining: takes no purchases".to_owned());
    }
    if let Some(why) = &stats.paused {
        return (Tone::Warn, format!("paused: {why}"));
    }
    if !stats.ready {
        let why = stats
            .unready
            .iter()
            .next()
            .map_or_else(|| "no reason".to_owned(), |(latch, why)| format!("{latch}: {why}"));
        return (Tone::Warn, format!("not ready: {why}"));
    }
    (Tone::Good, format!("ready · role {} · flashd {}", stats.role, stats.build))
}
