//! What happened, told by the daemons and noticed from here, in order of time.

use std::collections::{BTreeMap, VecDeque};

use flash_core::{
    ids::SkuId,
    stats::{Happening, HappeningKind, Severity},
};

use super::Daemon;

/// Entries that are kept.
const MAX: usize = 500;
/// Daemons that tell the same thing within this time tell of one thing.
const SAME_MS: u64 = 5_000;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When, by the clock of the daemon that tells it.
    pub(crate) at_ms: u64,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What kind of thing; `None` for what was noticed from here.
    pub(crate) kind: Option<HappeningKind>,
    /// The names of the daemons that tell it, the first one first.
    pub(crate) daemons: Vec<String>,
    /// The SKU, if it is about one.
    pub(crate) sku_id: Option<SkuId>,
    /// In words.
    pub(crate) text: String,
}

impl Entry {
    /// The same thing, told by another daemon.
    fn is_same_as(&self, other: &Entry) -> bool {
        let what = |entry: &Entry| (entry.kind, entry.severity, entry.sku_id);
        what(self) == what(other) && self.text == other.text && !self.daemons.contains(&other.daemons[0])
    }

    /// Who tells it: `n1`, or `n1+2`.
    pub(crate) fn who(&self) -> String {
        let first = self.daemons.first().map_or("", String::as_str);
        if self.daemons.len() > 1 { format!("{first}+{}", self.daemons.len() - 1) } else { first.to_owned() }
    }
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
                daemons: vec![daemon.name()],
                sku_id: happening.sku_id,
                text: happening.text,
            });
        }
    }

    /// Notes what was noticed about a daemon from here.
    pub(crate) fn watched(&mut self, at_ms: u64, severity: Severity, daemon: &Daemon, text: String) {
        let daemons = vec![daemon.name()];
        let entry = Entry { at_ms, severity, kind: None, daemons, sku_id: None, text };
        self.insert(entry);
    }

    /// The newest first.
    pub(crate) fn newest(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter().rev()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn insert(&mut self, mut entry: Entry) {
        let near = self.entries.iter_mut().rev().take(100).filter(|other| other.at_ms.abs_diff(entry.at_ms) <= SAME_MS);
        if let Some(same) = near.into_iter().find(|other| other.is_same_as(&entry)) {
            same.daemons.append(&mut entry.daemons);
            return;
        }
        // Nearly always at the end; daemons' clocks differ by little.
        let index = self.entries.iter().rposition(|other| other.at_ms <= entry.at_ms).map_or(0, |index| index + 1);
        self.entries.insert(index, entry);
        if self.entries.len() > MAX {
            self.entries.pop_front();
        }
    }
}
