//! How people write durations, counts and rates.
//!
//! Owns nothing but the spelling: a duration has a unit, a count may have a `k` or an `M`.

use flash_core::settings::unit_ms;

/// Reads `500ms`, `0.5s`, `30s`, `5m`, `1h`; a unit is required, and so are whole milliseconds.
#[must_use]
pub fn parse_duration_ms(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (digits, unit) = text.split_at(split);
    whole(digits, unit_ms(unit)?)
}

/// Reads `500`, `10k`, `2.5k`, `2M`.
#[must_use]
pub fn parse_count(text: &str) -> Option<u64> {
    match text.as_bytes().last()? {
        b'k' => whole(&text[..text.len() - 1], 1_000),
        b'M' => whole(&text[..text.len() - 1], 1_000_000),
        _ => whole(text, 1),
    }
}

/// A decimal number times a factor, if that is a whole number; at most three decimals.
fn whole(text: &str, factor: u64) -> Option<u64> {
    let digits = |part: &str| {
        (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u64>().ok())?
    };
    let (before, after) = text.split_once('.').map_or((text, None), |(before, after)| (before, Some(after)));
    let units = digits(before)?.checked_mul(factor)?;
    let Some(after) = after else { return Some(units) };
    let scale = 10_u64.pow(u32::try_from(after.len()).ok().filter(|places| *places <= 3)?);
    let part = digits(after)? * factor;
    part.is_multiple_of(scale).then(|| units.checked_add(part / scale))?
}

/// Reads `0.5s..1.5s`, or one duration for both ends.
#[must_use]
pub fn parse_range_ms(text: &str) -> Option<(u64, u64)> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (parse_duration_ms(from.trim())?, parse_duration_ms(to.trim())?);
    (from <= to).then_some((from, to))
}

/// Writes a duration in the largest unit that needs no fraction.
pub(crate) fn duration_words(ms: u64) -> String {
    match ms {
        0 => "0 s".to_owned(),
        ms if ms.is_multiple_of(3_600_000) => format!("{} h", ms / 3_600_000),
        ms if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        ms if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        ms => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_units_and_may_have_fractions() {
        let good = [("500ms", 500), ("30s", 30_000), ("0.5s", 500), ("1.5m", 90_000), ("1h", 3_600_000), ("0s", 0)];
        for (text, ms) in good {
            assert_eq!(parse_duration_ms(text), Some(ms), "{text}");
        }
        for bad in
            ["", "5", "s", ".s", "1.s", "1.2345s", "-1s", "+1s", "1 s", "1d", "0.5ms", "1e3s", "99999999999999999999h"]
        {
            assert_eq!(parse_duration_ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn ranges_go_up() {
        assert_eq!(parse_range_ms("0.5s..1.5s"), Some((500, 1_500)));
        assert_eq!(parse_range_ms("1s"), Some((1_000, 1_000)));
        for bad in ["", "2s..1s", "1..2", "1s..", "1s...2s"] {
            assert_eq!(parse_range_ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn counts_take_k_and_m() {
        assert_eq!(
            ["500", "10k", "2M", "2.5k"].map(parse_count),
            [Some(500), Some(10_000), Some(2_000_000), Some(2_500)]
        );
        for bad in ["", "k", "-1", "+1", "1.5", "1.2345k", "1K", "99999999999999999999M"] {
            assert_eq!(parse_count(bad), None, "{bad}");
        }
    }
}
