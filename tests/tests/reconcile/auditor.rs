//! The worker's own audit: it notices, says so in its metrics, and notices when it is over.

use crate::TURN;
use flash_core::ids::SkuId;
use flash_core::stats::HappeningKind;
use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_audits_and_raises_a_metric() {
    let _turn = TURN.lock().await;
    let site = Site::open(Own::default(), &[ticket(1, 100), ticket(2, 100)]).await;
    let settings = [("FLASH_AUDIT_EVERY", "1s"), ("FLASH_KAFKA_MESSAGE_TIMEOUT", "5s")];
    let first = site.daemon_with("all", &settings).await;
    eventually("the first audit", || async { first.worker_stats().await.audit.runs > 0 }).await;
    let second = site.daemon_with("worker", &settings).await;
    let mut buyer = site.buyer(&[&first]);
    let _ = buyer.insist(&Purchase::new(1, 1, "k")).await.won();
    let drift = |count: u64| format!("flash_reconcile_findings{{kind=\"COUNTER_DRIFT\"}} {count}\n");
    let shows = async |line: String| {
        let metrics = first.admin("/metrics").await.map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
        metrics.is_some_and(|text| text.contains(&line))
    };
    assert!(shows(drift(0)).await);
    let _: i64 = site.redis(&["HINCRBY", &site.keys(2).stock, "available", "1"]).await;
    eventually("the finding", || shows(drift(1))).await;
    let audit = first.worker_stats().await.audit;
    assert_eq!(audit.findings[0].sku_id, Some(SkuId::new(2)), "{audit:?}");
    let told = first.stats().await.events.into_iter().filter(|event| event.kind == HappeningKind::Audit).count();
    assert_eq!(told, 1, "once, however often it is found");
    let _: i64 = site.redis(&["HINCRBY", &site.keys(2).stock, "available", "-1"]).await;
    eventually("the end of it", || shows(drift(0))).await;
    assert_eq!(second.worker_stats().await.audit.runs, 0, "one at a time");
    // Begun and ended: two runs are kept, however many there were.
    let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM reconcile_runs WHERE who = 'auditor'")
        .fetch_one(&site.sql)
        .await
        .unwrap();
    assert_eq!(kept, 2);
    site.finish(&[&first, &second]).await;
}
