//! MySQL away: selling goes on, and the orders arrive when it is back.

use crate::turn;
use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::crowd::Rush;
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::Connection;
use std::time::Duration;

/// Ten seconds without MySQL.
const OUTAGE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn selling_goes_on_without_mysql_and_the_orders_arrive() {
    let _turn = turn().await;
    let site = Site::open(Own { mysql: true, ..Own::default() }, &[ticket(1, 100_000)]).await;
    let daemon = site.daemon("all").await;
    let rush = Rush::start(&site, &[&daemon], 1, 16);
    rush.more_wins(50).await;
    eventually("the first orders", || async { site.orders().await > 0 }).await;
    site.stack.mysql().kill9().await.unwrap();
    let outage = tokio::time::sleep(OUTAGE);
    rush.more_wins(300).await;
    // Looking at orders is the one thing that needs MySQL: a typed 503, not a wrong "no".
    let answer = Connection::open(&daemon.api).await.unwrap().get("/api/v1/flash/orders/123456789").await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "VIEW_UNAVAILABLE"), "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    outage.await;
    let words = rush.words();
    assert!(words.keys().all(|word| word == "WON"), "buyers notice nothing: {words:?}");
    site.stack.mysql().restart().await.unwrap();
    rush.more_wins(50).await;
    let words = rush.stop().await;
    assert!(words.keys().all(|word| word == "WON"), "{words:?}");
    let won = i64::try_from(words["WON"]).unwrap();
    eventually("all orders", || async { site.orders().await == won }).await;
    site.finish(&[&daemon]).await;
}

/// A server that accepts and never answers is the worst kind: no error, no end. The coordinator says whom it waits for, gives up
/// instead of sitting on its lock, and fills Redis when MySQL answers again; the auditor likewise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_mysql_holds_neither_the_rebuild_nor_the_auditor_for_ever() {
    let _turn = turn().await;
    let site = Site::open(Own { mysql: true, ..Own::default() }, &[ticket(1, 1_000)]).await;
    let settings = [("FLASH_AUDIT_EVERY", "1s"), ("FLASH_KAFKA_MESSAGE_TIMEOUT", "5s")];
    let daemon = site.daemon_with("all", &settings).await;
    let _ = site.buyer(&[&daemon]).insist(&Purchase::new(1, 1, "before")).await.won();
    eventually("the first audit", || async { daemon.worker_stats().await.audit.runs > 0 }).await;
    site.redis::<()>(&["FLUSHALL"]).await;
    // Five seconds are for the leases; whatever comes then needs MySQL.
    let waits = || async { daemon.worker_stats().await.rebuild.step.is_some_and(|step| step.contains("leases")) };
    eventually("a rebuild to be under way", waits).await;
    site.stack.mysql().pause().unwrap();
    let names_mysql = || async {
        let waits_for = daemon.worker_stats().await.rebuild.waits_for;
        waits_for.is_some_and(|server| server.starts_with("MySQL: "))
    };
    eventually("/stats to say who is waited for", names_mysql).await;
    eventually("the rebuild to be given up", || async {
        let rebuild = daemon.worker_stats().await.rebuild;
        rebuild.failures == 1 && rebuild.step.is_none() && rebuild.last_error.is_some_and(|why| why.contains("MySQL"))
    })
    .await;
    eventually("the audit to be given up", || async {
        let audit = daemon.worker_stats().await.audit;
        audit.last_error.is_some() && !audit.active
    })
    .await;
    let audit = daemon.worker_stats().await.audit;
    site.stack.mysql().resume().unwrap();
    eventually("Redis to be filled", || async { daemon.worker_stats().await.rebuild.rebuilds == 1 }).await;
    let _ = site.buyer(&[&daemon]).insist(&Purchase::new(2, 1, "after")).await.won();
    eventually("audits to go on", || async { daemon.worker_stats().await.audit.runs > audit.runs }).await;
    site.finish(&[&daemon]).await;
}
