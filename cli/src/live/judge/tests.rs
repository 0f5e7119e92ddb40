use flash_core::{
    ids::SkuId,
    stats::{Api, Breaker, RedisNode, SkuState, SkuStats, Stats, Worker},
};

use super::*;
use crate::live::{Sample, Seen, Told};

fn well() -> Stats {
    let mut api = Api { sku_count: 1, ..Api::default() };
    api.epoch.open = true;
    let mut worker = Worker::default();
    (worker.audit.active, worker.audit.last_at_ms) = (true, Some(0));
    Stats { ready: true, api: Some(api), worker: Some(worker), ..Stats::default() }
}

fn with(change: impl FnOnce(&mut Stats)) -> Told {
    let mut stats = well();
    change(&mut stats);
    Told::Stats(Box::new(stats))
}

fn selling() -> Units {
    Units::of(&[sku(1, SkuState::Selling, 5)], 1)
}

fn sku(id: u64, state: SkuState, left: u64) -> SkuStats {
    SkuStats { state, available: Some(left), held: Some(3), seen_ms_ago: Some(100), ..SkuStats::of(SkuId::new(id)) }
}

fn judged(daemons: Vec<Told>, units: Units, answered_ms_ago: Option<u64>) -> Judgement {
    let seen = |(index, told)| Seen { url: format!("http://h:{index}"), took_ms: 0, told };
    let sample = Sample { at_ms: 0, daemons: daemons.into_iter().enumerate().map(seen).collect() };
    judge(&Facts::of(&sample, units, answered_ms_ago))
}

fn word(daemons: Vec<Told>) -> (&'static str, String) {
    let judgement = judged(daemons, selling(), Some(0));
    (judgement.word.as_str(), judgement.why)
}

/// What is not as usual of one daemon.
fn remarks(change: impl FnOnce(&mut Stats)) -> Vec<(Level, &'static str)> {
    let judgement = judged(vec![with(change)], selling(), Some(0));
    judgement.remarks().map(|finding| (finding.level, finding.part.as_str())).collect()
}

#[test]
fn each_part_that_is_not_well_is_named_and_nothing_else() {
    assert_eq!(remarks(|_| ()), []);
    let worker = |change: fn(&mut Worker)| remarks(|stats| stats.worker.iter_mut().for_each(change));
    use Level::{Broken, Down, Found, Noted};
    assert_eq!(remarks(|stats| stats.ready = false), [(Down, "daemon")]);
    assert_eq!(remarks(|stats| (stats.ready, stats.draining) = (false, true)), [(Found, "daemon")]);
    assert_eq!(remarks(|stats| stats.paused = Some("x".into())), [(Found, "daemon")]);
    assert_eq!(remarks(|stats| stats.version = flash_core::stats::VERSION + 1), [(Found, "daemon")]);
    assert_eq!(remarks(|stats| stats.stores.redis.problem = Some("x".into())), [(Down, "redis"), (Down, "sale")]);
    assert_eq!(remarks(|stats| stats.stores.redis.breaker = Breaker::Open), [(Down, "redis"), (Down, "sale")]);
    let node = |node: RedisNode| remarks(|stats| stats.stores.redis.nodes.push(node));
    assert_eq!(node(RedisNode { evicted_keys: 1, ..RedisNode::default() }), [(Broken, "redis")]);
    let full = RedisNode { used_memory_bytes: 95, max_memory_bytes: 100, ..RedisNode::default() };
    assert_eq!(node(full), [(Found, "redis")]);
    assert_eq!(remarks(|stats| stats.stores.kafka.problem = Some("x".into())), [(Down, "kafka"), (Down, "sale")]);
    assert_eq!(remarks(|stats| stats.stores.mysql.problem = Some("x".into())), [(Down, "mysql")]);
    assert_eq!(
        remarks(|stats| (stats.stores.mysql.pool_open, stats.stores.mysql.pool_max) = (4, 4)),
        [(Noted, "mysql")]
    );
    assert_eq!(remarks(|stats| stats.api.as_mut().unwrap().epoch.open = false), [(Down, "epoch"), (Down, "sale")]);
    let late = |worker: &mut Worker| (worker.projector.lag_events, worker.projector.lag_ms) = (1, Some(30_001));
    assert_eq!(worker(late), [(Found, "projector")]);
    assert_eq!(worker(|worker| worker.projector.last_error = Some("x".into())), [(Down, "projector")]);
    assert_eq!(worker(|worker| worker.projector.missing_events = 1), [(Broken, "projector")]);
    assert_eq!(worker(|worker| worker.projector.dead_letters = 1), [(Found, "letters")]);
    assert_eq!(worker(|worker| worker.rebuild.step = Some("x".into())), [(Down, "rebuild")]);
    assert_eq!(worker(|worker| worker.rebuild.last_error = Some("x".into())), [(Down, "rebuild")]);
    let block = |worker: &mut Worker| drop(worker.rebuild.blocked.insert(SkuId::new(1), "x".into()));
    assert_eq!(worker(block), [(Found, "blocked")]);
    let find = |worker: &mut Worker| *worker.audit.found.entry("ORPHAN_HOLD".into()).or_default() = 1;
    assert_eq!(worker(find), [(Broken, "audit")]);
    assert_eq!(worker(|worker| worker.audit.last_error = Some("x".into())), [(Found, "audit")]);
    assert_eq!(remarks(|stats| stats.api = None), [(Down, "sale")]);
    assert_eq!(remarks(|stats| stats.worker = None), [(Down, "worker")]);
    let unowned = |stats: &mut Stats| stats.stores.kafka.partitions = 8;
    assert_eq!(remarks(unowned), [(Found, "projector")]);
}

