//! The one word about a sale, and why. Judged from what buyers get: who could sell, and of what there is something left.

use flash_core::stats::{Breaker, RebuildView, RedisStats, Stats};

use super::{Facts, Units};
use crate::{plain::seconds, table::grouped};

/// What a sale does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The first answer has not come yet.
    Waiting,
    /// No daemon has ever answered.
    Unreachable,
    /// No daemon answers any more, or nobody asks them.
    Stale,
    /// No daemon that answers sells.
    NoSeller,
    /// Nothing can be decided, and Redis is being filled anew.
    Recovering,
    /// Nothing can be decided.
    Stopped,
    /// Whoever could decide is not ready.
    NotReady,
    /// Whoever could decide is being taken out of service.
    Draining,
    /// Whoever could decide was paused by an operator, or every SKU that could be sold was.
    Paused,
    /// There is no SKU.
    Empty,
    Selling,
    /// Nothing is left, but units on hold may come back.
    HeldOut,
    Upcoming,
    /// Every unit is paid for.
    SoldOut,
    Closed,
}

impl Word {
    /// As programs and lines have it.
    pub(crate) const fn as_str(self) -> &'static str {
        self.both().0
    }

    /// As a screen has it.
    pub(crate) const fn upper(self) -> &'static str {
        self.both().1
    }

    const fn both(self) -> (&'static str, &'static str) {
        match self {
            Self::Waiting => ("waiting", "WAITING"),
            Self::Unreachable => ("unreachable", "UNREACHABLE"),
            Self::Stale => ("stale", "STALE"),
            Self::NoSeller => ("no seller", "NO SELLER"),
            Self::Recovering => ("recovering", "RECOVERING"),
            Self::Stopped => ("stopped", "STOPPED"),
            Self::NotReady => ("not ready", "NOT READY"),
            Self::Draining => ("draining", "DRAINING"),
            Self::Paused => ("paused", "PAUSED"),
            Self::Empty => ("empty", "EMPTY"),
            Self::Selling => ("selling", "SELLING"),
            Self::HeldOut => ("held out", "HELD OUT"),
            Self::Upcoming => ("upcoming", "UPCOMING"),
            Self::SoldOut => ("sold out", "SOLD OUT"),
            Self::Closed => ("closed", "CLOSED"),
        }
    }
}

/// The word, and why – empty if the word says it all.
pub(super) fn of(facts: &Facts<'_>) -> (Word, String) {
    let told: Vec<&Stats> = facts.told().collect();
    if told.is_empty() || facts.is_late {
        return nobody(facts, told.is_empty());
    }
    let sellers: Vec<&Stats> = told.iter().copied().filter(|stats| stats.api.is_some()).collect();
    if sellers.is_empty() {
        return (Word::NoSeller, "no daemon that answers sells".to_owned());
    }
    let deciders: Vec<(&Stats, Decides)> = sellers.iter().map(|stats| (*stats, decides(stats, &facts.units))).collect();
    let mut able = deciders.iter().filter(|(stats, decides)| sells(stats, decides)).map(|(_, decides)| decides);
    if let Some(first) = able.next() {
        let whole = matches!(first, Decides::Everything) || able.any(|other| matches!(other, Decides::Everything));
        let (word, why) = of_units(&facts.units, facts.now_ms);
        return match first {
            Decides::Some(part) if !whole => (word, part.clone()),
            _ => (word, why),
        };
    }
    if deciders.iter().all(|(_, decides)| matches!(decides, Decides::Nothing(_))) {
        return stopped(&told, &deciders);
    }
    // Only those who could sell at once, if nothing kept them from it, say why they do not.
    let could = || deciders.iter().filter(|(_, decides)| !matches!(decides, Decides::Nothing(_)));
    if let Some(why) = could().find_map(|(stats, _)| stats.paused.as_ref()) {
        return (Word::Paused, format!("by an operator: {why}"));
    }
    if sellers.iter().all(|stats| stats.draining) {
        return (Word::Draining, "no daemon takes purchases".to_owned());
    }
    let unready = could().flat_map(|(stats, _)| &stats.unready).next();
    (Word::NotReady, unready.map_or_else(String::new, |(latch, why)| format!("{latch}: {why}")))
}

/// Nobody answers.
fn nobody(facts: &Facts<'_>, are_silent: bool) -> (Word, String) {
    let reason = facts.daemons.iter().find_map(|known| known.told.err());
    match (facts.answered_ms_ago, reason) {
        (Some(age_ms), reason) => {
            let reason = reason.filter(|_| are_silent).unwrap_or("no sample arrives");
            (Word::Stale, format!("{} s: {reason}", age_ms / 1_000))
        }
        (None, Some(reason)) => (Word::Unreachable, reason.to_owned()),
        (None, None) => (Word::Waiting, "for the first answer".to_owned()),
    }
}

