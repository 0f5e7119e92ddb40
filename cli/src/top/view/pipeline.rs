//! The way of a win: reserved in Redis → logged in Kafka → projected to MySQL → settled; at each arrow what is on its way, and
//! how long that takes.

use ratatui::layout::Rect;

use super::pen::{Pen, width};
use crate::top::{
    format,
    model::{Kind, Model, total},
    state::State,
};

/// What is on its way between two steps.
struct Gap {
    units: String,
    /// What the duration is.
    word: &'static str,
    lag: String,
}

pub(crate) fn draw(state: &State, area: Rect, pen: &mut Pen<'_>) {
    if area.height < 3 {
        return;
    }
    let remark = if area.width >= 70 { "events per second · on their way between · how long that takes" } else { "" };
    let body = pen.title(area, "PIPELINE", remark);
    let look = pen.look;
    let model = state.shown();
    let flow = model.flow();
    let gaps = gaps(state);
    let names = ["reserved", "logged", "projected", "settled"];
    // Four names and three arrows share the width.
    let step = body.width / 4;
    for (index, (kind, name)) in (0_u16..).zip(Kind::STEPS.into_iter().zip(names)) {
        let cell = Rect::new(body.x + index * step, body.y, step, body.height);
        let x = pen.text(cell, 0, 0, name, look.strong);
        pen.text(cell, 0, 1, &format::rate_or(flow.map(|flow| flow.at(kind))), look.text);
        let Some(gap) = gaps.get(usize::from(index)) else { continue };
        arrow(cell, x + 1, &gap.units, pen);
        let lag = format!("{} {}", gap.word, gap.lag);
        let end = cell.width.saturating_sub(1);
        // With little room the number goes without its word, then not at all.
        let room = end.saturating_sub(x.min(9) + 1);
        if let Some(text) = [&lag, &gap.lag].into_iter().find(|text| width(text) <= room) {
            pen.right(cell, end, 1, text, look.dim);
        }
    }
}

/// `── 12 ──▸` up to the end of the cell.
fn arrow(cell: Rect, start: u16, text: &str, pen: &mut Pen<'_>) {
    let look = pen.look;
    let end = cell.width.saturating_sub(1);
    if start + 3 > end {
        return;
    }
    for x in start..end - 1 {
        pen.text(cell, x, 0, "─", look.rule);
    }
    pen.text(cell, end - 1, 0, "▸", look.rule);
    let room = end.saturating_sub(start);
    // Without room for the unit, the number.
    let labels = [format!(" {text} "), format!(" {} ", text.split(' ').next().unwrap_or_default())];
    if let Some(label) = labels.into_iter().find(|label| width(label) + 2 <= room) {
        pen.text(cell, start + (room - width(&label)) / 2, 0, &label, look.accent);
    }
}

fn gaps(state: &State) -> [Gap; 3] {
    let model: &Model = state.shown();
    let it = &state.window.latencies;
    let stats = || model.answering().filter_map(|daemon| daemon.last.as_ref());
    let known = |is_there: bool, text: String| if is_there { text } else { format::UNKNOWN.to_owned() };
    let sells = stats().any(|stats| stats.api.is_some());
    let works = stats().any(|stats| stats.worker.is_some());
    let waiting = total(stats().filter_map(|stats| stats.api.as_ref()).map(|api| api.unacknowledged));
    let projectors = || stats().filter_map(|stats| stats.worker.as_ref()).map(|worker| &worker.projector);
    let behind = total(projectors().map(|projector| projector.lag_events));
    let behind_ms = projectors().filter_map(|projector| projector.lag_ms).max();
    let sum = &model.stock.sum;
    [
        Gap {
            units: known(sells, format::count(waiting)),
            word: "p99",
            lag: format::micros_or(it.produce.quantile_us(0.99)),
        },
        Gap {
            units: known(works, format::count(behind)),
            word: "lag",
            lag: behind_ms.map_or_else(|| format::UNKNOWN.to_owned(), format::span),
        },
        Gap {
            units: known(sells && sum.unread == 0, format!("{} held", format::count(sum.parts.held))),
            word: "back p99",
            lag: format::micros_or(it.sweep.quantile_us(0.99)),
        },
    ]
}
