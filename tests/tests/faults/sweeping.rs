//! Sweepers that die at every step, and holds that end while the log is away: what is held by nobody comes back, once, and
//! never before the log knows.

use crate::turn;
use flash_core::sale::Sku;
use flash_tests::backends::{Broker, Own};
use flash_tests::buyer::{Purchase, Said};
use flash_tests::cashier::{PRICE, Settled};
use flash_tests::crowd::crowd;
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const UNITS: u32 = 40;

async fn take_all(site: &Site, daemon: &flash_tests::daemon::Daemon, key: &str) -> Vec<u64> {
    let purchases = (1..=u64::from(UNITS)).map(|user| Purchase::new(user, 1, key)).collect();
    let said = crowd(site, &[daemon], purchases, true).await;
    said.into_iter().map(Said::won).map(|told| told.order_id).collect()
}

/// P3: within hold time + 30 s after any crash. The sweeper dies between taking and recording, between recording and giving
/// back, and after giving back; another one finishes its work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweeper_killed_at_any_step_is_taken_over() {
    let _turn = turn().await;
    let mut points = JoinSet::new();
    for point in ["sweep.taken", "settle.recorded", "settle.remembered", "settle.finished"] {
        points.spawn(async move {
            let site = Site::open(Own::default(), &[Sku { hold_ms: 5_000, ..ticket(1, UNITS) }]).await;
            let api = site.daemon("api").await;
            let dying = site.daemon_with("worker", &[("FLASHD_CRASH_AT", point)]).await;
            let _ = take_all(&site, &api, "first").await;
            let ended = Instant::now();
            let exit = tokio::time::timeout(Duration::from_secs(30), dying.ended()).await;
            assert!(exit.is_ok(), "it dies at {point}");
            let worker = site.daemon("worker").await;
            eventually("every unit", || async { site.stock(1).await.counters.available == UNITS }).await;
            assert!(ended.elapsed() < Duration::from_secs(35), "{point}: {:?}", ended.elapsed());
            let _ = take_all(&site, &api, "second").await;
            assert_eq!(site.stock(1).await.counters.available, 0, "{point}: each came back once");
            eventually("every unit again", || async { site.stock(1).await.counters.available == UNITS }).await;
            site.finish(&[&api, &worker]).await;
        });
    }
    points.join_all().await;
}

/// The same for those who pay and cancel: the daemon dies between beginning and recording, and between recording and
/// finishing. Whoever asks again hears the same, and what nobody asks about is finished by a sweeper.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_at_any_step_of_settling_leaves_nothing_half_settled() {
    let _turn = turn().await;
    let mut points = JoinSet::new();
    for point in ["pay.begun:3", "cancel.begun:3", "settle.recorded:5", "settle.remembered:5", "settle.finished:5"] {
        points.spawn(async move {
            let site = Site::open(Own::default(), &[ticket(1, UNITS)]).await;
            let worker = site.daemon("worker").await;
            let dying = site.daemon_with("api", &[("FLASHD_CRASH_AT", point)]).await;
            let orders = take_all(&site, &dying, "k").await;
            let mut wishes = JoinSet::new();
            for (index, order) in orders.iter().copied().enumerate() {
                let mut cashier = site.cashier(&[&dying]);
                wishes.spawn(async move {
                    match index % 2 {
                        0 => cashier.pay(order, &format!("p-{order}"), PRICE).await,
                        _ => cashier.cancel(order, None).await,
                    }
                });
            }
            // Who is answered before it dies is a matter of chance; that it dies is not.
            let _ = wishes.join_all().await;
            assert!(tokio::time::timeout(Duration::from_secs(30), dying.ended()).await.is_ok(), "it dies at {point}");
            // Nobody asks again for these; a sweeper must finish what was begun.
            eventually("nothing half settled", || async {
                site.redis::<u64>(&["HLEN", &site.keys(1).closing]).await == 0
            })
            .await;
            let api = site.daemon("api").await;
            for (index, order) in orders.iter().copied().enumerate() {
                let mut cashier = site.cashier(&[&api]);
                match index % 2 {
                    0 => assert!(matches!(
                        cashier.insist_pay(order, &format!("p-{order}"), PRICE).await,
                        Settled::Confirmed { order_id, .. } if order_id == order
                    )),
                    _ => assert!(matches!(cashier.insist_cancel(order).await, Settled::Cancelled { .. })),
                }
            }
            site.finish(&[&api, &worker]).await;
        });
    }
    points.join_all().await;
}

/// Stock returns only after the log knows: while Kafka is away holds end and nothing comes back; afterwards everything does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_that_end_while_kafka_is_away_come_back_after() {
    let _turn = turn().await;
    let own = Own { kafka: Some(Broker::Memory), ..Own::default() };
    let site = Site::open(own, &[Sku { hold_ms: 3_000, ..ticket(1, UNITS) }]).await;
    let daemon = site.daemon("all").await;
    let orders = take_all(&site, &daemon, "k").await;
    site.stack.kafka().pause().unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let counters = site.stock(1).await.counters;
    assert_eq!((counters.available, counters.held + counters.closing), (0, UNITS), "{counters:?}");
    let mut cashier = site.cashier(&[&daemon]);
    let dark = cashier.pay(orders[0], "dark", PRICE).await;
    assert!(dark.is_open(), "nobody is told anything without the log: {dark:?}");
    site.stack.kafka().resume().unwrap();
    eventually("every unit", || async { site.stock(1).await.counters.available == UNITS }).await;
    let late = cashier.insist_pay(orders[0], "dark", PRICE).await;
    assert!(matches!(late, Settled::Confirmed { order_id, .. } if order_id != orders[0]), "{late:?}");
    site.finish(&[&daemon]).await;
}
