//! Writing into a buffer without ever leaving an area: text, titles, gauges, curves.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use crate::top::{model::Parts, theme::Palette, tone::Tone};

/// Eighths of a cell, from below.
const LEVELS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// A buffer and the colours to write with.
pub(crate) struct Pen<'a> {
    pub(crate) buffer: &'a mut Buffer,
    pub(crate) look: Palette,
}

impl Pen<'_> {
    /// Writes at a place within an area and gives the column behind it, relative to the area.
    pub(crate) fn text(&mut self, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
        let area = area.intersection(self.buffer.area);
        if x >= area.width || y >= area.height {
            return x;
        }
        let room = usize::from(area.width - x);
        let (end, _) = self.buffer.set_stringn(area.x + x, area.y + y, text, room, style);
        end - area.x
    }

    /// Several texts behind each other.
    pub(crate) fn spans<T: AsRef<str>>(&mut self, area: Rect, x: u16, y: u16, spans: &[(T, Style)]) -> u16 {
        spans.iter().fold(x, |x, (text, style)| self.text(area, x, y, text.as_ref(), *style))
    }

    /// Several texts that end at the right edge, if they fit behind column `after`.
    pub(crate) fn spans_right<T: AsRef<str>>(&mut self, area: Rect, after: u16, y: u16, spans: &[(T, Style)]) -> bool {
        let width = spans.iter().map(|(text, _)| width(text.as_ref())).sum::<u16>();
        let fits = area.width >= after.saturating_add(width);
        if fits {
            self.spans(area, area.width - width, y, spans);
        }
        fits
    }

    /// A number that ends before column `end`.
    pub(crate) fn right(&mut self, area: Rect, end: u16, y: u16, text: &str, style: Style) {
        let start = end.saturating_sub(width(text));
        self.text(area, start, y, text, style);
    }

    /// A title with a remark and a rule to the edge; gives what is left below it.
    pub(crate) fn title(&mut self, area: Rect, title: &str, remark: &str) -> Rect {
        let mut x = self.text(area, 0, 0, title, self.look.accent);
        // What does not fit is left out, up to its first part.
        let fits = |text: &&str| !text.is_empty() && area.width >= x + width(text) + 3;
        let first = remark.split(" · ").next().unwrap_or_default();
        if let Some(text) = [remark, first].into_iter().find(fits) {
            x = self.text(area, x + 2, 0, text, self.look.dim);
        }
        for column in x.saturating_add(1)..area.width {
            self.text(area, column, 0, "─", self.look.rule);
        }
        below(area, 1)
    }

    /// The style of a tone.
    pub(crate) fn tone(&self, tone: Tone) -> Style {
        match tone {
            Tone::Quiet => self.look.dim,
            Tone::Good => self.look.good,
            Tone::Warn => self.look.warn,
            Tone::Bad => self.look.bad,
        }
    }

    /// Sold, held and left as one bar.
    pub(crate) fn gauge(&mut self, area: Rect, x: u16, y: u16, cells: u16, parts: Option<Parts>) {
        let Some(parts) = parts.filter(|parts| parts.total() > 0) else {
            for column in 0..cells {
                self.text(area, x + column, y, "┈", self.look.rule);
            }
            return;
        };
        let [sold, held, left] = shares([parts.sold, parts.held, parts.left], cells);
        let mut at = x;
        for (count, sign, style) in
            [(sold, "█", self.look.sold), (held, "▒", self.look.held), (left, "░", self.look.left)]
        {
            for _ in 0..count {
                at = self.text(area, at, y, sign, style);
            }
        }
    }

    /// Values over time, as high as the area. Nothing stands where nothing is known; zero is a line on the ground.
    pub(crate) fn curve(&mut self, area: Rect, values: &[Option<f32>], top: f32, style: Style) {
        for (column, value) in (0_u16..).zip(values) {
            let Some(value) = value else { continue };
            let eighths = eighths(*value, top, area.height);
            for row in 0..area.height {
                let from_below = area.height - 1 - row;
                let level = eighths.saturating_sub(from_below * 8).min(8);
                // The edge is what is read; the body below it is calm.
                let style =
                    if level == 8 && eighths > from_below * 8 + 8 { style.add_modifier(Modifier::DIM) } else { style };
                if eighths == 0 && from_below == 0 {
                    self.text(area, column, row, "▁", self.look.rule);
                } else if level > 0 {
                    self.text(area, column, row, LEVELS[usize::from(level)], style);
                }
            }
        }
    }

    /// Empties an area, for what lies over others.
    pub(crate) fn clear(&mut self, area: Rect) {
        for position in area.intersection(self.buffer.area).positions() {
            self.buffer[position].reset();
        }
    }

    /// A frame with a title; gives the room inside.
    pub(crate) fn frame(&mut self, area: Rect, title: &str) -> Rect {
        self.clear(area);
        let (right, bottom) = (area.width.saturating_sub(1), area.height.saturating_sub(1));
        for x in 1..right {
            self.text(area, x, 0, "─", self.look.rule);
            self.text(area, x, bottom, "─", self.look.rule);
        }
        for y in 1..bottom {
            self.text(area, 0, y, "│", self.look.rule);
            self.text(area, right, y, "│", self.look.rule);
        }
        for (x, y, corner) in [(0, 0, "╭"), (right, 0, "╮"), (0, bottom, "╰"), (right, bottom, "╯")] {
            self.text(area, x, y, corner, self.look.rule);
        }
        self.text(area, 2, 0, &format!(" {title} "), self.look.accent);
        let inside = Rect::new(area.x + 2, area.y + 1, area.width.saturating_sub(4), area.height.saturating_sub(2));
        inside.intersection(self.buffer.area)
    }
}

