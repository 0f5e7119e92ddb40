//! How long buyers wait: a ladder of percentiles, wins and refusals apart, and all of the histogram on a page of its own.

use flash_core::stats::{Histogram, highest_us};
use ratatui::{layout::Rect, style::Style};

use super::pen::{Pen, behind, below, columns, top, width};
use crate::top::{format, model::Point, state::State};

/// The rungs.
const RUNGS: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
/// Room for one rung.
const RUNG: u16 = 9;
/// Buckets that are drawn as one: a quarter of a power of two.
const MERGED: usize = 4;

pub(crate) fn panel(state: &State, area: Rect, pen: &mut Pen<'_>) {
    if area.height < 2 {
        return;
    }
    let body = pen.title(area, "LATENCY", &remark(state));
    let it = &state.window.latencies;
    let look = pen.look;
    let rows = [
        ("won", &it.won, look.won),
        ("sold out", &it.sold_out, look.sold_out),
        ("refused", &it.refused, look.refused),
        ("failed", &it.failed, look.failed),
    ];
    // Rarest last: it is what may be cut.
    ladder(&rows[..usize::from(body.height.saturating_sub(1)).min(4)], body, pen);
    let rest = below(body, 6);
    if rest.height >= 2 {
        over_time(state, rest, pen);
    }
}

pub(crate) fn page(state: &State, area: Rect, pen: &mut Pen<'_>) {
    let it = &state.window.latencies;
    let look = pen.look;
    let body = pen.title(area, "LATENCY", &remark(state));
    let rows = [
        ("won", &it.won, look.won),
        ("sold out", &it.sold_out, look.sold_out),
        ("refused", &it.refused, look.refused),
        ("failed", &it.failed, look.failed),
        ("Redis decides", &it.reserve, look.text),
        ("Kafka acknowledges", &it.produce, look.text),
        ("MySQL applies", &it.apply, look.text),
        ("MySQL answers", &it.ping, look.text),
        ("unit back on sale", &it.sweep, look.text),
    ];
    ladder(&rows, body, pen);
    let rest = below(body, 11);
    if rest.height < 4 {
        return;
    }
    let mut no = it.sold_out.clone();
    no.add(&it.refused);
    let charts: [(&str, &Histogram, Style); 2] =
        [("WON", &it.won, look.won), ("SOLD OUT, REFUSED", &no, look.sold_out)];
    if area.width >= 100 {
        let [left, right] = columns(rest, [1, 1]);
        histogram(charts[0], left, pen);
        histogram(charts[1], right, pen);
    } else {
        histogram(charts[0], top(rest, rest.height / 2), pen);
        histogram(charts[1], below(rest, rest.height / 2), pen);
    }
}

fn remark(state: &State) -> String {
    match state.window.span_ms {
        0 => "nothing counted yet".to_owned(),
        ms => format!("last {} · never too low, at most 6% too high", format::period(ms)),
    }
}

/// One row for each histogram: its name, its rungs, how many.
fn ladder(rows: &[(&str, &Histogram, Style)], area: Rect, pen: &mut Pen<'_>) {
    let look = pen.look;
    let name = rows.iter().map(|(name, ..)| width(name)).max().unwrap_or(0) + 1;
    // Rungs that do not fit are left out from the middle: p50, p99 and max say most.
    let room = area.width.saturating_sub(name) / RUNG;
    let rungs: &[usize] = match room {
        5.. => &[0, 1, 2, 3, 4],
        4 => &[0, 1, 2, 4],
        3 => &[0, 2, 4],
        2 => &[0, 2],
        _ => &[2],
    };
    let has_count = area.width >= name + RUNG * 6;
    let ends = |index: u16| name + RUNG * (index + 1);
    let count_end = ends(u16::try_from(rungs.len()).unwrap_or(0));
    for (index, rung) in (0_u16..).zip(rungs) {
        pen.right(area, ends(index), 0, RUNGS[*rung].0, look.dim);
    }
    if has_count {
        pen.right(area, count_end, 0, "count", look.dim);
    }
    for (y, (label, histogram, style)) in (1_u16..).zip(rows) {
        pen.text(area, 0, y, label, *style);
        for (index, rung) in (0_u16..).zip(rungs) {
            let text = format::micros_or(histogram.quantile_us(RUNGS[*rung].1));
            let style = if histogram.is_empty() {
                look.dim
            } else if *rung == 2 {
                look.strong
            } else {
                look.text
            };
            pen.right(area, ends(index), y, &text, style);
        }
        if has_count {
            pen.right(area, count_end, y, &format::short(histogram.count()), look.dim);
        }
    }
}

/// p99 of wins over the window.
fn over_time(state: &State, area: Rect, pen: &mut Pen<'_>) {
    #[expect(clippy::cast_precision_loss, reason = "microseconds to be drawn")]
    let value = |point: &Point| point.p99_us.map(|us| us as f32);
    let history = &state.shown().history;
    let (now_ms, zoom_ms) = (state.shown_at_ms(), state.zoom_ms());
    let Some(peak) = history.peak(now_ms, zoom_ms, value) else { return };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "was a whole number of microseconds")]
    let text = format!("▴{}", format::micros(peak as u64));
    pen.text(area, 0, area.height - 1, "p99 won", pen.look.text);
    pen.text(area, 0, area.height - 2, &text, pen.look.dim);
    let room = behind(area, 10);
    let values = history.columns(now_ms, zoom_ms, usize::from(room.width), value);
    pen.curve(room, &values, peak, pen.look.won);
}

/// Every bucket that holds something, and the empty ones between, along a logarithmic axis.
fn histogram((title, histogram, style): (&str, &Histogram, Style), area: Rect, pen: &mut Pen<'_>) {
    let look = pen.look;
    let body = pen.title(
        area,
        title,
        &format!("{} answers · each bar up to the time below it", format::count(histogram.count())),
    );
    let (Some(first), Some(last)) = (histogram.buckets().next(), histogram.buckets().last()) else {
        pen.text(body, 2, 0, "none in this window", look.dim);
        return;
    };
    if body.height < 3 || body.width < 8 {
        return;
    }
    let (first, last) = (first.0 / MERGED, last.0 / MERGED);
    let mut bars = vec![0_u64; last - first + 1];
    for (bucket, count) in histogram.buckets() {
        let bar = &mut bars[bucket / MERGED - first];
        *bar = bar.saturating_add(count);
    }
    let wide = (usize::from(body.width) / bars.len()).clamp(1, 4);
    let shown = bars.len().min(usize::from(body.width));
    let plot = top(body, body.height - 1);
    #[expect(clippy::cast_precision_loss, reason = "heights of bars")]
    let heights: Vec<f32> = bars.iter().map(|count| *count as f32).collect();
    let most = heights.iter().copied().fold(0.0, f32::max);
    let values: Vec<Option<f32>> = heights
        .iter()
        .take(shown)
        .flat_map(|height| std::iter::repeat_n((*height > 0.0).then_some(*height), wide))
        .collect();
    pen.curve(plot, &values, most, style);
    // Where the axis is, in words: the bounds of a bar now and then.
    let mut free_from = 0;
    for (index, x) in (0..shown).zip((0_u16..).step_by(wide)) {
        let text = format::micros(highest_us((first + index) * MERGED + MERGED - 1));
        if x >= free_from && x + width(&text) <= body.width {
            free_from = pen.text(body, x, body.height - 1, &text, look.dim) + 3;
        }
    }
}