#[test]
fn the_worst_is_said_first_and_what_is_wrong_says_what_to_do() {
    let judgement = judged(
        vec![
            Told::Failed("refused\u{1b}".into()),
            with(|stats| {
                stats.paused = Some("x\n".into());
                stats.worker.as_mut().unwrap().projector.dead_letters = 2;
            }),
            with(|stats| stats.stores.redis.problem = Some("away".into())),
        ],
        selling(),
        Some(0),
    );
    let said: Vec<String> = judgement.remarks().map(Finding::words).collect();
    assert_eq!(
        said,
        [
            "http://h:0: refused\\u{1b}",
            "http://h:2: redis: away",
            "http://h:1: letters: 2 events were parked since it started",
            "http://h:1: paused by an operator: x\\n",
        ]
    );
    assert!(judgement.remarks().all(|finding| finding.next.is_some()));
    assert_eq!(judgement.worst(), Level::Down);
}

#[test]
fn nobody_sells_when_each_seller_is_kept_from_it_by_something_else() {
    let paused = || with(|stats| stats.paused = Some("x".to_owned()));
    let draining = || with(|stats| stats.draining = true);
    let closed = || with(|stats| stats.api.as_mut().unwrap().epoch.open = false);
    let unready = || {
        with(|stats| {
            stats.ready = false;
            stats.unready.insert("node".into(), "none".into());
        })
    };
    assert_eq!(word(vec![paused(), draining()]), ("paused", "by an operator: x".to_owned()));
    assert_eq!(word(vec![paused(), closed()]).0, "paused");
    assert_eq!(word(vec![draining(), closed()]).0, "not ready");
    assert_eq!(word(vec![draining(), draining()]).0, "draining");
    assert_eq!(word(vec![unready(), closed()]), ("not ready", "node: none".to_owned()));
    assert_eq!(word(vec![closed()]), ("stopped", "epoch: no open epoch".to_owned()));
    assert_eq!(word(vec![paused(), draining(), closed(), with(|_| ())]), ("selling", String::new()));
    assert_eq!(word(vec![with(|stats| stats.api = None)]).0, "no seller");
}

