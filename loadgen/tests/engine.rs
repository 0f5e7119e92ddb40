//! The engine against a real server on loopback, well-behaved and not.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod open_loop;
mod port;
mod shop;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use flash_loadgen::{EndReason, Finished, LoadError, Plan, SkuShare, Target, fetch_catalog, start};
use port::Port;
use shop::{Act, Shop, response, win};

/// A short run with ten buyers.
fn plan(address: SocketAddr, skus: u64) -> Plan {
    Plan {
        target: format!("http://{address}"),
        stages: vec!["1s:10".parse().unwrap()],
        ramp_ms: 0,
        skus: (1..=skus).map(|sku_id| SkuShare { sku_id, weight: 1 }).collect(),
        retry_share: 0.2,
        seed: Some(7),
        ..Plan::default()
    }
}

fn until_sold_out(address: SocketAddr, skus: u64) -> Plan {
    Plan { sold_out_grace_ms: Some(100), stages: vec!["20s:10".parse().unwrap()], ..plan(address, skus) }
}

/// What must hold after every run: told orders are all different, and so are their keys and users.
fn check_books(finished: &Finished) {
    let told = &finished.told;
    let distinct = |of: fn(&flash_loadgen::Told) -> u64| told.iter().map(of).collect::<HashSet<_>>().len();
    assert_eq!(distinct(|t| t.order_id), told.len());
    assert_eq!(distinct(|t| t.key), told.len());
    let range = finished.report.first_user_id..=finished.report.last_user_id;
    assert!(told.iter().all(|t| range.contains(&t.user_id)));
    assert_eq!(finished.report.wins, told.len() as u64);
    assert_eq!(finished.report.latency.wins.count, finished.report.wins);
    check_outcomes(&finished.report);
}

/// Every request has exactly one outcome, and every repetition one answer.
fn check_outcomes(report: &flash_loadgen::Report) {
    let outcomes = &report.outcomes;
    assert_eq!(outcomes.values().sum::<u64>(), report.requests, "{outcomes:?}");
    let replays = &report.replays;
    assert_eq!(replays.same + replays.conflicting + replays.unclear, replays.sent, "{replays:?}");
    assert_eq!((outcomes["WON"], outcomes["REPEATED_WIN"]), (report.wins, replays.sent), "{outcomes:?}");
    let latency = &report.latency;
    let measured = [latency.wins, latency.sold_out, latency.refusals, latency.errors].map(|of| of.count);
    assert_eq!(measured.iter().sum::<u64>() + replays.sent, report.requests, "{outcomes:?}");
}

#[test]
fn sells_everything_and_stops_after_the_grace() {
    let (shop, address) = Shop::open(3, 50, Shop::sell);
    let finished = start(Plan { threads: 2, ..until_sold_out(address, 3) }).unwrap().join().unwrap();
    check_books(&finished);
    let report = &finished.report;
    assert_eq!((report.wins, shop.orders()), (150, 150));
    assert_eq!(report.ended, EndReason::SoldOut);
    assert!(report.throughput.sold_out && report.throughput.accepted_per_s > 0.0);
    assert_eq!(report.replays.sent, report.replays.same);
    assert_eq!(report.replays.marked, report.replays.same);
    assert!(report.replays.sent > 5, "{:?}", report.replays);
    assert_eq!((report.doubts_open, report.doubts_refused, report.connections.lost), (0, 0, 0));
    let json = serde_json::to_string(report).unwrap();
    assert_eq!(serde_json::from_str::<flash_loadgen::Report>(&json).unwrap().wins, 150);
}

#[test]
fn split_chunked_and_closing_responses_are_all_read() {
    let (shop, address) = Shop::open(1, 300, |shop, wish| {
        let whole = shop.decide(wish);
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        match wish.number % 4 {
            0 => vec![Act::Send(whole)],
            1 => {
                let (left, right) = whole.split_at(whole.len() / 2);
                vec![Act::Send(left.to_owned()), Act::Pause(2), Act::Send(right.to_owned())]
            }
            2 => {
                let status = head.lines().next().unwrap();
                let (left, right) = body.split_at(7);
                let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
                let replayed = if head.contains("Replayed") { "Idempotent-Replayed: true\r\n" } else { "" };
                vec![
                    Act::Send(format!("{status}\r\nTransfer-Encoding: chunked\r\n{replayed}\r\n{}", chunk(left))),
                    Act::Pause(1),
                    Act::Send(format!("{}0\r\n\r\n", chunk(right))),
                ]
            }
            _ => vec![Act::Send(whole.replacen("\r\n", "\r\nConnection: close\r\n", 1)), Act::Close],
        }
    });
    let finished = start(until_sold_out(address, 1)).unwrap().join().unwrap();
    check_books(&finished);
    assert_eq!((finished.report.wins, shop.orders()), (300, 300));
    assert!(finished.report.connections.closed_by_server > 50);
    assert_eq!((finished.report.connections.lost, finished.report.latency.errors.count), (0, 0));
}