/// Columns that a text takes, at one per character; wider ones are clipped where they are drawn. Never more than a few of them
/// can be added up to.
pub(crate) fn width(text: &str) -> u16 {
    u16::try_from(text.chars().take(1_000).count()).unwrap_or(1_000)
}

/// What is left of an area below its first rows.
pub(crate) fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect::new(area.x, area.y + rows, area.width, area.height - rows)
}

/// An area without its first columns.
pub(crate) fn behind(area: Rect, columns: u16) -> Rect {
    let columns = columns.min(area.width);
    Rect::new(area.x + columns, area.y, area.width - columns, area.height)
}

/// The first rows of an area.
pub(crate) fn top(area: Rect, rows: u16) -> Rect {
    Rect::new(area.x, area.y, area.width, rows.min(area.height))
}

/// Side by side, with two columns between them.
pub(crate) fn columns<const N: usize>(area: Rect, weights: [u16; N]) -> [Rect; N] {
    let gaps = u16::try_from(N.saturating_sub(1)).unwrap_or(0) * 2;
    let room = u32::from(area.width.saturating_sub(gaps));
    let all: u32 = weights.iter().map(|weight| u32::from(*weight)).sum::<u32>().max(1);
    let (mut x, mut passed) = (area.x, 0_u32);
    weights.map(|weight| {
        let start = room * passed / all;
        passed += u32::from(weight);
        let wide = u16::try_from(room * passed / all - start).unwrap_or(0);
        let column = Rect::new(x, area.y, wide, area.height);
        x = x.saturating_add(wide + 2).min(area.right());
        column.intersection(area)
    })
}

/// Cells for each part. What exists gets at least one as long as there are enough, so that the last ticket can be seen.
fn shares(parts: [u64; 3], cells: u16) -> [u16; 3] {
    let total: u128 = parts.iter().map(|part| u128::from(*part)).sum();
    let mut shares = [0_u16; 3];
    if total == 0 || cells == 0 {
        return shares;
    }
    for (share, part) in shares.iter_mut().zip(parts) {
        let exact = u128::from(part) * u128::from(cells) / total;
        *share = u16::try_from(exact).unwrap_or(cells).max(u16::from(part > 0));
    }
    // Rounding down leaves cells over, the least ones take too many: both are settled with the largest.
    while shares.iter().sum::<u16>() != cells {
        let missing = shares.iter().sum::<u16>() < cells;
        let Some(largest) = (0..3).max_by_key(|index| if missing { parts[*index] } else { u64::from(shares[*index]) })
        else {
            break;
        };
        if missing {
            shares[largest] += 1;
        } else {
            shares[largest] = shares[largest].saturating_sub(1);
        }
    }
    shares
}

/// Height of a value in eighths of a row. What is not zero is seen.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and eight times the rows")]
fn eighths(value: f32, top: f32, rows: u16) -> u16 {
    if value <= 0.0 || top <= 0.0 {
        return 0;
    }
    let full = f32::from(rows) * 8.0;
    (value / top * full).round().clamp(1.0, full) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_uses_all_its_cells_and_hides_nobody() {
        assert_eq!(shares([5_000, 2_500, 2_500], 20), [10, 5, 5]);
        assert_eq!(shares([9_999, 0, 1], 10), [9, 0, 1]);
        assert_eq!(shares([0, 0, 7], 10), [0, 0, 10]);
        assert_eq!(shares([u64::MAX, u64::MAX, 1], 10).iter().sum::<u16>(), 10);
        for cells in 0..40 {
            let shared = shares([3, 1_000, 7], cells);
            assert_eq!(shared.iter().sum::<u16>(), cells, "{shared:?}");
        }
    }

    #[test]
    fn little_is_more_than_nothing() {
        assert_eq!([eighths(0.0, 100.0, 2), eighths(0.001, 100.0, 2), eighths(100.0, 100.0, 2)], [0, 1, 16]);
        assert_eq!(eighths(5.0, 0.0, 1), 0);
    }

    #[test]
    fn columns_fill_the_width() {
        let [a, b] = columns(Rect::new(0, 0, 80, 5), [1, 1]);
        assert_eq!((a.width, b.x, b.right()), (39, 41, 80));
        let [a, b, c] = columns(Rect::new(3, 0, 2, 5), [1, 1, 1]);
        assert!(a.right() <= 5 && b.right() <= 5 && c.right() <= 5);
    }
}