#[test]
fn a_rebuild_is_what_happens_only_while_nobody_can_decide() {
    let rebuilding = |waits_for: Option<&str>| {
        with(|stats| {
            stats.api.as_mut().unwrap().epoch.open = false;
            let rebuild = &mut stats.worker.as_mut().unwrap().rebuild;
            (rebuild.step, rebuild.step_number, rebuild.running_ms) = (Some("waiting".into()), 3, Some(1_500));
            rebuild.waits_for = waits_for.map(str::to_owned);
        })
    };
    assert_eq!(word(vec![rebuilding(None)]), ("recovering", "rebuild 3/8: waiting · 1.5 s".to_owned()));
    assert_eq!(word(vec![rebuilding(None), with(|_| ())]).0, "selling");
    // Whom it waits for is what an operator has to look after.
    let why = "rebuild 3/8: waiting · 1.5 s · waits for MySQL: no answer";
    assert_eq!(word(vec![rebuilding(Some("MySQL: no answer"))]), ("recovering", why.to_owned()));
}

#[test]
fn who_is_silent_is_stale_unreachable_or_was_never_asked() {
    let refused = || vec![Told::Failed("refused".into())];
    let of = |daemons, answered_ms_ago| {
        let judgement = judged(daemons, Units::default(), answered_ms_ago);
        (judgement.word.as_str(), judgement.why)
    };
    assert_eq!(of(refused(), None), ("unreachable", "refused".to_owned()));
    assert_eq!(of(refused(), Some(4_200)), ("stale", "4 s: refused".to_owned()));
    assert_eq!(of(vec![], None).0, "waiting");
    assert_eq!(judged(vec![], Units::default(), None).worst(), Level::Down, "nobody to judge is not well");
    let stats = well();
    let daemons = vec![Known { name: "n1".into(), told: Ok(&stats) }];
    let facts = Facts { daemons, units: selling(), answered_ms_ago: Some(9_000), is_late: true, ..Facts::default() };
    let judgement = judge(&facts);
    assert_eq!((judgement.word.as_str(), judgement.why.as_str()), ("stale", "9 s: no sample arrives"));
}

/// A daemon of a cluster of which one primary does not answer.
fn cluster(skus: u64, stopped: u64, others_ms_ago: u64) -> Told {
    with(|stats| {
        let redis = &mut stats.stores.redis;
        (redis.problem, redis.breaker) = (Some("h:7001: refused".into()), Breaker::Open);
        let node =
            |port| RedisNode { address: format!("h:{port}"), seen_ms_ago: others_ms_ago, ..RedisNode::default() };
        redis.nodes = vec![node(7001), node(7002)];
        (stats.ready, stats.unready) = (false, [("redis".to_owned(), "h:7001: refused".to_owned())].into());
        let api = stats.api.as_mut().unwrap();
        (api.sku_count, api.stops.stopped_skus) = (skus, stopped);
    })
}

#[test]
fn one_primary_of_a_cluster_that_is_down_stops_its_skus_and_no_others() {
    let mut skus = [1, 2, 3].map(|id| sku(id, SkuState::Selling, 5));
    let why = |without| format!("{without} of 3 SKUs cannot be sold: redis: h:7001: refused");
    let of = |told, units| {
        let judgement = judged(vec![told], units, Some(0));
        (judgement.word.as_str(), judgement.why)
    };
    assert_eq!(of(cluster(3, 1, 500), Units::of(&skus, 3)), ("selling", why(1)));
    // Nobody has asked for them: they are known by their counters, which nobody can read.
    skus[0].seen_ms_ago = Some(60_000);
    skus[1].seen_ms_ago = None;
    assert_eq!(of(cluster(3, 0, 500), Units::of(&skus, 3)), ("selling", why(2)));
    let judgement = judged(vec![cluster(3, 0, 500)], Units::of(&skus, 3), Some(0));
    let said: Vec<&str> = judgement.remarks().map(|finding| finding.part.as_str()).collect();
    assert_eq!((judgement.worst(), said), (Level::Down, vec!["redis", "sale", "daemon"]));
    // All of it is away.
    skus[2].seen_ms_ago = Some(60_000);
    let stopped = || ("stopped", "redis: h:7001: refused".to_owned());
    assert_eq!(of(cluster(3, 0, 500), Units::of(&skus, 3)), stopped());
    skus.iter_mut().for_each(|sku| sku.seen_ms_ago = Some(100));
    assert_eq!(of(cluster(3, 0, 60_000), Units::of(&skus, 3)), stopped());
    // Another daemon reaches all of it.
    let judgement = judged(vec![cluster(3, 1, 500), with(|_| ())], Units::of(&skus, 3), Some(0));
    assert_eq!((judgement.word, judgement.why.as_str()), (Word::Selling, ""));
}