/// Nobody can decide. Whether that is being mended is told by whoever fills Redis anew.
fn stopped(told: &[&Stats], deciders: &[(&Stats, Decides)]) -> (Word, String) {
    let rebuild = told.iter().filter_map(|stats| stats.worker.as_ref()).find_map(|worker| {
        let step = worker.rebuild.step.as_ref()?;
        let since = worker.rebuild.running_ms.map_or_else(String::new, |ms| format!(" · {}", seconds(ms)));
        let waits = waits_for(&worker.rebuild);
        Some(format!("rebuild {}/8: {step}{since}{waits}", worker.rebuild.step_number))
    });
    let why = deciders.iter().find_map(|(_, decides)| match decides {
        Decides::Nothing(why) => Some(why.clone()),
        Decides::Everything | Decides::Some(_) => None,
    });
    match rebuild {
        Some(step) => (Word::Recovering, step),
        None => (Word::Stopped, why.unwrap_or_default()),
    }
}

/// Whom a rebuild waits for, as the end of a sentence; empty if it works.
pub(super) fn waits_for(rebuild: &RebuildView) -> String {
    rebuild.waits_for.as_ref().map_or_else(String::new, |server| format!(" · waits for {server}"))
}

/// What a daemon can decide and record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decides {
    Everything,
    /// Not all SKUs; which not, and why.
    Some(String),
    /// Nothing, and why.
    Nothing(String),
}

/// What a seller can decide at the moment, whether or not it is allowed to.
pub(super) fn decides(stats: &Stats, units: &Units) -> Decides {
    let Some(api) = &stats.api else { return Decides::Nothing("it does not sell".to_owned()) };
    let stores = &stats.stores;
    let redis = match (&stores.redis.problem, stores.redis.breaker) {
        (Some(problem), _) => Some(problem.clone()),
        (None, Breaker::Open) => Some("its breaker is open".to_owned()),
        (None, _) => None,
    };
    // The first cause first: without its servers no daemon gets an open epoch.
    let several = redis.is_some() && others_answer(&stores.redis);
    if let Some(problem) = redis.as_ref().filter(|_| !several) {
        return Decides::Nothing(format!("redis: {problem}"));
    }
    if let Some(problem) = &stores.kafka.problem {
        return Decides::Nothing(format!("kafka: {problem}"));
    }
    if !api.epoch.open {
        let problem = api.epoch.problem.as_deref().unwrap_or("no open epoch");
        return Decides::Nothing(format!("epoch: {problem}"));
    }
    let Some(problem) = redis else { return Decides::Everything };
    let without = api.stops.stopped_skus.max(units.unread);
    if api.stops.stopped_for_ms.is_some() || (units.skus > 0 && without >= units.skus) {
        return Decides::Nothing(format!("redis: {problem}"));
    }
    let of = match without {
        0 => "some SKUs".to_owned(),
        without => format!("{} of {} SKUs", grouped(without), grouped(units.skus)),
    };
    Decides::Some(format!("{of} cannot be sold: redis: {problem}"))
}

/// Whether some primary answers while another one does not: SKUs live on one each.
fn others_answer(redis: &RedisStats) -> bool {
    /// Daemons look every two seconds; what has not answered for longer than a few looks is away too.
    const ANSWERED_MS: u64 = 10_000;
    let problem = redis.problem.as_deref().unwrap_or_default();
    redis.nodes.iter().any(|node| node.seen_ms_ago <= ANSWERED_MS && !problem.starts_with(&node.address))
}

/// Whether a buyer who asks this daemon can win.
fn sells(stats: &Stats, decides: &Decides) -> bool {
    let ready = match decides {
        Decides::Nothing(_) => return false,
        Decides::Everything => stats.ready,
        // Not being connected to all of Redis is what is said of the SKUs already.
        Decides::Some(_) => stats.ready || stats.unready.keys().all(|latch| latch == "redis"),
    };
    ready && !stats.draining && stats.paused.is_none()
}

/// Any SKU that is sold makes a sale; without one, the word that says what may still come.
fn of_units(units: &Units, now_ms: u64) -> (Word, String) {
    let states = &units.states;
    if units.skus == 0 {
        return (Word::Empty, "no SKU on sale".to_owned());
    }
    if states.selling > 0 {
        return (Word::Selling, String::new());
    }
    if states.held_out > 0 {
        return (Word::HeldOut, format!("{} held, may come back", grouped(units.held)));
    }
    if states.paused > 0 {
        let why = format!("{} of {} SKUs, by an operator", grouped(states.paused), grouped(units.skus));
        return (Word::Paused, why);
    }
    if states.upcoming > 0 {
        let opens = units.opens_at_ms.map(|at_ms| format!("opens in {}", seconds(at_ms.saturating_sub(now_ms))));
        return (Word::Upcoming, opens.unwrap_or_default());
    }
    match (states.sold_out, states.closed) {
        // SKUs whose counters nobody has read yet are on sale all the same.
        (0, 0) => (Word::Selling, "no SKU's stock has been read yet".to_owned()),
        (_, 0) => (Word::SoldOut, "every unit is paid for".to_owned()),
        (sold_out, _) if units.unsold > 0 || sold_out == 0 => {
            let others = if sold_out > 0 { format!(", {} SKUs sold out", grouped(sold_out)) } else { String::new() };
            (Word::Closed, format!("{} units left unsold{others}", grouped(units.unsold)))
        }
        _ => (Word::SoldOut, "every unit is paid for".to_owned()),
    }
}
