//! One SKU, all of it, over the page.

use flash_core::ids::SkuId;
use ratatui::layout::Rect;

use super::{
    pen::{Pen, below},
    stock,
};
use crate::top::{format, list::state_word, model::SkuRow, state::State};

const WIDTH: u16 = 66;
const HEIGHT: u16 = 17;

pub(crate) fn draw(state: &State, sku_id: SkuId, area: Rect, pen: &mut Pen<'_>) {
    let (width, height) = (WIDTH.min(area.width), HEIGHT.min(area.height));
    let place = Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height);
    let inside = pen.frame(place, &format!("SKU {sku_id}"));
    let look = pen.look;
    let Some(row) = state.shown().stock.find(sku_id) else {
        pen.text(inside, 0, 0, "is not on sale any more", look.dim);
        return;
    };
    pen.text(inside, 0, 0, &format::cut(&row.told.name, usize::from(inside.width)), look.strong);
    stock::bar(row, below(inside, 1), pen);
    for (y, (name, value)) in (2_u16..).zip(lines(state, row)) {
        pen.text(inside, 0, y, name, look.dim);
        pen.text(inside, 19, y, &value, look.text);
    }
}

fn lines(state: &State, row: &SkuRow) -> Vec<(&'static str, String)> {
    let told = &row.told;
    let now_ms = state.shown_at_ms();
    let count = |number: Option<u64>| number.map_or_else(|| format::UNKNOWN.into(), format::count);
    let share =
        |part: Option<u64>| part.map_or_else(String::new, |part| format!("  {}", format::percent(part, told.capacity)));
    let moment = |at_ms: Option<u64>| match at_ms {
        None => "not set".to_owned(),
        Some(at_ms) if at_ms > now_ms => format!("in {}", format::span(at_ms - now_ms)),
        Some(at_ms) => format!("{} ago", format::span(now_ms - at_ms)),
    };
    let read = row
        .read_at_ms
        .map_or_else(|| format::UNKNOWN.into(), |at| format!("{} ago", format::age(now_ms.saturating_sub(at))));
    vec![
        ("state", state_word(told.state).to_owned()),
        ("left", count(told.available) + &share(told.available)),
        ("held", count(told.held) + &share(told.held)),
        ("on their way back", count(told.closing)),
        ("sold", count(told.sold) + &share(told.sold)),
        ("capacity", format::count(told.capacity)),
        ("leaving", format::rate_or(row.selling_pace().filter(|_| state.foretells()))),
        ("gone in", format::estimate(row.lasts_ms().filter(|_| state.foretells()))),
        (
            "asked for",
            format!(
                "{} times since the daemons' start · {} waiting",
                format::count(told.attempts),
                format::count(told.waiting)
            ),
        ),
        ("won · sold out", format!("{} · {}", format::count(told.wins), format::count(told.sold_out))),
        ("price", price(told.price_minor, &told.currency)),
        ("opens · closes", format!("{} · {}", moment(told.opens_at_ms), moment(told.closes_at_ms))),
        ("stock was read", read),
    ]
}

/// In minor units as they are told: how many make a major one depends on the currency.
fn price(minor: u64, currency: &str) -> String {
    if currency.is_empty() {
        format::UNKNOWN.to_owned()
    } else {
        format!("{} minor units of {currency}", format::count(minor))
    }
}
