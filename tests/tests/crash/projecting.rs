//! A worker dies between the log and MySQL; the next one applies each event once. The same for what MySQL refuses, and for the
//! operator's replay of it.

use crate::turn;
use flash_tests::backends::Own;
use flash_tests::books::Exceptions;
use flash_tests::buyer::Purchase;
use flash_tests::cashier::{PRICE, Settled};
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};

pub(crate) const FIRST: &[&str] = &["project.gathered", "project.folded"];
pub(crate) const SECOND: &[&str] = &["project.begun", "project.written"];
pub(crate) const THIRD: &[&str] = &["project.committed", "project.reported"];
pub(crate) const POISON: &[&str] = &["project.refused", "park.decided", "park.parked"];
pub(crate) const REPLAY: &[&str] = &["replay.held", "replay.written", "replay.counted", "replay.committed"];

/// The group misses a dead member only after ten seconds, so the points are spread over several sites.
async fn walk(points: &[&str]) {
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let api = site.daemon("api").await;
    for (user, point) in (1..).zip(points) {
        // Bought, paid and cancelled before it starts, so that its first batch has all of it.
        let mut buyer = site.buyer(&[&api]);
        let paid = buyer.insist(&Purchase::new(user, 1, "paid")).await.won().order_id;
        let left = buyer.insist(&Purchase::new(user, 1, "left")).await.won().order_id;
        let mut cashier = site.cashier(&[&api]);
        let settled = cashier.insist_pay(paid, point, PRICE).await;
        assert!(matches!(settled, Settled::Confirmed { .. }), "{settled:?}");
        assert!(matches!(cashier.insist_cancel(left).await, Settled::Cancelled { .. }));
        let doomed = site.doomed("worker", point).await;
        doomed.died_at(point).await;
    }
    let worker = site.daemon("worker").await;
    site.finish(&[&api, &worker]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_before_its_transaction() {
    let _turn = turn().await;
    walk(FIRST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_in_its_transaction() {
    let _turn = turn().await;
    walk(SECOND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_after_its_transaction() {
    let _turn = turn().await;
    walk(THIRD).await;
}

/// What is parked twice is one letter, and what is replayed twice is one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_die_over_an_event_that_mysql_refuses() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let api = site.daemon("api").await;
    let refuse = "ALTER TABLE orders ADD CONSTRAINT refused CHECK (user_id <> 777)";
    sqlx::query(refuse).execute(&site.sql).await.unwrap();
    let mut buyer = site.buyer(&[&api]);
    for user in [1, 777, 2] {
        let _ = buyer.insist(&Purchase::new(user, 1, "k")).await.won();
    }
    for point in POISON {
        site.doomed("worker", point).await.died_at(point).await;
    }
    let worker = site.daemon("worker").await;
    eventually("what is good", || async { site.orders().await == 2 }).await;
    eventually("the letter", || async { worker.worker_stats().await.projector.dead_letters == 1 }).await;
    let waiting = site.flashctl(&["dlq", "list", "-o", "json"]).await.json();
    assert_eq!(waiting["counts"]["waiting"], 1, "{waiting}");
    sqlx::query("ALTER TABLE orders DROP CONSTRAINT refused").execute(&site.sql).await.unwrap();
    for point in REPLAY {
        site.flashctl_dying(&["dlq", "replay", "--all", "--yes"], Some(point)).await.died_at(point);
    }
    let replayed = site.flashctl(&["dlq", "replay", "--all", "--yes"]).await;
    assert_eq!(replayed.exit, 0, "{replayed:?}");
    assert_eq!(site.orders().await, 3);
    // Parked by the worker that died right after it, and by the one that lived.
    site.finish_except(&[&api, &worker], Exceptions { dead_letters: 2, ..Exceptions::default() }).await;
}
