//! Harness for end-to-end and fault tests over the real stack.
//!
//! Order of the modules is the order of a test: `backends` (real servers) → `site` (a sale of its own on them) → `daemon`
//! (flashd as a child process) and `operator` (flashctl, likewise) → `wire` (HTTP by hand) → `contract` (what the
//! OpenAPI document says about answers) → `buyer`, `cashier` and `crowd` (who buys, pays and cancels, and what
//! they were told) → `books` (whether everything adds up). A test that forgets [`site::Site::finish`] fails: no test passes with unbalanced books.

#![expect(clippy::unwrap_used, reason = "this is a test harness: a panic is the report")]

pub mod backends;
pub mod books;
pub mod buyer;
pub mod cashier;
pub mod contract;
pub mod crowd;
pub mod daemon;
pub mod exposition;
pub mod operator;
pub mod site;
pub mod wire;

use std::time::{Duration, Instant};

/// How long anything may take that should happen at once. Generous, because the machine may be busy; never waited out
/// unless something is broken.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// Asks until the answer is yes, and says what it waited for if that never comes.
///
/// # Panics
/// After [`PATIENCE`].
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let started = Instant::now();
    while !ask().await {
        assert!(started.elapsed() < PATIENCE, "still waiting for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
