//! Daemons that are killed, stopped and frozen.

use crate::turn;
use flash_tests::backends::Own;
use flash_tests::books::Exceptions;
use flash_tests::buyer::{Purchase, Said};
use flash_tests::crowd::{Rush, crowd, tally};
use flash_tests::site::{Site, ticket};
use flash_tests::wire::Connection;
use flash_tests::{PATIENCE, eventually};
use std::time::Duration;

/// Buyers ask again with their keys, so every hold that the dead daemon left without an event gets it in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_under_load_and_restarted_loses_nothing() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 100_000)]).await;
    let mut daemon = site.daemon("all").await;
    let rush = Rush::start(&site, &[&daemon], 1, 24);
    for _ in 0..3 {
        rush.more_wins(150).await;
        daemon.kill9().await;
        rush.hear("LOST").await;
        daemon = daemon.restart().await;
        daemon.ready().await;
    }
    rush.more_wins(150).await;
    let words = rush.stop().await;
    assert!(words["WON"] >= 600, "{words:?}");
    site.finish(&[&daemon]).await;
}

/// Without asking again: whatever the killed daemon had told is there, and what it left behind is at most what was
/// in flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_daemon_had_told_is_true() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 200)]).await;
    let (api, worker) = (site.daemon("api").await, site.daemon("worker").await);
    let purchases: Vec<Purchase> = (1..=300).map(|user| Purchase::new(user, 1, "k")).collect();
    let killer = async {
        eventually("the first sales", || async { site.stock(1).await.counters.seq >= 20 }).await;
        api.kill9().await;
    };
    let daemons = [&api];
    let (said, ()) = tokio::join!(crowd(&site, &daemons, purchases, false), killer);
    let in_flight = said.iter().filter(|said| matches!(said, Said::Lost)).count();
    site.finish_except(&[&worker], Exceptions { orphans_max: in_flight, ..Exceptions::default() }).await;
}

/// Bad inputs, line 40: whoever was let in gets an answer, and every unit that was taken has its event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_drains_and_leaves_no_hold_without_an_order() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 5_000)]).await;
    let (api, worker) = (site.daemon("api").await, site.daemon("worker").await);
    let rush = Rush::start(&site, &[&api], 1, 48);
    rush.more_wins(200).await;
    api.terminate();
    let exit = tokio::time::timeout(Duration::from_secs(30), api.ended()).await.expect("it drains");
    assert_eq!(exit.code, 0, "{:?}", api.last_lines());
    // Whoever asked too late asks again at the next daemon, which took over the same ports.
    let api = api.restart().await;
    api.ready().await;
    rush.more_wins(50).await;
    rush.stop().await;
    site.finish(&[&api, &worker]).await;
}

/// A proxy that keeps connections may use one just when we want to close it. So it is served once more and told that this was
/// the last time; one that stays idle is closed in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_reused_during_shutdown_is_served_and_told_to_close() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let (api, worker) = (site.daemon_with("api", &[("FLASH_DRAIN_IDLE", "30s")]).await, site.daemon("worker").await);
    let mut kept = Vec::new();
    for _ in 0..10 {
        let mut connection = Connection::open(&api.api).await.unwrap();
        let answer = connection.get("/health").await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (200, None));
        kept.push(connection);
    }
    let mut idle = kept.pop().unwrap();
    let mut buyer = site.buyer(&[&api]);
    let _ = buyer.insist(&Purchase::new(1, 1, "k")).await.won();
    api.terminate();
    eventually("nobody new to be let in", || async { Connection::open(&api.api).await.is_err() }).await;
    assert!(!idle.closed(Duration::from_millis(300)).await, "idle is no reason to be closed yet");
    for connection in &mut kept {
        let answer = connection.get("/api/v1/flash/skus/1").await.expect("it is served");
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert!(connection.closed(PATIENCE).await);
    }
    // Buyers as well: it goes on selling until everybody who was connected has left.
    let _ = buyer.buy(&Purchase::new(2, 1, "k")).await.won();
    assert!(api.runs(), "somebody is still connected");
    drop(idle);
    let exit = tokio::time::timeout(PATIENCE, api.ended()).await.expect("with nobody left it ends");
    assert_eq!(exit.code, 0, "{:?}", api.last_lines());

    // Who stays idle is closed when the time is over, and nothing is cut off.
    let api = site.daemon_with("api", &[("FLASH_DRAIN_IDLE", "200ms")]).await;
    let mut idle = Connection::open(&api.api).await.unwrap();
    assert_eq!(idle.get("/health").await.unwrap().status, 200);
    api.terminate();
    assert!(idle.closed(PATIENCE).await);
    let exit = tokio::time::timeout(PATIENCE, api.ended()).await.expect("it does not wait for the idle");
    assert_eq!(exit.code, 0, "{:?}", api.last_lines());
    assert!(!api.last_lines().iter().any(|line| line.contains("cut off")), "{:?}", api.last_lines());
    site.finish(&[&worker]).await;
}

