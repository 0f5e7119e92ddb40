//! What happened, of all daemons in order of time, the newest first.

use flash_core::stats::Severity;
use ratatui::layout::Rect;

use super::pen::{Pen, width};
use crate::top::{format, list, state::State, tone::Tone};

pub(crate) fn draw(state: &State, area: Rect, first: usize, pen: &mut Pen<'_>) {
    if area.height < 2 {
        return;
    }
    let model = state.shown();
    let look = pen.look;
    let all = model.log.len();
    let mut remark = if all > 0 { "newest first".to_owned() } else { String::new() };
    if !state.filter.is_empty() {
        remark += &format!(" · with \"{}\"", state.filter);
    }
    let body = pen.title(area, "EVENTS", &remark);
    let mut is_empty = true;
    for (y, entry) in (0..body.height).zip(list::events(model, &state.filter).skip(first)) {
        is_empty = false;
        let (sign, tone) = match entry.severity {
            Severity::Info => ("·", Tone::Quiet),
            Severity::Warning => ("▲", Tone::Warn),
            Severity::Critical => ("✖", Tone::Bad),
        };
        let style = pen.tone(tone);
        let x = pen.text(body, 0, y, &format::clock(entry.at_ms), look.dim);
        let x = pen.text(body, x + 1, y, sign, style);
        let name = format::cut(&entry.who(), 15);
        let x = pen.text(body, x + 1, y, &name, look.dim) + 5_u16.saturating_sub(width(&name));
        let words = match entry.sku_id {
            Some(sku_id) if area.width >= 45 => format!("SKU {sku_id}: {}", entry.text),
            _ => entry.text.clone(),
        };
        let room = usize::from(body.width.saturating_sub(x + 1));
        let style = if tone == Tone::Quiet { look.text } else { style };
        pen.text(body, x + 1, y, &format::cut(&words, room), style);
    }
    if is_empty {
        pen.text(body, 0, 0, if all == 0 { "none so far" } else { "none contains the filter" }, look.dim);
    }
}
