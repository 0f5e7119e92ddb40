use flash_core::ids::SkuId;

use super::*;
use crate::live::Seen;

fn well() -> Stats {
    let mut api = Api { sku_count: 1, ..Api::default() };
    api.epoch.open = true;
    let mut worker = Worker::default();
    worker.audit.active = true;
    Stats { ready: true, api: Some(api), worker: Some(worker), ..Stats::default() }
}

fn of(daemons: Vec<Stats>) -> Status {
    let seen =
        |(index, stats)| Seen { url: format!("http://h:{index}"), took_ms: 0, told: Told::Stats(Box::new(stats)) };
    judge(&Sample { at_ms: 0, daemons: daemons.into_iter().enumerate().map(seen).collect() })
}

/// The part that is not well, and how bad it is.
fn changed(change: impl Fn(&mut Stats)) -> (Level, Vec<&'static str>) {
    let mut stats = well();
    change(&mut stats);
    let status = of(vec![stats]);
    let bad = status.checks.iter().filter(|check| check.level != Level::Ok).map(|check| check.part).collect();
    (status.worst(), bad)
}

#[test]
fn each_part_that_is_not_well_is_named_and_nothing_else() {
    assert_eq!(changed(|_| ()), (Level::Ok, vec![]));
    let worker = |stats: &mut Stats, change: fn(&mut Worker)| stats.worker.iter_mut().for_each(change);
    let api = |stats: &mut Stats, change: fn(&mut Api)| stats.api.iter_mut().for_each(change);
    let down = |part| (Level::Down, vec![part]);
    let found = |part| (Level::Found, vec![part]);

    assert_eq!(changed(|stats| stats.ready = false), down("daemon"));
    assert_eq!(changed(|stats| stats.draining = true), down("daemon"));
    assert_eq!(changed(|stats| stats.paused = Some("x".into())), found("daemon"));
    assert_eq!(changed(|stats| stats.stores.redis.problem = Some("x".into())), down("redis"));
    assert_eq!(changed(|stats| stats.stores.redis.breaker = Breaker::Open), down("redis"));
    assert_eq!(changed(|stats| stats.stores.kafka.problem = Some("x".into())), down("kafka"));
    assert_eq!(changed(|stats| stats.stores.mysql.problem = Some("x".into())), down("mysql"));
    assert_eq!(changed(|stats| api(stats, |api| api.epoch.open = false)), down("epoch"));
    let lag = |worker: &mut Worker| (worker.projector.lag_events, worker.projector.lag_ms) = (1, Some(30_001));
    assert_eq!(changed(|stats| worker(stats, lag)), found("projector"));
    let stuck = |worker: &mut Worker| worker.projector.last_error = Some("x".into());
    assert_eq!(changed(|stats| worker(stats, stuck)), down("projector"));
    assert_eq!(changed(|stats| worker(stats, |worker| worker.projector.missing_events = 1)), found("projector"));
    assert_eq!(changed(|stats| worker(stats, |worker| worker.projector.dead_letters = 1)), found("letters"));
    assert_eq!(changed(|stats| worker(stats, |worker| worker.rebuild.step = Some("x".into()))), down("rebuild"));
    let block = |worker: &mut Worker| drop(worker.rebuild.blocked.insert(SkuId::new(1), "x".into()));
    assert_eq!(changed(|stats| worker(stats, block)), found("blocked"));
    let find = |worker: &mut Worker| *worker.audit.found.entry("ORPHAN_HOLD".into()).or_default() = 1;
    assert_eq!(changed(|stats| worker(stats, find)), found("audit"));
    assert_eq!(changed(|stats| stats.api = None), down("selling"));
    assert_eq!(changed(|stats| stats.worker = None), down("worker"));
}

#[test]
fn what_one_of_several_says_is_said_to_be_its_word() {
    let mut cut_off = well();
    cut_off.stores.redis.problem = Some("refused\u{1b}".into());
    let status = of(vec![well(), cut_off]);
    let redis: Vec<&Check> = status.checks.iter().filter(|check| check.part == "redis").collect();
    assert_eq!(redis.len(), 1);
    assert_eq!((redis[0].daemon.as_deref(), redis[0].detail.as_str()), (Some("http://h:1"), "refused\\u{1b}"));
}

#[test]
fn times_and_sizes_are_short() {
    assert_eq!([900, 61_000, 3_720_000].map(seconds), ["0.9 s", "1 min 1 s", "1 h 2 min"]);
    assert_eq!([2_048, 5 << 20, 3 << 30].map(bytes), ["2 KiB", "5.0 MiB", "3.0 GiB"]);
}
