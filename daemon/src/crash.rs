//! Crash points: named places between two steps of a protocol where a test may have the process die.
//!
//! Owns the list of them ([`POINTS`]). Compiled in only with the feature `faults`; otherwise a point is nothing at all.
//! `FLASHD_CRASH_AT=NAME` kills the process (as `kill -9` would: no destructor, no flush) when it comes to that point,
//! `NAME:3` when it comes there for the third time. The operator's tools run the same steps and heed it as well.

/// A place where the process may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Its name; the path it lies on, a dot, the step that was done last.
    pub name: &'static str,
    /// What has been done there, and what has not.
    pub between: &'static str,
}

const fn at(name: &'static str, between: &'static str) -> Point {
    Point { name, between }
}

/// Every crash point there is, in the order of the steps. A test holds this list against the sources, another walks
/// through all of it.
pub const POINTS: &[Point] = &[
    // Buying.
    at("purchase.admitted", "admitted and given an id; not in the queue of its SKU"),
    at("purchase.gathered", "taken out of the queue in a batch; its key not claimed"),
    at("purchase.claimed", "its key claimed for a moment; nothing decided"),
    at("purchase.decided", "stock held; the claim of its key may still run out"),
    at("purchase.kept", "held, its key claimed for a day; its event not handed to Kafka"),
    at("purchase.queued", "its event in the producer's queue; not acknowledged"),
    at("purchase.acknowledged", "its event in the log; the request does not know"),
    at("purchase.answered", "the answer is yes; not written to the socket"),
    // Paying, cancelling, giving back.
    at("pay.registered", "the payment has no fate yet; its order not touched"),
    at("pay.begun", "Redis confirms the order; the log does not know"),
    at("cancel.begun", "Redis cancels the order, its units not free; the log does not know"),
    at("settle.queued", "the settlement in the producer's queue; not acknowledged"),
    at("settle.recorded", "the settlement in the log; the payment's fate not written, units not free"),
    at("settle.remembered", "the payment's fate written; the settlement not finished in Redis"),
    at("settle.finished", "finished in Redis: units are free or sold"),
    at("settle.answered", "the answer is known; not written to the socket"),
    at("late.reserved", "units held again for a late payment; the claim of their key may still run out"),
    at("late.kept", "held again; the payment's fate not decided"),
    at("late.decided", "the payment shall confirm other units; Redis has not begun to"),
    at("late.begun", "Redis confirms the other units; the log does not know"),
    at("refund.decided", "the payment shall be given back; the log does not know"),
    at("refund.recorded", "the refund in the log; its fate in Redis still says \"to be given back\""),
    at("refund.remembered", "the refund in the log and in Redis"),
    // Ending what nobody paid for.
    at("sweep.taken", "what is due is being closed in Redis; the log does not know"),
    // From the log into MySQL.
    at("project.gathered", "a batch read from the log; no transaction"),
    at("project.folded", "the batch folded into rows; no transaction"),
    at("project.begun", "the offset moved in an open transaction; no rows"),
    at("project.written", "offset and rows in an open transaction"),
    at("project.committed", "committed; this process and Kafka's group do not know"),
    at("project.reported", "committed, and handed to Kafka's group offsets"),
    at("project.refused", "the database refused a batch; it is not split"),
    at("park.decided", "one event can not be applied; not in the dead letters"),
    at("park.parked", "in the dead letters; its offset not passed"),
    // Dead letters, again.
    at("replay.held", "the letter's partition held in an open transaction; no rows"),
    at("replay.written", "the letter's rows in an open transaction; the attempt not counted"),
    at("replay.counted", "rows and attempt in an open transaction"),
    at("replay.committed", "committed; nobody was told"),
    // Filling Redis.
    at("rebuild.numbered", "the new epoch has its number; the control topic does not know"),
    at("rebuild.announced", "announced; the old stock still decides for daemons with a lease"),
    at("rebuild.closing", "one SKU closed; the others not"),
    at("rebuild.closed", "all SKUs closed; leases may be fresh"),
    at("rebuild.waited", "no lease of an older epoch is left; no fence in the log"),
    at("rebuild.fenced", "fences in the log; not projected"),
    at("rebuild.projected", "MySQL has everything that counts; no SKU marked as loaded"),
    at("rebuild.marked", "the SKUs marked as loaded; none is"),
    at("fill.begun", "one SKU emptied; nothing written"),
    at("fill.holds", "some of its holds written, and perhaps their keys' answers"),
    at("fill.answers", "holds and answers written; not who has bought"),
    at("fill.buyers", "buyers written; not their payments' fates"),
    at("fill.payments", "all but the counters written; the SKU not open"),
    at("fill.opened", "one SKU carries the new epoch, which is not open; the others are not filled"),
    at("fill.blocking", "one SKU can not be filled truthfully; not marked as blocked"),
    at("rebuild.loaded", "every SKU carries the new epoch, which is not open"),
    at("rebuild.opened", "open; nobody was told"),
    // Setting up, and changing what is on sale.
    at("setup.migrated", "tables made; no topics"),
    at("setup.topics", "topics made; no definitions"),
    at("setup.written", "definitions in MySQL; Redis does not know"),
    at("load.marked", "new SKUs marked as loaded; not in Redis"),
    at("load.created", "one new SKU on sale; the others not"),
    at("setup.configured", "terms of one SKU in Redis; those of the others not"),
    at("edit.written", "new terms in MySQL; Redis has the old ones"),
    at("capacity.raised", "more units in MySQL; Redis does not know"),
    at("capacity.lowered", "fewer units in Redis; MySQL does not know"),
    at("capacity.agreed", "fewer units in both; not looked whether a rebuild has seen the old number"),
];

