//! What happened, told by the daemons and noticed from here, in order of time.

use std::collections::{BTreeMap, VecDeque};

use flash_core::{
    ids::SkuId,
    stats::{Happening, HappeningKind, Severity},
};

use super::Daemon;

/// Entries that are kept.
const MAX: usize = 500;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When, by the clock of the daemon that tells it.
    pub(crate) at_ms: u64,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What kind of thing; `None` for what was noticed from here.
    pub(crate) kind: Option<HappeningKind>,
    /// The daemon's name.
    pub(crate) daemon: String,
    /// The SKU, if it is about one.
    pub(crate) sku_id: Option<SkuId>,
    /// In words.
    pub(crate) text: String,
}

/// The latest entries of all daemons.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventLog {
    entries: VecDeque<Entry>,
    /// Highest number taken, by URL.
    seen: BTreeMap<String, u64>,
}

impl EventLog {
    /// Takes what is new from a daemon's list. A new process counts from the beginning.
    pub(crate) fn take(&mut self, daemon: &Daemon, happenings: Vec<Happening>, restarted: bool) {
        let seen = self.seen.entry(daemon.url.clone()).or_default();
        if restarted {
            *seen = 0;
        }
        let mut new = Vec::new();
        for happening in happenings {
            if happening.number > *seen {
                *seen = happening.number;
                new.push(happening);
            }
        }
        for happening in new {
            self.insert(Entry {
                at_ms: happening.at_ms,
                severity: happening.severity,
                kind: Some(happening.kind),
                daemon: daemon.name(),
                sku_id: happening.sku_id,
                text: happening.text,
            });
        }
    }

    /// Notes what was noticed about a daemon from here.
    pub(crate) fn watched(&mut self, at_ms: u64, severity: Severity, daemon: &Daemon, text: String) {
        let entry = Entry { at_ms, severity, kind: None, daemon: daemon.name(), sku_id: None, text };
        self.insert(entry);
    }

    /// The newest first.
    pub(crate) fn newest(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter().rev()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The worst severity since a moment.
    pub(crate) fn worst_since(&self, since_ms: u64) -> Option<Severity> {
        self.entries.iter().rev().take_while(|entry| entry.at_ms >= since_ms).map(|entry| entry.severity).max()
    }

    fn insert(&mut self, entry: Entry) {
        // Nearly always at the end; daemons' clocks differ by little.
        let index = self.entries.iter().rposition(|other| other.at_ms <= entry.at_ms).map_or(0, |index| index + 1);
        self.entries.insert(index, entry);
        if self.entries.len() > MAX {
            self.entries.pop_front();
        }
    }
}
