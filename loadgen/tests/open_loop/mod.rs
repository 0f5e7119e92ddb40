//! The open loop, the buyers and the record of a run, against the same shop.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use flash_loadgen::{
    Buyers, EndReason, Finished, OpenLoop, Pacing, Phase, Plan, Report, Run, Schedule, SkuShare, Trace, start,
};

use crate::port::Port;
use crate::shop::{Act, PRICE, Shop, Wish, response};

/// So many arrivals per second for so long; nothing is late on a busy test machine.
fn open(address: SocketAddr, skus: u64, per_s: f64, duration_ms: u64) -> Plan {
    Plan {
        target: format!("http://{address}"),
        open: Some(OpenLoop { schedule: Schedule::constant(per_s, duration_ms), connections: 20 }),
        skus: (1..=skus).map(|sku_id| SkuShare { sku_id, weight: 1 }).collect(),
        retry_share: 0.0,
        late_from_ms: 30_000,
        drain_ms: 30_000,
        seed: Some(11),
        ..Plan::default()
    }
}

/// Waits until so many purchases were accepted.
fn until_won(run: &Run, wins: u64) {
    let began = Instant::now();
    while run.snapshot().wins < wins {
        assert!(began.elapsed() < Duration::from_secs(20), "never {wins} wins: {:?}", run.snapshot());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn run(plan: Plan) -> Finished {
    start(plan).unwrap().join().unwrap()
}

#[test]
fn every_arrival_of_the_schedule_becomes_one_purchase() {
    let (shop, address) = Shop::open(2, 100, Shop::sell);
    let finished = run(Plan { threads: 2, ..open(address, 2, 500.0, 1_000) });
    let report = &finished.report;
    assert_eq!((report.pacing, report.ended), (Pacing::Open, EndReason::StagesDone));
    let arrivals = report.arrivals;
    assert_eq!(
        (arrivals.planned, arrivals.due, arrivals.begun, arrivals.started, arrivals.never_started),
        (500, 500, 500, 500, 0)
    );
    assert_eq!((report.wins, shop.orders(), report.latency.sold_out.count), (200, 200, 300));
    assert_eq!((report.validity.valid, report.validity.lag.count), (true, 500), "{:?}", report.validity);
    assert_eq!(report.schedule, "500/s for 1 s");
    // The distributions and the timeline tell the same story.
    assert_eq!(report.latency_histograms.wins.count(), 200);
    assert_eq!(report.service.sold_out.count, 300);
    let sum = |of: fn(&flash_loadgen::Moment) -> u64| report.timeline.iter().map(of).sum::<u64>();
    assert_eq!((sum(|m| m.due), sum(|m| m.started), sum(|m| m.wins), sum(|m| m.sold_out)), (500, 500, 200, 300));
    assert_eq!(sum(|m| m.latency.count), 500);
    // Latency begins before the request does.
    assert!(report.latency.wins.mean_us >= report.service.wins.mean_us, "{:?}", report.latency.wins);
    let fairness = &report.fairness;
    assert_eq!((fairness.overall.winners, fairness.overall.losers, fairness.by_sku.len()), (200, 300, 2));
    assert_eq!((fairness.concentration.users, fairness.concentration.max_per_user), (500, 1));
    // Nothing gets lost between writing and reading. Both sides are read from text, for a fraction read from a text may differ
    // from the one written in its last bit.
    let json = serde_json::to_string(report).unwrap();
    let read: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), serde_json::from_str::<serde_json::Value>(&json).unwrap());
}

/// A shop in which everybody waits from `from` to `to` after the first request.
fn stalling(from: Duration, to: Duration) -> SocketAddr {
    let opened = OnceLock::new();
    let (_, address) = Shop::open(1, 1_000_000, move |shop: &Shop, wish: &Wish| {
        let since = opened.get_or_init(Instant::now).elapsed();
        let answer = Act::Send(shop.decide(wish));
        if since < from || since >= to {
            return vec![answer];
        }
        vec![Act::Pause(u64::try_from((to - since).as_millis()).unwrap()), answer]
    });
    address
}

