//! Twins: the same key by the same buyer, while its first purchase is still being decided here.
//!
//! The second one is told to ask again, instead of being decided beside the first. It is a courtesy, not a promise: a twin
//! at another daemon is decided by the gate, which gives both the same answer.

use flash_core::ids::UserId;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// Shards, so that purchases do not queue for one lock.
const SHARDS: usize = 64;

/// The keys that are being decided. Only their fingerprints: two keys that share one are told to ask again, no more.
pub(crate) struct Twins {
    shards: [Mutex<HashSet<u64>>; SHARDS],
    hasher: RandomState,
}

impl Default for Twins {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

/// A key that is being decided; gives its place back when dropped, also when the client goes away.
pub(crate) struct Only<'a> {
    twins: &'a Twins,
    fingerprint: u64,
}

impl Drop for Only<'_> {
    fn drop(&mut self) {
        self.twins.shard(self.fingerprint).lock().unwrap_or_else(PoisonError::into_inner).remove(&self.fingerprint);
    }
}

impl Twins {
    /// Takes the key's place; `None` if its twin has it.
    pub(crate) fn enter(&self, user_id: UserId, key: &str) -> Option<Only<'_>> {
        let fingerprint = self.hasher.hash_one((user_id, key));
        let first = self.shard(fingerprint).lock().unwrap_or_else(PoisonError::into_inner).insert(fingerprint);
        first.then_some(Only { twins: self, fingerprint })
    }

    fn shard(&self, fingerprint: u64) -> &Mutex<HashSet<u64>> {
        let index = usize::try_from(fingerprint % SHARDS as u64).unwrap_or(0);
        // The remainder is below the number of shards.
        &self.shards[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_twins_is_in_until_it_leaves() {
        let twins = Twins::default();
        let first = twins.enter(UserId::new(1), "k").unwrap();
        assert!(twins.enter(UserId::new(1), "k").is_none());
        assert!(twins.enter(UserId::new(2), "k").is_some() && twins.enter(UserId::new(1), "l").is_some());
        drop(first);
        assert!(twins.enter(UserId::new(1), "k").is_some());
    }
}
