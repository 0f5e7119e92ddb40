//! The picture of a run. Pure: the same state is the same picture.

use flash_loadgen::Pacing;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph, Sparkline},
};

use super::state::{Second, State};
use crate::commands::loadtest::micros;
use crate::table::grouped;

/// Smaller than this nothing can be read.
const LEAST: (u16, u16) = (40, 10);
/// From this size on curves are drawn beside the figures.
const ROOMY: (u16, u16) = (76, 22);
/// Width of the figures beside a curve.
const FIGURES: u16 = 44;

/// Draws everything.
pub(super) fn draw(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        frame.render_widget(Paragraph::new(format!("needs {}×{}", LEAST.0, LEAST.1)), area);
    } else if area.width < ROOMY.0 || area.height < ROOMY.1 {
        compact(state, frame, area);
    } else {
        roomy(state, frame, area);
    }
}

/// Figures only, the most important first: what does not fit is left out from below.
fn compact(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let now = &state.now;
    let mut lines = vec![title(state), clock(state, area.width)];
    lines.push(figure("accepted", now.wins, state.latest().wins));
    lines.push(figure("sold out", now.sold_out, state.latest().sold_out));
    lines.push(figure("refused", now.refusals, state.latest().refusals));
    lines.push(failures(state));
    lines.push(Line::from(format!("p99 win    {:>9}", time(now.win_p99_us))));
    lines.push(Line::from(format!("stock      {:>9}", stock_text(now.stock))));
    lines.push(arrivals(state));
    lines.truncate(usize::from(area.height).saturating_sub(1));
    let [body, foot] = Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(area);
    frame.render_widget(Paragraph::new(lines), body);
    frame.render_widget(footer(state, area.width), foot);
}

fn roomy(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let [head, arriving, answers, latency, stock, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Fill(2),
        Constraint::Fill(4),
        Constraint::Fill(2),
        Constraint::Fill(2),
        Constraint::Length(1),
    ])
    .areas(area);
    let bar = bar(now_share(state), usize::from(head.width));
    frame.render_widget(Paragraph::new(vec![title(state), clock(state, head.width), Line::from(bar)]), head);
    let lag = match state.now.pacing {
        Pacing::Open => {
            let late = grouped(state.now.late);
            Line::from(format!("generator's own lag {} · late {late}", time(state.now.lag_max_us)))
        }
        Pacing::Closed => Line::from(format!("users {}", grouped(state.now.buyers))),
    };
    panel(state, frame, arriving, "Arrivals", vec![arrivals(state), lag], &|second| Some(second.begun));
    answered(state, frame, answers);
    let (win, out) = (time(state.now.win_p99_us), time(state.now.sold_out_p99_us));
    let lines = vec![Line::from(format!("p99 win      {win:>10}")), Line::from(format!("p99 sold out {out:>10}"))];
    let p99 = |second: &Second| Some(second.win_p99_us).filter(|us| *us > 0);
    panel(state, frame, latency, "Latency so far", lines, &p99);
    draining(state, frame, stock);
    frame.render_widget(footer(state, area.width), foot);
}

/// One line for each kind of answer with its own curve, as far as there is room.
fn answered(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let block = Block::new().borders(Borders::TOP).title("Answers");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let (now, last) = (&state.now, state.latest());
    type Kind = (&'static str, fn(&Second) -> u64);
    let kinds: [(Kind, u64, u64, Color); 4] = [
        (("accepted", |second| second.wins), now.wins, last.wins, Color::Green),
        (("sold out", |second| second.sold_out), now.sold_out, last.sold_out, Color::Blue),
        (("refused", |second| second.refusals), now.refusals, last.refusals, Color::Yellow),
        (("errors", |second| second.errors), now.errors, last.errors, Color::Red),
    ];
    let rows = Layout::vertical([Constraint::Fill(1); 4]).split(inner);
    for (((name, of), total, per_s, color), row) in kinds.into_iter().zip(rows.iter()) {
        let [left, right] = beside(*row);
        let strong = name == "errors" && total > 0;
        let style = if strong { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        frame.render_widget(Paragraph::new(figure(name, total, per_s)).style(style), left);
        curve(state, frame, right, color, &|second| Some(of(second)));
    }
}

fn draining(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let first = state.stock_first.unwrap_or(0);
    let mut lines = vec![Line::from(format!("available {} of {}", stock_text(state.now.stock), grouped(first)))];
    if let Some(left) = state.now.stock {
        let share = if first == 0 { 0.0 } else { left as f64 / first as f64 };
        lines.push(Line::from(bar(share, 30)));
    }
    panel(state, frame, area, "Stock", lines, &|second| second.stock);
}

/// Figures to the left, their history to the right.
fn panel(
    state: &State,
    frame: &mut Frame<'_>,
    area: Rect,
    name: &'static str,
    lines: Vec<Line<'static>>,
    of: &dyn Fn(&Second) -> Option<u64>,
) {
    let block = Block::new().borders(Borders::TOP).title(name);
    let [left, right] = beside(block.inner(area));
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines), left);
    curve(state, frame, right, Color::Cyan, of);
}

