//! The picture of a state: a pure function into a buffer of any size.
//!
//! Owns layout: what is shown where, and what is left out when there is less room. Panels are dropped rather than squeezed.

mod ascii;
mod daemons;
mod detail;
mod events;
mod footer;
mod head;
mod health;
mod help;
mod latency;
mod overview;
mod pen;
mod pipeline;
mod stock;
mod throughput;
mod tiny;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use super::state::{Overlay, Page, State};
use crate::live::judge::Word;
use pen::{Pen, below, top};

/// The least room for pages; below it one line says what is missing.
const WIDTH_MIN: u16 = 40;
const HEIGHT_MIN: u16 = 10;

/// Draws everything.
pub(crate) fn view(state: &State, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return;
    }
    let mut pen = Pen { buffer, look: state.theme.palette() };
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        tiny::draw(state, area, &mut pen);
    } else {
        page(state, area, &mut pen);
        match state.overlay {
            Some(Overlay::Help) => help::draw(state, area, &mut pen),
            Some(Overlay::Detail(sku_id)) => detail::draw(state, sku_id, area, &mut pen),
            None => {}
        }
    }
    if state.ascii {
        ascii::translate(pen.buffer, area);
    }
}

fn page(state: &State, area: Rect, pen: &mut Pen<'_>) {
    head::draw(state, top(area, 1), pen);
    let feet = footer::height(state);
    footer::draw(state, below(area, area.height - feet), pen);
    let body = top(below(area, 1), area.height - 1 - feet);
    // A remark about the past must not look like the present.
    let is_stale = state.judgement().word == Word::Stale;
    match state.page {
        Page::Overview => overview::draw(state, body, pen),
        Page::Stock => {
            head::summary(state, top(body, 2), pen);
            stock::draw(state, below(body, 2), pen);
        }
        Page::Latency => latency::page(state, body, pen),
        Page::Daemons => daemons::draw(state, body, pen),
        Page::Events => events::draw(state, body, state.scroll, pen),
    }
    if is_stale {
        pen.buffer.set_style(body, Style::new().add_modifier(Modifier::DIM));
    }
}
