//! Points in time as people write them: a date, a time and a zone, like `2026-11-27T10:00:00+01:00`. A time without a
//! zone is refused: the sale would open an hour early for somebody.

use anyhow::{Context, bail};
use toml::value::{Datetime, Offset};

/// Reads a point in time as milliseconds since 1970; `field` is named in the error.
pub(crate) fn parse(field: &str, text: &str) -> anyhow::Result<u64> {
    let time: Datetime =
        text.parse().with_context(|| format!("{field} {text:?} is not a time like 2026-11-27T10:00:00Z"))?;
    let (Some(date), Some(clock), Some(offset)) = (time.date, time.time, time.offset) else {
        bail!("{field} {text:?} needs a date, a time and a zone, like 2026-11-27T10:00:00Z or …+01:00");
    };
    let east_minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let minutes = (days * 24 + i64::from(clock.hour)) * 60 + i64::from(clock.minute) - east_minutes;
    let seconds = minutes * 60 + i64::from(clock.second.unwrap_or(0));
    let ms = seconds * 1_000 + i64::from(clock.nanosecond.unwrap_or(0) / 1_000_000);
    u64::try_from(ms).with_context(|| format!("{field} {text:?} is before 1970"))
}

/// Days between 1970-01-01 and a date of the Gregorian calendar. Years are counted from March, so that the leap day is the
/// last day of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_and_have_a_zone() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("2026-11-27T10:00:00+01:00", 1_795_770_000_000),
            ("2026-11-27T04:00:00.250-05:00", 1_795_770_000_250),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000),
        ] {
            assert_eq!(parse("opens_at", text).unwrap(), ms, "{text}");
        }
        for text in
            ["2026-11-27", "10:00:00", "2026-11-27T10:00:00", "soon", "2026-02-30T00:00:00Z", "1969-12-31T23:59:59Z"]
        {
            assert!(parse("opens_at", text).is_err(), "{text}");
        }
    }
}
