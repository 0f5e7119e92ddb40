//! What is on sale: a SKU with its price, capacity, window and caps, and the checks that keep a definition sane.

use crate::ids::SkuId;
use crate::limits::{CAPACITY_MAX, HOLD_MAX_MS, HOLD_MIN_MS, PRICE_MAX_MINOR};
use serde::Serialize;

/// Definition of one SKU. Its live counters are Redis' business, its orders MySQL's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sku {
    /// The id buyers use.
    pub sku_id: SkuId,
    /// Shown to buyers, 1–200 characters.
    pub name: String,
    /// Price of one unit in minor units (cents).
    pub price_minor: u64,
    /// ISO 4217 code, three capital letters.
    pub currency: String,
    /// Units that exist.
    pub capacity: u32,
    /// Most units one buyer may hold or own; holds and unpaid orders count.
    pub per_user: u32,
    /// How long a unit is held for payment, in milliseconds.
    pub hold_ms: u64,
    /// First instant of the sale in milliseconds since 1970, by Redis' clock; `None`: open from the start.
    pub opens_at_ms: Option<u64>,
    /// First instant after the sale, in milliseconds since 1970, by Redis' clock; `None`: never closes.
    pub closes_at_ms: Option<u64>,
    /// Nothing is sold for the moment, whatever the window says. Holds go on and can be paid.
    pub paused: bool,
}

/// Why a definition is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SkuError {
    /// Names are 1–200 characters without control characters.
    #[error("name must be 1 to 200 characters without control characters")]
    Name,
    /// See [`PRICE_MAX_MINOR`].
    #[error("price must be at most {PRICE_MAX_MINOR} minor units")]
    Price,
    /// Three capital letters.
    #[error("currency must be three capital letters, like EUR")]
    Currency,
    /// See [`CAPACITY_MAX`].
    #[error("capacity must be 1 to {CAPACITY_MAX}")]
    Capacity,
    /// A cap of zero would sell nothing to anybody.
    #[error("per_user must be 1 to {CAPACITY_MAX}")]
    PerUser,
    /// See [`HOLD_MIN_MS`] and [`HOLD_MAX_MS`].
    #[error("hold must be {} to {} seconds", HOLD_MIN_MS / 1000, HOLD_MAX_MS / 1000)]
    Hold,
    /// The window is empty.
    #[error("closes_at must be after opens_at")]
    Window,
}

impl Sku {
    /// Checks every bound of the definition.
    ///
    /// # Errors
    /// The first bound that is broken.
    pub fn check(&self) -> Result<(), SkuError> {
        let name_length = self.name.chars().count();
        let ensure = |ok: bool, error: SkuError| if ok { Ok(()) } else { Err(error) };
        ensure((1..=200).contains(&name_length) && !self.name.chars().any(char::is_control), SkuError::Name)?;
        ensure(self.price_minor <= PRICE_MAX_MINOR, SkuError::Price)?;
        ensure(self.currency.len() == 3 && self.currency.bytes().all(|b| b.is_ascii_uppercase()), SkuError::Currency)?;
        ensure((1..=CAPACITY_MAX).contains(&self.capacity), SkuError::Capacity)?;
        ensure((1..=CAPACITY_MAX).contains(&self.per_user), SkuError::PerUser)?;
        ensure((HOLD_MIN_MS..=HOLD_MAX_MS).contains(&self.hold_ms), SkuError::Hold)?;
        let window = self.opens_at_ms.zip(self.closes_at_ms).is_none_or(|(opens, closes)| opens < closes);
        ensure(window, SkuError::Window)
    }
}

/// Reads a price like `49`, `49.5` or `49.00` as minor units (two decimals).
#[must_use]
pub fn parse_price(text: &str) -> Option<u64> {
    let (whole, cents) = text.split_once('.').map_or((text, ""), |(whole, cents)| (whole, cents));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(cents) || cents.len() > 2 || text.ends_with('.') {
        return None;
    }
    let cents: u64 = format!("{cents:0<2}").parse().ok()?;
    let minor = whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(cents)?;
    (minor <= PRICE_MAX_MINOR).then_some(minor)
}

/// Writes minor units as a decimal price: 4900 → `49.00`.
#[must_use]
pub fn format_price(minor: u64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// Writes milliseconds since 1970 as a time in UTC: `2026-11-27T09:00:00Z`, with milliseconds only if there are any.
#[must_use]
pub fn format_time(ms: u64) -> String {
    let (days, of_day_ms) = (ms / 86_400_000, ms % 86_400_000);
    // Years are counted from March, so that the leap day is the last day of its year; 719,468 days lie between 0000-03-01
    // and 1970-01-01, and 146,097 in 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (seconds, rest_ms) = (of_day_ms / 1_000, of_day_ms % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = if rest_ms == 0 { String::new() } else { format!(".{rest_ms:03}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_825_600_000, "2000-02-29T12:00:00Z"),
            (1_795_770_000_250, "2026-11-27T09:00:00.250Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(format_time(ms), text);
        }
    }

    #[test]
    fn prices_are_exact() {
        for (text, minor) in [("49", 4900), ("49.5", 4950), ("49.00", 4900), ("0.01", 1), ("0", 0), ("19.99", 1999)] {
            assert_eq!(parse_price(text), Some(minor), "{text}");
        }
        for text in ["", ".5", "49.", "-1", "1e3", "49.001", "1,00", "99999999999999999999", "+1", " 1"] {
            assert_eq!(parse_price(text), None, "{text}");
        }
        assert_eq!(format_price(4905), "49.05");
    }
}