/// Whom the system has let in before the end came may have sent a purchase, although the daemon has not seen them yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_the_system_has_let_in_is_served_at_shutdown() {
    const WAITING: usize = 800;
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let (api, worker) = (site.daemon_with("api", &[("FLASH_THREADS", "1")]).await, site.daemon("worker").await);
    api.pause();
    let mut waiting = Vec::new();
    for _ in 0..WAITING {
        let mut connection = Connection::open(&api.api).await.unwrap();
        connection.send(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        waiting.push(connection);
    }
    api.terminate();
    api.resume();
    let mut served = 0;
    for connection in &mut waiting {
        served += usize::from(connection.answer().await.is_ok_and(|answer| answer.status == 200));
    }
    assert_eq!(served, WAITING);
    drop(waiting);
    let exit = tokio::time::timeout(PATIENCE, api.ended()).await.expect("it ends");
    assert_eq!(exit.code, 0, "{:?}", api.last_lines());
    site.finish(&[&worker]).await;
}

/// The same, and nobody asks again: draining alone must leave the books balanced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_in_the_middle_of_a_crowd() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 1_000)]).await;
    let (api, worker) = (site.daemon("api").await, site.daemon("worker").await);
    let purchases: Vec<Purchase> = (1..=500).map(|user| Purchase::new(user, 1, "k")).collect();
    let stopper = async {
        eventually("the first sales", || async { site.stock(1).await.counters.seq >= 10 }).await;
        api.terminate();
        api.ended().await
    };
    let daemons = [&api];
    let (said, exit) = tokio::join!(crowd(&site, &daemons, purchases, false), stopper);
    assert_eq!(exit.code, 0, "{:?}", api.last_lines());
    let tally = tally(&said);
    let unknown = tally.get("OUTCOME_UNKNOWN");
    assert_eq!(unknown, None, "nobody who was let in is left in the dark: {tally:?}");
    site.finish(&[&worker]).await;
}

/// A daemon that was frozen for longer than its lease says nothing it may not say, and goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_daemon_wakes_up_without_a_lease_and_recovers() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 10_000)]).await;
    let (frozen, other) = (site.daemon("all").await, site.daemon("all").await);
    let rush = Rush::start(&site, &[&frozen, &other], 1, 16);
    rush.more_wins(60).await;
    frozen.pause();
    tokio::time::sleep(Duration::from_secs(7)).await;
    frozen.resume();
    eventually("the lease to be fresh again", || async { frozen.api_stats().await.epoch.open }).await;
    rush.more_wins(100).await;
    rush.stop().await;
    site.finish(&[&frozen, &other]).await;
}

/// Poison in the log is parked with its origin, and what stands behind it is projected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_parked_and_the_projector_goes_on() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 1_000)]).await;
    let daemon = site.daemon("all").await;
    let poison: [&[u8]; 4] = [b"not json", b"", b"\xff\xfe\x00", br#"{"v":9,"new":"layout"}"#];
    let rush = Rush::start(&site, &[&daemon], 1, 8);
    rush.more_wins(20).await;
    for (partition, payload) in (0..).zip(poison) {
        site.append(partition, payload).await;
        rush.more_wins(20).await;
    }
    rush.stop().await;
    eventually("four dead letters", || async { daemon.worker_stats().await.projector.dead_letters == 4 }).await;
    site.finish_except(&[&daemon], Exceptions { dead_letters: 4, ..Exceptions::default() }).await;
}
