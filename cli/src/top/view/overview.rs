//! The first page: everything at a glance, as much of it as there is room for.

use ratatui::layout::Rect;

use super::{
    daemons, events, head, health, latency,
    pen::{Pen, below, columns, top},
    pipeline, stock, throughput,
};
use crate::top::state::State;

/// From here on panels stand side by side.
const TWO_WIDE: u16 = 76;
const THREE_WIDE: u16 = 150;
/// From here on there is a row of its own for everything.
const TALL: u16 = 30;
const MEDIUM: u16 = 17;
/// Least rows of the stock list, its title and headings included.
const STOCK_MIN: u16 = 5;

pub(crate) fn draw(state: &State, area: Rect, pen: &mut Pen<'_>) {
    head::summary(state, top(area, 2), pen);
    let area = below(area, 2);
    match (area.width >= TWO_WIDE, area.height) {
        (true, TALL..) => tall(state, area, pen),
        (true, MEDIUM..) => medium(state, area, pen),
        _ => short(state, area, pen),
    }
}

/// Rows that the stock list can use.
fn stock_rows(state: &State) -> u16 {
    u16::try_from(state.listed.len()).unwrap_or(u16::MAX).saturating_add(2).max(STOCK_MIN)
}

fn tall(state: &State, area: Rect, pen: &mut Pen<'_>) {
    // Least heights: curves 6, pipeline 4, the last row 9; what is left goes to the stock as far as it has use for it,
    // then to the curves, then to the last row.
    let (curves, pipe, last) = (6_u16, 4_u16, 9_u16);
    let mut spare = area.height - curves - pipe - last;
    let stock_height = spare.min(stock_rows(state));
    spare -= stock_height;
    let more = spare.min(7);
    let (curves, last) = (curves + more, last + spare - more);
    let mut rest = area;
    let mut take = |rows: u16| {
        let taken = top(rest, rows);
        rest = below(rest, rows);
        taken
    };
    stock::draw(state, take(stock_height), pen);
    let (middle, pipe) = (take(curves), take(pipe));
    let last = take(last);
    if area.width >= THREE_WIDE {
        let [left, center, right] = columns(middle, [5, 5, 4]);
        throughput::draw(state, left, pen);
        latency::panel(state, center, pen);
        health::refusals(state, right, pen);
        pipeline::draw(state, pipe, pen);
        let [left, center, right] = columns(last, [5, 5, 4]);
        events::draw(state, left, 0, pen);
        daemons::panel(state, center, pen);
        health::draw(state, right, pen);
    } else {
        let [left, right] = columns(middle, [1, 1]);
        throughput::draw(state, left, pen);
        latency::panel(state, right, pen);
        pipeline::draw(state, pipe, pen);
        let [left, right] = columns(last, [1, 1]);
        health::draw(state, left, pen);
        let refused = health::refusals_height(state).min(right.height / 2);
        health::refusals(state, top(right, refused), pen);
        events::draw(state, below(right, refused), 0, pen);
    }
}

fn medium(state: &State, area: Rect, pen: &mut Pen<'_>) {
    let (curves, pipe, last) = (5_u16, 3_u16, 5_u16);
    let stock_height = (area.height - curves - pipe - last).min(stock_rows(state));
    stock::draw(state, top(area, stock_height), pen);
    let rest = below(area, stock_height);
    let [left, right] = columns(top(rest, curves), [1, 1]);
    throughput::draw(state, left, pen);
    latency::panel(state, right, pen);
    let rest = below(rest, curves);
    pipeline::draw(state, top(rest, pipe), pen);
    let [left, right] = columns(below(rest, pipe), [1, 1]);
    health::draw(state, left, pen);
    events::draw(state, right, 0, pen);
}

fn short(state: &State, area: Rect, pen: &mut Pen<'_>) {
    let curves = if area.height >= STOCK_MIN + 4 { 5 } else { 0 };
    let last = if area.height >= STOCK_MIN + 5 + 3 { 3 } else { 0 };
    let spare = area.height.saturating_sub(curves + last);
    let stock_height = spare.min(stock_rows(state));
    stock::draw(state, top(area, stock_height), pen);
    let rest = below(area, stock_height);
    throughput::draw(state, top(rest, curves), pen);
    events::draw(state, below(rest, curves), 0, pen);
}
