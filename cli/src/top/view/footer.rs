//! The last lines: the recording's time line, the filter, and the keys, out of their table.

use ratatui::layout::Rect;

use super::pen::{Pen, below, width};
use crate::top::{format, keys, state::State};

/// Lines that it takes.
pub(crate) fn height(state: &State) -> u16 {
    if state.tape.is_some() { 2 } else { 1 }
}

pub(crate) fn draw(state: &State, area: Rect, pen: &mut Pen<'_>) {
    let mut area = area;
    if state.tape.is_some() {
        time_line(state, area, pen);
        area = below(area, 1);
    }
    let look = pen.look;
    if state.typing {
        let x = pen.spans(area, 0, 0, &[("/", look.accent), (state.filter.as_str(), look.strong), ("▏", look.accent)]);
        pen.spans_right(area, x + 2, 0, &[("Enter keeps · Esc clears", look.dim)]);
        return;
    }
    let mut x = 0;
    if !state.filter.is_empty() {
        x = pen.spans(area, 0, 0, &[(format!("/{}", state.filter), look.warn), (" · ".into(), look.rule)]);
    }
    if let Some(ended) = &state.ended {
        let text = format::cut(ended, usize::from(area.width / 2));
        x = pen.spans(area, x, 0, &[(text, look.warn), (" · ".into(), look.rule)]);
    }
    for binding in keys::bindings(state.tape.is_some()).filter(|binding| !binding.footer.is_empty()) {
        let key = binding.spelled.split(' ').next().unwrap_or_default();
        if x + width(key) + width(binding.footer) + 1 > area.width {
            break;
        }
        x = pen.spans(area, x, 0, &[(key, look.accent), (" ", look.dim), (binding.footer, look.dim)]) + 2;
    }
    pen.spans_right(area, x, 0, &[(state.page.name(), look.accent)]);
}

/// `▸ 2× 12:01:05 ━━━━●──── 12:30:00  65 of 1800`
fn time_line(state: &State, area: Rect, pen: &mut Pen<'_>) {
    let Some(tape) = &state.tape else { return };
    let look = pen.look;
    let sign = if !tape.playing || tape.is_at_end() { "■" } else { "▸" };
    let before = format!("{sign} {} {} ", tape.speed_text(), format::clock(tape.first_ms));
    let after = format!(
        " {}  {} of {}",
        format::clock(tape.last_ms),
        format::count(tape.index as u64 + 1),
        format::count(tape.len as u64)
    );
    let x = pen.text(area, 0, 0, &before, look.accent);
    let cells = area.width.saturating_sub(x + width(&after));
    if cells < 4 {
        return;
    }
    let through = u128::from(state.shown_at_ms().saturating_sub(tape.first_ms));
    let all = u128::from(tape.last_ms - tape.first_ms).max(1);
    let at = u16::try_from((through * u128::from(cells - 1) / all).min(u128::from(cells - 1))).unwrap_or(0);
    for cell in 0..cells {
        let (sign, style) = match cell {
            cell if cell < at => ("━", look.accent),
            cell if cell == at => ("●", look.strong),
            _ => ("─", look.rule),
        };
        pen.text(area, x + cell, 0, sign, style);
    }
    pen.text(area, x + cells, 0, &after, look.dim);
}