fn beside(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Length(FIGURES), Constraint::Fill(1)]).areas(area)
}

/// The newest seconds to the right; a second without a figure is a gap.
fn curve(state: &State, frame: &mut Frame<'_>, area: Rect, color: Color, of: &dyn Fn(&Second) -> Option<u64>) {
    let room = usize::from(area.width);
    let skip = state.seconds.len().saturating_sub(room);
    let values: Vec<Option<u64>> = state.seconds.iter().skip(skip).map(of).collect();
    let style = if state.colored { Style::new().fg(color) } else { Style::new() };
    frame.render_widget(Sparkline::default().data(&values).absent_value_symbol(" ").style(style), area);
}

fn title(state: &State) -> Line<'static> {
    Line::from(Span::styled(state.title.clone(), Style::new().add_modifier(Modifier::BOLD)))
}

/// Where the run stands.
fn clock(state: &State, width: u16) -> Line<'static> {
    let now = &state.now;
    let (at, of) = (now.elapsed_ms.min(now.duration_ms) / 1_000, now.duration_ms / 1_000);
    let mut text = format!("{at} of {of} s · {}", now.pacing.name());
    if now.stages > 0 {
        text += &format!(" · stage {} of {}", (now.stage + 1).min(now.stages), now.stages);
    }
    if !state.stage.is_empty() && usize::from(width) > text.chars().count() + state.stage.chars().count() + 2 {
        text += &format!(": {}", state.stage);
    }
    Line::from(text)
}

fn arrivals(state: &State) -> Line<'static> {
    let now = &state.now;
    match now.pacing {
        Pacing::Open => {
            let (due, begun, waiting) = (grouped(now.due), grouped(now.served), grouped(state.waiting()));
            Line::from(format!("due {due} · begun {begun} · wait {waiting}"))
        }
        Pacing::Closed => Line::from(format!("begun {}", grouped(now.started))),
    }
}

fn failures(state: &State) -> Line<'static> {
    figure("errors", state.now.errors, state.latest().errors)
}

fn figure(name: &str, total: u64, per_s: u64) -> Line<'static> {
    Line::from(format!("{name:<10} {:>12} {:>10}/s", grouped(total), grouped(per_s)))
}

fn footer(state: &State, width: u16) -> Paragraph<'static> {
    let text = match (state.stopping, width < ROOMY.0) {
        (false, true) => "Ctrl-C ends early",
        (false, false) => "Ctrl-C or q ends early, with a report · twice: at once, without",
        (true, true) => "ENDING · again: at once",
        (true, false) => "ENDING EARLY: buyers in doubt learn their outcome · Ctrl-C again: at once",
    };
    let style = Style::new().add_modifier(if state.stopping { Modifier::REVERSED } else { Modifier::DIM });
    Paragraph::new(text).style(style)
}

fn now_share(state: &State) -> f64 {
    let now = &state.now;
    if now.duration_ms == 0 { 0.0 } else { (now.elapsed_ms as f64 / now.duration_ms as f64).min(1.0) }
}

fn bar(share: f64, width: usize) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a width")]
    let full = ((share * width as f64).round() as usize).min(width);
    "█".repeat(full) + &"░".repeat(width - full)
}

fn stock_text(stock: Option<u64>) -> String {
    stock.map_or_else(|| "not told".to_owned(), grouped)
}

fn time(us: u64) -> String {
    if us == 0 { "–".to_owned() } else { micros(us) }
}
