//! The walk through all crash points (`flashd::crash::POINTS`): at each one the process really dies, another one goes on,
//! whoever got no answer asks again, and the books balance. A point that is never reached fails the walk.
//!
//! Points that belong together share a site: one after the other a process is started that will die at the next point.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

mod buying;
mod filling;
mod operating;
mod projecting;
mod settling;
mod sweeping;

use std::collections::BTreeSet;
use tokio::sync::{Semaphore, SemaphorePermit};

/// At most this many sites at once: they spend most of their time waiting, but the machine may be small.
static PLACES: Semaphore = Semaphore::const_new(5);

/// Waits for its turn.
async fn turn() -> SemaphorePermit<'static> {
    PLACES.acquire().await.unwrap()
}

/// The walk leaves nothing out.
#[test]
fn every_point_is_walked() {
    let walked: BTreeSet<&str> = [
        buying::POINTS,
        settling::PAID,
        settling::CANCELLED,
        settling::LATE,
        settling::GIVEN_BACK,
        sweeping::POINTS,
        projecting::FIRST,
        projecting::SECOND,
        projecting::THIRD,
        projecting::POISON,
        projecting::REPLAY,
        filling::FIRST,
        filling::SECOND,
        filling::THIRD,
        operating::SETUP,
        operating::MORE,
        operating::TERMS,
        operating::CHANGES,
    ]
    .concat()
    .into_iter()
    .collect();
    let listed: BTreeSet<&str> = flashd::crash::POINTS.iter().map(|point| point.name).collect();
    assert_eq!(walked, listed);
}
