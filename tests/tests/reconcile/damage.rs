//! Every kind of damage, done by hand behind everybody's back, is found by its name – and nothing else is.

use crate::{TURN, desk, kinds};
use flash_core::ids::OrderId;
use flash_core::reconcile::{Hop, Kind};
use flash_core::sale::Sku;
use flash_tests::PATIENCE;
use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::cashier::{PRICE, Settled};
use flash_tests::operator::Ran;
use flash_tests::site::{AUDITED, Site, ticket};
use flashd::projector::wait_for_offsets;
use flashd::reconcile::Report;
use std::time::{Duration, Instant};

/// SKUs: one per kind of damage, and one that is left alone.
const SKUS: u64 = 13;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_wrong_is_found_by_its_name() {
    let _turn = TURN.lock().await;
    let skus: Vec<Sku> = (1..=SKUS).map(|id| ticket(id, 100)).collect();
    let site = Site::open(Own::default(), &skus).await;
    let daemon = site.daemon_with("all", &AUDITED).await;
    let (mut buyer, mut cashier) = (site.buyer(&[&daemon]), site.cashier(&[&daemon]));
    let mut orders = Vec::new();
    for sku in 1..=SKUS {
        let mut buy = async |key: &str| {
            buyer.insist(&Purchase { quantity: 2, ..Purchase::new(sku, sku, key) }).await.won().order_id
        };
        orders.push((buy("first").await, buy("second").await));
    }
    let order = |sku: u64| orders[usize::try_from(sku).unwrap() - 1];
    for sku in [8, 12] {
        let paid = cashier.insist_pay(order(sku).0, &format!("pay-{sku}"), 2 * PRICE).await;
        assert!(matches!(paid, Settled::Confirmed { .. }), "{paid:?}");
    }
    let reconcile = desk(&site).await;
    let sound = reconcile.run(None, |_| {}).await.unwrap();
    assert_eq!(kinds(&sound), [], "{:#?}", sound.findings);

    damage(&site, &orders).await;
    let report = reconcile.run(None, |_| {}).await.unwrap();
    let found = kinds(&report);
    let expected = [
        (Kind::Oversold, 9),
        (Kind::Oversold, 9),
        (Kind::CounterDrift, 1),
        (Kind::CounterDrift, 2),
        (Kind::CounterDrift, 3),
        // Less than nothing is on sale.
        (Kind::CounterDrift, 9),
        (Kind::HoldLost, 3),
        (Kind::MissingOrder, 6),
        (Kind::MissingOrder, 7),
        (Kind::MissingOrder, 11),
        (Kind::PaidNotConfirmed, 8),
        (Kind::CapBroken, 10),
        (Kind::CapacityDiffers, 4),
        (Kind::TermsDiffer, 5),
        (Kind::TermsDiffer, 10),
        (Kind::LedgerDiffers, 8),
        (Kind::DeadLettersWaiting, 0),
    ];
    assert_eq!(found, expected, "{:#?}", report.findings);
    check_details(&report, &orders);
    let Ran { exit, stdout, stderr } = site.flashctl(&["reconcile", "--sku", "1", "-o", "json"]).await;
    let told: serde_json::Value =
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout} {stderr}"));
    assert_eq!((exit, &told["version"]), (3, &1.into()), "{stdout}");
    assert_eq!(told["findings"][0]["kind"], "COUNTER_DRIFT", "{stdout}");
    let Ran { exit, stdout, stderr } = site.flashctl(&["reconcile", "--sku", "13"]).await;
    assert_eq!(exit, 0, "{stdout}{stderr}");
    assert!(stdout.contains("OK – Redis, log and MySQL agree on 1 SKUs"), "{stdout}");
    let Ran { exit, .. } = site.flashctl(&["reconcile", "--sku", "99"]).await;
    assert_eq!(exit, 1);
    let Ran { exit, .. } = site.flashctl(&["reconcile", "--fix"]).await;
    assert_eq!(exit, 2, "nobody can be asked");
    let Ran { exit, stdout, .. } = site.flashctl(&["reconcile", "--history", "-o", "json"]).await;
    let told: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((exit, &told["runs"][1]["found"]), (0, &1.into()), "{stdout}");
    site.abandon().await;
}