#[test]
fn a_stall_shows_in_an_open_loop_and_hides_in_a_closed_one() {
    let (from, to) = (Duration::from_millis(400), Duration::from_millis(1_600));
    // Half of the arrivals fall into the stall and wait 600 ms on average.
    let opened = run(open(stalling(from, to), 1, 200.0, 2_400)).report;
    let closed = Plan {
        open: None,
        stages: vec!["2400ms:4".parse().unwrap()],
        ramp_ms: 0,
        ..open(stalling(from, to), 1, 1.0, 1)
    };
    let closed = run(closed).report;
    assert_eq!(closed.pacing, Pacing::Closed);
    let (shown, hidden) = (opened.latency.wins, closed.latency.wins);
    assert!(shown.p95_us > 500_000, "the stall is in the latencies: {shown:?}");
    // Only those who were waiting when it began have met the stall: four of thousands.
    assert!(hidden.p95_us * 3 < shown.p95_us && hidden.count > 200, "the stall is hidden: {hidden:?}");
    assert!(hidden.max_us > 500_000, "and yet it was there: {hidden:?}");
    // What the server took per request was not much either: that is what a closed loop reports.
    assert!(opened.service.wins.p50_us < shown.p95_us);
}

#[test]
fn where_no_connection_is_free_the_wait_is_in_the_latency() {
    let (_, address) =
        Shop::open(1, 1_000_000, |shop: &Shop, wish: &Wish| vec![Act::Pause(20), Act::Send(shop.decide(wish))]);
    let mut plan = open(address, 1, 400.0, 500);
    plan.open.as_mut().unwrap().connections = 2;
    let report = run(plan).report;
    // Two connections serve at most 100 per second: the last arrival waits for more than a second.
    assert_eq!((report.wins, report.arrivals.connections), (200, 2));
    assert!(report.connections.opened <= 2, "{:?}", report.connections);
    assert!(report.arrivals.waited_for_connection > 100, "{:?}", report.arrivals);
    assert!(report.arrivals.longest_wait_us > 1_000_000 && report.latency.wins.max_us > 1_000_000);
    assert!(report.latency.wins.p50_us > report.service.wins.p50_us * 2, "{:?}", report.latency.wins);
}

#[test]
fn buyers_who_were_never_served_make_the_run_invalid() {
    let (_, address) = Shop::open(1, 10, |_: &Shop, _: &Wish| vec![Act::Pause(60_000)]);
    let mut plan = Plan { drain_ms: 200, ..open(address, 1, 100.0, 500) };
    plan.open.as_mut().unwrap().connections = 3;
    let report = run(plan).report;
    assert_eq!((report.arrivals.due, report.arrivals.started, report.arrivals.never_started), (50, 3, 47));
    let reason = &report.validity.reasons[0];
    assert!(reason.contains("never got a connection (47 of 50): "), "no connect failed: {reason}");
    assert_eq!(report.doubts_open, 3);
}

#[test]
fn a_server_that_takes_no_connections_is_named_as_the_reason() {
    let port = Port::reserve();
    let server = port.listen();
    let run = start(Plan { drain_ms: 200, ..open(port.address, 1, 100.0, 500) }).unwrap();
    drop(server);
    let report = run.join().unwrap().report;
    let failed = report.connections.failed;
    assert!(failed > 0 && report.arrivals.never_started > 0 && !report.validity.generator_behind, "{report:?}");
    let reason = &report.validity.reasons[0];
    assert!(reason.contains(&format!("{failed} connects failed")) && reason.contains("refused"), "{reason}");
    assert!(reason.contains("look first at why connects fail"), "{reason}");
}

#[test]
fn a_generator_behind_its_own_schedule_makes_the_run_invalid() {
    // No timer is exact to the microsecond, so with no tolerance every generator is late.
    let (_, address) = Shop::open(1, 1_000, Shop::sell);
    let report = run(Plan { late_from_ms: 0, ..open(address, 1, 200.0, 500) }).report;
    assert!(!report.validity.valid && report.validity.lag.late > 1, "{:?}", report.validity);
    assert!(report.validity.reasons[0].contains("fell behind its own schedule"), "{:?}", report.validity);
}

