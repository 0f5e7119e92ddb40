//! Whether anything is wrong, and where; and why buyers were told no.

use ratatui::layout::Rect;

use super::{
    pen::{Pen, behind},
    throughput::series,
};
use crate::{
    live::judge::{Finding, Judgement, Level, Part},
    top::{
        format,
        model::{Kind, total},
        state::State,
        tone::Tone,
    },
};

/// Every part on a line of its own, with the worst that is said of it. With less room: the worst parts first.
pub(crate) fn draw(state: &State, area: Rect, pen: &mut Pen<'_>) {
    if area.height < 2 {
        return;
    }
    let judgement = state.judgement();
    let mut parts = parts(&judgement);
    let wrong = parts.iter().filter(|finding| finding.level > Level::Noted).count();
    let room = usize::from(area.height - 1);
    let hidden = parts.len().saturating_sub(room);
    let remark = match (wrong, hidden) {
        (0, 0) => String::new(),
        (0, hidden) => format!("{hidden} more are well"),
        (wrong, _) => format!("{wrong} to look at"),
    };
    if hidden > 0 {
        // Stable: equal ones keep their order.
        parts.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    }
    let body = pen.title(area, "HEALTH", &remark);
    for (y, finding) in (0_u16..).zip(&parts) {
        let tone = Tone::of(finding.level);
        let style = pen.tone(tone);
        pen.text(body, 0, y, tone.sign(), style);
        pen.text(body, 2, y, finding.part.as_str(), if tone >= Tone::Warn { style } else { pen.look.text });
        let text = behind(body, 12);
        let style = if tone >= Tone::Warn { style } else { pen.look.dim };
        let words = match &finding.daemon {
            Some(daemon) => format!("{daemon}: {}", finding.text),
            None => finding.text.clone(),
        };
        pen.text(text, 0, y, &format::cut(&words, usize::from(text.width)), style);
    }
}

/// The worst finding of each part, in the order of the parts. Parts that are about trouble alone are there when there is some.
fn parts(judgement: &Judgement) -> Vec<&Finding> {
    let worst = |part: &Part| judgement.findings.iter().find(|finding| finding.part == *part);
    let is_shown = |finding: &&Finding| match finding.part {
        Part::Selling | Part::Worker | Part::Letters | Part::Rebuild | Part::Blocked => finding.level > Level::Ok,
        _ => true,
    };
    Part::ALL.iter().filter_map(worst).filter(is_shown).collect()
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
