//! Selling while servers and daemons freeze, die and come back. What buyers were told stays true throughout; the books are
//! checked at the end of every test (`flash_tests::books`).

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

mod fake_redis;
mod kafka;
mod mysql;
mod network;
mod processes;
mod redis;
mod settling;
mod sweeping;
mod topologies;

use tokio::sync::{Semaphore, SemaphorePermit};

/// At most this many fault tests at once: they watch clocks (leases, time-outs), and the machine may be small.
static PLACES: Semaphore = Semaphore::const_new(3);

/// Waits for its turn.
async fn turn() -> SemaphorePermit<'static> {
    PLACES.acquire().await.unwrap()
}
