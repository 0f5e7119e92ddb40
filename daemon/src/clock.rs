//! The two clocks: wall time for ids and people, and boot time for the lease. Boot time counts while the machine is
//! suspended, so a daemon that was frozen for an hour knows that its lease is an hour old.

use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add_signed(shift_ms())
}

#[cfg(not(feature = "faults"))]
const fn shift_ms() -> i64 {
    0
}

/// For tests: how wrong this process' clock is, from `FLASHD_CLOCK_SHIFT_MS`.
#[cfg(feature = "faults")]
fn shift_ms() -> i64 {
    static SHIFT_MS: std::sync::LazyLock<i64> = std::sync::LazyLock::new(|| {
        std::env::var("FLASHD_CLOCK_SHIFT_MS").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    });
    *SHIFT_MS
}

/// Milliseconds since the machine booted, suspended time included. Never zero.
pub(crate) fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    (seconds * 1000 + nanos / 1_000_000).max(1)
}
