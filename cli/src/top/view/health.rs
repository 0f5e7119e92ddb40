//! Whether anything is wrong, and where; and why buyers were told no.

use ratatui::layout::Rect;

use super::{
    head::sign,
    pen::{Pen, behind},
    throughput::series,
};
use crate::top::{
    format,
    model::{Kind, total},
    situation::{self, Tone},
    state::State,
};

/// Every check on a line of its own. With less room: the worst first.
pub(crate) fn draw(state: &State, area: Rect, pen: &mut Pen<'_>) {
    if area.height < 2 {
        return;
    }
    let mut checks = situation::checks(state.shown(), &state.window);
    let wrong = checks.iter().filter(|check| check.tone >= Tone::Warn).count();
    let room = usize::from(area.height - 1);
    let hidden = checks.len().saturating_sub(room);
    let remark = match (wrong, hidden) {
        (0, 0) => String::new(),
        (0, hidden) => format!("{hidden} more are well"),
        (wrong, _) => format!("{wrong} to look at"),
    };
    if hidden > 0 {
        // Stable: equal ones keep their order.
        checks.sort_by_key(|check| std::cmp::Reverse(check.tone));
    }
    let body = pen.title(area, "HEALTH", &remark);
    for (y, check) in (0_u16..).zip(&checks) {
        let style = pen.tone(check.tone);
        pen.text(body, 0, y, sign(check.tone), style);
        pen.text(body, 2, y, check.name, if check.tone >= Tone::Warn { style } else { pen.look.text });
        let text = behind(body, 12);
        let style = if check.tone >= Tone::Warn { style } else { pen.look.dim };
        pen.text(text, 0, y, &format::cut(&check.text, usize::from(text.width)), style);
    }
}

/// Rows that the refusals can use.
pub(crate) fn refusals_height(state: &State) -> u16 {
    let reasons = state.window.outcomes.iter().filter(|(kind, ..)| *kind != Kind::Won).count();
    u16::try_from(reasons).unwrap_or(u16::MAX).clamp(1, 8) + 1
}

/// Refusals and failures by reason, the most frequent first.
pub(crate) fn refusals(state: &State, area: Rect, pen: &mut Pen<'_>) {
    if area.height < 2 {
        return;
    }
    let span_ms = state.window.span_ms;
    let no: Vec<_> = state.window.outcomes.iter().filter(|(kind, ..)| *kind != Kind::Won).collect();
    let all = total(no.iter().map(|(.., count)| *count));
    let remark = if span_ms > 0 { format!("last {}", format::period(span_ms)) } else { String::new() };
    let body = pen.title(area, "REFUSALS", &remark);
    if no.is_empty() {
        pen.text(body, 2, 0, if span_ms > 0 { "none" } else { format::UNKNOWN }, pen.look.dim);
        return;
    }
    for (y, (kind, reason, count)) in (0_u16..).zip(&no) {
        if y >= body.height {
            break;
        }
        let (mark, _, style) = series(*kind, pen);
        pen.text(body, 0, y, mark, style);
        pen.text(body, 2, y, &format::cut(&reason.replace('_', " "), 22), pen.look.text);
        pen.right(body, 36, y, &format::count(*count), pen.look.strong);
        pen.right(body, 42, y, &format::percent(*count, all), pen.look.dim);
        let bar = behind(body, 44);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "cells"
        )]
        let cells = (*count as f64 / no[0].2 as f64 * f64::from(bar.width)).round() as u16;
        for x in 0..cells.max(1) {
            pen.text(bar, x, y, "█", style);
        }
    }
}
