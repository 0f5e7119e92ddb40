//! Figures as one line of text, in columns that stay where they are.

use super::{figures::Figures, flow::PerSecond};
use crate::{plain::shortened, table::grouped};

/// Lines between two headings.
pub(crate) const HEADING_EVERY: u64 = 20;
/// Longest reason that is shown in a line.
const REASON_MAX_CHARS: usize = 80;
/// What is not known.
const UNKNOWN: &str = "–";

/// The heading of the lines.
pub(crate) fn heading() -> String {
    columns([
        "TIME",
        "UP",
        "WINS/S",
        "SOLD OUT/S",
        "REFUSED/S",
        "ERRORS/S",
        "P50",
        "P99",
        "LEFT",
        "HELD",
        "SOLD",
        "LAG",
        "STATE",
    ])
}

/// One line. Times are UTC.
pub(crate) fn line(figures: &Figures) -> String {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    let rate = |of: fn(&PerSecond) -> f64| or_unknown(figures.per_s.as_ref().map(|rates| rounded(of(rates))));
    let us = |value: Option<u64>| or_unknown(value.map(duration));
    let units = |value: Option<u64>| or_unknown(value.map(grouped));
    let time = crate::plain::utc(figures.at_ms);
    let state = match figures.reasons.first() {
        Some(reason) => format!("{} · {}", figures.state, shortened(reason, REASON_MAX_CHARS)),
        None => figures.state.to_owned(),
    };
    columns([
        time.get(11..19).unwrap_or(&time),
        &format!("{}/{}", figures.daemons.answering, figures.daemons.watched),
        &rate(|rates| rates.wins),
        &rate(|rates| rates.sold_out),
        &rate(|rates| rates.refused),
        &rate(|rates| rates.errors),
        &us(figures.won_latency.map(|ladder| ladder.p50_us)),
        &us(figures.won_latency.map(|ladder| ladder.p99_us)),
        &units(figures.stock.map(|stock| stock.left)),
        &units(figures.stock.map(|stock| stock.held)),
        &units(figures.stock.map(|stock| stock.sold)),
        &units(figures.lag.map(|lag| lag.events)),
        &state,
    ])
}

fn columns(cells: [&str; 13]) -> String {
    let [time, up, wins, sold_out, refused, errors, p50, p99, left, held, sold, lag, state] = cells;
    format!(
        "{time:<8}  {up:>5}  {wins:>8}  {sold_out:>10}  {refused:>9}  {errors:>8}  {p50:>7}  {p99:>7}  {left:>9}  {held:>9}  \
         {sold:>9}  {lag:>7}  {state}"
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is never negative, and far below 2^53"
)]
fn rounded(rate: f64) -> String {
    if rate > 0.0 && rate < 10.0 { format!("{rate:.1}") } else { grouped(rate.round() as u64) }
}

/// Microseconds for people, three digits: `950 µs`, `1.25 ms`, `12.5 ms`, `1.50 s`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn duration(us: u64) -> String {
    let (value, unit) = match us {
        0..1_000 => return format!("{us} µs"),
        1_000..1_000_000 => (us as f64 / 1e3, "ms"),
        _ => (us as f64 / 1e6, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{
        figures::{Daemons, Lag},
        flow::Ladder,
        stock::Stock,
    };

    #[test]
    fn columns_stay_where_they_are() {
        let empty = Figures {
            version: 2,
            at_ms: 1_795_500_000_000,
            state: "unreachable",
            reasons: vec!["http://h:1: refused".to_owned()],
            daemons: Daemons { watched: 2, answering: 0, ready: 0, stale: 0 },
            per_s: None,
            total: None,
            won_latency: None,
            in_flight: None,
            stock: None,
            lag: None,
            epoch: None,
            dead_letters: None,
            findings: None,
        };
        let full = Figures {
            state: "selling",
            reasons: vec![],
            per_s: Some(PerSecond { wins: 1_234.5, sold_out: 96_911.0, refused: 0.3, errors: 0.0 }),
            won_latency: Some(Ladder { count: 9, p50_us: 950, p90_us: 1_250, p99_us: 12_500, max_us: 99_000 }),
            stock: Some(Stock { left: 1_234_567, held: 5, sold: 0, ..Stock::default() }),
            lag: Some(Lag { events: 12, ms: Some(3) }),
            ..empty.clone()
        };
        assert_eq!(
            [heading(), line(&full), line(&empty)],
            [
                "TIME         UP    WINS/S  SOLD OUT/S  REFUSED/S  ERRORS/S      P50      P99       LEFT       HELD       SOLD      LAG  STATE",
                "06:00:00    0/2     1,235      96,911        0.3         0   950 µs  12.5 ms  1,234,567          5          0       12  selling",
                "06:00:00    0/2         –           –          –         –        –        –          –          –          –        –  unreachable · http://h:1: refused",
            ]
        );
        assert_eq!(
            [0, 999, 1_250, 99_900, 100_000, 1_500_000].map(duration),
            ["0 µs", "999 µs", "1.25 ms", "99.9 ms", "100 ms", "1.50 s"]
        );
    }
}
