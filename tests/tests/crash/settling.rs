//! A daemon dies while it settles orders; whoever got no answer asks another one, and hears what became of it.

use crate::turn;
use flash_core::sale::Sku;
use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::cashier::{PRICE, Settled};
use flash_tests::daemon::Daemon;
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};

pub(crate) const PAID: &[&str] = &[
    "pay.registered",
    "pay.begun",
    "settle.queued",
    "settle.recorded",
    "settle.remembered",
    "settle.finished",
    "settle.answered",
];
pub(crate) const CANCELLED: &[&str] = &["cancel.begun", "settle.recorded", "settle.finished"];
pub(crate) const LATE: &[&str] = &["late.reserved", "late.kept", "late.decided", "late.begun"];
pub(crate) const GIVEN_BACK: &[&str] = &["refund.decided", "refund.recorded", "refund.remembered"];

/// Buys one unit of a SKU for a user of its own.
async fn bought(site: &Site, at: &Daemon, user: u64, sku: u64) -> u64 {
    site.buyer(&[at]).insist(&Purchase::new(user, sku, "k")).await.won().order_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_dies_while_it_is_paid() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let other = site.daemon("all").await;
    for (user, point) in (1..).zip(PAID) {
        let order = bought(&site, &other, user, 1).await;
        let doomed = site.doomed("api", point).await;
        doomed.ready().await;
        // It may have been answered: some points lie behind the answer.
        let _ = site.cashier(&[&doomed]).pay(order, point, PRICE).await;
        doomed.died_at(point).await;
        let paid = site.cashier(&[&other]).insist_pay(order, point, PRICE).await;
        assert!(matches!(paid, Settled::Confirmed { order_id, .. } if order_id == order), "{point}: {paid:?}");
        let twice = site.cashier(&[&other]).insist_pay(order, &format!("{point}-twice"), PRICE).await;
        assert_eq!(twice, Settled::Refund("ALREADY_PAID".into()), "{point}");
    }
    site.finish(&[&other]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_dies_while_an_order_is_cancelled_or_money_given_back() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 100)]).await;
    let other = site.daemon("all").await;
    for (user, point) in (1..).zip(CANCELLED) {
        let order = bought(&site, &other, user, 1).await;
        let doomed = site.doomed("api", point).await;
        doomed.ready().await;
        let _ = site.cashier(&[&doomed]).cancel(order, None).await;
        doomed.died_at(point).await;
        let cancelled = site.cashier(&[&other]).insist_cancel(order).await;
        assert!(matches!(cancelled, Settled::Cancelled { .. }), "{point}: {cancelled:?}");
    }
    for (user, point) in (1_000..).zip(GIVEN_BACK) {
        let order = bought(&site, &other, user, 1).await;
        let doomed = site.doomed("api", point).await;
        doomed.ready().await;
        let _ = site.cashier(&[&doomed]).notice(order, point, PRICE + 1).await;
        doomed.died_at(point).await;
        let settled = site.cashier(&[&other]).insist_notice(order, point, PRICE + 1).await;
        assert_eq!(settled, Settled::Refund("AMOUNT".into()), "{point}");
    }
    site.finish(&[&other]).await;
}

/// The money of a hold that has ended: other units of the same SKU, or back – and after a crash the same of the two as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_dies_over_a_late_payment() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[Sku { hold_ms: 6_000, ..ticket(1, 100) }]).await;
    let other = site.daemon("all").await;
    let mut orders = Vec::new();
    for (user, point) in (1..).zip(LATE) {
        orders.push((*point, bought(&site, &other, user, 1).await));
    }
    eventually("the end of the holds", || async { site.stock(1).await.counters.available == 100 }).await;
    for (point, order) in orders {
        let doomed = site.doomed("api", point).await;
        doomed.ready().await;
        let _ = site.cashier(&[&doomed]).pay(order, point, PRICE).await;
        doomed.died_at(point).await;
        let settled = site.cashier(&[&other]).insist_pay(order, point, PRICE).await;
        // On a slow machine the second hold has ended as well by now; then the money goes back.
        let known = match &settled {
            Settled::Confirmed { order_id, .. } => *order_id != order,
            settled => *settled == Settled::Refund("EXPIRED".into()),
        };
        assert!(known, "{point}: {settled:?}");
    }
    site.finish(&[&other]).await;
}
