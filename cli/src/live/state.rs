//! The state of everything in one word, the worst first. Pure.

use flash_core::stats::{Breaker, Stats, Worker};

use super::{Sample, Told, figures::Stock};
use crate::plain::harmless;

/// No daemon answers.
pub(crate) const UNREACHABLE: &str = "unreachable";

/// The word, and why if it is not a good one. Words: `unreachable`, `no seller`, `rebuilding`, `stopped`, `not ready`,
/// `draining`, `paused`, `sold out`, `held out`, `closed`, `upcoming`, `empty`, `selling`.
pub(crate) fn of(sample: &Sample, stock: Option<&Stock>) -> (&'static str, Vec<String>) {
    let all: Vec<&Stats> = sample.daemons.iter().filter_map(told).collect();
    let mut reasons: Vec<String> = sample.daemons.iter().filter_map(silent).collect();
    if all.is_empty() {
        return (UNREACHABLE, reasons);
    }
    let several = sample.daemons.len() > 1;
    for (seen, stats) in sample.daemons.iter().filter_map(|seen| Some((seen, told(seen)?))) {
        let whose = if several { format!("{}: ", seen.url) } else { String::new() };
        let words = problems(stats).into_iter().map(|words| format!("{whose}{}", harmless(&words)));
        reasons.extend(words);
    }
    let sellers: Vec<&&Stats> = all.iter().filter(|stats| stats.api.is_some()).collect();
    if sellers.is_empty() {
        return ("no seller", reasons);
    }
    let sells = |stats: &Stats| decides(stats) && stats.ready && !stats.draining && stats.paused.is_none();
    let word = if sellers.iter().any(|stats| sells(stats)) {
        of_stock(stock)
    } else if !sellers.iter().any(|stats| decides(stats)) {
        let rebuilds = |worker: &Worker| worker.rebuild.step.is_some();
        if all.iter().any(|stats| stats.worker.as_ref().is_some_and(rebuilds)) { "rebuilding" } else { "stopped" }
    } else if sellers.iter().any(|stats| stats.paused.is_some()) {
        // Whoever could sell at once, if only an operator said so.
        "paused"
    } else if sellers.iter().all(|stats| stats.draining) {
        "draining"
    } else {
        "not ready"
    };
    (word, reasons)
}

/// Any SKU that is sold makes a sale; without one, the most hopeful word.
fn of_stock(stock: Option<&Stock>) -> &'static str {
    let Some(stock) = stock else { return "selling" };
    let states = stock.states;
    let order = [
        (states.selling, "selling"),
        (states.held_out, "held out"),
        (states.upcoming, "upcoming"),
        (states.paused, "paused"),
        (states.sold_out, "sold out"),
        (states.closed, "closed"),
    ];
    // SKUs whose counters nobody has read yet are on sale all the same.
    let otherwise = if stock.skus == 0 { "empty" } else { "selling" };
    order.iter().find(|(skus, _)| *skus > 0).map_or(otherwise, |(_, word)| word)
}

/// Whether a daemon can decide purchases and record them.
pub(crate) fn decides(stats: &Stats) -> bool {
    let (redis, kafka) = (&stats.stores.redis, &stats.stores.kafka);
    redis.problem.is_none()
        && redis.breaker != Breaker::Open
        && kafka.problem.is_none()
        && stats.api.as_ref().is_some_and(|api| api.epoch.open)
}

/// Partitions of the log that no answering worker projects, and how many there are; `None` if each has one, or if too little is
/// known. While workers come and go it takes Kafka some seconds to give their partitions to others; nobody counts the events in
/// them meanwhile.
pub(crate) fn unprojected<'a>(all: impl Iterator<Item = &'a Stats>) -> Option<(u64, u64)> {
    let (mut partitions, mut owned, mut workers) = (0, 0, 0);
    for stats in all {
        partitions = partitions.max(stats.stores.kafka.partitions);
        if let Some(worker) = &stats.worker {
            workers += 1;
            owned += worker.projector.partitions;
        }
    }
    (workers > 0 && owned < partitions).then(|| (partitions - owned, partitions))
}

fn told(seen: &super::Seen) -> Option<&Stats> {
    match &seen.told {
        Told::Stats(stats) => Some(stats),
        Told::Failed(_) => None,
    }
}

fn silent(seen: &super::Seen) -> Option<String> {
    match &seen.told {
        Told::Stats(_) => None,
        Told::Failed(reason) => Some(format!("{}: {}", seen.url, harmless(reason))),
    }
}

