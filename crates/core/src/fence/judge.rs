//! Whether the stock is sound: what was seen of the epochs, of Redis and of the definitions, judged.

use super::guard::{Mark, Replids};
use crate::ids::{Epoch, SkuId};
use std::fmt;

/// The open epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenEpoch {
    /// Its number.
    pub epoch: Epoch,
    /// The replication ids it was opened with.
    pub replids: Replids,
}

/// What Redis has of one SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// On sale under the open epoch.
    OnSale,
    /// Never loaded: nobody can have bought from it.
    New,
    /// It was left closed when the open epoch was filled.
    Blocked,
    /// It is there under the open epoch, but was not filled there.
    Moved,
    /// It was loaded once and is not there under the open epoch any more.
    Lost,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Every SKU is on sale.
    Nothing,
    /// The open epoch is sound; these SKUs are new.
    Load(Vec<SkuId>),
    /// The open epoch is sound; these SKUs were left closed and may be filled by now.
    Unblock(Vec<SkuId>),
    /// Redis must be filled under a new epoch, for this reason.
    Rebuild(Reason),
}

/// Why Redis must be filled under a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There are no tables or topics yet.
    NotSetUp,
    /// No epoch is open.
    NotOpen,
    /// A primary has another history than the one this epoch was opened with.
    OtherHistory(Epoch),
    /// A SKU that was loaded is not there under this epoch.
    Lost(SkuId, Epoch),
    /// A SKU has moved to another primary since this epoch was opened.
    Moved(SkuId, Epoch),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSetUp => f.write_str("nothing was loaded yet"),
            Self::NotOpen => f.write_str("no stock epoch is open"),
            Self::OtherHistory(epoch) => {
                write!(f, "Redis has restarted or failed over since epoch {epoch} was opened")
            }
            Self::Lost(sku_id, epoch) => {
                write!(f, "SKU {sku_id} was loaded once and is not in Redis under epoch {epoch}")
            }
            Self::Moved(sku_id, epoch) => write!(
                f,
                "SKU {sku_id} is not where it was filled under epoch {epoch}: its slot was moved, or an older version filled it"
            ),
        }
    }
}

/// Where a SKU stands: what its stock hash says and whether it was filled on the server that has it, whether it was ever marked as
/// loaded, and which epoch is open. The mark in MySQL is set before the first unit can be sold, so "never loaded" can be believed whatever has died.
#[must_use]
pub fn standing(mark: Option<Mark>, at_home: bool, was_loaded: bool, open: Option<Epoch>) -> Standing {
    match (mark, open) {
        (Some(Mark::Open(found)), Some(open)) if found == open && at_home => Standing::OnSale,
        (Some(Mark::Open(found)), Some(open)) if found == open => Standing::Moved,
        (Some(Mark::Blocked(found)), Some(open)) if found == open => Standing::Blocked,
        (None, Some(_)) if !was_loaded => Standing::New,
        (_, None) if !was_loaded => Standing::New,
        _ => Standing::Lost,
    }
}

/// Whether every primary there is has a history that the epoch was opened with. That one of those is gone is no reason by
/// itself: the SKUs it had are lost, or have moved to another.
#[must_use]
pub fn same_history(open: &OpenEpoch, primaries: &Replids) -> bool {
    primaries.is_subset(&open.replids)
}

/// What the stock needs: the open epoch if there is one, the primaries' replication ids now, and where each SKU stands.
#[must_use]
pub fn need(open: Option<&OpenEpoch>, primaries: &Replids, stocks: &[(SkuId, Standing)]) -> Need {
    let Some(open) = open else { return Need::Rebuild(Reason::NotOpen) };
    if !same_history(open, primaries) {
        return Need::Rebuild(Reason::OtherHistory(open.epoch));
    }
    let those = |wanted: Standing| -> Vec<SkuId> {
        stocks.iter().filter(|(_, standing)| *standing == wanted).map(|(sku_id, _)| *sku_id).collect()
    };
    if let Some(lost) = those(Standing::Lost).first() {
        return Need::Rebuild(Reason::Lost(*lost, open.epoch));
    }
    if let Some(moved) = those(Standing::Moved).first() {
        return Need::Rebuild(Reason::Moved(*moved, open.epoch));
    }
    let (new, blocked) = (those(Standing::New), those(Standing::Blocked));
    match (new.is_empty(), blocked.is_empty()) {
        (false, _) => Need::Load(new),
        (true, false) => Need::Unblock(blocked),
        (true, true) => Need::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_is_what_its_mark_says_under_the_open_epoch() {
        let (old, now) = (Epoch(1), Epoch(2));
        for (mark, was_loaded, expected) in [
            (Some(Mark::Open(now)), true, Standing::OnSale),
            (Some(Mark::Blocked(now)), true, Standing::Blocked),
            (None, false, Standing::New),
            (None, true, Standing::Lost),
            (Some(Mark::Open(old)), true, Standing::Lost),
            (Some(Mark::Open(old)), false, Standing::Lost),
            (Some(Mark::Blocked(old)), true, Standing::Lost),
            (Some(Mark::Loading(now)), true, Standing::Lost),
            (Some(Mark::Closed(now)), true, Standing::Lost),
        ] {
            assert_eq!(standing(mark, true, was_loaded, Some(now)), expected, "{mark:?} {was_loaded}");
        }
        assert_eq!(standing(None, true, true, None), Standing::Lost);
        assert_eq!(standing(Some(Mark::Open(now)), true, false, None), Standing::New);
        assert_eq!(standing(Some(Mark::Open(now)), false, true, Some(now)), Standing::Moved);
        assert_eq!(standing(Some(Mark::Open(old)), false, true, Some(now)), Standing::Lost);
        assert_eq!(
            standing(Some(Mark::Blocked(now)), false, true, Some(now)),
            Standing::Blocked,
            "it may be filled here"
        );
    }

    #[test]
    fn what_is_lost_comes_before_what_is_new_and_that_before_what_is_blocked() {
        let ids = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Replids>();
        let open = OpenEpoch { epoch: Epoch(2), replids: ids(&["a", "b"]) };
        let (one, two, three) = (SkuId::new(1), SkuId::new(2), SkuId::new(3));
        let judged = |stocks: &[(SkuId, Standing)]| need(Some(&open), &ids(&["b", "a"]), stocks);
        assert_eq!(judged(&[(one, Standing::OnSale)]), Need::Nothing);
        let some = [(one, Standing::Blocked), (two, Standing::New), (three, Standing::Lost)];
        assert_eq!(judged(&some), Need::Rebuild(Reason::Lost(three, Epoch(2))));
        assert_eq!(judged(&some[..2]), Need::Load(vec![two]));
        assert_eq!(judged(&some[..1]), Need::Unblock(vec![one]));
        let moved = [(one, Standing::New), (two, Standing::Moved)];
        assert_eq!(judged(&moved), Need::Rebuild(Reason::Moved(two, Epoch(2))));
        assert_eq!(need(Some(&open), &ids(&["a"]), &[]), Need::Nothing);
        for other in [&["c"][..], &["a", "c"]] {
            assert_eq!(need(Some(&open), &ids(other), &[]), Need::Rebuild(Reason::OtherHistory(Epoch(2))));
        }
        assert_eq!(need(None, &ids(&["a"]), &[]), Need::Rebuild(Reason::NotOpen));
    }
}
