//! The keys, out of their table, and what the signs mean.

use ratatui::layout::Rect;

use super::pen::{Pen, below, columns, top};
use crate::top::{keys, state::State};

pub(crate) fn draw(state: &State, area: Rect, pen: &mut Pen<'_>) {
    let rows: Vec<_> = keys::bindings(state.tape.is_some()).collect();
    let has_two = area.width >= 100;
    let wanted = u16::try_from(if has_two { rows.len().div_ceil(2) } else { rows.len() }).unwrap_or(u16::MAX);
    let wide = area.width.min(if has_two { 140 } else { 76 });
    let high = area.height.min(wanted.saturating_add(5));
    let place = Rect::new(area.x + (area.width - wide) / 2, area.y + (area.height - high) / 2, wide, high);
    let inside = pen.frame(place, "KEYS");
    let list = top(inside, inside.height.saturating_sub(3));
    let visible = usize::from(list.height) * if has_two { 2 } else { 1 };
    let first = state.scroll.min(rows.len().saturating_sub(visible));
    let halves = if has_two { columns(list, [1, 1]).to_vec() } else { vec![list] };
    let look = pen.look;
    for (index, binding) in rows.iter().skip(first).take(visible).enumerate() {
        let Some(column) = halves.get(index / usize::from(list.height).max(1)) else { break };
        let y = u16::try_from(index % usize::from(list.height).max(1)).unwrap_or(0);
        pen.text(*column, 0, y, binding.spelled, look.accent);
        pen.text(*column, 13, y, binding.help, look.text);
    }
    let foot = below(inside, inside.height.saturating_sub(2));
    let signs = [
        ("signs: ", look.dim),
        ("█ sold ", look.sold),
        ("▒ held ", look.held),
        ("░ left  ", look.left),
        ("✔ well ", look.good),
        ("▲ look ", look.warn),
        ("✖ wrong ", look.bad),
        ("○ quiet", look.dim),
    ];
    pen.spans(foot, 0, 0, &signs);
    let mut note = format!("~ estimate · — not known · ▴ peak · theme: {}", state.theme.name());
    if rows.len() > visible {
        note = format!("{}–{} of {} keys · j k scroll · {note}", first + 1, first + visible, rows.len());
    }
    pen.text(foot, 0, 1, &note, look.dim);
}