#[test]
fn a_buyer_who_is_sent_away_holds_no_connection() {
    let (_, address) = Shop::open(1, 1_000, |shop: &Shop, wish: &Wish| match wish.number {
        0 => vec![Act::Send(response(503, "Retry-After: 1\r\n", r#"{"error":"OVERLOADED"}"#))],
        _ => shop.sell(wish),
    });
    let mut plan = open(address, 1, 100.0, 2_000);
    plan.open.as_mut().unwrap().connections = 1;
    let report = run(plan).report;
    assert_eq!((report.wins, report.outcomes["OVERLOADED"]), (200, 1));
    let behaviour = report.behaviour;
    assert_eq!((behaviour.retries, behaviour.retry_after_honoured, behaviour.retry_after_cut_short), (1, 1, 0));
    // One waited for a second, and nobody behind them.
    assert!(
        report.latency.wins.max_us >= 1_000_000 && report.latency.wins.p50_us < 900_000,
        "{:?}",
        report.latency.wins
    );
}

#[test]
fn a_connection_that_the_server_closed_while_idle_is_no_error() {
    let (_, address) =
        Shop::open(1, 1_000, |shop: &Shop, wish: &Wish| vec![Act::Send(shop.decide(wish)), Act::Pause(20), Act::Close]);
    let mut plan = open(address, 1, 1.5, 3_000);
    plan.open.as_mut().unwrap().connections = 1;
    let report = run(plan).report;
    assert_eq!(
        (report.wins, report.latency.errors.count, report.connections.lost),
        (5, 0, 0),
        "{:?}",
        report.connections
    );
    assert_eq!((report.connections.opened, report.connections.closed_by_server), (5, 4));
}

#[test]
fn winners_pay_cancel_or_leave_and_the_shop_knows() {
    let (shop, address) = Shop::open(1, 1_000, Shop::sell);
    let buyers = Buyers { pay_share: 0.5, cancel_share: 0.3, settle_after_ms: (0, 50), ..Buyers::default() };
    let finished = run(Plan { buyers, quantity: 2, ..open(address, 1, 400.0, 500) });
    let behaviour = finished.report.behaviour;
    let (paid, cancelled) = (behaviour.paid, behaviour.cancelled);
    assert_eq!(paid.wanted + cancelled.wanted + behaviour.abandoned, finished.report.wins);
    assert!(paid.wanted > 60 && cancelled.wanted > 30 && behaviour.abandoned > 10, "{behaviour:?}");
    assert_eq!((paid.done, cancelled.done, paid.unclear, paid.refused), (paid.wanted, cancelled.wanted, 0, 0));
    // Each call was sent away once and made again, the same to the letter.
    let calls = shop.settlements();
    let by_user: HashMap<u64, u64> = finished.told.iter().map(|told| (told.order_id, told.user_id)).collect();
    assert_eq!(calls.len() as u64, 2 * (paid.done + cancelled.done));
    let mut bodies: HashMap<u64, HashSet<String>> = HashMap::new();
    for call in &calls {
        bodies.entry(call.order).or_default().insert(format!("{} {}", call.verb, call.body));
        match call.verb.as_str() {
            "pay" => assert_eq!(call.body["amount"], 2 * PRICE),
            _ => assert_eq!(call.body["userId"], by_user[&call.order].to_string()),
        }
    }
    assert!(bodies.values().all(|bodies| bodies.len() == 1), "{bodies:?}");
}

#[test]
fn losers_come_back_once_with_another_key() {
    let wishes: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let seen = Arc::clone(&wishes);
    let (shop, address) = Shop::open(1, 20, move |shop: &Shop, wish: &Wish| {
        seen.lock().unwrap().push((wish.user.clone(), wish.key.clone()));
        shop.sell(wish)
    });
    let buyers = Buyers { second_attempt_share: 1.0, second_attempt_after_ms: (10, 30), ..Buyers::default() };
    let mut plan = open(address, 1, 200.0, 500);
    // A quiet second, in which they come back.
    let quiet = Phase { duration_ms: 1_500, ..Phase::default() };
    if let Schedule::Phases { phases, .. } = &mut plan.open.as_mut().unwrap().schedule {
        phases.push(quiet);
    }
    let finished = run(Plan { buyers, ..plan });
    let report = &finished.report;
    assert_eq!((report.wins, shop.orders()), (20, 20));
    assert_eq!((report.behaviour.second_attempts, report.requests), (80, 180));
    assert_eq!(report.latency.sold_out.count, 160);
    assert_eq!(report.fairness.concentration.users, 100);
    assert_eq!((report.arrivals.begun, report.arrivals.started), (100, 180));
    let wishes = wishes.lock().unwrap();
    let users: HashSet<&String> = wishes.iter().map(|(user, _)| user).collect();
    let keys: HashSet<&String> = wishes.iter().map(|(_, key)| key).collect();
    assert_eq!((users.len(), keys.len()), (100, 180), "the same people under other keys");
}

#[test]
fn stock_that_comes_back_counts_as_stock() {
    let (shop, address) = Shop::open(1, 50, Shop::sell);
    let load = start(open(address, 1, 200.0, 2_000)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    shop.restock("1", 30);
    let report = load.join().unwrap().report;
    let throughput = report.throughput;
    assert_eq!((report.wins, throughput.came_back), (80, 30), "{throughput:?}");
    let first_ms = throughput.sold_out_after_ms.unwrap();
    assert!(first_ms < throughput.stock_lasted_ms, "{throughput:?}");
    let seconds = throughput.stock_lasted_ms as f64 / 1_000.0;
    assert!((throughput.accepted_per_s * seconds - 80.0).abs() < 1.0, "{throughput:?}");
}

#[test]
fn bots_hammer_with_many_keys_under_one_name() {
    let wishes: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let seen = Arc::clone(&wishes);
    let (_, address) = Shop::open(1, 1_000, move |shop: &Shop, wish: &Wish| {
        seen.lock().unwrap().push((wish.user.clone(), wish.key.clone()));
        shop.sell(wish)
    });
    let buyers = Buyers { bot_share: 0.2, bot_keys: 8, pay_share: 1.0, ..Buyers::default() };
    let report = run(Plan { buyers, ..open(address, 1, 200.0, 500) }).report;
    let behaviour = report.behaviour;
    assert!(behaviour.bots > 5, "{behaviour:?}");
    assert_eq!(behaviour.bot_purchases, behaviour.bots * 8);
    assert_eq!(report.wins, 100 - behaviour.bots + behaviour.bot_wins);
    assert_eq!(behaviour.paid.wanted, 100 - behaviour.bots, "bots do not pay");
    let concentration = report.fairness.concentration;
    assert_eq!((concentration.users, concentration.max_per_user), (100, 8));
    assert!(concentration.top_1_percent_share > 0.02 && concentration.gini > 0.2, "{concentration:?}");
    let mut keys: HashMap<String, HashSet<String>> = HashMap::new();
    for (user, key) in wishes.lock().unwrap().drain(..) {
        keys.entry(user).or_default().insert(key);
    }
    assert_eq!(keys.values().filter(|keys| keys.len() == 8).count() as u64, behaviour.bots);
}

#[test]
fn a_trace_is_played_with_its_people_and_skus() {
    let (_, address) = Shop::open(3, 100, Shop::sell);
    let text = "0 70 3\n10 71 2\n20 70 3\n400 - 1\n400 70 2\n";
    let trace = Schedule::Trace(Trace::parse(text).unwrap());
    let finished =
        run(Plan { open: Some(OpenLoop { schedule: trace.clone(), connections: 4 }), ..open(address, 3, 1.0, 1) });
    let mut told: Vec<_> =
        finished.told.iter().map(|t| (t.key, t.user_id - finished.report.first_user_id, t.sku_id)).collect();
    told.sort_unstable();
    let told: Vec<_> = told.into_iter().map(|(_, user, sku)| (user, sku)).collect();
    assert_eq!(told, [(0, 3), (1, 2), (0, 3), (2, 1), (0, 2)]);
    assert_eq!(finished.report.fairness.concentration.users, 3);
    assert_eq!(finished.report.last_user_id, finished.report.first_user_id + 2);
    let foreign = Plan { open: Some(OpenLoop { schedule: trace, connections: 4 }), ..open(address, 2, 1.0, 1) };
    assert!(start(foreign).unwrap_err().to_string().contains("SKU 3"), "SKU 3 is not part of the run");
}

#[test]
fn who_comes_three_times_is_one_user() {
    let (_, address) = Shop::open(1, 100, Shop::sell);
    let schedule = Schedule::Trace(Trace::parse("0 7\n10 7\n20 7\n60000 8\n60000 9\n60000 10\n").unwrap());
    let run = start(Plan { open: Some(OpenLoop { schedule, connections: 4 }), threads: 2, ..open(address, 1, 1.0, 1) });
    let run = run.unwrap();
    until_won(&run, 3);
    run.stop();
    let report = run.join().unwrap().report;
    let spread = report.fairness.concentration;
    assert_eq!((report.arrivals.begun, spread.users, spread.winners, spread.max_per_user), (3, 1, 1, 3));
}

#[test]
fn a_seed_brings_the_same_people_with_the_same_wishes() {
    let wishes = || {
        let seen: Arc<Mutex<BTreeSet<(String, String, String)>>> = Arc::default();
        let inside = Arc::clone(&seen);
        let (_, address) = Shop::open(5, 1_000, move |shop: &Shop, wish: &Wish| {
            inside.lock().unwrap().insert((wish.user.clone(), wish.sku.clone(), wish.key.clone()));
            shop.sell(wish)
        });
        (seen, address)
    };
    let go = |threads| {
        let (seen, address) = wishes();
        run(Plan { zipf: Some(1.0), threads, ..open(address, 5, 300.0, 500) });
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen.len(), 150);
        seen
    };
    let one = go(1);
    assert_eq!(one, go(2), "the number of threads changes nothing");
    let hot = one.iter().filter(|(_, sku, _)| sku == "1").count();
    assert!(hot > 45, "Zipf: the first of five SKUs gets 44 %, not {hot} of 150");
}

#[test]
fn an_early_end_is_a_valid_partial_report() {
    let (_, address) = Shop::open(1, 1_000_000, Shop::sell);
    let run = start(open(address, 1, 200.0, 60_000)).unwrap();
    until_won(&run, 20);
    let snapshot = run.snapshot();
    assert_eq!((snapshot.planned, snapshot.stage, snapshot.stages), (12_000, 0, 1));
    assert_eq!(run.stage_words(0), "200/s for 1 min");
    run.stop();
    let report = run.join().unwrap().report;
    assert_eq!(report.ended, EndReason::Stopped);
    assert!(
        report.validity.valid && report.arrivals.due >= 20 && report.arrivals.due < 12_000,
        "{:?}",
        report.arrivals
    );
    assert!(report.arrivals.started <= report.arrivals.due && report.wins == report.arrivals.started);
}

#[test]
fn the_stock_is_watched_while_it_drains() {
    let (_, address) = Shop::open(2, 100, Shop::sell);
    let report = run(open(address, 2, 100.0, 2_500)).report;
    let seen: Vec<u64> = report.stock.iter().filter_map(|point| point.available).collect();
    assert!(seen.len() >= 2 && seen[0] > *seen.last().unwrap(), "{seen:?}");
    assert!(seen.is_sorted_by(|a, b| a >= b), "{seen:?}");
    assert!(report.stock.iter().all(|point| point.by_sku.len() == 2), "{:?}", report.stock);
}
