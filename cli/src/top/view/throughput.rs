//! Answers to buyers per second: now, the peak of the window, and the curve between.

use ratatui::{layout::Rect, style::Style};

use super::pen::{Pen, behind, top, width};
use crate::top::{
    format,
    model::{Kind, Point},
    state::State,
};

/// Name, sign and colour of the answers.
pub(crate) fn series(kind: Kind, pen: &Pen<'_>) -> (&'static str, &'static str, Style) {
    match kind {
        Kind::Won => ("✔", "won", pen.look.won),
        Kind::SoldOut => ("●", "sold out", pen.look.sold_out),
        Kind::Refused => ("○", "refused", pen.look.refused),
        _ => ("✖", "failed", pen.look.failed),
    }
}

pub(crate) fn draw(state: &State, area: Rect, pen: &mut Pen<'_>) {
    if area.height < 2 {
        return;
    }
    let remark = format!("last {}", format::period(state.zoom_ms()));
    let body = pen.title(area, "THROUGHPUT", &remark);
    let rows = (body.height / 4).clamp(1, 4);
    for (index, kind) in (0_u16..).zip(Kind::ANSWERS) {
        let y = index * rows;
        if y >= body.height {
            return;
        }
        let line = top(Rect::new(body.x, body.y + y, body.width, body.height - y), rows);
        one(state, kind, line, pen);
    }
}

fn one(state: &State, kind: Kind, area: Rect, pen: &mut Pen<'_>) {
    let look = pen.look;
    let model = state.shown();
    let (sign, name, style) = series(kind, pen);
    let now = model.flow().map(|flow| flow.at(kind));
    let value = |point: &Point| Some(point.flow.at(kind));
    let (now_ms, zoom_ms) = (state.shown_at_ms(), state.zoom_ms());
    let peak = model.history.peak(now_ms, zoom_ms, value);
    let last = area.height - 1;
    pen.text(area, 0, last, sign, style);
    pen.text(area, 2, last, name, look.text);
    pen.right(area, 20, last, &format::rate_or(now), look.strong);
    let peak_text = peak.map_or_else(String::new, |peak| format!("▴{}", format::rate(peak)));
    let mut x = 22;
    if area.height > 1 {
        pen.right(area, 20, last - 1, &peak_text, look.dim);
    } else if area.width >= 56 {
        pen.right(area, 32, last, &peak_text, look.dim);
        x = 34;
    }
    let room = behind(area, x);
    let values = model.history.columns(now_ms, zoom_ms, usize::from(room.width), value);
    pen.curve(room, &values, peak.unwrap_or(0.0), style);
    if model.history.points().next().is_none() && kind == Kind::Won && room.width > width("no rate yet") {
        pen.text(room, 0, last, "no rate yet", look.dim);
    }
}
