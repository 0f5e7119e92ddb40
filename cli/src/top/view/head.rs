//! The first lines of every page: which sale, what it does, whether anything is wrong.

use ratatui::{
    layout::Rect,
    style::{Modifier, Style},
};

use super::pen::{Pen, width};
use crate::top::{format, model::Kind, state::State, tone::Tone};

/// One line: title, state, daemons, clock. What does not fit is left out from the right.
pub(crate) fn draw(state: &State, area: Rect, pen: &mut Pen<'_>) {
    let look = pen.look;
    let model = state.shown();
    let judgement = state.judgement();
    let tone = Tone::of_word(judgement.word, !judgement.why.is_empty());
    let (essential, extra) = right_side(state, area.width, pen);
    let badge = format!(" {} ", judgement.word.upper());
    let badge_style = pen.tone(tone).add_modifier(Modifier::BOLD | Modifier::REVERSED);
    let mut x = pen.text(area, 0, 0, &badge, badge_style);
    let mut middle = Vec::new();
    if !judgement.why.is_empty() {
        middle.push((judgement.why.clone(), pen.tone(tone).remove_modifier(Modifier::REVERSED)));
    }
    middle.push((state.title.clone(), look.strong));
    let up = model.answering().count();
    if !model.daemons.is_empty() {
        middle.push((
            format!("{up}/{} up", model.daemons.len()),
            if up < model.daemons.len() { look.warn } else { look.dim },
        ));
    }
    if let Some(epoch) = epoch(state) {
        middle.push((format!("epoch {epoch}"), look.dim));
    }
    if let Some(uptime_ms) = uptime_ms(state) {
        middle.push((format!("up {}", format::span(uptime_ms)), look.dim));
    }
    // What the picture is – frozen, not recorded – comes before why the sale is as it is; the clock only before the rest.
    let wide = |spans: &[(String, Style)]| spans.iter().map(|(text, _)| width(text)).sum::<u16>();
    let (least, right_width) = (wide(&essential), wide(&essential) + wide(&extra));
    for (index, (text, style)) in middle.iter().enumerate() {
        let kept = if index == 0 && least > 0 { least + 2 } else { 0 };
        let room = area.width.saturating_sub(x + 2 + kept);
        let wanted = if index == 0 { 0 } else { width(text) + right_width + 2 };
        if room < wanted.max(3) {
            break;
        }
        x = pen.text(area, x + 2, 0, &format::cut(text, usize::from(room)), *style);
    }
    let both: Vec<(String, Style)> = essential.iter().chain(&extra).cloned().collect();
    if !pen.spans_right(area, x + 2, 0, &both) {
        pen.spans_right(area, x + 1, 0, &essential);
    }
}

/// A piece of a line.
type Span = (String, Style);

/// What stands at the right: what must be known of the picture, and what may be left out.
fn right_side(state: &State, room: u16, pen: &Pen<'_>) -> (Vec<Span>, Vec<Span>) {
    let look = pen.look;
    let (mut essential, mut extra) = (Vec::new(), Vec::new());
    if let Some(held_ms) = state.held_for_ms() {
        essential.push((format!(" FROZEN {} ", format::age(held_ms)), look.warn.add_modifier(Modifier::REVERSED)));
    }
    let is_recorded = state.recording_to.is_some() || state.recording_ended.is_some();
    if !essential.is_empty() && is_recorded {
        essential.push((" ".into(), look.dim));
    }
    if let Some(why) = &state.recording_ended {
        // The first word always; the reason where there is a line for it.
        let brief = why.split(':').next().unwrap_or_default();
        let text = if room < 70 { brief.to_owned() } else { format::cut(why, usize::from(room / 3)) };
        essential.push((format!("✖ REC {text}"), look.bad.remove_modifier(Modifier::REVERSED)));
    } else if let Some(path) = &state.recording_to {
        essential.push(("● REC".into(), look.bad.remove_modifier(Modifier::REVERSED)));
        extra.push((format!(" {}", format::cut(path, 24)), look.dim));
    }
    if state.shown_at_ms() > 0 {
        let gap = if essential.is_empty() { "" } else { " " };
        extra.push((format!("{gap}{} UTC", format::clock(state.shown_at_ms())), look.dim));
    }
    (essential, extra)
}

