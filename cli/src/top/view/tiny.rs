//! For very small terminals: the few numbers without which nobody would look, and a line that says that there is more.

use ratatui::{layout::Rect, style::Modifier};

use super::{
    head::verdict,
    pen::{Pen, top},
};
use crate::top::{format, model::Kind, state::State, tone::Tone};

pub(crate) fn draw(state: &State, area: Rect, pen: &mut Pen<'_>) {
    let look = pen.look;
    let model = state.shown();
    let sum = &model.stock.sum;
    let judgement = state.judgement();
    let tone = Tone::of_word(judgement.word, !judgement.why.is_empty());
    let known = model.knows_anything() && !model.stock.rows().is_empty() && sum.unread < model.stock.rows().len();
    let left = if known { format::count(sum.parts.left) } else { format::UNKNOWN.into() };
    let style = pen.tone(tone).add_modifier(Modifier::BOLD | Modifier::REVERSED);
    // One line: all of it in one. It is the essential one.
    if area.height == 1 {
        let spans = [
            (format!(" {} ", judgement.word.upper()), style),
            (format!(" {left} left"), look.strong),
            (format!(" · {}", format::rate_or(sum.pace)), look.text),
            (format!(" · {}", format::estimate(sum.lasts_ms.filter(|_| state.foretells()))), look.text),
        ];
        pen.spans(area, 0, 0, &spans);
        return;
    }
    let x = pen.text(area, 0, 0, &format!(" {} ", judgement.word.upper()), style);
    let up = model.answering().count();
    let note =
        if judgement.why.is_empty() { format!("{up}/{} up", model.daemons.len()) } else { judgement.why.clone() };
    pen.text(
        area,
        x + 1,
        0,
        &format::cut(&note, usize::from(area.width.saturating_sub(x + 1))),
        pen.tone(tone).remove_modifier(Modifier::REVERSED),
    );
    let of = if known { format!(" left of {}", format::count(sum.capacity)) } else { " left".into() };
    let flow = model.flow();
    let lines: Vec<Vec<(String, ratatui::style::Style)>> = vec![
        vec![(left, look.strong), (of, look.dim)],
        Vec::new(),
        vec![
            (format::rate_or(sum.pace), look.strong),
            (" · all gone in ".into(), look.dim),
            (format::estimate(sum.lasts_ms.filter(|_| state.foretells())), look.strong),
        ],
        vec![
            (format::rate_or(flow.map(|flow| flow.at(Kind::Won))), look.won),
            (" wins of ".into(), look.dim),
            (format::rate_or(flow.map(|flow| flow.answers())), look.text),
        ],
        vec![{
            let (tone, text) = verdict(state);
            (format::cut(&text, usize::from(area.width)), pen.tone(tone).remove_modifier(Modifier::REVERSED))
        }],
    ];
    // The last line is for the remark.
    let body = top(area, area.height - 1);
    for (y, line) in (1_u16..).zip(&lines) {
        if line.is_empty() {
            pen.gauge(body, 0, y, area.width, known.then_some(sum.parts));
        } else {
            pen.spans(body, 0, y, line);
        }
    }
    let remark = format::cut("more from 40×10 on · q quit", usize::from(area.width));
    pen.text(area, 0, area.height - 1, &remark, look.dim);
}
