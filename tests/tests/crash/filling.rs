//! A coordinator dies while it fills Redis; nothing is sold until another one has begun again with a higher epoch and ended.

use crate::turn;
use flash_tests::backends::Own;
use flash_tests::books::Exceptions;
use flash_tests::buyer::Purchase;
use flash_tests::cashier::{PRICE, Settled};
use flash_tests::crowd::{crowd, tally};
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};

pub(crate) const FIRST: &[&str] =
    &["rebuild.numbered", "rebuild.announced", "rebuild.closing", "rebuild.closed", "rebuild.waited", "rebuild.fenced"];
pub(crate) const SECOND: &[&str] =
    &["rebuild.projected", "rebuild.marked", "fill.begun", "fill.holds", "fill.answers", "fill.buyers"];
pub(crate) const THIRD: &[&str] =
    &["fill.payments", "fill.opened", "fill.blocking", "rebuild.loaded", "rebuild.opened"];
/// Buyers before Redis loses everything.
const EARLY: u64 = 6;

/// Redis loses everything; workers die at these points, one after the other, until one lives.
async fn walk(points: &[&str]) {
    let site = Site::open(Own::default(), &[ticket(1, 20), ticket(2, 20), ticket(3, 2)]).await;
    let api = site.daemon("api").await;
    let worker = site.daemon("worker").await;
    let early: Vec<Purchase> = (1..=EARLY).map(|user| Purchase::new(user, 1, "early")).collect();
    let told = crowd(&site, &[&api], early.clone(), true).await;
    let paid = told[0].clone().won().order_id;
    let settled = site.cashier(&[&api]).insist_pay(paid, "paid", PRICE).await;
    assert!(matches!(settled, Settled::Confirmed { .. }), "{settled:?}");
    // Of SKU 3, an order that MySQL refuses: it stays closed until that is repaired.
    let refuse = "ALTER TABLE orders ADD CONSTRAINT refused CHECK (user_id <> 777)";
    sqlx::query(refuse).execute(&site.sql).await.unwrap();
    let _ = site.buyer(&[&api]).insist(&Purchase::new(777, 3, "k")).await.won();
    eventually("the letter", || async { worker.worker_stats().await.projector.dead_letters == 1 }).await;
    worker.kill9().await;
    site.redis::<()>(&["FLUSHALL"]).await;
    for point in points {
        site.doomed("worker", point).await.died_at(point).await;
        if *point != "rebuild.opened" {
            let said = site.buyer(&[&api]).buy(&Purchase::new(900, 1, "in-between")).await;
            let _ = said.refused(503, "STOCK_RECOVERING");
        }
    }
    let worker = site.daemon("worker").await;
    let again = crowd(&site, &[&api], early, true).await;
    for (before, after) in told.into_iter().zip(again) {
        let (before, after) = (before.won(), after.won());
        assert_eq!((before.order_id, true), (after.order_id, after.replayed), "told again what was told before");
    }
    let late: Vec<Purchase> = (100..140).map(|user| Purchase::new(user, 1, "late")).collect();
    let late = tally(&crowd(&site, &[&api], late, true).await);
    assert_eq!(late["WON"], 20 - EARLY, "to the last unit, and not one further: {late:?}");
    sqlx::query("ALTER TABLE orders DROP CONSTRAINT refused").execute(&site.sql).await.unwrap();
    let replayed = site.flashctl(&["dlq", "replay", "--all", "--yes"]).await;
    assert_eq!(replayed.exit, 0, "{replayed:?}");
    let _ = site.buyer(&[&api]).insist(&Purchase::new(778, 3, "k")).await.won();
    let left = Exceptions { dead_letters: 1, rebuilt: true, ..Exceptions::default() };
    site.finish_except(&[&api, &worker], left).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_dies_before_the_fences() {
    let _turn = turn().await;
    walk(FIRST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_dies_before_the_first_sku_is_filled() {
    let _turn = turn().await;
    walk(SECOND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_dies_before_it_opens() {
    let _turn = turn().await;
    walk(THIRD).await;
}
