//! The local sold-out latch: "no" without touching the network.
//!
//! A latch is set by a reply of Redis that showed nothing available, and lasts for [`LATCH_MS`] from the *start* of that
//! call; then a purchase goes to Redis again and renews it. So no message has to reach a daemon for a returned unit to be
//! found. A buyer who has won before is never answered by the latch: their key may have an answer, and only Redis knows
//! it. The list of winners is read from Redis before the latch is set, so it also covers those who won elsewhere.

use crate::clock::boot_ms;
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use flash_core::ids::{Epoch, UserId};
use flash_core::outcome::SoldOut;
use std::collections::HashSet;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long a latch lasts, in milliseconds; also the longest a returned unit can stay unseen by a daemon.
pub(crate) const LATCH_MS: u64 = 100;
/// At this age one purchase is let through to renew the latch, so that the crowd behind it need not.
const RENEW_MS: u64 = LATCH_MS / 2;

#[derive(Debug, Default)]
struct Winners {
    epoch: Option<Epoch>,
    users: HashSet<u64>,
    read: u64,
}

#[derive(Debug)]
struct Latched {
    since_ms: u64,
    renewing: AtomicBool,
    sold_out: SoldOut,
    body: Bytes,
}

/// The latch of one SKU.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    latched: ArcSwapOption<Latched>,
    winners: RwLock<Winners>,
}

impl Latch {
    /// What to tell this buyer without asking Redis, with the prebuilt body; `None`: ask Redis.
    pub(crate) fn answer(&self, user_id: UserId) -> Option<(SoldOut, Bytes)> {
        let latched = self.latched.load();
        let latched = latched.as_ref()?;
        let age_ms = boot_ms().saturating_sub(latched.since_ms);
        if age_ms >= LATCH_MS || (age_ms >= RENEW_MS && !latched.renewing.swap(true, Ordering::Relaxed)) {
            return None;
        }
        if self.winners.read().unwrap_or_else(std::sync::PoisonError::into_inner).users.contains(&user_id.get()) {
            return None;
        }
        Some((latched.sold_out, latched.body.clone()))
    }

    /// How much of the epoch's list of winners is known here. An older epoch's list is forgotten.
    pub(crate) fn winners_known(&self, epoch: Epoch) -> u64 {
        let mut winners = self.winners.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if winners.epoch != Some(epoch) {
            *winners = Winners { epoch: Some(epoch), ..Winners::default() };
        }
        winners.read
    }

    /// Adds the next part of the list.
    pub(crate) fn learn_winners(&self, users: &[u64]) {
        let mut winners = self.winners.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        winners.users.extend(users);
        winners.read += users.len() as u64;
    }

    /// Sets the latch on the word of a call that began at `since_ms` (boot time).
    pub(crate) fn set(&self, since_ms: u64, sold_out: SoldOut, body: Bytes) {
        self.latched.store(Some(std::sync::Arc::new(Latched {
            since_ms,
            renewing: AtomicBool::new(false),
            sold_out,
            body,
        })));
    }

    /// Opens the latch: something is available.
    pub(crate) fn clear(&self) {
        if self.latched.load().is_some() {
            self.latched.store(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: SoldOut = SoldOut { is_final: true, held: 0, retry_after: None };

    #[test]
    fn winners_are_never_answered_by_the_latch() {
        let latch = Latch::default();
        assert_eq!(latch.winners_known(Epoch(1)), 0);
        latch.learn_winners(&[7, 8]);
        latch.set(boot_ms(), GONE, Bytes::new());
        assert!(latch.answer(UserId::new(7)).is_none());
        assert!(latch.answer(UserId::new(9)).is_some());
        assert_eq!(latch.winners_known(Epoch(1)), 2);
        assert_eq!(latch.winners_known(Epoch(2)), 0, "another epoch has another list");
    }

    #[test]
    fn a_latch_lapses_and_is_renewed_by_one() {
        let latch = Latch::default();
        latch.set(boot_ms().saturating_sub(LATCH_MS), GONE, Bytes::new());
        assert!(latch.answer(UserId::new(1)).is_none(), "lapsed");
        latch.set(boot_ms().saturating_sub(RENEW_MS + 5), GONE, Bytes::new());
        let let_through = (0..50).filter(|_| latch.answer(UserId::new(1)).is_none()).count();
        assert_eq!(let_through, 1, "one purchase renews, the others are answered");
        latch.clear();
        assert!(latch.answer(UserId::new(1)).is_none());
    }
}
