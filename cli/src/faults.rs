//! Faults that tests can order from inside. A release has none of them.

/// A place where the program panics if `FLASHCTL_PANIC_AT` names it.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "that is what was ordered")]
pub(crate) fn point(name: &str) {
    if std::env::var_os("FLASHCTL_PANIC_AT").is_some_and(|wish| wish == name) {
        panic!("ordered by FLASHCTL_PANIC_AT={name}");
    }
}

/// A place where the program panics if a test wishes it.
#[cfg(not(debug_assertions))]
pub(crate) const fn point(_name: &str) {}
