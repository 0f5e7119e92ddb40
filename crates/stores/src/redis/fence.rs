//! Who may decide: the open epoch, and the primaries it was opened with.

use flash_core::epoch::EpochRecord;
use flash_core::fence::OpenEpoch;
use flash_core::ids::Epoch;

/// What a caller must know to be let through the fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The open epoch.
    pub epoch: Epoch,
    /// The replication ids it was opened with.
    pub replids: Replids,
}

impl Fence {
    /// The fence that a record of the control topic speaks of.
    #[must_use]
    pub fn of(record: &EpochRecord) -> Self {
        Self { epoch: record.epoch, replids: record.replids.values().collect() }
    }

    /// The same, for the judgement whether stock is sound.
    #[must_use]
    pub fn open_epoch(&self) -> OpenEpoch {
        let replids = self.replids.0.split(',').filter(|replid| !replid.is_empty()).map(str::to_owned).collect();
        OpenEpoch { epoch: self.epoch, replids }
    }
}

/// A set of replication ids, one per primary, as the scripts read it: in order, separated by commas. Every primary in it was
/// filled from the truth, and its history is unbroken for as long as it answers with that id; so whichever of them a SKU
/// lives on may decide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replids(String);

impl Replids {
    /// The ids, separated by commas.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a primary with this id was filled.
    #[must_use]
    pub fn contains(&self, replid: &str) -> bool {
        !replid.is_empty() && self.0.split(',').any(|known| known == replid)
    }
}

impl<S: AsRef<str>> FromIterator<S> for Replids {
    fn from_iter<I: IntoIterator<Item = S>>(replids: I) -> Self {
        let set: std::collections::BTreeSet<String> =
            replids.into_iter().map(|replid| replid.as_ref().to_owned()).collect();
        Self(set.into_iter().collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_knows_whole_ids_only() {
        let both: Replids = ["bb", "aa", "bb"].into_iter().collect();
        assert_eq!(both.as_str(), "aa,bb");
        assert!(both.contains("aa") && both.contains("bb"));
        assert!(!both.contains("a") && !both.contains("aa,bb") && !both.contains(""));
        assert!(!Replids::default().contains(""));
    }
}
