//! A small sale to look at, made by hand so that every number on the screens can be checked.

use flash_core::{
    ids::{Epoch, SkuId},
    stats::{
        Api, Audit, AuditFinding, Breaker, Connections, EpochView, Happening, HappeningKind, Histogram, Lanes, Latency,
        OperationStats, OutcomeCount, Process, Projector, RebuildView, RedisNode, RedisStats, Severity, SkuState,
        SkuStats, Stats, Stores, Sweeper, Worker, bucket_of,
    },
};

use crate::{
    live::{Sample, Seen, Told},
    top::{Theme, event::Event, state::State},
};

/// 2026-11-27 20:00:00 UTC, when the sale opens.
pub(super) const OPENS_MS: u64 = 1_795_809_600_000;

/// A histogram with `count` durations around `us`, and a long tail.
pub(super) fn around(us: u64, count: u64) -> Histogram {
    let mut buckets = vec![0; flash_core::stats::BUCKETS];
    for (share, factor) in [(500, 8), (300, 12), (150, 20), (45, 40), (4, 90), (1, 400)] {
        buckets[bucket_of(us * factor / 10)] += count * share / 1_000;
    }
    Histogram::of(buckets, us * count)
}

pub(super) fn sku(id: u64, name: &str, capacity: u64, sold: u64, held: u64) -> SkuStats {
    let left = capacity - sold - held;
    let state = match (left, held) {
        (0, 0) => SkuState::SoldOut,
        (0, _) => SkuState::HeldOut,
        _ => SkuState::Selling,
    };
    SkuStats {
        name: name.to_owned(),
        capacity,
        price_minor: 4_900,
        currency: "EUR".to_owned(),
        state,
        opens_at_ms: Some(OPENS_MS),
        closes_at_ms: Some(OPENS_MS + 7_200_000),
        available: Some(left),
        held: Some(held),
        sold: Some(sold),
        closing: Some(0),
        seen_ms_ago: Some(200),
        waiting: 3,
        attempts: (sold + held) * 40,
        wins: sold + held,
        sold_out: 0,
        ..SkuStats::of(SkuId::new(id))
    }
}

/// What a daemon tells `s` seconds after the opening.
pub(super) fn told(node: u16, s: u64, skus: Vec<SkuStats>) -> Stats {
    let won = 124 * s + s * s / 4;
    let count =
        |status: &str, reason: &str, count| OutcomeCount { status: status.into(), reason: reason.into(), count };
    let operation = |us, count| OperationStats { took: around(us, count), errors: 0 };
    Stats {
        version: flash_core::stats::VERSION,
        build: "0.1.0".into(),
        role: "all".into(),
        instance: format!("instance-{node}"),
        node: Some(node),
        at_ms: OPENS_MS + s * 1_000,
        uptime_ms: 8_040_000 + s * 1_000,
        ready: true,
        log_filter: "info".into(),
        process: Process { pid: 4_711, resident_bytes: Some(48 << 20), cpu_ms: Some(600 * s), open_files: Some(1_200) },
        api: Some(Api {
            connections: Connections { open: 1_000, max: 10_000, accepted: 1_000 + s, refused: 0 },
            in_flight: 37,
            in_flight_max: 4_096,
            outcomes: vec![
                count("won", "won", won),
                count("refused", "sold_out", 4_100 * s),
                count("refused", "limit_reached", 37 * s),
                count("refused", "rate_limit_exceeded", 310 * s),
                count("failed", "overloaded", 2 * s),
            ],
            latency: Latency {
                won: around(3_400, won),
                sold_out: around(180, 4_100 * s),
                refused: around(260, 347 * s),
                failed: around(21_000, 2 * s),
            },
            lanes: Lanes {
                waiting: 12,
                deepest: 9,
                depth_max: 8_192,
                batches: 40 * s,
                purchases: 4_600 * s,
                fenced: 0,
            },
            reserved: won,
            logged: won - won.min(3),
            unacknowledged: 3,
            epoch: EpochView {
                latest: Epoch(12),
                open: true,
                lease_age_ms: Some(400),
                lease_max_ms: 5_000,
                problem: None,
            },
            sku_count: skus.len() as u64,
            skus,
            ..Api::default()
        }),
        worker: Some(Worker {
            projector: Projector {
                applied: [("RESERVED".to_owned(), won - won.min(200)), ("CONFIRMED".to_owned(), won / 2)].into(),
                lag_events: 204,
                lag_ms: Some(840),
                partitions: 8,
                ..Projector::default()
            },
            sweeper: Sweeper { delay: around(420_000, 3 * s), ..Sweeper::default() },
            audit: Audit {
                active: node == 1,
                runs: 3,
                last_at_ms: Some(OPENS_MS + s * 1_000 - 14_000),
                ..Audit::default()
            },
            ..Worker::default()
        }),
        stores: Stores {
            redis: RedisStats {
                breaker: Breaker::Closed,
                operations: [("reserve".to_owned(), operation(900, 40 * s))].into(),
                nodes: vec![RedisNode {
                    address: "127.0.0.1:6379".into(),
                    used_memory_bytes: 61 << 20,
                    max_memory_bytes: 512 << 20,
                    ops_per_s: 4_210,
                    ..RedisNode::default()
                }],
                ..RedisStats::default()
            },
            kafka: flash_core::stats::KafkaStats {
                partitions: 8,
                acknowledged: won,
                unacknowledged: 3,
                produce: around(2_600, won),
                ..Default::default()
            },
            mysql: flash_core::stats::MySqlStats {
                pool_open: 6,
                pool_idle: 4,
                pool_max: 16,
                ping: around(310, s),
                apply: operation(8_000, 4 * s),
                ..Default::default()
            },
        },
        events: events(node, s),
        ..Stats::default()
    }
}

