//! Restocking and withdrawing while buyers buy, pay and leave.

use flash_core::ids::SkuId;
use flash_core::sale::Sku;
use flash_stores::mysql::author::Author;
use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::cashier::{PRICE, Settled};
use flash_tests::crowd::Rush;
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use flashd::change::{ChangeError, Desk, Edit};
use std::time::Duration;

fn author() -> Author {
    Author::new("the tests", "because they can").unwrap()
}

/// Capacity goes up and down a dozen times under load; what is taken is never taken away, and not one unit too many is sold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capacity_raised_and_lowered_during_a_load() {
    let site = Site::open(Own::default(), &[Sku { hold_ms: 2_000, ..ticket(1, 60) }]).await;
    let (a, b) = (site.daemon("all").await, site.daemon("api").await);
    let desk = Desk::new(&site.parts()).unwrap();
    let sku = SkuId::new(1);
    let rush = Rush::start(&site, &[&a, &b], 1, 24);
    let mut refused = 0;
    for round in 0..12 {
        rush.more_wins(10).await;
        let taken = |c: flash_core::stock::Counters| c.held + c.sold + c.closing;
        let counters = site.stock(1).await.counters;
        // Too low by far, then as low as it goes with a little room, then up again.
        match desk.set_capacity(sku, 1, &author()).await {
            Err(ChangeError::Below { counters, wanted: 1, .. }) => {
                assert!(taken(counters) > 1, "{counters:?}");
                refused += 1;
            }
            other => panic!("{other:?} although {counters:?}"),
        }
        let low = taken(counters) + 5;
        match desk.set_capacity(sku, low, &author()).await {
            Ok(outcome) => assert_eq!(outcome.sku.capacity, low),
            Err(ChangeError::Below { counters, .. }) => assert!(taken(counters) > low, "{counters:?}"),
            Err(other) => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        // Always more than before, so that every round leaves at least one line in the journal.
        let high = 65 + round * 5;
        desk.set_capacity(sku, high, &author()).await.unwrap();
    }
    rush.stop().await;
    assert_eq!(refused, 12);
    let changes: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM sku_changes WHERE what = 'capacity' AND who = 'the tests'")
            .fetch_one(&site.sql)
            .await
            .unwrap();
    assert!(changes >= 12, "{changes} changes are in the journal");
    site.finish(&[&a, &b]).await;
}

/// A sale that an operator pauses, opens, closes and changes: daemons follow, holds go on and can be paid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_is_paused_closed_and_opened_by_hand() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let desk = Desk::new(&site.parts()).unwrap();
    let sku = SkuId::new(1);
    let mut buyer = site.buyer(&[&daemon]);
    let order = buyer.insist(&Purchase::new(1, 1, "k")).await.won().order_id;
    desk.edit(sku, Edit::Pause, &author()).await.unwrap();
    let paused = buyer.buy(&Purchase::new(2, 1, "k")).await.refused(409, "SALE_PAUSED");
    assert!(paused.header("retry-after").is_some());
    let paid = site.cashier(&[&daemon]).insist_pay(order, "p", PRICE).await;
    assert_eq!(paid, Settled::Confirmed { order_id: order, replayed: false });
    desk.edit(sku, Edit::Resume, &author()).await.unwrap();
    let _ = buyer.insist(&Purchase::new(2, 1, "k")).await.won();
    desk.edit(sku, Edit::Close, &author()).await.unwrap();
    let _ = buyer.buy(&Purchase::new(3, 1, "k")).await.refused(410, "SALE_CLOSED");
    desk.edit(sku, Edit::Open, &author()).await.unwrap();
    desk.edit(sku, Edit::PerUser(1), &author()).await.unwrap();
    let _ = buyer.insist(&Purchase { quantity: 2, ..Purchase::new(3, 1, "two") }).await.refused(409, "LIMIT_REACHED");
    desk.edit(sku, Edit::HoldMs(1_000), &author()).await.unwrap();
    let before = site.stock(1).await.counters.available;
    let _ = buyer.insist(&Purchase::new(3, 1, "short")).await.won();
    eventually("the shorter hold to end", || async { site.stock(1).await.counters.available == before }).await;
    site.finish(&[&daemon]).await;
}
