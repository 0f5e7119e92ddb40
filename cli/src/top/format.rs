//! Numbers for people: short, honest, and always the same width for the same size.

pub(crate) use crate::table::grouped as count;

/// What stands where a number is not known.
pub(crate) const UNKNOWN: &str = "—";

/// A count in at most five characters: `999`, `12.4k`, `3.1M`.
pub(crate) fn short(number: u64) -> String {
    match number {
        0..=9_999 => number.to_string(),
        10_000..=99_999 => format!("{}.{}k", number / 1_000, number / 100 % 10),
        100_000..=999_999 => format!("{}k", number / 1_000),
        1_000_000..=99_999_999 => format!("{}.{}M", number / 1_000_000, number / 100_000 % 10),
        100_000_000..=999_999_999 => format!("{}M", number / 1_000_000),
        _ => format!("{}G", number / 1_000_000_000),
    }
}

/// A rate per second: one decimal below ten, so that a trickle is not told as nothing.
pub(crate) fn rate(per_s: f32) -> String {
    if per_s <= 0.0 || !per_s.is_finite() {
        return "0/s".to_owned();
    }
    if per_s < 0.05 {
        return "<0.1/s".to_owned();
    }
    if per_s < 9.95 {
        return format!("{per_s:.1}/s");
    }
    format!("{}/s", count(rounded(per_s)))
}

/// A rate, or that it is not known.
pub(crate) fn rate_or(per_s: Option<f32>) -> String {
    per_s.map_or_else(|| UNKNOWN.to_owned(), rate)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive rate to be read")]
fn rounded(per_s: f32) -> u64 {
    per_s.round() as u64
}

/// A duration of microseconds in at most seven characters.
pub(crate) fn micros(us: u64) -> String {
    match us {
        0..=999 => format!("{us} µs"),
        1_000..=9_949 => format!("{}.{} ms", us / 1_000, us / 100 % 10),
        9_950..=999_499 => format!("{} ms", (us + 500) / 1_000),
        999_500..=99_949_999 => format!("{}.{} s", us / 1_000_000, us / 100_000 % 10),
        _ => format!("{} s", us / 1_000_000),
    }
}

/// A duration of microseconds, or that it is not known.
pub(crate) fn micros_or(us: Option<u64>) -> String {
    us.map_or_else(|| UNKNOWN.to_owned(), micros)
}

/// A span of time: `0.4 s`, `42 s`, `2m05s`, `1h14m`, `3d04h`.
pub(crate) fn span(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0..=9 => format!("{s}.{} s", ms / 100 % 10),
        10..=59 => format!("{s} s"),
        60..=3_599 => format!("{}m{:02}s", s / 60, s % 60),
        3_600..=86_399 => format!("{}h{:02}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3_600 % 24),
    }
}

/// A span in whole seconds below a minute, for ages that need no more.
pub(crate) fn age(ms: u64) -> String {
    if ms < 60_000 { format!("{} s", ms / 1_000) } else { span(ms) }
}

/// The length of a window of time: whole minutes as such.
pub(crate) fn period(ms: u64) -> String {
    match ms {
        3_600_000 => "1 h".to_owned(),
        _ if ms >= 60_000 && ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ => age(ms),
    }
}

/// An estimate of a span, or that it is not known.
pub(crate) fn estimate(ms: Option<u64>) -> String {
    ms.map_or_else(|| UNKNOWN.to_owned(), |ms| format!("~{}", age(ms)))
}

/// A time of day, UTC.
pub(crate) fn clock(at_ms: u64) -> String {
    let s = at_ms / 1_000 % 86_400;
    format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
}

/// Bytes in binary units.
pub(crate) fn bytes(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{}.{} GiB", bytes >> 30, ((bytes & 0x3fff_ffff) * 10) >> 30),
    }
}

/// A share in whole per cent; never 100 % of something that is not all, never 0 % of something that is not nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return UNKNOWN.to_owned();
    }
    let rounded = (u128::from(part) * 200 / u128::from(whole)).div_ceil(2);
    match rounded {
        0 if part > 0 => "<1%".to_owned(),
        100 if part < whole => ">99%".to_owned(),
        _ => format!("{rounded}%"),
    }
}

/// The first `width` characters' worth, with a mark if something is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 { String::new() } else { format!("{kept}…") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_lie() {
        assert_eq!([9_999, 12_449, 123_456, 3_149_999].map(short), ["9999", "12.4k", "123k", "3.1M"]);
        assert_eq!([0.0, 0.01, 0.26, 9.96, 12_480.4].map(rate), ["0/s", "<0.1/s", "0.3/s", "10/s", "12,480/s"]);
        assert_eq!([820, 1_240, 9_960, 34_200, 999_600].map(micros), ["820 µs", "1.2 ms", "10 ms", "34 ms", "0.9 s"]);
        assert_eq!(
            [400, 42_000, 125_000, 4_440_000, 270_000_000].map(span),
            ["0.4 s", "42 s", "2m05s", "1h14m", "3d03h"]
        );
        assert_eq!(percent(1, 10_000), "<1%");
        assert_eq!(percent(9_999, 10_000), ">99%");
        assert_eq!((percent(5, 10), percent(0, 10), percent(0, 0)), ("50%".into(), "0%".into(), "—".into()));
        assert_eq!((bytes(5), bytes(3 << 20), bytes(3 << 29)), ("5 B".into(), "3 MiB".into(), "1.5 GiB".into()));
    }

    #[test]
    fn an_estimate_that_is_not_known_is_not_a_number() {
        assert_eq!(estimate(None), "—");
        assert_eq!(estimate(Some(25_400)), "~25 s");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!([cut("Orchestra", 5), cut("Orch", 4), cut("Orch", 0)], ["Orch…", "Orch", ""]);
    }
}
