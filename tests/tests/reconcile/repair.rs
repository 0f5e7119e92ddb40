//! `--fix`: units come back through the log, a buyer who asks again at that very moment loses nothing, and doing it twice
//! changes nothing.

use crate::{TURN, desk, kinds};
use flash_core::ids::{Epoch, OrderId, ReservationId, UserId};
use flash_core::reconcile::Kind;
use flash_core::sale::Sku;
use flash_core::stock::{Ask, Decision, Hold};
use flash_stores::mysql::author::Author;
use flash_stores::redis::{Batch, Fence, Gate};
use flash_tests::PATIENCE;
use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::eventually;
use flash_tests::operator::Ran;
use flash_tests::site::{AUDITED, Site, ticket};
use flashd::projector::{Projector, ProjectorOptions};
use std::time::Duration;

fn author() -> Author {
    Author::new("ann@desk", "INC-7").unwrap()
}

/// What a daemon leaves behind that dies between the decision and the record: holds without an event.
async fn orphans(site: &Site, sku_id: u64, buyers: &[u64]) -> Vec<Hold> {
    let gate = Gate::new(&site.parts().redis).unwrap();
    gate.wait_connected(PATIENCE).await.unwrap();
    let keys = site.keys(sku_id);
    let epoch: u64 = site.redis(&["HGET", &keys.stock, "epoch"]).await;
    let fence = Fence { epoch: Epoch(epoch), replids: gate.primaries().await.unwrap().values().collect() };
    let ask = |user: &u64| Ask {
        user_id: UserId::new(*user),
        quantity: 2,
        order_id: OrderId::new(9_000_000 + user),
        reservation_id: ReservationId::new(19_000_000 + user),
        idempotency_key: "k".to_owned(),
        replay_only: false,
    };
    let asks: Vec<Ask> = buyers.iter().map(ask).collect();
    let reserved = gate.reserve(&Batch { keys: &keys, fence: &fence, unit_price_minor: 4_900, asks: &asks }).await;
    let won = |decision| if let Decision::Won(hold) = decision { hold } else { panic!("{decision:?}") };
    reserved.unwrap().decisions.into_iter().map(won).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_come_back_and_a_buyer_who_asks_again_loses_nothing() {
    let _turn = TURN.lock().await;
    let site = Site::open(Own::default(), &[ticket(1, 100), ticket(2, 100), ticket(3, 100)]).await;
    let daemon = site.daemon_with("all", &AUDITED).await;
    let mut buyer = site.buyer(&[&daemon]);
    let sold = buyer.insist(&Purchase::new(50, 1, "k")).await.won();
    let lost = orphans(&site, 1, &[1, 2, 3, 4]).await;
    // One of them asks again at once, before anything is compared: a win like any other.
    let again = Purchase { quantity: 2, ..Purchase::new(4, 1, "k") };
    assert_eq!(buyer.insist(&again).await.won().order_id, lost[3].order_id.get());
    // Two changes that reached MySQL only.
    let keys = site.keys(2);
    let _: i64 = site.redis(&["HINCRBY", &keys.stock, "capacity", "-10"]).await;
    let _: i64 = site.redis(&["HINCRBY", &keys.stock, "available", "-10"]).await;
    let _: i64 = site.redis(&["HSET", &site.keys(3).stock, "hold_ms", "60000"]).await;

    let reconcile = desk(&site).await;
    let report = reconcile.run(None, |_| {}).await.unwrap();
    assert_eq!(kinds(&report), [(Kind::OrphanHold, 1), (Kind::CapacityDiffers, 2), (Kind::TermsDiffer, 3)]);
    let named: Vec<OrderId> = lost.iter().take(3).map(|hold| hold.order_id).collect();
    assert_eq!((&report.findings[0].orders, report.findings[0].amount), (&named, 6), "{:#?}", report.findings);
    let row = report.skus[0].redis.unwrap();
    assert_eq!((row.held, report.skus[0].mysql_held, report.skus[0].difference), (9, 3, 6));

    // Between the report and the repair the third buyer asks again and is told yes: that hold must stay.
    let rescued = buyer.insist(&Purchase { quantity: 2, ..Purchase::new(3, 1, "k") }).await.won();
    assert_eq!((rescued.order_id, rescued.replayed), (lost[2].order_id.get(), true));
    let fixed = reconcile.fix(&report, &author()).await.unwrap();
    let told: Vec<&str> = fixed.iter().map(|fixed| fixed.outcome.as_str()).collect();
    assert!(fixed.iter().all(|fixed| fixed.whole), "{fixed:#?}");
    assert!(told[0].starts_with("4 units are on sale again; 1 left: their buyers have asked again"), "{told:?}");
    // And whoever asks only now is told that it is over – never a 200 for units that are on sale.
    let late = buyer.insist(&Purchase { quantity: 2, ..Purchase::new(1, 1, "k") }).await;
    let _ = late.refused(410, "RESERVATION_EXPIRED");

    let clean = reconcile.run(None, |_| {}).await.unwrap();
    assert_eq!(kinds(&clean), [], "{:#?}", clean.findings);
    let counters = site.stock(1).await.counters;
    assert_eq!((counters.available, counters.held, counters.closing), (95, 5, 0), "{counters:?}");
    assert_eq!(site.stock(2).await.counters.available, 100);
    assert_eq!(site.redis::<u64>(&["HGET", &site.keys(3).stock, "hold_ms"]).await, 300_000);
    // Twice changes nothing.
    let seq = counters.seq;
    assert_eq!(reconcile.fix(&report, &author()).await.unwrap().len(), 3, "an old report is harmless");
    assert_eq!(reconcile.fix(&clean, &author()).await.unwrap(), []);
    assert_eq!(site.stock(1).await.counters.seq, seq);
    let Ran { exit, stdout, stderr } = site.flashctl(&["reconcile", "--fix", "--yes", "--why", "again"]).await;
    assert_eq!(exit, 0, "{stdout}{stderr}");
    assert!(stdout.contains("nothing to repair, 0 left to you"), "{stdout}");
    assert!(sold.order_id > 0);
    site.finish(&[&daemon]).await;
}

/// Nobody sweeps: what has ended is named after thirty seconds, and given back by --fix.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_sweeper_gives_back_is_named_and_given_back() {
    let _turn = TURN.lock().await;
    let site = Site::open(Own::default(), &[Sku { hold_ms: 1_000, ..ticket(1, 10) }]).await;
    let api = site.daemon_with("api", &AUDITED).await;
    // Only the projector of a worker.
    let parts = site.parts();
    let projector = Projector::new(ProjectorOptions { kafka: parts.kafka, mysql: parts.mysql });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let projecting = tokio::spawn(projector.run(async { drop(stopped.await) }));
    let mut buyer = site.buyer(&[&api]);
    let held = buyer.insist(&Purchase::new(1, 1, "k")).await.won();
    let reconcile = desk(&site).await;
    assert_eq!(kinds(&reconcile.run(None, |_| {}).await.unwrap()), []);
    let began = tokio::time::Instant::now();
    tokio::time::sleep_until(began + Duration::from_secs(33)).await;
    let report = reconcile.run(None, |_| {}).await.unwrap();
    assert_eq!(kinds(&report), [(Kind::ExpiredNotReleased, 1)], "{:#?}", report.findings);
    assert_eq!(report.findings[0].orders, [OrderId::new(held.order_id)]);
    let fixed = reconcile.fix(&report, &author()).await.unwrap();
    assert_eq!(fixed[0].outcome, "1 finished");
    eventually("the unit", || async { site.stock(1).await.counters.available == 10 }).await;
    assert_eq!(kinds(&reconcile.run(None, |_| {}).await.unwrap()), []);
    site.finish(&[&api]).await;
    let _ = stop.send(());
    projecting.await.unwrap().unwrap();
}