#[test]
fn a_single_redis_that_is_away_stops_everything_at_once() {
    let told = with(|stats| {
        stats.stores.redis.problem = Some("h:6379: refused".into());
        stats.stores.redis.nodes = vec![RedisNode { address: "h:6379".into(), ..RedisNode::default() }];
    });
    assert_eq!(word(vec![told]), ("stopped", "redis: h:6379: refused".to_owned()));
}

#[test]
fn the_word_of_several_skus_is_what_may_still_come() {
    use SkuState::{Closed, HeldOut, Paused, Selling, SoldOut, Unknown, Upcoming};
    for (skus, expected, why) in [
        (vec![(SoldOut, 0), (Selling, 1)], "selling", ""),
        (vec![(SoldOut, 0), (HeldOut, 0)], "held out", "6 held, may come back"),
        (vec![(SoldOut, 0), (SoldOut, 0)], "sold out", "every unit is paid for"),
        (vec![(SoldOut, 0), (Closed, 0)], "sold out", "every unit is paid for"),
        (vec![(SoldOut, 0), (Closed, 7)], "closed", "7 units left unsold, 1 SKUs sold out"),
        (vec![(Closed, 7), (Closed, 1)], "closed", "8 units left unsold"),
        (vec![(SoldOut, 0), (Paused, 9)], "paused", "1 of 2 SKUs, by an operator"),
        (vec![(Upcoming, 5), (Paused, 9)], "paused", "1 of 2 SKUs, by an operator"),
        (vec![(SoldOut, 0), (Upcoming, 9)], "upcoming", "opens in 1 min 30 s"),
        (vec![(Unknown, 0)], "selling", "no SKU's stock has been read yet"),
        (vec![], "empty", "no SKU on sale"),
    ] {
        let skus: Vec<SkuStats> = (1..)
            .zip(&skus)
            .map(|(id, (state, left))| SkuStats { opens_at_ms: Some(90_000), ..sku(id, *state, *left) })
            .collect();
        let judgement = judged(vec![with(|_| ())], Units::of(&skus, skus.len() as u64), Some(0));
        assert_eq!((judgement.word.as_str(), judgement.why.as_str()), (expected, why));
    }
}

#[test]
fn a_pause_of_some_skus_is_noted_and_one_of_all_is_found() {
    use SkuState::{HeldOut, Paused, Selling, SoldOut};
    let worst = |states: [SkuState; 2]| {
        let skus = states.map(|state| sku(if state == Paused { 1 } else { 2 }, state, 1));
        judged(vec![with(|_| ())], Units::of(&skus, 2), Some(0)).worst()
    };
    assert_eq!(worst([Selling, SoldOut]), Level::Ok);
    assert_eq!(worst([Selling, Paused]), Level::Noted);
    assert_eq!(worst([HeldOut, Paused]), Level::Noted);
    assert_eq!(worst([SoldOut, Paused]), Level::Found);
    assert_eq!(worst([Paused, Paused]), Level::Found);
}