/// A place where the process may die.
#[cfg(not(feature = "faults"))]
#[inline]
pub(crate) const fn point(_name: &str) {}

/// A place where the process may die.
#[cfg(feature = "faults")]
pub(crate) fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static AT: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let wish = std::env::var("FLASHD_CRASH_AT").ok()?;
        let (name, times) = wish.split_once(':').map_or((wish.as_str(), "1"), |(name, times)| (name, times));
        Some((name.to_owned(), AtomicU64::new(times.parse().ok()?)))
    });
    let Some((at, left)) = &*AT else { return };
    if at == name && left.fetch_sub(1, Ordering::Relaxed) == 1 {
        // Written at once and to nothing that buffers: a test reads where the process died.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("crash point {name}\n").as_bytes());
        // A signal that nothing can catch: whatever a real crash would leave undone is left undone.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::POINTS;
    use std::collections::BTreeMap;
    use std::path::Path;

    /// Where each point is passed, by the text of the sources.
    fn calls(dir: &Path, found: &mut BTreeMap<String, Vec<String>>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                calls(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let names = text.split("crash::point(\"").skip(1).filter_map(|rest| rest.split_once("\")"));
                for (name, _) in names {
                    found.entry(name.to_owned()).or_default().push(path.display().to_string());
                }
            }
        }
    }

    #[test]
    fn the_list_is_what_the_sources_pass() {
        let mut found = BTreeMap::new();
        calls(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        // This very file names the call in the line that looks for it.
        found.retain(|name, _| !name.contains(')'));
        for (name, places) in &found {
            assert_eq!(places.len(), 1, "{name} is passed at {places:?}: a name is one place");
            assert!(POINTS.iter().any(|point| point.name == name), "{name} is not in the list");
        }
        for point in POINTS {
            assert!(found.contains_key(point.name), "{} is passed nowhere", point.name);
            assert!(!point.between.is_empty(), "{} says nothing", point.name);
        }
        assert_eq!(found.len(), POINTS.len(), "a name stands in the list twice");
    }
}