#[test]
fn an_unknown_outcome_is_settled_with_the_same_key() {
    // Every third purchase is decided but answered "unknown"; every seventh connection dies after the decision.
    let (shop, address) = Shop::open(1, 200, |shop, wish| {
        let answer = shop.decide(wish);
        match wish.number {
            n if n % 7 == 0 => vec![Act::Close],
            n if n % 3 == 0 => {
                vec![Act::Send(response(503, "Retry-After: 0\r\n", r#"{"error":"OUTCOME_UNKNOWN"}"#))]
            }
            _ => vec![Act::Send(answer)],
        }
    });
    let finished = start(until_sold_out(address, 1)).unwrap().join().unwrap();
    check_books(&finished);
    assert_eq!((finished.report.wins, shop.orders()), (200, 200));
    assert!(finished.report.outcomes["OUTCOME_UNKNOWN"] > 10);
    assert!(finished.report.outcomes["CONNECTION_LOST"] > 10);
    assert!(finished.conflicts.is_empty());
}

#[test]
fn retry_after_is_honoured() {
    let (_, address) = Shop::open(1, 10, |shop, wish| match wish.number {
        0 => vec![Act::Send(response(503, "Retry-After: 1\r\n", r#"{"error":"OVERLOADED"}"#))],
        _ => shop.sell(wish),
    });
    let one = Plan { stages: vec!["3s:1".parse().unwrap()], retry_share: 0.0, ..until_sold_out(address, 1) };
    let finished = start(one).unwrap().join().unwrap();
    assert_eq!((finished.report.wins, finished.report.outcomes["OVERLOADED"]), (10, 1));
    // The win that had to wait is measured from its first attempt.
    assert!(finished.report.latency.wins.max_us >= 1_000_000, "{:?}", finished.report.latency.wins);
}

#[test]
fn a_server_that_changes_its_answer_is_caught() {
    let (_, address) = Shop::open(1, 0, |_, wish| vec![Act::Send(win(10_000 + wish.number, ""))]);
    let finished =
        start(Plan { stages: vec!["300ms:4".parse().unwrap()], ..plan(address, 1) }).unwrap().join().unwrap();
    assert!(!finished.conflicts.is_empty());
    assert_eq!(finished.report.replays.conflicting, finished.report.replays.sent);
    check_outcomes(&finished.report);
}

#[test]
fn a_win_that_is_refused_when_repeated_is_caught() {
    let (_, address) = Shop::open(1, 5_000, |shop, wish| match shop.decide(wish) {
        replay if replay.contains("Replayed") => vec![Act::Send(response(404, "", r#"{"error":"ORDER_NOT_FOUND"}"#))],
        first => vec![Act::Send(first)],
    });
    let finished =
        start(Plan { stages: vec!["300ms:4".parse().unwrap()], ..plan(address, 1) }).unwrap().join().unwrap();
    check_books(&finished);
    let replays = &finished.report.replays;
    assert!(replays.sent > 0 && replays.conflicting == replays.sent, "{replays:?}");
    assert_eq!(finished.conflicts.len() as u64, replays.conflicting);
}

#[test]
fn a_repetition_without_an_answer_is_asked_again() {
    // Every third request fails, or dies after its decision.
    let (_, address) = Shop::open(1, 200, |shop, wish| {
        let answer = shop.decide(wish);
        match wish.number % 6 {
            2 => vec![Act::Close],
            5 => vec![Act::Send(response(500, "", ""))],
            _ => vec![Act::Send(answer)],
        }
    });
    let finished = start(Plan { retry_share: 1.0, ..until_sold_out(address, 1) }).unwrap().join().unwrap();
    check_books(&finished);
    let replays = &finished.report.replays;
    assert_eq!((replays.same, replays.conflicting), (200, 0), "{replays:?}");
    assert!(replays.unclear > 20, "{replays:?}");
}

#[test]
fn a_silent_server_leaves_doubts_and_ends_in_time() {
    let (_, address) = Shop::open(1, 10, |_, _| vec![Act::Pause(60_000)]);
    let began = Instant::now();
    let impatient = Plan { request_timeout_ms: 200, drain_ms: 500, ..plan(address, 1) };
    let finished = start(impatient).unwrap().join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(finished.report.doubts_open, 10);
    assert!(finished.report.outcomes["TIMED_OUT"] >= 10);
    check_outcomes(&finished.report);
}

#[test]
fn requests_under_way_at_the_end_are_written_down() {
    let (_, address) = Shop::open(1, 10, |_, _| vec![Act::Pause(60_000)]);
    let hasty = Plan { drain_ms: 50, stages: vec!["200ms:5".parse().unwrap()], ..plan(address, 1) };
    let finished = start(hasty).unwrap().join().unwrap();
    assert_eq!((finished.doubts.len(), finished.report.doubts_open, finished.report.requests), (5, 5, 5));
    assert_eq!(finished.report.outcomes["UNANSWERED"], 5);
    check_outcomes(&finished.report);
}

#[test]
fn answers_that_make_no_sense_are_outcomes_of_their_own() {
    // A 200 that names no order, half a JSON object, something that is no HTTP; every one is asked about again.
    let (_, address) = Shop::open(1, 10_000, |shop, wish| match wish.number % 5 {
        0 => vec![Act::Send(response(200, "", r#"{"success":true,"message":"yours"}"#))],
        1 => vec![Act::Send(response(200, "", r#"{"success":true,"orderId":"1","#))],
        2 => vec![Act::Send("what do you want?\r\n\r\n".to_owned()), Act::Close],
        _ => shop.sell(wish),
    });
    let finished = start(plan(address, 1)).unwrap().join().unwrap();
    check_books(&finished);
    let outcomes = &finished.report.outcomes;
    assert!(outcomes["UNREADABLE_WIN"] > 5 && outcomes["BROKEN_RESPONSE"] > 5 && outcomes["WON"] > 5, "{outcomes:?}");
}

#[test]
fn slow_answers_are_measured_as_slow() {
    let (_, address) = Shop::open(1, 1_000_000, |shop, wish| {
        let answer = shop.decide(wish);
        vec![Act::Pause(30), Act::Send(answer)]
    });
    let finished = start(Plan { retry_share: 0.0, ..plan(address, 1) }).unwrap().join().unwrap();
    check_books(&finished);
    let wins = finished.report.latency.wins;
    assert!(wins.p50_us >= 30_000 && wins.p50_us < 200_000, "{wins:?}");
    assert!(wins.count > 50);
}

#[test]
fn a_server_that_goes_away_is_counted_and_survived() {
    let port = Port::reserve();
    let server = port.listen();
    let run = start(plan(port.address, 1)).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    drop(server);
    let finished = run.join().unwrap();
    assert!(finished.report.connections.failed > 0, "{:?}", finished.report.connections);
    assert_eq!(finished.report.wins, 0);
    assert_eq!(finished.report.outcomes["CONNECT_FAILED"], finished.report.connections.failed);
    check_outcomes(&finished.report);
}

#[test]
fn an_early_stop_and_a_request_limit_give_a_valid_report() {
    let (shop, address) = Shop::open(1, 1_000_000, Shop::sell);
    let run = start(Plan { stages: vec!["60s:10".parse().unwrap()], ..plan(address, 1) }).unwrap();
    let began = Instant::now();
    while run.snapshot().wins == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody won anything: {:?}", run.snapshot());
        std::thread::sleep(Duration::from_millis(10));
    }
    run.stop();
    let finished = run.join().unwrap();
    check_books(&finished);
    assert_eq!((finished.report.ended, finished.report.wins), (EndReason::Stopped, shop.orders()));

    let limited = Plan { max_requests: 100, retry_share: 0.0, ..plan(address, 1) };
    let finished = start(limited).unwrap().join().unwrap();
    assert_eq!(finished.report.ended, EndReason::RequestLimit);
    assert!((100..=110).contains(&finished.report.requests), "{}", finished.report.requests);
}

#[test]
fn nobody_there_is_said_at_once() {
    let port = Port::reserve();
    let error = start(plan(port.address, 1)).unwrap_err();
    let LoadError::Unreachable { source, .. } = &error else { panic!("{error}") };
    assert!(source.to_string().starts_with(&format!("{}: ", port.address)), "what was tried is named: {source}");
}

#[tokio::test]
async fn the_catalogue_is_read() {
    let (_, address) = Shop::open(1, 1, Shop::sell);
    let target = Target::resolve(&format!("http://{address}"), None).unwrap();
    let skus = fetch_catalog(&target, Duration::from_secs(2)).await.unwrap();
    assert_eq!((skus[0].sku_id, skus[0].capacity, skus[0].available), (1, Some(5), Some(1)));
}