/// One kind of damage per SKU.
async fn damage(site: &Site, orders: &[(u64, u64)]) {
    let keys = |sku: u64| site.keys(sku);
    let add = async |sku: u64, field: &str, by: &str| {
        let _: i64 = site.redis(&["HINCRBY", &keys(sku).stock, field, by]).await;
    };
    let sql = async |statement: String| {
        let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&site.sql).await.unwrap();
        assert!(done.rows_affected() > 0);
    };
    let first = |sku: usize| orders[sku - 1].0;
    // 1: somebody puts five units on sale.
    add(1, "available", "5").await;
    // 2: the ends of all holds are gone, so none will ever end.
    let _: i64 = site.redis(&["DEL", &keys(2).holds]).await;
    // 3: a hold is gone, as if it had never been.
    let _: i64 = site.redis(&["HDEL", &keys(3).hold, &first(3).to_string()]).await;
    let _: i64 = site.redis(&["ZREM", &keys(3).holds, &first(3).to_string()]).await;
    add(3, "held", "-2").await;
    add(3, "available", "2").await;
    // 4: a raise that reached MySQL only.
    add(4, "capacity", "-10").await;
    add(4, "available", "-10").await;
    // 5: a cap that reached MySQL only.
    add(5, "per_user", "1").await;
    // 6: the counter of stock changes jumps.
    add(6, "seq", "3").await;
    // 7: an order is deleted in MySQL, without a trace.
    sql(format!("DELETE FROM orders WHERE order_id = {}", first(7))).await;
    sql(format!("DELETE FROM inventory_audit WHERE order_id = {}", first(7))).await;
    // 8: a paid order is cancelled in MySQL.
    sql(format!("UPDATE orders SET state = 'CANCELLED' WHERE order_id = {}", first(8))).await;
    // 9: fewer exist than were given away.
    sql("UPDATE skus SET capacity = 3 WHERE sku_id = 9".to_owned()).await;
    let _: i64 = site.redis(&["HSET", &keys(9).stock, "capacity", "3", "available", "-1"]).await;
    // 10: a buyer has more than the cap, which nobody has lowered officially.
    sql("UPDATE skus SET per_user = 1 WHERE sku_id = 10".to_owned()).await;
    // 11: an order row is deleted, the ledger still has it.
    sql(format!("DELETE FROM orders WHERE order_id = {}", first(11))).await;
    // 0: something that is no event.
    site.append(0, b"not an event").await;
    let topic = site.kafka.topic_events();
    let ends = flashd::projector::log_ends(&site.kafka).await.unwrap();
    wait_for_offsets(&site.db, &topic, &ends, PATIENCE).await.unwrap();
}

fn check_details(report: &Report, orders: &[(u64, u64)]) {
    let of = |kind: Kind, sku: u64| {
        let found = report.findings.iter().filter(|one| one.kind == kind);
        found.into_iter().find(|one| one.sku_id.map_or(0, flash_core::ids::SkuId::get) == sku).unwrap()
    };
    let first = |sku: u64| vec![OrderId::new(orders[usize::try_from(sku).unwrap() - 1].0)];
    assert_eq!((of(Kind::CounterDrift, 1).amount, of(Kind::CounterDrift, 1).hop), (5, Hop::Gate));
    assert_eq!(of(Kind::HoldLost, 3).orders, first(3));
    assert_eq!(of(Kind::CapacityDiffers, 4).amount, 10);
    assert_eq!((of(Kind::MissingOrder, 6).hop, of(Kind::MissingOrder, 6).fixable), (Hop::Gate, false));
    let lost = of(Kind::MissingOrder, 7);
    assert_eq!((lost.hop, &lost.orders, lost.fixable), (Hop::View, &first(7), false), "it is in the log, so it counts");
    assert_eq!((of(Kind::PaidNotConfirmed, 8).hop, &of(Kind::PaidNotConfirmed, 8).orders), (Hop::Payments, &first(8)));
    assert_eq!(of(Kind::CapBroken, 10).amount, 3);
    assert_eq!((of(Kind::MissingOrder, 11).hop, &of(Kind::MissingOrder, 11).orders), (Hop::View, &first(11)));
    // What --fix would do: complete two changes, and nothing to a SKU whose counters are wrong.
    let repairs = report.repairs();
    let fixed: Vec<_> =
        repairs.iter().filter(|one| one.what.is_some()).map(|one| (one.kind, one.sku_id.get())).collect();
    assert_eq!(fixed, [(Kind::CapacityDiffers, 4), (Kind::TermsDiffer, 5), (Kind::TermsDiffer, 10)]);
}

/// A SKU that Redis has lost whole is either filled anew by the worker, or named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sku_that_redis_has_lost_does_not_go_unnoticed() {
    let _turn = TURN.lock().await;
    let site = Site::open(Own::default(), &[ticket(1, 100), ticket(2, 100)]).await;
    let daemon = site.daemon_with("all", &AUDITED).await;
    let mut buyer = site.buyer(&[&daemon]);
    let _ = buyer.insist(&Purchase::new(1, 1, "k")).await.won();
    let reconcile = desk(&site).await;
    let before = reconcile.run(None, |_| {}).await.unwrap().epoch;
    let _: i64 = site.redis(&["DEL", &site.keys(1).stock]).await;
    let started = Instant::now();
    loop {
        // Somebody has to want it for the worker to notice.
        let _ = buyer.buy(&Purchase::new(2, 1, "k2")).await;
        let report = reconcile.run(None, |_| {}).await.unwrap();
        if report.epoch > before {
            assert_eq!(kinds(&report), [], "{:#?}", report.findings);
            break;
        }
        assert_eq!(kinds(&report), [(Kind::StockLost, 1)], "{:#?}", report.findings);
        assert!(started.elapsed() < 2 * PATIENCE, "nobody fills it");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let exceptions = flash_tests::books::Exceptions { rebuilt: true, ..Default::default() };
    site.finish_except(&[&daemon], exceptions).await;
}