fn events(node: u16, s: u64) -> Vec<Happening> {
    let all = [
        (0, HappeningKind::Ready, Severity::Info, None, "ready: every latch is dropped"),
        (1, HappeningKind::Sku, Severity::Info, Some(101), "sale has opened"),
        (31, HappeningKind::Audit, Severity::Info, None, "audit: the books balance"),
        (44, HappeningKind::Breaker, Severity::Warning, None, "breaker in front of Redis opened for 0.8 s"),
        (58, HappeningKind::Sku, Severity::Info, Some(104), "held out: 40 units may come back"),
    ];
    (1..)
        .zip(all)
        .filter(|(_, (at, ..))| *at <= s)
        .map(|(number, (at, kind, severity, sku, text))| Happening {
            number,
            at_ms: OPENS_MS + at * 1_000 + u64::from(node) * 100,
            kind,
            severity,
            sku_id: sku.map(SkuId::new),
            text: text.to_owned(),
        })
        .collect()
}

/// Six SKUs `s` seconds after the opening.
pub(super) fn skus(s: u64) -> Vec<SkuStats> {
    let gone = |per_s: u64, capacity: u64| (per_s * s).min(capacity);
    let one = |id, name: &str, capacity, per_s: u64| {
        let gone = gone(per_s, capacity);
        let held = (per_s * 12).min(gone);
        sku(id, name, capacity, gone - held, held)
    };
    let mut upcoming = sku(106, "After-show party", 250, 0, 0);
    upcoming.state = SkuState::Upcoming;
    upcoming.opens_at_ms = Some(OPENS_MS + 3_600_000);
    vec![
        one(101, "Standing", 10_000, 120),
        one(102, "Lower tier", 6_000, 64),
        one(103, "Upper tier", 8_000, 31),
        sku(104, "Front row", 400, 360, 40),
        sku(105, "Box seats", 120, 120, 0),
        upcoming,
    ]
}

pub(super) fn seen(node: u16, told: Told) -> Seen {
    Seen { url: format!("http://10.0.0.{node}:9100"), took_ms: 3, told }
}

pub(super) fn answer(stats: Stats) -> Told {
    Told::Stats(Box::new(stats))
}

pub(super) fn sample(s: u64, daemons: Vec<Seen>) -> Sample {
    Sample { at_ms: OPENS_MS + s * 1_000, daemons }
}

/// A state that has seen these samples.
pub(super) fn after(samples: impl IntoIterator<Item = Sample>) -> State {
    let mut state = State::new("Autumn tour", 1_000, Theme::Mono);
    for sample in samples {
        _ = state.update(Event::Sample(Box::new(sample)));
    }
    state
}

/// Two daemons, a minute of selling.
pub(super) fn minute() -> Vec<Sample> {
    (0..=60)
        .map(|s| sample(s, vec![seen(1, answer(told(1, s, skus(s)))), seen(2, answer(told(2, s, skus(s))))]))
        .collect()
}

