//! Who buys: user ids and idempotency keys that never repeat, within a run or across runs.
//!
//! Owns the numbering. A run draws a base from its seed; buyer number n is user `base + n`. Every id has
//! the same 16 digits, so a request's length never depends on who sends it.

/// Digits of every user id and key number.
pub(crate) const DIGITS: usize = 16;
/// What an idempotency key begins with, before its 16 digits.
pub(crate) const KEY_PREFIX: &str = "lt-";

/// The smallest 16-digit number.
const FIRST: u64 = 1_000_000_000_000_000;
/// How many bases there are: the ids of any run (at most 2^40) stay within 16 digits.
const BASES: u64 = 8 * FIRST - (1 << 40);

/// The idempotency key that belongs to a key number.
#[must_use]
pub fn key_text(key: u64) -> String {
    format!("{KEY_PREFIX}{key:016}")
}

/// The number of an idempotency key, if it is one of ours.
#[must_use]
pub fn key_number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix(KEY_PREFIX)?;
    (digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The base of a run's user ids.
#[must_use]
pub(crate) fn base_of(seed: u64) -> u64 {
    FIRST + SplitMix(seed).next() % BASES
}

/// Hands out one thread's share of the numbers: `base + first`, then every `step`-th.
#[derive(Debug)]
pub(crate) struct Numbers {
    next: u64,
    step: u64,
}

impl Numbers {
    pub(crate) fn new(base: u64, first: u64, step: u64) -> Self {
        Self { next: base + first, step }
    }

    pub(crate) fn draw(&mut self) -> u64 {
        let number = self.next;
        self.next += self.step;
        number
    }
}

/// Writes `number` as exactly [`DIGITS`] digits.
pub(crate) fn write_digits(slot: &mut [u8], mut number: u64) {
    for place in slot.iter_mut().rev() {
        let digit = number % 10;
        // A remainder of ten always fits; `try_from` would only hide that.
        *place = b"0123456789"[usize::try_from(digit).unwrap_or(0)];
        number /= 10;
    }
}

/// SplitMix64: a few instructions per draw, good enough to choose who retries.
#[derive(Debug)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A draw from the exponential distribution with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        // 53 random bits, never 0.
        let unit = ((self.next() >> 11) + 1) as f64 / 9_007_199_254_740_993.0;
        -unit.ln()
    }

    /// A number from a range, both ends included.
    pub(crate) fn within(&mut self, (from, to): (u64, u64)) -> u64 {
        from + self.next() % to.saturating_sub(from).saturating_add(1).max(1)
    }

    /// True with the given probability, expressed in 2^-32.
    pub(crate) fn chance(&mut self, threshold: u64) -> bool {
        (self.next() >> 32) < threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_sixteen_digits_and_never_meet() {
        let base = base_of(7);
        let (mut even, mut odd) = (Numbers::new(base, 0, 2), Numbers::new(base, 1, 2));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(even.draw()) && seen.insert(odd.draw()));
        }
        assert!(seen.iter().all(|n| n.to_string().len() == DIGITS));
        assert_eq!(base_of(7), base);
        assert_ne!(base_of(8), base);
    }

    #[test]
    fn keys_have_one_spelling() {
        let key = base_of(3);
        assert_eq!(key_number(&key_text(key)), Some(key));
        for foreign in ["", "lt-", "lt-12", "lt-+234567890123456", "xx-1234567890123456", "lt-12345678901234567"] {
            assert_eq!(key_number(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn digits_are_written_in_place() {
        let mut slot = [b'x'; DIGITS];
        write_digits(&mut slot, 1_234_567_890_123_456);
        assert_eq!(&slot, b"1234567890123456");
    }
}
