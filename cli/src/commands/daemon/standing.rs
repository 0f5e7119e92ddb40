//! How a daemon stands, in a few words.

use flash_core::stats::Stats;

use crate::plain::harmless;

/// Whether it is in service, in a few words.
pub(super) fn standing(stats: &Stats) -> String {
    let latches = || stats.unready.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut words = Vec::new();
    if stats.draining {
        words.push("draining".to_owned());
    } else if !stats.ready {
        words.push(format!("not ready ({})", latches()));
    }
    if let Some(why) = &stats.paused {
        words.push(format!("paused: {why}"));
    }
    if words.is_empty() {
        words.push("ready".to_owned());
    }
    harmless(&words.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_standing_says_what_is_not_as_usual() {
        let ready = Stats { ready: true, ..Stats::default() };
        assert_eq!(standing(&ready), "ready");
        let paused = Stats { paused: Some("clock\x1b[2J".into()), ..ready.clone() };
        assert!(standing(&paused).starts_with("paused: clock") && !standing(&paused).contains('\x1b'));
        let unready = BTreeMap::from([("kafka".to_owned(), "x".to_owned()), ("redis".to_owned(), "y".to_owned())]);
        assert_eq!(standing(&Stats { ready: false, unready, ..ready.clone() }), "not ready (kafka, redis)");
        assert_eq!(standing(&Stats { draining: true, ready: false, ..ready }), "draining");
    }
}
