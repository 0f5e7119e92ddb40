//! Crash points: named places between two steps of a protocol where a test may have the process die.
//!
//! Compiled in only with the feature `faults`; otherwise a point is nothing at all. `FLASHD_CRASH_AT=NAME` kills the
//! process (as `kill -9` would: no destructor, no flush) when it comes to that point, `NAME:3` when it comes there for the
//! third time.

/// A place where the process may die.
#[cfg(not(feature = "faults"))]
#[inline]
pub(crate) const fn point(_name: &str) {}

/// A place where the process may die.
#[cfg(feature = "faults")]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static AT: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let wish = std::env::var("FLASHD_CRASH_AT").ok()?;
        let (name, times) = wish.split_once(':').map_or((wish.as_str(), "1"), |(name, times)| (name, times));
        Some((name.to_owned(), AtomicU64::new(times.parse().ok()?)))
    });
    let Some((at, left)) = &*AT else { return };
    if at == name && left.fetch_sub(1, Ordering::Relaxed) == 1 {
        // A signal that nothing can catch: whatever a real crash would leave undone is left undone.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::thread::park();
    }
}
