//! The list of SKUs: sold, held and left of each as one bar with exact numbers, how fast it goes and how long it lasts.

use flash_core::stats::SkuState;
use ratatui::{layout::Rect, style::Style};

use super::pen::{Pen, below, width};
use crate::top::{
    format,
    list::state_word,
    model::{SkuRow, Sum},
    state::{State, place},
    tone::Tone,
};

/// Widths of what stands right of the bar.
const PACE: u16 = 9;
const LASTS: u16 = 10;
/// The least bar.
const BAR_MIN: u16 = 8;

/// Where the columns end, for one width.
struct Columns {
    name: u16,
    bar: u16,
    number: u16,
    has_pace: bool,
    has_lasts: bool,
    /// Whether what goes on now can be thought to go on.
    foretells: bool,
}

impl Columns {
    fn of(area: Rect, sum: &Sum, foretells: bool) -> Columns {
        let number = width(&format::count(sum.capacity_max)).max(5) + 1;
        let longest = u16::try_from(sum.label_max).unwrap_or(u16::MAX);
        let mut columns = Columns { name: 0, bar: 0, number, has_pace: true, has_lasts: true, foretells };
        let fixed = |columns: &Columns| {
            let pace = if columns.has_pace { PACE } else { 0 };
            let lasts = if columns.has_lasts { LASTS } else { 0 };
            3 + columns.number * 3 + pace + lasts + 1
        };
        let name_max = (area.width / 4).clamp(8, 36);
        columns.name = longest.clamp(6, name_max);
        if area.width < fixed(&columns) + columns.name + BAR_MIN + 1 {
            columns.has_pace = false;
        }
        if area.width < fixed(&columns) + columns.name + BAR_MIN + 1 {
            columns.has_lasts = false;
        }
        columns.bar = area.width.saturating_sub(fixed(&columns) + columns.name + 1);
        columns
    }
}

pub(crate) fn draw(state: &State, area: Rect, pen: &mut Pen<'_>) {
    if area.height < 2 {
        return;
    }
    let body = pen.title(area, "STOCK", &remark(state));
    let look = pen.look;
    if state.listed.is_empty() {
        let text = if !state.filter.is_empty() {
            "no SKU contains the filter · Esc shows all"
        } else if state.shown().knows_anything() {
            "nothing on sale · flashctl setup --sku 1=1000@49.00"
        } else {
            "not known yet"
        };
        pen.text(body, 3, 1, text, look.dim);
        return;
    }
    let list = below(body, 1);
    let visible = usize::from(list.height);
    let first = first_visible(state.selected, state.listed.len(), visible);
    let all = state.shown().stock.rows();
    let rows: Vec<&SkuRow> =
        state.listed.iter().skip(first).take(visible).filter_map(|index| all.get(place(*index))).collect();
    let columns = Columns::of(area, &state.shown().stock.sum, state.foretells());
    headings(&columns, body, pen);
    for ((y, row), index) in (0_u16..).zip(&rows).zip(first..) {
        let is_selected = index == state.selected;
        line(&columns, row, list, y, is_selected, pen);
        if is_selected {
            let across = Rect::new(list.x, list.y + y, list.width, 1);
            pen.buffer.set_style(across, look.selected);
        }
    }
}

/// The first line that is seen: the cursor stays in the middle as long as there is more on both sides.
fn first_visible(selected: usize, len: usize, visible: usize) -> usize {
    selected.saturating_sub(visible / 2).min(len.saturating_sub(visible))
}

fn remark(state: &State) -> String {
    if !state.shown().knows_anything() {
        return String::new();
    }
    let stock = &state.shown().stock;
    let (listed, told) = (state.listed.len(), stock.rows().len());
    let mut remark = match (listed == told, told) {
        (true, 1) => "1 SKU".to_owned(),
        (true, _) => format!("{} SKUs", format::count(told as u64)),
        (false, _) => format!("{} of {} SKUs", format::count(listed as u64), format::count(told as u64)),
    };
    if stock.on_sale > told as u64 {
        remark += &format!(" (of {} on sale; the others are not told)", format::count(stock.on_sale));
    }
    if told > 1 {
        remark += &format!(" · {}{}", state.sort.name(), if state.reversed { ", reversed" } else { "" });
    }
    remark
}

fn headings(columns: &Columns, area: Rect, pen: &mut Pen<'_>) {
    let look = pen.look;
    let x = 3 + columns.name + 1;
    let legend = [("█ sold ", look.sold), ("▒ held ", look.held), ("░ left", look.left)];
    if columns.bar >= 20 {
        pen.spans(area, x, 0, &legend);
    }
    let mut end = x + columns.bar;
    for name in ["sold", "held", "left"] {
        end += columns.number;
        pen.right(area, end, 0, name, look.dim);
    }
    if columns.has_pace {
        end += PACE;
        pen.right(area, end, 0, "leaving", look.dim);
    }
    if columns.has_lasts {
        end += LASTS;
        pen.right(area, end, 0, "gone in", look.dim);
    }
}

fn line(columns: &Columns, row: &SkuRow, area: Rect, y: u16, is_selected: bool, pen: &mut Pen<'_>) {
    let look = pen.look;
    let (sign, style) = match row.told.state {
        // Its state is that of its window and its stock; nobody can buy it at the moment.
        SkuState::Selling if !columns.foretells => state_sign(SkuState::Unknown, pen),
        state => state_sign(state, pen),
    };
    if is_selected {
        pen.text(area, 0, y, "▸", look.accent);
    }
    pen.text(area, 1, y, sign, style);
    let name = Rect::new(area.x, area.y, (3 + columns.name).min(area.width), area.height);
    pen.text(name, 3, y, &format::cut(&row.label(), usize::from(columns.name)), look.text);
    let x = 3 + columns.name + 1;
    let parts = row.parts();
    pen.gauge(area, x, y, columns.bar, parts);
    let mut end = x + columns.bar;
    let numbers = match parts {
        Some(parts) => [(parts.sold, look.sold), (parts.held, look.held), (parts.left, look.left)]
            .map(|(number, style)| (format::count(number), style)),
        None => [look.dim; 3].map(|style| (format::UNKNOWN.to_owned(), style)),
    };
    for (text, style) in &numbers {
        end += columns.number;
        pen.right(area, end, y, text, *style);
    }
    if columns.has_pace {
        end += PACE;
        pen.right(area, end, y, &format::rate_or(row.selling_pace().filter(|_| columns.foretells)), look.text);
    }
    if columns.has_lasts {
        end += LASTS;
        let (text, style) = match row.told.state {
            SkuState::Selling => (format::estimate(row.lasts_ms().filter(|_| columns.foretells)), look.strong),
            other => (state_word(other).to_owned(), style),
        };
        pen.right(area, end, y, &text, style);
    }
}

/// Sign and colour of a SKU's state.
fn state_sign(state: SkuState, pen: &Pen<'_>) -> (&'static str, Style) {
    match state {
        SkuState::Selling => ("●", pen.look.good),
        SkuState::HeldOut => ("▲", pen.tone(Tone::Warn)),
        SkuState::SoldOut => ("✔", pen.look.sold),
        SkuState::Paused => ("=", pen.tone(Tone::Warn)),
        SkuState::Upcoming | SkuState::Closed => ("○", pen.look.dim),
        SkuState::Unknown => ("◌", pen.look.dim),
    }
}

/// The bar of one SKU with its numbers, for the detail.
pub(crate) fn bar(row: &SkuRow, area: Rect, pen: &mut Pen<'_>) {
    pen.gauge(area, 0, 0, area.width, row.parts());
}
