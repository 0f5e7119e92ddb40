//! What is judged: the daemons as they are known, and the units of all SKUs added up.

use std::borrow::Cow;

use flash_core::stats::{SkuState, SkuStats, Stats};

use crate::live::{Sample, Told};

/// One daemon.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    /// As findings call it.
    pub(crate) name: Cow<'a, str>,
    /// What it tells, or why it does not.
    pub(crate) told: Result<&'a Stats, &'a str>,
}

/// Everything that a judgement rests on.
#[derive(Debug, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) daemons: Vec<Known<'a>>,
    pub(crate) units: Units,
    /// Durations that are told along, of whatever time the caller has seen.
    pub(crate) p99: P99s,
    /// How long ago, in milliseconds, a daemon answered last; `None`: none ever did.
    pub(crate) answered_ms_ago: Option<u64>,
    /// No look has come to an end for longer than it should take.
    pub(crate) is_late: bool,
    /// When, in milliseconds since 1970.
    pub(crate) now_ms: u64,
}

impl<'a> Facts<'a> {
    /// Those of one sample, the daemons called by their URLs.
    pub(crate) fn of(sample: &'a Sample, units: Units, answered_ms_ago: Option<u64>) -> Self {
        let known = |seen: &'a crate::live::Seen| Known {
            name: Cow::Borrowed(seen.url.as_str()),
            told: match &seen.told {
                Told::Stats(stats) => Ok(&**stats),
                Told::Failed(reason) => Err(reason.as_str()),
            },
        };
        let daemons: Vec<Known<'a>> = sample.daemons.iter().map(known).collect();
        let p99 = P99s::lifetime(daemons.iter().filter_map(|known| known.told.ok()));
        Self { daemons, units, p99, answered_ms_ago, is_late: false, now_ms: sample.at_ms }
    }

    /// Those that answer.
    pub(super) fn told(&self) -> impl Iterator<Item = &'a Stats> {
        self.daemons.iter().filter_map(|known| known.told.ok())
    }

    /// Those that answer, with what they are called – unless there is only one, which needs no name.
    pub(super) fn named(&self) -> impl Iterator<Item = (Option<&str>, &'a Stats)> {
        let several = self.daemons.len() > 1;
        self.daemons.iter().filter_map(move |known| {
            let stats = known.told.ok()?;
            Some((several.then_some(&*known.name), stats))
        })
    }
}

/// 99th percentiles in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct P99s {
    /// Decisions of Redis.
    pub(crate) reserve: Option<u64>,
    /// Acknowledgements of Kafka.
    pub(crate) produce: Option<u64>,
    /// Pings of MySQL.
    pub(crate) ping: Option<u64>,
}

impl P99s {
    /// Since the daemons started; of several the slowest.
    fn lifetime<'a>(all: impl Iterator<Item = &'a Stats>) -> Self {
        all.fold(Self::default(), |p99, stats| {
            let stores = &stats.stores;
            let reserve = stores.redis.operations.get("reserve").and_then(|it| it.took.quantile_us(0.99));
            Self {
                reserve: p99.reserve.max(reserve),
                produce: p99.produce.max(stores.kafka.produce.quantile_us(0.99)),
                ping: p99.ping.max(stores.mysql.ping.quantile_us(0.99)),
            }
        })
    }
}

/// SKUs by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct States {
    pub(crate) selling: u64,
    pub(crate) held_out: u64,
    pub(crate) sold_out: u64,
    pub(crate) upcoming: u64,
    pub(crate) closed: u64,
    pub(crate) paused: u64,
}

/// The units of all SKUs, as far as the word about a sale depends on them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Units {
    /// SKUs that exist; more than are told of, if there are many.
    pub(crate) skus: u64,
    pub(crate) states: States,
    /// Units on hold, or on their way back.
    pub(crate) held: u64,
    /// Units that nobody bought of SKUs whose sale is over.
    pub(crate) unsold: u64,
    /// SKUs whose counters have not been read for longer than that takes.
    pub(crate) unread: u64,
    /// When the next upcoming SKU opens, in milliseconds since 1970.
    pub(crate) opens_at_ms: Option<u64>,
}

/// How old counters may get while Redis answers: daemons read 500 SKUs in each second.
const READ_MAX_MS: u64 = 5_000;
const READ_IN_A_SECOND: u64 = 500;

impl Units {
    /// Adds up the SKUs, each as it was read last, of `skus` that exist.
    pub(crate) fn of<'a>(all: impl IntoIterator<Item = &'a SkuStats>, skus: u64) -> Self {
        let mut units = Self { skus, ..Self::default() };
        let read_max_ms = READ_MAX_MS + 3_000 * (skus / READ_IN_A_SECOND);
        for sku in all {
            let states = &mut units.states;
            match sku.state {
                SkuState::Selling => states.selling += 1,
                SkuState::HeldOut => states.held_out += 1,
                SkuState::SoldOut => states.sold_out += 1,
                SkuState::Upcoming => states.upcoming += 1,
                SkuState::Closed => states.closed += 1,
                SkuState::Paused => states.paused += 1,
                SkuState::Unknown => {}
            }
            let held = sku.held.unwrap_or(0).saturating_add(sku.closing.unwrap_or(0));
            units.held = units.held.saturating_add(held);
            if sku.state == SkuState::Closed {
                units.unsold = units.unsold.saturating_add(sku.available.unwrap_or(0));
            }
            units.unread += u64::from(sku.seen_ms_ago.is_none_or(|age_ms| age_ms > read_max_ms));
            let opens_at_ms = sku.opens_at_ms.filter(|_| sku.state == SkuState::Upcoming);
            units.opens_at_ms = match (units.opens_at_ms, opens_at_ms) {
                (Some(known), Some(other)) => Some(known.min(other)),
                (known, other) => known.or(other),
            };
        }
        units
    }
}