/// What a daemon itself says is wrong.
fn problems(stats: &Stats) -> Vec<String> {
    let mut words: Vec<String> = stats.unready.iter().map(|(latch, reason)| format!("{latch}: {reason}")).collect();
    if stats.draining {
        words.push("draining".to_owned());
    }
    words.extend(stats.paused.iter().map(|why| format!("paused: {why}")));
    let stores = &stats.stores;
    let parts = [
        ("redis", &stores.redis.problem),
        ("kafka", &stores.kafka.problem),
        ("mysql", &stores.mysql.problem),
        ("epoch", stats.api.as_ref().map_or(&None, |api| &api.epoch.problem)),
    ];
    for (part, problem) in parts {
        // A latch may have said the same.
        if let Some(problem) = problem.as_ref().filter(|problem| !words.iter().any(|word| word.contains(*problem))) {
            words.push(format!("{part}: {problem}"));
        }
    }
    if let Some(step) = stats.worker.as_ref().and_then(|worker| worker.rebuild.step.as_ref()) {
        words.push(format!("rebuild: {step}"));
    }
    words
}

#[cfg(test)]
mod tests {
    use flash_core::stats::Api;

    use super::*;
    use crate::live::{Seen, figures::States};

    fn seller(change: impl Fn(&mut Stats, &mut Api)) -> Told {
        let (mut stats, mut api) = (Stats { ready: true, ..Stats::default() }, Api::default());
        api.epoch.open = true;
        change(&mut stats, &mut api);
        Told::Stats(Box::new(Stats { api: Some(api), ..stats }))
    }

    fn word(daemons: Vec<Told>, states: States) -> (&'static str, Vec<String>) {
        let seen = |told| Seen { url: "http://h:1".to_owned(), took_ms: 0, told };
        let sample = Sample { at_ms: 0, daemons: daemons.into_iter().map(seen).collect() };
        of(&sample, Some(&Stock { states, ..Stock::default() }))
    }

    #[test]
    fn nobody_sells_when_each_seller_is_kept_from_it_by_something_else() {
        let selling = States { selling: 1, ..States::default() };
        let paused = || seller(|stats, _| stats.paused = Some("x".to_owned()));
        let draining = || seller(|stats, _| stats.draining = true);
        let closed = || seller(|_, api| api.epoch.open = false);
        assert_eq!(word(vec![paused(), draining()], selling).0, "paused");
        assert_eq!(word(vec![paused(), closed()], selling).0, "paused");
        assert_eq!(word(vec![draining(), closed()], selling).0, "not ready");
        assert_eq!(word(vec![paused(), draining(), closed(), seller(|_, _| ())], selling).0, "selling");
        assert_eq!(word(vec![seller(|_, _| ())], States::default()).0, "empty");
    }

    #[test]
    fn partitions_without_a_projector_are_counted_over_all_workers() {
        let worker = |owned| {
            let mut stats = Stats { worker: Some(Worker::default()), ..Stats::default() };
            stats.stores.kafka.partitions = 8;
            stats.worker.as_mut().unwrap().projector.partitions = owned;
            stats
        };
        assert_eq!(unprojected([worker(4), worker(4)].iter()), None);
        assert_eq!(unprojected([worker(4)].iter()), Some((4, 8)));
        assert_eq!(unprojected([worker(0), worker(0)].iter()), Some((8, 8)));
        let mut api = Stats::default();
        api.stores.kafka.partitions = 8;
        assert_eq!(unprojected([api].iter()), None, "no worker is watched: nothing is known");
    }

    #[test]
    fn the_worst_comes_first() {
        let selling = States { selling: 1, sold_out: 5, ..States::default() };
        assert_eq!(word(vec![seller(|_, _| ())], selling), ("selling", vec![]));
        let (state, why) = word(vec![Told::Failed("refused\u{1b}".into())], selling);
        assert_eq!((state, why.as_slice()), ("unreachable", ["http://h:1: refused\\u{1b}".to_owned()].as_slice()));
        let recovering = || {
            seller(|stats, api| {
                api.epoch.open = false;
                let mut worker = Worker::default();
                worker.rebuild.step = Some("waiting".into());
                stats.worker = Some(worker);
            })
        };
        let (state, why) = word(vec![recovering()], selling);
        assert_eq!((state, why.as_slice()), ("rebuilding", ["rebuild: waiting".to_owned()].as_slice()));
        assert_eq!(word(vec![recovering(), seller(|_, _| ())], selling).0, "selling", "somebody sells");
        assert_eq!(word(vec![seller(|_, api| api.epoch.open = false)], selling).0, "stopped");
        let cut_off = seller(|stats, _| stats.stores.redis.problem = Some("no answer".into()));
        assert_eq!(word(vec![cut_off], selling), ("stopped", vec!["redis: no answer".to_owned()]));
        assert_eq!(word(vec![seller(|stats, _| stats.draining = true)], selling).0, "draining");
        assert_eq!(word(vec![seller(|stats, _| stats.paused = Some("x".into()))], selling).0, "paused");
        assert_eq!(word(vec![seller(|stats, _| stats.ready = false)], selling).0, "not ready");
        assert_eq!(word(vec![seller(|_, _| ())], States { sold_out: 2, ..States::default() }).0, "sold out");
        assert_eq!(word(vec![Told::Stats(Box::default())], selling).0, "no seller");
    }
}
