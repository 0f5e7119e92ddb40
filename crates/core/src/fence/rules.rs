//! Which events count, and what may be told: the two rules that make an older epoch harmless, wherever it still lives.

use crate::epoch::lease_is_fresh;
use crate::ids::Epoch;

/// Whether an event that stands behind the fence of `fence_epoch` in its partition is void: recorded, never counted. Every
/// type of event, because nobody was told of it: see [`may_tell`].
#[must_use]
pub const fn is_void(event_epoch: Epoch, fence_epoch: Epoch) -> bool {
    event_epoch.0 < fence_epoch.0
}

/// Whether what was decided under `decided`, and acknowledged by the log before `now_ms`, may be acted on: told to a buyer,
/// or its units put back on sale. It may while the last complete look at the epochs, begun at `start_ms`, showed that very
/// epoch `open`, less than `lease_ms` ago. Then no fence of a newer epoch can stand before the event.
#[must_use]
pub fn may_tell(open: Option<Epoch>, start_ms: Option<u64>, decided: Epoch, now_ms: u64, lease_ms: u64) -> bool {
    open == Some(decided) && start_ms.is_some_and(|start_ms| lease_is_fresh(start_ms, now_ms, lease_ms))
}

/// How long a coordinator waits after its announcement was acknowledged until no lease of an older epoch can be fresh: D and
/// a tenth, for clocks that do not run alike. Nothing, if no older epoch can exist: numbers are given out once, by a counter,
/// so whoever has the first one is the first.
#[must_use]
pub const fn wait_ms(epoch: Epoch, lease_ms: u64) -> u64 {
    if epoch.0 <= 1 { 0 } else { lease_ms.saturating_add(lease_ms / 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn void_is_older_than_the_fence() {
        assert!(is_void(Epoch(1), Epoch(2)));
        assert!(!is_void(Epoch(2), Epoch(2)));
        assert!(!is_void(Epoch(3), Epoch(2)));
    }

    #[test]
    fn only_a_fresh_look_at_the_deciding_epoch_counts() {
        let tell = |open, start, now| may_tell(open, start, Epoch(2), now, 5_000);
        assert!(tell(Some(Epoch(2)), Some(100), 5_099));
        assert!(!tell(Some(Epoch(2)), Some(100), 5_100), "too old");
        assert!(!tell(Some(Epoch(3)), Some(100), 101), "decided under an older epoch");
        assert!(!tell(None, Some(100), 101), "a newer epoch is not open yet");
        assert!(!tell(Some(Epoch(2)), None, 1), "never looked");
    }

    #[test]
    fn leases_are_waited_out_by_everybody_but_the_first() {
        assert_eq!(wait_ms(Epoch(1), 5_000), 0);
        assert_eq!(wait_ms(Epoch(2), 5_000), 5_500);
    }
}