fn epoch(state: &State) -> Option<u64> {
    let daemons = state.shown().daemons.iter().filter_map(|daemon| daemon.last.as_ref());
    daemons.filter_map(|stats| stats.api.as_ref()).map(|api| api.epoch.latest.0).max().filter(|epoch| *epoch > 0)
}

fn uptime_ms(state: &State) -> Option<u64> {
    state.shown().answering().filter_map(|daemon| daemon.last.as_ref()).map(|stats| stats.uptime_ms).max()
}

/// Two lines: where all units are, how fast it goes, and the worst of all checks.
pub(crate) fn summary(state: &State, area: Rect, pen: &mut Pen<'_>) {
    let look = pen.look;
    let model = state.shown();
    let sum = &model.stock.sum;
    let known = model.knows_anything() && !model.stock.rows().is_empty() && sum.unread < model.stock.rows().len();
    let number = |n: u64| if known { format::count(n) } else { format::UNKNOWN.to_owned() };
    let before = [
        (number(sum.parts.sold), look.sold.add_modifier(Modifier::BOLD)),
        (" sold".into(), look.dim),
        (" │ ".into(), look.rule),
        (number(sum.parts.held), look.held.add_modifier(Modifier::BOLD)),
        (" held".into(), look.dim),
        (" │ ".into(), look.rule),
        (number(sum.parts.left), look.left.add_modifier(Modifier::BOLD)),
        (" left".into(), look.dim),
    ];
    let x = pen.spans(area, 0, 0, &before) + 2;
    let of = format!("of {}", number(sum.capacity));
    let cells = area.width.saturating_sub(x + width(&of) + 2);
    if cells >= 8 {
        pen.gauge(area, x, 0, cells, known.then_some(sum.parts));
        pen.text(area, x + cells + 2, 0, &of, look.dim);
    } else if x.saturating_sub(1) + width(&of) <= area.width {
        // Half a number is another number.
        pen.text(area, x.saturating_sub(1), 0, &of, look.dim);
    }
    let flow = model.flow();
    // What is not selling leaves at no pace, and lasts for no time.
    let mut pace = Vec::new();
    if sum.selling > 0 || !known {
        // What is remembered of a sale that has stopped is not what leaves now.
        pace.push((format::rate_or(sum.pace.filter(|_| state.foretells())), look.strong));
        pace.push((" leaving".into(), look.dim));
    }
    if sum.selling > 0 {
        let lasts_ms = sum.lasts_ms.filter(|_| state.foretells());
        pace.push((" · all gone in ".into(), look.dim));
        pace.push((format::estimate(lasts_ms), look.strong));
    }
    let between = if pace.is_empty() { "" } else { " · " };
    let answers = [
        (between.to_owned(), look.rule),
        (format::rate_or(flow.map(|flow| flow.at(Kind::Won))), look.won.add_modifier(Modifier::BOLD)),
        (" wins".into(), look.dim),
        (" of ".into(), look.dim),
        (format::rate_or(flow.map(|flow| flow.answers())), look.strong),
        (" answers".into(), look.dim),
    ];
    let (tone, text) = verdict(state);
    // With little room what is wrong goes before how fast it goes.
    let pace_width: u16 = pace.iter().map(|(text, _)| width(text)).sum();
    let has_room = tone < Tone::Warn || area.width >= pace_width + 2 + width(&text).min(24);
    let x = if has_room { pen.spans(area, 0, 1, &pace) } else { 0 };
    let wide: u16 = answers.iter().map(|(text, _)| width(text)).sum();
    let x = if area.width >= x + wide + 24 { pen.spans(area, x, 1, &answers) } else { x };
    let room = usize::from(area.width.saturating_sub(x + 2));
    if room > 4 {
        let after = if has_room { x + 2 } else { 0 };
        let text = format::cut(&text, usize::from(area.width - after));
        pen.spans_right(area, after, 1, &[(text, pen.tone(tone).remove_modifier(Modifier::REVERSED))]);
    }
}

/// The worst finding, or that there is none.
pub(crate) fn verdict(state: &State) -> (Tone, String) {
    if !state.shown().knows_anything() {
        return (Tone::Quiet, String::new());
    }
    match state.judgement().remarks().next() {
        Some(finding) => {
            let tone = Tone::of(finding.level);
            (tone, format!("{} {}", tone.sign(), finding.words()))
        }
        None => (Tone::Good, format!("{} nothing wrong", Tone::Good.sign())),
    }
}