/// The states that are looked at.
pub(super) const STATES: [&str; 6] = ["empty", "selling", "sold_out", "stale", "recovering", "error"];

/// One of [`STATES`].
pub(super) fn state(name: &str) -> State {
    match name {
        "empty" => after((0..3).map(|s| {
            let mut stats = told(1, 0, Vec::new());
            (stats.at_ms, stats.events) = (OPENS_MS + s * 1_000, events(1, 0));
            stats.uptime_ms += s * 1_000;
            sample(s, vec![seen(1, answer(stats))])
        })),
        "selling" => after(minute()),
        "sold_out" => sold_out(),
        "stale" => {
            let silent = |s| {
                let failed = |node| seen(node, Told::Failed("connection refused".into()));
                sample(s, vec![failed(1), failed(2)])
            };
            after(minute().into_iter().chain((61..=64).map(silent)))
        }
        "recovering" => recovering(),
        _ => after((0..5).map(|s| {
            let failed = |node| seen(node, Told::Failed("connection refused".into()));
            sample(s, vec![failed(1), failed(2)])
        })),
    }
}

fn sold_out() -> State {
    let gone = || vec![sku(101, "Standing", 10_000, 10_000, 0), sku(102, "Lower tier", 6_000, 6_000, 0)];
    after((200..=260).map(|s| {
        let quiet = |node| {
            let mut stats = told(node, s, gone());
            // Nobody wins any more.
            let api = stats.api.as_mut().unwrap();
            api.outcomes[0].count = 8_000;
            (api.reserved, api.logged, api.unacknowledged) = (8_000, 8_000, 0);
            api.latency.won = around(3_400, 8_000);
            let projector = &mut stats.worker.as_mut().unwrap().projector;
            projector.applied = [("RESERVED".to_owned(), 8_000), ("CONFIRMED".to_owned(), 8_000)].into();
            (projector.lag_events, projector.lag_ms) = (0, Some(20));
            stats.events.push(Happening {
                number: 6,
                at_ms: OPENS_MS + 199_000,
                kind: HappeningKind::Sku,
                severity: Severity::Info,
                sku_id: Some(SkuId::new(101)),
                text: "sold out: every unit is paid for".into(),
            });
            seen(node, answer(stats))
        };
        sample(s, vec![quiet(1), quiet(2)])
    }))
}

fn recovering() -> State {
    let closed = |s: u64| {
        let one = |node| {
            let mut stats = told(node, 60, skus(60));
            (stats.at_ms, stats.uptime_ms) = (OPENS_MS + s * 1_000, 8_040_000 + s * 1_000);
            let api = stats.api.as_mut().unwrap();
            api.outcomes.push(OutcomeCount {
                status: "failed".into(),
                reason: "stock_recovering".into(),
                count: 900 * (s - 60),
            });
            api.epoch = EpochView {
                latest: Epoch(13),
                open: false,
                lease_age_ms: Some(300),
                lease_max_ms: 5_000,
                problem: Some("Redis has another history than epoch 12".into()),
            };
            stats.ready = false;
            stats.unready = [("epoch".to_owned(), "no open epoch".to_owned())].into();
            stats.stores.redis.breaker = Breaker::Closed;
            if node == 1 {
                let worker = stats.worker.as_mut().unwrap();
                worker.rebuild = RebuildView {
                    step: Some("waiting until leases are stale".into()),
                    step_number: 3,
                    reason: Some("replid changed".into()),
                    running_ms: Some((s - 60) * 1_000),
                    ..RebuildView::default()
                };
                worker.audit.found = [("ORPHAN_HOLD".to_owned(), 1)].into();
                worker.audit.findings = vec![AuditFinding {
                    kind: "ORPHAN_HOLD".into(),
                    sku_id: Some(SkuId::new(101)),
                    text: "a hold of SKU 101 has no event".into(),
                }];
            }
            stats.events.push(Happening {
                number: 6,
                at_ms: OPENS_MS + 61_000,
                kind: HappeningKind::Rebuild,
                severity: Severity::Critical,
                sku_id: None,
                text: "rebuild began: replid changed".into(),
            });
            seen(node, answer(stats))
        };
        sample(s, vec![one(1), one(2)])
    };
    after(minute().into_iter().chain((61..=64).map(closed)))
}
